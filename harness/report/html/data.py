"""What the page carries of each group of comparable results: columns of figures, rounded, beside what names them."""

from __future__ import annotations

import math
from collections.abc import Iterable, Mapping, Sequence
from typing import TYPE_CHECKING, Any

import yaml

from harness.analyse.at_recall import RULE, fastest_reaching
from harness.analyse.caveats import caveats
from harness.analyse.measures import MEASURES, break_even
from harness.analyse.table import Group, GroupKey, floor_qps, indexes, on_frontier
from harness.analyse.targets import DEFAULT_TARGETS
from harness.analyse.verdict import TIE
from harness.analyse.winners import MOST_DISTURBED
from harness.report.detail import LATENCY_SHARES, Detail
from harness.report.figure import machine_title
from harness.report.html.colours import on_dark
from harness.report.html.commands import Words, command_head, literal, parameter_words
from harness.report.plots import group_styles
from harness.report.snippet import fixed, literals, template
from harness.report.style import FROM_SCRATCH, plain, short_names
from harness.report.tables import failed

if TYPE_CHECKING:
    import pandas as pd

    from harness.engines.registry import Registry

REFERENCE = "brute_force"
"""The algorithm against which building an index has to pay off: the harness's own exact search."""

NEVER = -1.0
"""Stands for an infinite number of queries, which JSON has no way to write."""

# Significant digits: more than any interval leaves, and fewer than a float has.
_DIGITS = 5
# The page picks settings by these itself, and must pick those that the tables of Markdown name.
_PICKED_BY = {"recall": 9, "qps": 9}
_SHARES = ("recall", "recall_low", "recall_high", "recall_annb", "eps0.01", "eps0.1", "recall_worst5")
_FIGURES = (
    *("qps", "qps_low", "qps_high", "p50", "p95", "p99", "p99.9", "build_seconds", "compile_seconds"),
    *("uss_growth", "peak_build", "peak_search", "index_bytes", "distance_computations"),
)
_WHOLE = ("passes", "disturbed", "queries", "queries_asked")
_NAME = 200


def about_measures() -> dict[str, dict[str, str]]:
    """Say what each figure on the page is called, its unit and what it means."""
    shown = [name for name in MEASURES if name in {*_SHARES, *_FIGURES}]
    return {
        name: {"title": MEASURES[name].title, "unit": MEASURES[name].unit, "about": MEASURES[name].about}
        for name in shown
    }


def _head(key: GroupKey, algorithm: str) -> Words:
    """Return the command of an algorithm; the workload's own fields stand in the key as `quantile=0.9`."""
    pairs = [part.partition("=") for part in key.terms.split(", ") if part]
    own = {name: yaml.safe_load(value) for name, _, value in pairs}
    return command_head(key.dataset, algorithm, key.k, key.mode, key.threads, key.workload, own)


def group_document(
    group: Group, targets: pd.DataFrame, details: Mapping[str, Detail], name: str, registry: Registry
) -> dict[str, Any]:
    """Return what the page needs of one group, as JSON takes it: no nan, no infinity.

    `targets` is its `targets_table` at the usual recalls; `registry` has the lines that an application uses.
    """
    key, every = group
    rows = indexes(every).sort_values(["algorithm", "recall", "qps"], kind="stable")
    looks = group_styles(every)
    algorithms = list(dict.fromkeys(rows["algorithm"]))
    origins = dict(zip(rows["algorithm"], rows["origin"], strict=True))
    builds, searches = _numbered(rows["build"], rows["build_label"]), _numbered(rows["search"], rows["search_label"])
    floor = floor_qps(every)
    shown, metric = short_names(algorithms, _NAME), next((text for text in rows["metric"] if text), "")
    frontier = on_frontier(rows)
    return {
        "id": name,
        "key": {
            **key._asdict(),
            "dataset": plain(key.dataset, _NAME),
            "machine": plain(key.machine, _NAME),
            "terms": plain(key.terms, _NAME),
            "asks": plain(key.asks, _NAME),
            "recall": key.recall,
        },
        "machine": machine_title(key, every),
        "metric": plain(metric, _NAME),
        "rows": int(rows["train_rows"].max()) if len(rows) else 0,
        "dimension": int(rows["dimension"].max()) if len(rows) else 0,
        "floor": _rounded(floor),
        "caveats": [plain(note, 400) for note in caveats(every)],
        "algorithms": [
            {
                "name": shown[algorithm],
                "scratch": origins[algorithm] == FROM_SCRATCH,
                "colour": looks[algorithm].colour,
                "dark": on_dark(looks[algorithm].colour),
                "marker": looks[algorithm].marker,
                **_words(_head(key, algorithm)),
                "literal": repr(algorithm),
                "application": template(registry.get(algorithm), metric),
                "fixed": fixed(algorithm, metric, key.k),
            }
            for algorithm in algorithms
        ],
        "builds": [_parameters("build", *one) for one in builds.values()],
        "searches": [_parameters("search", *one) for one in searches.values()],
        "columns": {
            "algorithm": [algorithms.index(one) for one in rows["algorithm"]],
            "build": _numbers(builds, rows["build"]),
            "search": _numbers(searches, rows["search"]),
            **_figures(rows),
            "break_even": _break_even(rows),
            "near_floor": [int(near) for near in rows["near_floor"]],
            "date": [str(date)[:10] for date in rows["created"]],
        },
        "details": {
            str(place): {"latencies": _list(detail.latencies), "recalls": _list(detail.recalls)}
            for place, (path, shown) in enumerate(zip(rows["path"], frontier, strict=True))
            if shown and (detail := details.get(path)) is not None
        },
        "targets": _targets(targets, rows, algorithms),
        "failures": [_failure(row) for row in failed(every).to_dict("records")],
    }


def shared() -> dict[str, Any]:
    """Return what all groups share: the names of figures, the targets, and at which shares latencies are known."""
    return {
        "measures": about_measures(),
        "targets": list(DEFAULT_TARGETS),
        "shares": list(LATENCY_SHARES),
        "reference": REFERENCE,
        "never": NEVER,
        "rule": RULE,
        "tie": list(TIE),
        "most_disturbed": MOST_DISTURBED,
    }


def _numbered(values: Iterable[Mapping[str, Any]], labels: Iterable[str]) -> dict[str, tuple[Any, str]]:
    return {repr(value): (value, text) for value, text in zip(values, labels, strict=True)}


def _numbers(known: Mapping[str, Any], values: Iterable[Mapping[str, Any]]) -> list[int]:
    place = {text: number for number, text in enumerate(known)}
    return [place[repr(value)] for value in values]


def _parameters(kind: str, value: Mapping[str, Any], text: str) -> dict[str, Any]:
    words = _words(parameter_words(kind, value))
    return {"label": plain(text, _NAME), **words, "literals": literals(value), "dict": literal(dict(value))}


def _words(words: Words) -> dict[str, Any]:
    return {"shell": words.shell, "python": words.python}


def _figures(rows: pd.DataFrame) -> dict[str, list[Any]]:
    """Return the columns of figures, those that no row has left out."""
    out: dict[str, list[Any]] = {
        name: [_share(value, _PICKED_BY.get(name, _DIGITS)) for value in rows[name]] for name in _SHARES
    }
    out |= {name: [_rounded(value, _PICKED_BY.get(name, _DIGITS)) for value in rows[name]] for name in _FIGURES}
    out |= {name: [int(value) for value in rows[name]] for name in _WHOLE}
    needed = {"recall", "qps", *_WHOLE}
    return {
        name: column for name, column in out.items() if name in needed or any(value is not None for value in column)
    }


def _share(value: float, digits: int = _DIGITS) -> float | None:
    return round(float(value), digits) if math.isfinite(value) else None


def _rounded(value: float, digits: int = _DIGITS) -> float | int | None:
    if not math.isfinite(value):
        return None
    short = float(f"{value:.{digits}g}")
    return int(short) if short.is_integer() else short


def _list(values: Sequence[float]) -> list[float | int | None]:
    return [_rounded(value) for value in values]


def _break_even(rows: pd.DataFrame) -> list[float | int | None]:
    """Count for each row the queries after which its build has paid off against exact search; -1 for never."""
    reference = float(rows.loc[rows["algorithm"] == REFERENCE, "qps"].max())
    found = [
        break_even(float(build), float(qps), reference)
        for build, qps in zip(rows["build_seconds"], rows["qps"], strict=True)
    ]
    return [NEVER if math.isinf(value) else _rounded(value) for value in found]


def _targets(targets: pd.DataFrame, rows: pd.DataFrame, algorithms: Sequence[str]) -> list[dict[str, Any]]:
    """Return a row an algorithm, the fastest first: the place among `rows` of its setting for each target."""
    place = {index: number for number, index in enumerate(rows.index)}
    chosen = {
        target: {row.algorithm: place[row.Index] for row in fastest_reaching(rows, target).itertuples()}
        for target in DEFAULT_TARGETS
    }
    return [
        {
            "algorithm": algorithms.index(row["algorithm"]),
            "best": _share(row["best_recall"]),
            "settings": int(row["settings"]),
            "at": [
                {
                    "row": chosen[target].get(row["algorithm"]),
                    "relation": row[f"relation@{target:g}"],
                }
                for target in DEFAULT_TARGETS
            ],
        }
        for row in targets.to_dict("records")
    ]


def _failure(row: Mapping[Any, Any]) -> dict[str, str]:
    return {
        "algorithm": plain(row["algorithm"], _NAME),
        "build": plain(row["build_label"], _NAME),
        "search": plain(row["search_label"], _NAME),
        "reason": plain(row["status"], _NAME),
        "stage": plain(row["stage"], _NAME),
        "detail": plain(row["detail"], 400),
        "date": plain(str(row["created"])[:10]),
    }
