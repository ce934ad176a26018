"""The steps of k-means: the nearest centroid of each row out of a block of products, and sums of members.

Whatever is summed is summed in the order of the rows, so that no number of threads changes a bit of it.
"""

from __future__ import annotations

from typing import Any

from algorithms.kernels.jit import kernel
from algorithms.kernels.simd.distance import squared_l2
from algorithms.kernels.simd.instructions import lowest_bit, prefetch_items
from algorithms.kernels.simd.lanes import LANES, lanes_below, largest, load, maximum

Array = Any

_ALL = (1 << LANES) - 1
# Rows asked for ahead of their sum: members of a centroid lie anywhere in memory.
_AHEAD = 4


@kernel
def nearest(products: Array, offsets: Array, labels: Array) -> None:
    """Fill `labels` (m,) int32 with the j of the largest products[i, j] - offsets[j], the first one of a tie.

    `products` (m, width) float32, `offsets` (width,) float32, width a multiple of LANES. With offsets |c|^2 / 2 the
    nearest of the centroids c is found, as |x - c|^2 / 2 = |x|^2 / 2 - (x c - |c|^2 / 2); infinite ones are for none.
    """
    m, width = products.shape
    for i in range(m):
        row = products[i]
        most = load(row, 0) - load(offsets, 0)
        for start in range(LANES, width, LANES):
            most = maximum(most, load(row, start) - load(offsets, start))
        best = largest(most)
        labels[i] = 0
        for start in range(0, width, LANES):
            mask = lanes_below(load(row, start) - load(offsets, start), best)
            if mask != _ALL:
                labels[i] = start + lowest_bit(mask ^ _ALL)
                break


@kernel
def distances_to(rows: Array, centroids: Array, labels: Array, distances: Array) -> None:
    """Fill `distances` (m,) float32 with the squared ones of rows (m, dim) to their centroids.

    They come from the differences, so that a row near its centroid, however far from 0, loses none of its digits.
    """
    for i in range(rows.shape[0]):
        distances[i] = squared_l2(rows, i, centroids[labels[i]])


@kernel
def group(labels: Array, starts: Array, members: Array) -> None:
    """Sort rows by label, by counting: members[starts[c]:starts[c + 1]] are those of label c, in the order of the rows.

    `labels` (n,) int32 below k, `starts` (k + 1,) int64 zeros, `members` (n,) int32.
    """
    for i in range(labels.shape[0]):
        starts[labels[i] + 1] += 1
    for c in range(1, starts.shape[0]):
        starts[c] += starts[c - 1]
    # Each start moves through its own members to the start of the next label, and all move back one place in the end.
    for i in range(labels.shape[0]):
        members[starts[labels[i]]] = i
        starts[labels[i]] += 1
    for c in range(starts.shape[0] - 1, 0, -1):
        starts[c] = starts[c - 1]
    starts[0] = 0


@kernel
def sum_members(rows: Array, members: Array, starts: Array, first: int, last: int, sums: Array) -> None:
    """Add the members of centroids first ... last - 1 to `sums` (k, dim) float64; for the others see `group`."""
    dim, end = rows.shape[1], starts[last]
    for c in range(first, last):
        total = sums[c]
        for place in range(starts[c], starts[c + 1]):
            if place + _AHEAD < end:
                prefetch_items(rows, members[place + _AHEAD] * dim, dim)
            row = rows[members[place]]
            for j in range(dim):
                total[j] += row[j]


@kernel
def lower(rows: Array, centre: Array, distances: Array) -> float:
    """Lower `distances` (n,) float32 to the squared ones from a new centre where it is nearer; return their sum."""
    total = 0.0
    for i in range(rows.shape[0]):
        distances[i] = min(distances[i], squared_l2(rows, i, centre))
        total += distances[i]
    return total


@kernel
def draw(weights: Array, target: float) -> int:
    """Return the first i at which the weights (n,), none negative, sum to more than `target`; of rounding, the last.

    A weight of 0 is never drawn, unless all are.
    """
    total, last = 0.0, 0
    for i in range(weights.shape[0]):
        if weights[i] > 0.0:
            total += weights[i]
            last = i
            if total > target:
                break
    return last
