"""The picture of latencies: p50 to p99.9 of each algorithm at the setting one would use."""

from __future__ import annotations

import math
from typing import Any

from harness.analyse.at_recall import fastest_reaching
from harness.analyse.measures import MEASURES
from harness.analyse.table import Group, indexes
from harness.report.figure import WIDTH, add_axes, log_scale, new_figure, padded, page
from harness.report.plots import group_styles
from harness.report.style import SOFT, plain, short_names

LATENCY_TARGET = 0.95
_PERCENTILES = ("p50", "p95", "p99", "p99.9")
_ROW = 0.36  # inches


def latency_figure(group: Group, target: float = LATENCY_TARGET) -> Any | None:
    """Draw p50, p95, p99 and p99.9 in microseconds, a row an algorithm, the quickest median first.

    None where no algorithm reaches the recall, and in batch mode, where a query has no latency of its own.
    """
    rows = fastest_reaching(indexes(group.rows), target)
    rows = rows[rows["p50"].notna()].sort_values(["p50", "algorithm"])
    if rows.empty:
        return None
    about = page(group.key, group.rows)
    looks = group_styles(group.rows)
    height = max(3.0, 2.25 + _ROW * len(rows))
    figure = new_figure(
        f"Latency at {about.recall.lower()} of at least {target:g}",
        f"{about.dataset}: each algorithm at its fastest setting that reaches it; left is better",
        (
            "solid, bold: from scratch · dashed: library · p99: 99% of the queries were answered within this time",
            *about.footer,
        ),
        height=height,
    )
    axes = add_axes(figure, left=1.95, right=0.35, bottom=1.12, top=1.05)
    values = [value for name in _PERCENTILES for value in rows[name]]
    log_scale(axes.xaxis, *padded(values), MEASURES["p50"].format)
    axes.set_ylim(len(rows) - 0.45, -0.55)
    axes.grid(visible=False, axis="y")
    axes.spines["left"].set_visible(False)
    axes.set_xlabel("Latency of a query in µs (log)")
    axes.set_yticks(range(len(rows)), ["" for _ in range(len(rows))])
    axes.tick_params(axis="y", length=0)
    names = short_names(rows["algorithm"], 26)
    for position, (_, row) in enumerate(rows.iterrows()):
        look = looks[str(row["algorithm"])]
        points = [float(row[name]) for name in _PERCENTILES]
        axes.plot([points[0], points[-1]], [position] * 2, color=look.colour, lw=look.width, ls=look.line, zorder=2)
        for value, (marker, size, fill) in zip(points, _marks(look.colour), strict=True):
            if math.isfinite(value):
                axes.plot(value, position, marker=marker, ms=size, mfc=fill, mec=look.colour, mew=1.4, zorder=3)
        _name_row(axes, position, names[row["algorithm"]], f"recall {row['recall']:.3f} · {row['label']}", look)
    _explain_marks(figure)
    return figure


def _marks(colour: str) -> list[tuple[str, float, str]]:
    return [("o", 7.0, colour), ("o", 6.0, "white"), ("|", 9.0, colour), ("|", 13.0, colour)]


def _name_row(axes: Any, position: int, name: str, setting: str, look: Any) -> None:
    left = {"xycoords": ("figure fraction", "data"), "annotation_clip": False, "ha": "left"}
    x = 0.1 / WIDTH
    axes.annotate(
        name, (x, position), xytext=(0, 1), textcoords="offset points", va="bottom", fontsize=9.5,
        color=look.colour, fontweight=look.weight, **left,
    )  # fmt: skip
    axes.annotate(
        plain(setting, 38), (x, position), xytext=(0, -1), textcoords="offset points", va="top", fontsize=7,
        color=SOFT, **left,
    )  # fmt: skip


def _explain_marks(figure: Any) -> None:
    """Draw a key of the four marks above the axes: a line as in the rows, each mark with its name."""
    height = figure.get_figheight()
    key = figure.add_axes((1.95 / WIDTH, 1 - 0.98 / height, 3.2 / WIDTH, 0.32 / height))
    key.set_axis_off()
    key.set_xlim(0, 3.2)
    key.set_ylim(-1, 1)
    places = [0.1, 0.9, 1.7, 2.5]
    key.plot([places[0], places[-1]], [0, 0], color=SOFT, lw=1.3)
    for place, name, (marker, size, fill) in zip(places, _PERCENTILES, _marks(SOFT), strict=True):
        key.plot(place, 0, marker=marker, ms=size, mfc=fill, mec=SOFT, mew=1.4)
        key.annotate(name, (place, 0), xytext=(7, 2), textcoords="offset points", fontsize=8.5, color=SOFT)
