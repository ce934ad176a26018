"""Direct labels: names written beside the ends of lines, moved apart so that none covers another."""

from __future__ import annotations

from collections.abc import Sequence
from typing import Any, NamedTuple

import numpy as np

from harness.report.style import LEADER, Style, short_names

_LINE_HEIGHT = 1.28
_LABEL_LIMIT = 22
_LEADER = {"arrowstyle": "-", "color": LEADER, "linewidth": 0.6, "linestyle": (0, (1, 2)), "zorder": 1.2}
_FARTHEST = 0.12  # of the width: a leader from further away would cross the plot
_WAYS = ((1, 0), (-1, 0), (0, 1), (0, -1), (0.7, 0.7), (-0.7, 0.7), (0.7, -0.7), (-0.7, -0.7))


class End(NamedTuple):
    """Where a line ends, in data coordinates, and what is written there."""

    name: str
    x: float
    y: float
    style: Style


def spread(wanted: Sequence[float], gap: float, low: float, high: float) -> list[float]:
    """Move positions apart to at least `gap`, inside `low`..`high`, in the same order and as little as possible.

    Least squares under the order's constraints (isotonic regression by pooling neighbours that are too close). Where
    they can't all fit, the gap shrinks to what fits.
    """
    n = len(wanted)
    if n == 0:
        return []
    if n > 1:
        gap = min(gap, (high - low) / (n - 1))
    order = np.argsort(np.asarray(wanted, float), kind="stable")
    # With i * gap taken off, "at least gap apart" becomes "not descending".
    pools: list[tuple[float, int]] = []
    for i, index in enumerate(order):
        mean, size = float(wanted[index]) - i * gap, 1
        while pools and pools[-1][0] > mean:
            before, count = pools.pop()
            mean, size = (before * count + mean * size) / (count + size), count + size
        pools.append((mean, size))
    level = np.repeat([mean for mean, _ in pools], [size for _, size in pools])
    level = np.clip(level, low, high - (n - 1) * gap) + gap * np.arange(n)
    out = [0.0] * n
    for position, index in zip(level, order, strict=True):
        out[int(index)] = float(position)
    return out


def label_ends(axes: Any, ends: Sequence[End], *, size: float = 9.0, limit: int = _LABEL_LIMIT) -> None:
    """Write each name in a column right of the axes, at the height of its line's end, with a dotted grey leader to it.

    The name of a line that ends far from there stands beside its end, where no leader crosses the plot. Names are
    shortened to `limit` characters. Call it when all lines are drawn and the limits of the axes are final.
    """
    to_axes = axes.transData + axes.transAxes.inverted()
    places = [to_axes.transform((end.x, end.y)) for end in ends]
    far = [end for end, place in zip(ends, places, strict=True) if place[0] < 1 - _FARTHEST]
    if far:
        label_points(axes, far, _drawn(axes), size=size, limit=limit)
        ends = [end for end in ends if end not in far]
    if not ends:
        return
    texts = short_names([end.name for end in ends], limit)
    figure = axes.figure
    height = axes.get_position().height * figure.get_figheight() * 72  # points
    size = max(5.5, min(size, height / (len(ends) * _LINE_HEIGHT)))
    gap = size * _LINE_HEIGHT / height
    points = [to_axes.transform((end.x, end.y)) for end in ends]
    # Lines that end further right come first among equals, so that leaders cross less.
    heights = spread([float(point[1]) for point in points], gap, 0.0, 1.0)
    for end, point, y in zip(ends, points, heights, strict=True):
        axes.annotate(
            texts[end.name],
            xy=(min(float(point[0]), 1.0), float(point[1])),
            xytext=(1.035, y),
            xycoords="axes fraction",
            textcoords="axes fraction",
            color=end.style.colour,
            fontsize=size,
            fontweight=end.style.weight,
            va="center",
            ha="left",
            annotation_clip=False,
            arrowprops={**_LEADER, "shrinkA": 1, "shrinkB": 3, "relpos": (0.0, 0.5)},
        )


def _drawn(axes: Any) -> list[tuple[float, float]]:
    """Return points all along the lines that are drawn, in data coordinates."""
    found: list[tuple[float, float]] = []
    for line in axes.get_lines():
        if line.get_transform() != axes.transData:  # a level across the axes
            continue
        seen = axes.transData.transform(np.column_stack([line.get_xdata(), line.get_ydata()]).astype(float))
        seen = seen[np.isfinite(seen).all(axis=1)]
        if not len(seen):
            continue
        if line.get_linestyle() != "None" and len(seen) > 1:
            steps = np.linspace(0, len(seen) - 1, 8 * (len(seen) - 1) + 1)
            seen = np.column_stack([np.interp(steps, np.arange(len(seen)), column) for column in seen.T])
        found += [(float(x), float(y)) for x, y in axes.transData.inverted().transform(seen)]
    return found


def label_points(
    axes: Any,
    ends: Sequence[End],
    marks: Sequence[tuple[float, float]],
    *,
    size: float = 9.0,
    limit: int = _LABEL_LIMIT,
) -> None:
    """Write each name close to its point, where it covers the least of other names, points (`marks`) and the frame.

    Greedy, the highest point first: eight directions at growing distances, and a dotted leader where the name had to
    go far. Call it when the limits of the axes are final.
    """
    from matplotlib.backends.backend_agg import FigureCanvasAgg

    if not ends:
        return
    renderer = FigureCanvasAgg(axes.figure).get_renderer()
    frame = axes.get_window_extent(renderer)
    dots = axes.transData.transform(np.asarray(marks, float))
    point = axes.figure.dpi / 72  # pixels in a point
    taken: list[_Box] = []
    texts = short_names([end.name for end in ends], limit)
    for end in sorted(ends, key=lambda end: (-end.y, end.name)):
        text = axes.text(0, 0, texts[end.name], fontsize=size, fontweight=end.style.weight)
        extent = text.get_window_extent(renderer)
        text.remove()
        x, y = axes.transData.transform((end.x, end.y))
        _, dx, dy, box = min(_places(x, y, extent.width, extent.height, point, _Box(*frame.extents), dots, taken))
        taken.append(box)
        far = max(abs(dx), abs(dy)) > 16
        axes.annotate(
            texts[end.name],
            xy=(end.x, end.y),
            xytext=((box.left - x) / point, (box.bottom - y) / point),
            textcoords="offset points",
            color=end.style.colour,
            fontsize=size,
            fontweight=end.style.weight,
            va="bottom",
            ha="left",
            arrowprops=_LEADER if far else None,
            zorder=5,
        )


class _Box(NamedTuple):
    left: float
    bottom: float
    right: float
    top: float

    def overlap(self, other: _Box) -> float:
        """Return the area that both cover."""
        width = min(self.right, other.right) - max(self.left, other.left)
        height = min(self.top, other.top) - max(self.bottom, other.bottom)
        return max(width, 0.0) * max(height, 0.0)


def _places(
    x: float, y: float, width: float, height: float, point: float, frame: _Box, dots: Any, taken: Sequence[_Box]
) -> list[tuple[float, float, float, _Box]]:
    """Rate the places around a point: (badness, offset across, offset up, box in pixels)."""
    out = []
    for rank, (distance, (across, up)) in enumerate(
        (distance, way) for distance in (8, 14, 24, 38, 55) for way in _WAYS
    ):
        dx, dy = distance * across, distance * up
        left = x + dx * point - width * (0.5 - 0.5 * np.sign(across))
        bottom = y + dy * point - height * (0.5 - 0.5 * np.sign(up))
        box = _Box(left, bottom, left + width, bottom + height)
        area = width * height
        outside = area - box.overlap(frame)
        margin = 3 * point
        near = (
            (dots[:, 0] > box.left - margin)
            & (dots[:, 0] < box.right + margin)
            & (dots[:, 1] > box.bottom - margin)
            & (dots[:, 1] < box.top + margin)
        )
        covered = sum(box.overlap(other) for other in taken)
        badness = (2 * outside + 3 * covered) / area + 0.6 * min(float(near.sum()), 4.0) + 0.02 * rank
        out.append((badness, dx, dy, box))
    return out
