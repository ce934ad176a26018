"""The one rule for the QPS at a recall: it is that of the fastest measured setting that reaches the recall.

The summary, the chooser, the tables of costs and of targets, the pictures of costs and latencies, and the table at the
end of a run all quote it, so that each of them names the same setting and the same figures. The page's script keeps
the rule for recalls that are chosen there (`fastest` in assets/1-base.js).
"""

from __future__ import annotations

from collections.abc import Sequence
from typing import TYPE_CHECKING

from harness.analyse.frontier import ROUNDING

if TYPE_CHECKING:
    import pandas as pd

RULE = "the fastest measured setting that reaches the recall"


def fastest_reaching(rows: pd.DataFrame, target: float, by: Sequence[str] = ("algorithm",)) -> pd.DataFrame:
    """Return of each algorithm its fastest measured setting with a recall of at least `target`, the fastest first.

    `rows` are measured indexes of one group of the tidy table; `by` are the columns of which each combination has a
    setting, such as algorithm and build. What doesn't reach the recall has no row. Equally fast settings give way to
    the one with the highest recall.
    """
    there = rows[(rows["recall"] >= target - ROUNDING) & (rows["qps"] > 0)]
    ranked = there.sort_values(["qps", "recall"], ascending=False, kind="stable")
    return ranked.drop_duplicates(list(by))
