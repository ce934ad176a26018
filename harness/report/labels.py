"""Direct labels: names written beside the ends of lines, moved apart so that none covers another."""

from __future__ import annotations

from collections.abc import Sequence
from typing import Any, NamedTuple

import numpy as np

from harness.report.style import Style, plain

_LINE_HEIGHT = 1.28
_LABEL_LIMIT = 26
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
    """Write each name in a column right of the axes, at the height of its line's end, with a thin leader to it.

    A name is cut after `limit` characters. Call it when the limits of the axes are final.
    """
    if not ends:
        return
    figure = axes.figure
    height = axes.get_position().height * figure.get_figheight() * 72  # points
    size = max(5.5, min(size, height / (len(ends) * _LINE_HEIGHT)))
    gap = size * _LINE_HEIGHT / height
    to_axes = axes.transData + axes.transAxes.inverted()
    points = [to_axes.transform((end.x, end.y)) for end in ends]
    # Lines that end further right come first among equals, so that leaders cross less.
    heights = spread([float(point[1]) for point in points], gap, 0.0, 1.0)
    for end, point, y in zip(ends, points, heights, strict=True):
        axes.annotate(
            plain(end.name, limit),
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
            arrowprops={
                "arrowstyle": "-",
                "color": end.style.colour,
                "linewidth": 0.7,
                "alpha": 0.55,
                "shrinkA": 1,
                "shrinkB": 3,
                "relpos": (0.0, 0.5),
            },
        )


def label_points(axes: Any, ends: Sequence[End], marks: Sequence[tuple[float, float]], *, size: float = 9.0) -> None:
    """Write each name close to its point, where it covers the least of other names, points (`marks`) and the frame.

    Greedy, the highest point first: eight directions at growing distances, and a thin leader where the name had to go
    far. Call it when the limits of the axes are final.
    """
    from matplotlib.backends.backend_agg import FigureCanvasAgg

    if not ends:
        return
    renderer = FigureCanvasAgg(axes.figure).get_renderer()
    frame = axes.get_window_extent(renderer)
    dots = axes.transData.transform(np.asarray(marks, float))
    point = axes.figure.dpi / 72  # pixels in a point
    taken: list[_Box] = []
    for end in sorted(ends, key=lambda end: (-end.y, end.name)):
        text = axes.text(0, 0, plain(end.name, _LABEL_LIMIT), fontsize=size, fontweight=end.style.weight)
        extent = text.get_window_extent(renderer)
        text.remove()
        x, y = axes.transData.transform((end.x, end.y))
        _, dx, dy, box = min(_places(x, y, extent.width, extent.height, point, _Box(*frame.extents), dots, taken))
        taken.append(box)
        far = max(abs(dx), abs(dy)) > 16
        axes.annotate(
            plain(end.name, _LABEL_LIMIT),
            xy=(end.x, end.y),
            xytext=((box.left - x) / point, (box.bottom - y) / point),
            textcoords="offset points",
            color=end.style.colour,
            fontsize=size,
            fontweight=end.style.weight,
            va="bottom",
            ha="left",
            arrowprops={"arrowstyle": "-", "color": end.style.colour, "linewidth": 0.6, "alpha": 0.6} if far else None,
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
