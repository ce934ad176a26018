"""Speeds by CPU time: what a neighbour takes from a pass is not the index's."""

from __future__ import annotations

import math
from dataclasses import replace
from typing import Any

import numpy as np
import pytest

from harness.analyse.clock import time_factors
from harness.analyse.figures import pass_latencies
from harness.analyse.measures import MEASURES
from harness.analyse.paired import Pair, compare_pairs
from harness.compare.join import join
from harness.core.errors import AnnbenchError
from harness.store.result import Result
from support import factory


def on_a_core(result: Result, shares: list[float], *, old: bool = False) -> Result:
    """Give a result passes that had these shares of a core, as their records say: by `cpu_ns`, or as before it."""
    wall = 10**9
    records = [
        {"pass": number, "process": int(result.pass_process[number]), "wall_ns": wall, "cpu_share": round(share, 4)}
        | ({"foreign_cpu": 0.5} if old else {"cpu_ns": int(share * wall)})
        for number, share in enumerate(shares)
    ]
    return replace(result, document=result.document.model_copy(update={"passes": records}))


def slowed(result: Result, shares: list[float]) -> Result:
    """Stretch the latencies of each pass as a neighbour does that leaves it such a share of its core."""
    factors = np.array(shares)[result.repetition_pass][:, None]
    return on_a_core(replace(result, latencies_ns=(result.latencies_ns / factors).round().astype(np.int64)), shares)


def test_qps_by_cpu_time_is_that_of_a_core_of_its_own() -> None:
    """A pass that had a half of its core has half the QPS by the wall clock, and the same by the CPU clock."""
    alone = on_a_core(factory.make_result(passes=5, repetitions=2), [1.0] * 5)
    shared = slowed(alone, [0.5] * 5)
    assert MEASURES["qps"](shared) == pytest.approx(MEASURES["qps"](alone) / 2, rel=1e-4)
    assert MEASURES["qps_cpu"](shared) == pytest.approx(MEASURES["qps"](alone), rel=1e-4)


def test_batch_counts_all_threads() -> None:
    """Two threads that are busy throughout take two seconds of CPU time a second."""
    result = on_a_core(factory.make_result(mode="batch", threads=2, passes=3), [1.9] * 3)
    assert MEASURES["qps_cpu"](result) == pytest.approx(MEASURES["qps"](result) / 1.9, rel=1e-3)


@pytest.mark.parametrize(("mode", "factor"), [("single", 0.9), ("batch", 1.4)])
def test_older_files_have_it_by_their_shares(mode: str, factor: float) -> None:
    """Shares of the wall time were kept before CPU time was: the thread's, and that of all others."""
    result = on_a_core(factory.make_result(mode=mode, passes=3), [0.9] * 3, old=True)
    assert time_factors(result, "cpu") == pytest.approx([factor] * 3)


@pytest.mark.parametrize("record", [{}, {"pass": 9}, {"pass": 0, "cpu_ns": 5}, {"pass": 0, "cpu_ns": 0, "wall_ns": 7}])
def test_what_is_not_known_is_no_figure(record: dict[str, Any]) -> None:
    """A file that doesn't say how long its passes were on a core has no QPS by CPU time, and no verdict by it."""
    made = factory.make_result(passes=1)
    result = replace(made, document=made.document.model_copy(update={"passes": [record]}))
    assert math.isnan(MEASURES["qps_cpu"](result))
    assert MEASURES["qps"](result) > 0
    with pytest.raises(AnnbenchError, match="doesn't say how much CPU time the passes took"):
        compare_pairs([Pair([result], [result])], None, clock="cpu")


def test_a_neighbour_on_one_side_is_no_difference_by_cpu_time() -> None:
    """B had 60-90% of its core: slower by the wall clock, tied by the CPU clock, at the QPS of a whole core."""
    rng = np.random.default_rng(1)
    pairs = []
    for number in range(5):
        a = on_a_core(factory.make_result(passes=7, seed=number), [1.0] * 7)
        pairs.append(Pair([a], [slowed(a, list(rng.uniform(0.6, 0.9, 7)))]))
    wall, cpu = (compare_pairs(pairs, None, clock=clock) for clock in ("wall", "cpu"))
    assert wall.verdict is not None
    assert cpu.verdict is not None
    assert wall.verdict.kind == "faster"
    assert cpu.verdict.kind == "tied"
    assert cpu.verdict.ratio == pytest.approx(1.0, abs=1e-3)
    assert cpu.b.qps == pytest.approx(cpu.a.qps, rel=1e-3)


def test_joined_results_keep_the_cpu_time_of_every_pass() -> None:
    """Passes are numbered through, those of the second child too, which were dropped."""
    first, second = (
        on_a_core(factory.make_result(passes=3, seed=i), [share] * 3) for i, share in enumerate((1.0, 0.5))
    )
    joined = join([first, second])
    assert time_factors(joined, "cpu") == pytest.approx([1.0] * 3 + [0.5] * 3)
    assert [record["process"] for record in joined.document.passes] == [0] * 3 + [1] * 3
    assert len(pass_latencies(joined)) == 6
