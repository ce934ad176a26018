"""What an index costs, in build time or memory: against the recall that it reaches, and against its speed there."""

from __future__ import annotations

from typing import TYPE_CHECKING, Any

import numpy as np
from numpy.typing import NDArray

from harness.analyse.at_recall import fastest_reaching
from harness.analyse.measures import MEASURES
from harness.analyse.table import Group, indexes
from harness.report.figure import add_axes, cost_scale, log_scale, new_figure, padded, page, recall_scale, short_count
from harness.report.labels import End, label_ends, label_points
from harness.report.plots import KEY_TO_LINES, group_styles, thickest_last

if TYPE_CHECKING:
    import pandas as pd

COST_TARGET = 0.95


def cost_recall_figure(group: Group, measure: str = "build_seconds") -> Any | None:
    """Draw what each build costs against the recalls that its settings reach: a line a build; None without a cost."""
    rows = _with_cost(group, measure)
    if rows.empty:
        return None
    about = page(group.key, group.rows)
    looks = group_styles(group.rows)
    what = MEASURES[measure]
    figure = new_figure(
        f"{what.title} against {about.recall.lower()}",
        f"{about.dataset}: {about.setting}; down and to the right is better",
        (f"{KEY_TO_LINES} · a line is a build, its marks are search settings · {what.about}", *about.footer),
    )
    axes = add_axes(figure)
    recall_scale(axes, float(rows["recall"].min()), logit=True)
    cost_scale(axes.yaxis, list(rows[measure]), what)
    axes.set_xlabel(f"{about.recall} (scale stretched towards 1)")
    ends = []
    for name, mine in thickest_last(rows):
        look = looks[name]
        for _, build in mine.groupby("build_label", sort=True):
            x = np.sort(build["recall"].to_numpy(float))
            y = np.full(len(x), float(build[measure].median()))
            axes.plot(x, y, ls=look.line, lw=look.width, color=look.colour, zorder=2)
            axes.plot(x, y, ls="", marker=look.marker, ms=look.size, color=look.colour, mec="white", mew=0.6, zorder=3)
        best = mine.sort_values("recall").iloc[-1]
        cost = float(mine[mine["build_label"] == best["build_label"]][measure].median())
        ends.append(End(name, float(best["recall"]), cost, look))
    label_ends(axes, ends)
    return figure


def cost_speed_figure(group: Group, measure: str = "build_seconds", target: float = COST_TARGET) -> Any | None:
    """Draw what each build costs against its QPS at a recall: a point a build; None where no build reaches it."""
    rows = _with_cost(group, measure)
    points = fastest_reaching(rows, target, by=("algorithm", "build_label"))
    if points.empty:
        return None
    about = page(group.key, group.rows)
    looks = group_styles(group.rows)
    what = MEASURES[measure]
    absent = sorted(set(rows["algorithm"]) - set(points["algorithm"]))
    notes = [KEY_TO_LINES, "a point is a build at its fastest setting that reaches the recall", what.about]
    if absent:
        notes = [f"not reached by {', '.join(absent)}", *notes[:2]]
    figure = new_figure(
        f"{what.title} against queries per second at {about.recall.lower()} = {target:g}",
        f"{about.dataset}: {about.setting}; up and to the left is better",
        (" · ".join(notes), *about.footer),
    )
    axes = add_axes(figure, right=0.45)
    log_scale(axes.yaxis, *padded(list(points["qps"]), 1.6), short_count)
    cost_scale(axes.xaxis, list(points[measure]), what)
    axes.set_ylabel(f"Queries per second at recall {target:g} (log)")
    ends, marks = [], []
    for name, mine in thickest_last(points):
        line = mine.sort_values([measure, "qps"])
        x, y = line[measure].to_numpy(float), line["qps"].to_numpy(float)
        look = looks[name]
        axes.plot(x, y, ls=look.line, lw=0.6 * look.width, color=look.colour, alpha=0.6, zorder=2)
        axes.plot(
            x, y, ls="", marker=look.marker, ms=1.5 * look.size, color=look.colour, mec="white", mew=0.8, zorder=3
        )
        best = int(np.argmax(y))
        ends.append(End(name, float(x[best]), float(y[best]), look))
        marks += _along(x, y)
    label_points(axes, ends, marks)
    return figure


def _along(x: NDArray[np.float64], y: NDArray[np.float64]) -> list[tuple[float, float]]:
    """Return points along a line on log axes, so that no name is written across it."""
    steps = np.linspace(0, len(x) - 1, 16 * (len(x) - 1) + 1)
    positions = np.arange(len(x))
    across, up = (np.exp(np.interp(steps, positions, np.log(values))) for values in (x, y))
    return list(zip(across.tolist(), up.tolist(), strict=True))


def _with_cost(group: Group, measure: str) -> pd.DataFrame:
    rows = indexes(group.rows)
    return rows[rows["recall"].notna() & rows["qps"].notna() & (rows[measure] > 0)]
