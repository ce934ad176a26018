"""The picture of a group that matters most: recall against speed, with its bands and the floor."""

from __future__ import annotations

import math
from typing import TYPE_CHECKING, Any

import numpy as np

from harness.analyse.table import FLOOR_FACTOR, Group, floor_qps, indexes, on_frontier
from harness.report.figure import add_axes, log_scale, new_figure, padded, page, recall_scale, short_count
from harness.report.labels import End, label_ends
from harness.report.style import FLOOR_COLOUR, FROM_SCRATCH, SOFT, Style, styles

if TYPE_CHECKING:
    import pandas as pd

KEY_TO_LINES = "solid, bold: from scratch · dashed: library"


def group_styles(rows: pd.DataFrame) -> dict[str, Style]:
    """Assign the styles of one group's algorithms; the same for every picture of the group."""
    found = indexes(rows)
    return styles(dict(zip(found["algorithm"], found["origin"], strict=True)))


def speed_figure(group: Group, *, logit: bool = False) -> Any | None:
    """Draw recall against QPS; None where the group has no point to draw.

    Lines are frontiers with their interval as a band; settings off the frontier are faint dots; settings within twice
    of the floor's QPS are hollow.
    """
    rows = indexes(group.rows)
    rows = rows[rows["qps"].notna() & rows["recall"].notna()]
    if rows.empty:
        return None
    about = page(group.key, group.rows)
    looks = group_styles(group.rows)
    frontier = rows[on_frontier(rows)]
    others = rows[~on_frontier(rows)]
    floor = floor_qps(group.rows)
    low, high = padded([*rows["qps"], *frontier["qps_low"], *frontier["qps_high"]])
    drawn_floor = floor / FLOOR_FACTOR < high * 4
    if drawn_floor:
        high = max(high, floor * 1.25)
    notes = [KEY_TO_LINES, "bands and crosses: 95% intervals", "faint dots: settings that another one beats"]
    if math.isfinite(floor) and not drawn_floor:
        notes.append(f"floor: {short_count(floor)} QPS, above the picture")
    figure = new_figure(
        f"{about.recall} against queries per second",
        f"{about.dataset}: {about.setting}; up and to the right is better",
        (" · ".join(notes), *about.footer),
    )
    axes = add_axes(figure)
    recall_scale(axes, float(rows["recall"].min()), logit=logit)
    log_scale(axes.yaxis, low, high, short_count)
    axes.set_xlabel(about.recall + (" (scale stretched towards 1)" if logit else ""))
    axes.set_ylabel("Queries per second (log)")
    if drawn_floor:
        _draw_floor(axes, floor)
    for name, mine in others.groupby("algorithm", sort=True):
        look = looks[str(name)]
        axes.plot(mine["recall"], mine["qps"], ls="", marker=look.marker, ms=2.6, color=look.colour, alpha=0.28, mew=0)
    ends = [
        _draw_line(axes, str(name), mine.sort_values("recall"), "qps", looks[str(name)], band=True)
        for name, mine in thickest_last(frontier)
    ]
    label_ends(axes, ends)
    return figure


def thickest_last(rows: pd.DataFrame) -> list[tuple[str, pd.DataFrame]]:
    """Split by algorithm, those from scratch last: they are drawn on top."""
    parts = [(str(name), mine) for name, mine in rows.groupby("algorithm", sort=True)]
    return sorted(parts, key=lambda part: (part[1]["origin"].iloc[0] == FROM_SCRATCH, part[0]))


def _draw_line(axes: Any, name: str, mine: pd.DataFrame, column: str, look: Style, *, band: bool) -> End:
    """Draw one algorithm's line and return where it ends: at its highest recall."""
    x, y = mine["recall"].to_numpy(float), mine[column].to_numpy(float)
    lift = 3 if look.weight == "bold" else 2
    if band:
        _draw_intervals(axes, mine, look, lift)
    axes.plot(x, y, ls=look.line, lw=look.width, color=look.colour, zorder=lift + 0.2)
    hollow = mine["near_floor"].to_numpy(bool)
    for mark, fill in ((~hollow, look.colour), (hollow, "white")):
        axes.plot(
            x[mark],
            y[mark],
            ls="",
            marker=look.marker,
            ms=look.size,
            mfc=fill,
            mec=look.colour,
            mew=1.1 if fill == "white" else 0.0,
            zorder=lift + 0.3,
        )
    return End(name, float(x[-1]), float(y[-1]), look)


def _draw_intervals(axes: Any, mine: pd.DataFrame, look: Style, lift: float) -> None:
    """Draw the interval of QPS as a band along the line, and those of both figures as thin crosses."""
    mine = mine[mine["qps_low"].notna() & mine["qps_high"].notna()]
    if mine.empty:
        return
    x, y = mine["recall"].to_numpy(float), mine["qps"].to_numpy(float)
    low, high = mine["qps_low"].to_numpy(float), mine["qps_high"].to_numpy(float)
    axes.fill_between(x, low, high, color=look.colour, alpha=0.14, lw=0, zorder=lift - 1)
    # An interval need not hold the estimate to the last digit: lengths below 0 would be refused.
    across = np.vstack([x - mine["recall_low"].to_numpy(float), mine["recall_high"].to_numpy(float) - x])
    along = np.vstack([y - low, high - y])
    axes.errorbar(
        x,
        y,
        xerr=np.nan_to_num(across).clip(min=0),
        yerr=along.clip(min=0),
        fmt="none",
        ecolor=look.colour,
        elinewidth=0.7,
        alpha=0.35,
        zorder=lift,
    )


def _draw_floor(axes: Any, floor: float) -> None:
    """Hatch the speeds within twice of the no-op plug-in's: there the harness is measured as much as the index."""
    axes.axhspan(floor / FLOOR_FACTOR, floor, facecolor="none", edgecolor="#d4d4d4", hatch="////", lw=0, zorder=0.6)
    axes.axhline(floor, color=FLOOR_COLOUR, lw=1.1, zorder=0.7)
    axes.annotate(
        f"floor: a search that does nothing, {short_count(floor)} QPS; points within 2x of it are hollow",
        xy=(0.012, floor),
        xycoords=("axes fraction", "data"),
        xytext=(0, -4),
        textcoords="offset points",
        fontsize=7.5,
        color=SOFT,
        va="top",
        bbox={"facecolor": "white", "edgecolor": "none", "pad": 1.2, "alpha": 0.85},
        zorder=0.8,
    )
