"""The one rule for QPS at a recall, against a plain search."""

from __future__ import annotations

from typing import Any

import pandas as pd
from hypothesis import given
from hypothesis import strategies as st

from harness.analyse.at_recall import fastest_reaching

POINT = st.tuples(
    st.sampled_from("abc"), st.integers(0, 20).map(lambda i: i / 20), st.integers(1, 9).map(float), st.integers(0, 1)
)


@given(st.lists(POINT, max_size=25), st.integers(0, 20).map(lambda i: i / 20))
def test_the_fastest_setting_that_reaches_a_recall(points: list[tuple[Any, ...]], target: float) -> None:
    """Of each algorithm, and of each build if asked, it is the one that no other there outruns, the fastest first."""
    rows = pd.DataFrame(points, columns=["algorithm", "recall", "qps", "build_label"])
    for by in (["algorithm"], ["algorithm", "build_label"]):
        there: dict[Any, Any] = {}
        for row in rows.itertuples():
            if row.recall >= target:
                there.setdefault(tuple(getattr(row, name) for name in by), []).append((row.qps, row.recall))
        found = fastest_reaching(rows, target, by)
        best = {tuple(row[name] for name in by): (row["qps"], row["recall"]) for row in found.to_dict("records")}
        assert best == {key: max(speeds) for key, speeds in there.items()}
        assert found["qps"].is_monotonic_decreasing


def test_rounding_of_a_recall_is_forgiven() -> None:
    """A recall of 0.9 that was summed to 0.8999999999999999 reaches 0.9, and an unknown one reaches nothing."""
    rows = pd.DataFrame({"algorithm": ["a", "b"], "recall": [0.8999999999999999, float("nan")], "qps": [5.0, 9.0]})
    assert fastest_reaching(rows, 0.9)["algorithm"].tolist() == ["a"]
