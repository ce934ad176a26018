"""The table of targets: of each algorithm the fastest measured setting that reaches a recall."""

from __future__ import annotations

import math
from collections.abc import Iterable, Mapping, Sequence
from typing import TYPE_CHECKING, Any

from harness.analyse.at_recall import fastest_reaching
from harness.analyse.frontier import ROUNDING, Relation
from harness.analyse.pooling import GROUP_KEY
from harness.analyse.statistics import DEFAULT_LEVEL
from harness.analyse.table import FLOOR_FACTOR, floor_qps, groups, indexes, tidy
from harness.store.result import Result

if TYPE_CHECKING:
    import pandas as pd

DEFAULT_TARGETS = (0.9, 0.95, 0.99)

# What the table of targets says of a setting, and the column of the tidy table that it is of.
_AT_FIGURES = {
    "qps": "qps", "low": "qps_low", "high": "qps_high", "recall": "recall", "build_seconds": "build_seconds",
    "index_bytes": "index_bytes", "passes": "passes", "disturbed": "disturbed",
}  # fmt: skip
_AT = (
    "qps",
    "low",
    "high",
    "relation",
    "recall",
    "near_floor",
    "setting",
    "build_seconds",
    "index_bytes",
    "passes",
    "disturbed",
)


def targets_table(
    data: pd.DataFrame | Iterable[Result],
    targets: Sequence[float] = DEFAULT_TARGETS,
    *,
    level: float = DEFAULT_LEVEL,
) -> pd.DataFrame:
    """Give of each algorithm the fastest measured setting that reaches each recall.

    A row for each group and algorithm. Columns: those of `GroupKey`, `algorithm`, `origin`, `settings` (how many were
    measured), `best_recall`, and for each target `t` of that setting: `qps@t` with its interval `low@t` and `high@t`,
    `recall@t`, `near_floor@t`, `setting@t`, `build_seconds@t`, `index_bytes@t`, `passes@t` and of these `disturbed@t`;
    and `relation@t`: "=", "not reached", or ">=" where even the least thorough setting lies above the recall, so that
    more speed may be had. Within a group the fastest at the first target comes first; those that don't reach it follow,
    by the next target, then by their best recall.
    """
    import pandas as pd

    table = data if isinstance(data, pd.DataFrame) else tidy(data, level=level)
    out: list[dict[str, Any]] = []
    for key, rows in groups(table):
        floor = floor_qps(rows)
        found = [
            {**key._asdict(), **_targets_row(str(name), mine, targets, floor)}
            for name, mine in indexes(rows).groupby("algorithm", sort=True)
        ]
        out += sorted(found, key=lambda row: _rank(row, targets))
    columns = [*GROUP_KEY, "algorithm", "origin", "settings", "best_recall"]
    columns += [f"{name}@{target:g}" for target in targets for name in _AT]
    return pd.DataFrame(out, columns=columns)


def _targets_row(name: str, mine: pd.DataFrame, targets: Sequence[float], floor: float) -> dict[str, Any]:
    row: dict[str, Any] = {
        "algorithm": name,
        "origin": mine["origin"].iloc[0],
        "settings": len(mine),
        "best_recall": float(mine["recall"].max()),
    }
    for target in targets:
        chosen = fastest_reaching(mine, target)
        at = chosen.iloc[0] if len(chosen) else None
        above = bool(mine["recall"].min() > target + ROUNDING)
        relation: Relation = "not reached" if at is None else ">=" if above else "="
        figures = {figure: math.nan if at is None else float(at[column]) for figure, column in _AT_FIGURES.items()}
        row |= {f"{figure}@{target:g}": value for figure, value in figures.items()}
        row |= {
            f"relation@{target:g}": relation,
            f"near_floor@{target:g}": bool(figures["qps"] > floor / FLOOR_FACTOR),
            f"setting@{target:g}": "" if at is None else str(at["label"]),
        }
    return row


def _rank(row: Mapping[str, Any], targets: Sequence[float]) -> tuple[Any, ...]:
    speeds = [row[f"qps@{target:g}"] for target in targets]
    return (*(math.inf if math.isnan(qps) else -qps for qps in speeds), -row["best_recall"], row["algorithm"])
