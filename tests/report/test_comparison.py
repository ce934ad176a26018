"""What stands below the verdicts of a comparison."""

from __future__ import annotations

from dataclasses import replace
from typing import Any

import numpy as np
import pytest

from harness.analyse.paired import Pair, compare_pairs
from harness.compare.request import Report, Row
from harness.compare.stored import Terms
from harness.report.comparison import footnotes, render
from support import factory

QUERIES = 20
TERMS = Terms(
    dataset="digits-64-euclidean",
    dataset_sha256="0" * 64,
    own={"k": 10, "mode": "single"},
    threads=1,
    queries=QUERIES,
    machine="-",
)


@pytest.mark.parametrize(
    ("a", "b", "apart"),
    [
        # Each round side by side gives .85, 2 and .35, and so .85; the medians are 70 and 100, and so .70.
        ((85.0, 60.0, 70.0), (100.0, 30.0, 200.0), True),
        ((100.0, 30.0, 200.0), (85.0, 60.0, 70.0), True),
        ((85.0, 170.0, 42.5), (100.0, 200.0, 50.0), False),
    ],
)
def test_speeds_that_contradict_their_ratio_are_explained(
    a: tuple[float, ...], b: tuple[float, ...], *, apart: bool
) -> None:
    """Where the quotient of what is shown lies outside the ratio's interval, a footnote says why, and which counts."""

    def measured(qps: tuple[float, ...]) -> Any:
        latencies = np.repeat(np.rint(1e9 / np.array(qps)).astype(np.int64)[:, None], QUERIES, axis=1)
        return replace(factory.make_result(queries=QUERIES, passes=len(qps)), latencies_ns=latencies)

    found = compare_pairs([Pair([measured(a)], [measured(b)])] * 5, None)
    report = Report(
        ("hnsw(ef=10)", "hnsw(ef=20)"), [Row(TERMS, ("hnsw", "hnsw"), (("ef=10",), ("ef=20",)), found)], [], 5
    )
    assert any("not the quotient of both QPS" in note for note in footnotes(report)) == apart
    assert ("trust A / B (at recall" in render(report, "markdown")) == apart


def test_rounds_that_several_recalls_rest_on_are_counted_once() -> None:
    """Of one match read at three recalls, 2 of 15 rounds were disturbed: not 6 of 45. Looks are told of."""
    result = factory.make_result(queries=QUERIES, passes=5)
    marked = replace(result, pass_disturbed=np.array([True, False, False, False, False]))
    pairs = [Pair([marked], [result])] * 2 + [Pair([result], [result])]
    rows = [
        Row(TERMS, ("hnsw", "hnsw"), (("ef=10",), ("ef=20",)), compare_pairs(pairs, target, looks=(3, 6)))
        for target in (0.1, 0.2, 0.3)
    ]
    said = footnotes(Report(("hnsw(ef=10)", "hnsw(ef=20)"), rows, [], 3))
    assert any(note.startswith("3 pairs of children, at least 15 passes") for note in said)
    assert any(note.startswith("2 of 15 rounds were disturbed") for note in said)
    assert any("hold 95% together" in note for note in said)
