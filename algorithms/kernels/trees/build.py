"""How a tree is built: its shape follows from the number of rows, and selections sort the rows into it.

Every leaf but the last is full, and every node has as many children as fit, to within one. So where a cell begins and
ends among the rows is known before any row is looked at, and subtrees can be built side by side.
"""

from __future__ import annotations

from collections.abc import Callable, Iterator
from concurrent.futures import ThreadPoolExecutor
from contextlib import contextmanager
from itertools import pairwise
from typing import Any, NamedTuple

import numpy as np
from numpy.typing import NDArray

from algorithms.kernels.jit import kernel
from algorithms.kernels.select.topk import select
from algorithms.kernels.simd.aligned import aligned_zeros
from algorithms.kernels.simd.distance import dot
from algorithms.kernels.simd.lanes import LANES
from algorithms.kernels.trees.balls import enclose_in_ball, principal_direction
from algorithms.kernels.trees.boxes import enclose_in_box, widest_axis
from algorithms.kernels.trees.tree import BALL_IP, BOX, Tree

Array = Any
Map = Callable[..., Any]

# Parts of the work for each thread, so that one that is late leaves the others something to do.
PARTS = 4


class Shape(NamedTuple):
    """Where the nodes of a tree stand: `first` as in `Tree`; node i holds the rows order[starts[i] : stops[i]].

    `parents` (nodes,) int32 is the node above, -1 for the root.
    """

    first: Array
    starts: Array
    stops: Array
    parents: Array


def shape_of(n: int, leaf_size: int) -> Shape:
    """Lay out a tree over `n` rows, `leaf_size` to a leaf."""
    sizes = [max(1, -(-n // leaf_size))]
    while sizes[0] > 1:
        sizes.insert(0, -(-sizes[0] // LANES))
    nodes, inner = sum(sizes), sum(sizes[:-1])
    first = np.full(inner + 1, nodes, np.int32)
    level = 0
    for size, below in pairwise(sizes):
        first[level : level + size] = level + size + below * np.arange(size) // size
        level += size
    starts, stops = np.empty(nodes, np.int64), np.empty(nodes, np.int64)
    starts[inner:] = np.arange(sizes[-1]) * leaf_size
    stops[inner:] = np.minimum(starts[inner:] + leaf_size, n)
    for node in range(inner - 1, -1, -1):
        starts[node], stops[node] = starts[first[node]], stops[first[node + 1] - 1]
    parents = np.repeat(np.arange(-1, inner, dtype=np.int32), np.diff(first, prepend=0))
    return Shape(first, starts, stops, parents)


@kernel
def halves(first: Array, low: int, high: int) -> tuple[int, int, int]:
    """Return (low, middle, high), the halves of the sibling nodes low..high-1; a single node stands for its children.

    A single leaf has no halves: then middle = high.
    """
    while high - low == 1 and low < first.shape[0] - 1:
        low, high = first[low], first[low + 1]
    return low, ((low + high) >> 1) if high - low > 1 else high, high


@kernel
def split(kind: int, rows: Array, order: Array, keys: Array, shape: Shape, low: int, high: int, splits: int) -> None:
    """Sort the rows of the sibling nodes low..high-1 so that each half of the nodes gets its own, and so on to leaves.

    It stops after so many `splits`. `keys` (n,) float32 is scratch.
    """
    # Runs of siblings still to split: at most one for each level of halving.
    lows, highs = np.empty(64, np.int64), np.empty(64, np.int64)
    lows[0], highs[0] = low, high
    count = 1
    while count > 0 and splits > 0:
        count -= 1
        low, middle, high = halves(shape.first, lows[count], highs[count])
        if middle == high:
            continue
        start, stop = shape.starts[low], shape.stops[high - 1]
        inside, along = order[start:stop], keys[start:stop]
        if kind == BOX:
            axis = widest_axis(rows, inside)
            for p in range(stop - start):
                along[p] = rows[inside[p], axis]
        else:
            line = principal_direction(rows, inside)
            for p in range(stop - start):
                along[p] = dot(rows, inside[p], line)
        select(along, inside, stop - start, shape.starts[middle] - start)
        splits -= 1
        lows[count], highs[count] = low, middle
        lows[count + 1], highs[count + 1] = middle, high
        count += 2


@kernel
def enclose(kind: int, rows: Array, order: Array, shape: Shape, low: int, high: int, near: Array, far: Array) -> None:
    """Write the cells of the nodes low..high-1 into the blocks of their parents; not for the root."""
    for node in range(low, high):
        inside, parent = order[shape.starts[node] : shape.stops[node]], shape.parents[node]
        lane = node - shape.first[parent]
        if kind == BOX:
            enclose_in_box(rows, inside, lane, near[parent], far[parent])
        else:
            enclose_in_ball(rows, inside, kind == BALL_IP, lane, near[parent], far[parent])


@kernel
def fill_points(rows: Array, order: Array, low: int, high: int, points: Array) -> None:
    """Write the rows of the groups low..high-1 into their blocks."""
    for p in range(low * LANES, min(high * LANES, order.shape[0])):
        row = rows[order[p]]
        for j in range(row.shape[0]):
            points[p // LANES, j * LANES + p % LANES] = row[j]


def build(kind: int, rows: NDArray[np.float32], leaf_size: int, threads: int) -> Tree:
    """Build a tree over `rows` (n, dim), which are read only; `leaf_size` is a multiple of LANES.

    Threads work on subtrees of their own, so the tree is the same whatever their number.
    """
    n, dim = rows.shape
    shape = shape_of(n, leaf_size)
    inner, leaves = len(shape.first) - 1, len(shape.starts) - len(shape.first) + 1
    order = np.arange(n, dtype=np.int32)
    near = aligned_zeros(inner, dim * LANES, np.float32)
    far = aligned_zeros(inner, (dim if kind == BOX else 1) * LANES, np.float32)
    points = aligned_zeros(leaves * (leaf_size // LANES), dim * LANES, np.float32)
    # The rows that each cell but the root's holds are added up, so that every part reads as many.
    read = np.cumsum((shape.stops - shape.starts)[1:])
    with _mapper(threads) as run:
        _sort_rows(kind, rows, order, shape, threads, run)
        cells = _parts(read, threads)
        list(run(lambda part: enclose(kind, rows, order, shape, part[0] + 1, part[1] + 1, near, far), cells))
        groups = _parts(np.arange(1, len(points) + 1), threads)
        list(run(lambda part: fill_points(rows, order, part[0], part[1], points), groups))
    return Tree(shape.first, near, far, points, order)


def _sort_rows(
    kind: int, rows: NDArray[np.float32], order: NDArray[np.int32], shape: Shape, threads: int, run: Map
) -> None:
    """Sort `order` into the leaves: the first splits one after the other, until there are subtrees for all threads."""
    keys = np.empty(len(rows), np.float32)
    runs = [(0, 1)]
    while threads > 1 and runs and len(runs) < PARTS * threads:
        list(run(lambda pair: split(kind, rows, order, keys, shape, pair[0], pair[1], 1), runs))
        halved = [halves(shape.first, *pair) for pair in runs]
        runs = [half for low, middle, high in halved if middle < high for half in ((low, middle), (middle, high))]
    list(run(lambda pair: split(kind, rows, order, keys, shape, pair[0], pair[1], len(rows)), runs))


def _parts(work: NDArray[np.int64], threads: int) -> list[tuple[int, int]]:
    """Cut items into ranges of about equal work; `work` is the sum of the work up to and with each."""
    marks = np.linspace(0, work[-1] if len(work) else 0, PARTS * threads + 1)[1:-1]
    edges = [0, *np.searchsorted(work, marks).tolist(), len(work)]
    return list(pairwise(edges))


@contextmanager
def _mapper(threads: int) -> Iterator[Map]:
    """Give `map`, or that of a pool of threads."""
    if threads == 1:
        yield map
        return
    with ThreadPoolExecutor(threads) as pool:
        yield pool.map
