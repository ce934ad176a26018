"""The tidy table, its groups, and the table of QPS at a recall."""

from __future__ import annotations

import json
import math
from typing import Any

import pytest

from harness.analyse.caveats import caveats
from harness.analyse.measures import MEASURES
from harness.analyse.table import COLUMNS, floor_qps, groups, machine_name, newest, on_frontier, tidy
from harness.analyse.targets import targets_table
from harness.store.failures import Failure
from support import factory


def test_a_row_a_result(tmp_path: Any) -> None:
    """A stored result and a failure become rows with every measure, intervals, parameters and provenance."""
    result = factory.make_result("hnsw", {"M": 16}, {"ef": 40}, disturbed=(2,), passes=6, processes=2)
    store = factory.write_store(tmp_path, [result], [factory.make_failure(detail="2 h")])
    table = tidy(store.results(), store.failures())
    assert list(table.columns) == list(COLUMNS)
    row, failure = table.iloc[0], table.iloc[1]
    assert (row["algorithm"], row["build"], row["search"]) == ("hnsw", {"M": 16}, {"ef": 40})
    assert row["label"] == "M=16, ef=40"
    assert (row["passes"], row["disturbed"], row["processes"]) == (6, 1, 2)
    assert row["machine_name"] == "AMD EPYC 7B13, 2 cores"
    assert row["path"].endswith(".hdf5")
    assert json.loads(json.dumps(row["build"])) == {"M": 16}
    for name, measure in MEASURES.items():
        assert row[name] == pytest.approx(measure(result), nan_ok=True), name
    assert row["qps_low"] < row["qps"] < row["qps_high"]
    assert (failure["status"], failure["detail"], failure["stage"]) == ("timeout", "2 h", "build")
    assert math.isnan(failure["qps"])


def test_an_empty_store_gives_an_empty_table() -> None:
    """Without results the table has its columns and no rows, and so has everything read off it."""
    table = tidy([])
    assert list(table.columns) == list(COLUMNS)
    assert groups(table) == []
    assert targets_table(table).empty
    assert newest(table).empty


def test_documents_with_little_in_them() -> None:
    """Absent keys of machine, environment and spec give empty cells, not errors."""
    result = factory.make_result(machine={}, environment={}, processes=0)
    result.document.spec["search"] = None
    del result.document.spec["threads"]
    row = tidy([result]).iloc[0]
    assert (row["machine"], row["machine_name"], row["train_rows"], row["search"]) == ("?", "", 0, {})
    assert row["queries_asked"] == 100


def test_machines_and_modes_are_kept_apart() -> None:
    """Groups differ in dataset, k, mode, threads or machine; the same cpu under another key is another machine."""
    make = factory.make_result
    results = [
        make(),
        make(qps=2000),
        make(k=5),
        make(mode="batch"),
        make(mode="batch", threads=2),
        make(dataset="other"),
        make(machine={**factory.MACHINE, "key": "b"}),
    ]
    parts = groups(tidy(results))
    assert [len(part.rows) for part in parts] == [1, 1, 1, 2, 1, 1]
    assert len({part.key for part in parts}) == 6


def test_near_floor() -> None:
    """Within twice of the no-op plug-in's QPS a row is marked, on the same group only; the floor itself is not."""
    make = factory.make_result
    steady = {"mode": "batch", "pass_spread": 0.0}
    results = [
        make("noop", qps=1000, purpose="floor", **steady),
        make("a", qps=501, **steady),
        make("b", qps=499, **steady),
        make("c", qps=900, dataset="other", **steady),
    ]
    table = tidy(results)
    assert table["near_floor"].tolist() == [False, True, False, False]
    assert floor_qps(groups(table)[0].rows) == pytest.approx(1000, rel=1e-3)
    assert math.isnan(floor_qps(groups(table)[1].rows))


@pytest.mark.parametrize(
    ("searched", "when", "kept"),
    [
        (True, "2025-03-01T13:00:00Z", ["measured"]),
        (True, "2025-09-01T13:00:00Z", ["measured", "crashed (SIGSEGV)"]),
        (False, "2025-03-01T13:00:00Z", ["measured"]),
        (False, "2025-09-01T13:00:00Z", ["measured", "crashed (SIGSEGV)"]),
    ],
)
def test_a_failure_gives_way_to_a_later_measurement_only(searched: bool, when: str, kept: list[str]) -> None:
    """What was mended is left out; what failed after some passes is shown beside them."""
    result = factory.make_result("annoy", {"n_trees": 5}, {"search_k": 10}, created="2025-06-01T13:00:00Z")
    spec = dict(result.spec) if searched else {**result.spec, "search": None}
    failure = Failure(spec, "crashed (SIGSEGV)", created=when)
    assert newest(tidy([result], [failure]))["status"].tolist() == kept


def test_newest_keeps_the_last_measurement() -> None:
    """Of one setting under two versions of a plug-in the later one stays; other settings are untouched."""
    make = factory.make_result
    old = make("hnsw", {"M": 16}, {"ef": 10}, qps=5000, created="2025-01-01T00:00:00Z", plugin_hash="old")
    new = make("hnsw", {"M": 16}, {"ef": 10}, qps=500, created="2025-02-01T00:00:00Z", plugin_hash="new")
    other = make("hnsw", {"M": 16}, {"ef": 20}, qps=400, created="2024-01-01T00:00:00Z")
    kept = newest(tidy([new, old, other]))
    assert kept["created"].tolist() == ["2025-02-01T00:00:00Z", "2024-01-01T00:00:00Z"]


def test_frontier_is_per_algorithm_and_without_the_floor() -> None:
    """Each algorithm has a frontier of its own; failures and the floor have none."""
    make = factory.make_result
    results = [
        make("a", recall=0.9, qps=100),
        make("a", {"x": 1}, recall=0.8, qps=50),
        make("b", recall=0.5, qps=10),
        make("noop", recall=0.0, qps=1e6, purpose="floor"),
    ]
    table = tidy(results, [factory.make_failure()])
    assert on_frontier(table).tolist() == [True, False, True, False, False]


def test_targets_table() -> None:
    """QPS at a recall is that of the fastest setting measured there, with its interval; nothing is interpolated."""
    make = factory.make_result
    results = [
        make("slow", {}, {"ef": 1}, recall=0.80, qps=900),
        make("slow", {}, {"ef": 2}, recall=0.97, qps=90, build_seconds=7.0),
        make("fast", {}, {"ef": 3}, recall=0.92, qps=8000),
        make("bad", {}, {"ef": 4}, recall=0.5, qps=90_000),
        make("noop", recall=0.0, qps=10_000, purpose="floor"),
    ]
    measured = tidy(results)
    table = targets_table(measured, (0.9, 0.95))
    assert table["algorithm"].tolist() == ["fast", "slow", "bad"]
    fast, slow, bad = (row for _, row in table.iterrows())
    assert (fast["relation@0.9"], fast["relation@0.95"]) == (">=", "not reached")
    assert fast["near_floor@0.9"]
    assert (slow["relation@0.9"], slow["setting@0.9"], slow["build_seconds@0.9"]) == ("=", "ef=2", 7.0)
    (quoted,) = measured[measured["label"] == "ef=2"].to_dict("records")
    for ours, theirs in (("qps", "qps"), ("low", "qps_low"), ("high", "qps_high"), ("recall", "recall")):
        assert slow[f"{ours}@0.9"] == quoted[theirs]
    assert not slow["near_floor@0.9"]
    assert (bad["relation@0.9"], bad["setting@0.9"]) == ("not reached", "")
    assert math.isnan(bad["qps@0.9"])
    assert targets_table(iter(results), (0.9, 0.95)).equals(table)


def test_targets_without_intervals() -> None:
    """A single pass gives a reading but no interval."""
    row = targets_table([factory.make_result(passes=1, recall=0.95)], (0.9,)).iloc[0]
    assert row["qps@0.9"] > 0
    assert math.isnan(row["low@0.9"])


def test_unlike_kernels_are_a_caveat() -> None:
    """Where nobody chose them, results of one machine may still have run others: said by library, and never silent."""
    results = [factory.make_result(name) for name in ("a", "b", "c", "d")]
    for result, architecture in zip(results, ("Haswell", "SkylakeX", "Haswell", ""), strict=True):
        if architecture:
            (process,) = result.document.processes
            process.kernels = [{"library": "numpy", "runs": "openblas", "version": "1", "architecture": architecture}]
    assert caveats(tidy([results[0], results[2], results[3]])) == []
    (said,) = caveats(tidy(results))
    assert said.endswith("speeds are not comparable: numpy openblas ran Haswell and SkylakeX")
    # What was chosen for one algorithm alone is its setting.
    results[1].document.spec["environment"] = {"OPENBLAS_CORETYPE": "SkylakeX"}
    assert caveats(tidy(results)) == []


def test_caveats() -> None:
    """What makes figures hard to compare is said: queries, dataset versions, disturbed and single passes."""
    make = factory.make_result
    assert caveats(tidy([make(), make("b")])) == []
    short = make("slow", environment={"queries_asked": 500})
    said = " ".join(
        caveats(tidy([make(disturbed=(1,)), short, make("x", dataset_sha256="e" * 64), make("y", passes=1)]))
    )
    assert "slow was measured on as few as 100 of 500 queries" in said
    assert "different versions of the dataset" in said
    assert "1 of 22 passes were disturbed" in said
    assert "a single pass" in said
    assert "different numbers of queries: 100, 500" in said


@pytest.mark.parametrize(
    ("machine", "name"),
    [
        ({}, ""),
        ({"cpu": "X\n 1"}, "X 1"),
        ({"cores": 1}, "unknown processor, 1 core"),
        ({"cpu": "X", "cores": 2}, "X, 2 cores"),
    ],
)
def test_machine_names(machine: dict[str, Any], name: str) -> None:
    """A machine is named by its processor and cores, as far as they are known."""
    assert machine_name(machine) == name
