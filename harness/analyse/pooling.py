"""Intervals of many results: what each says of passes and queries, with the drift of all that it is compared with."""

from __future__ import annotations

import json
from collections.abc import Mapping, Sequence
from typing import Any

from harness.analyse.drift import Spread, pooled_drift
from harness.analyse.statistics import percentile_range, with_drift

GROUP_KEY = ["dataset", "workload", "terms", "k", "mode", "threads", "machine"]
"""The columns that rows must share to be compared."""


def with_drift_of_groups(rows: Sequence[Mapping[str, Any]], level: float) -> list[Mapping[str, Any]]:
    """Return rows of the tidy table with the intervals of QPS, from the drift of all builds of their group."""
    out = list(rows)
    grouped: dict[tuple[Any, ...], list[int]] = {}
    for number, row in enumerate(rows):
        if row.get("spread") is not None:
            grouped.setdefault(tuple(row[name] for name in GROUP_KEY), []).append(number)
    for numbers in grouped.values():
        spreads = [Spread(*rows[number]["spread"]) for number in numbers]
        builds = [_build_of(rows[number]) for number in numbers]
        for number, spread, drift in zip(numbers, spreads, pooled_drift(spreads, builds), strict=True):
            samples = with_drift(rows[number]["qps_samples"], spread, drift, level)
            low, high = percentile_range(samples, level)
            out[number] = {**rows[number], "qps_samples": samples, "qps_low": low, "qps_high": high}
    return out


def _build_of(row: Mapping[str, Any]) -> tuple[str, ...]:
    """Tell the build of a row: its settings were searched in the same processes."""
    return (row["algorithm"], json.dumps(row["build"], sort_keys=True, default=str), row["built"])
