"""Vectors in bytes: a quarter of the memory traffic of float32, and an exact ranking all the same.

Here only the rows are in bytes, and a bound on their error says which are measured again in float32; in
`algorithms.kernels.codes.rows` the query is coded too, so that distances are integers.
"""

from __future__ import annotations

from typing import Any, NamedTuple

import numpy as np

from algorithms.kernels.jit import kernel
from algorithms.kernels.select.topk import insert
from algorithms.kernels.simd.distance import dot, squared_l2
from algorithms.kernels.simd.instructions import prefetch_items

Array = Any

# Rows ahead of the present one whose memory is asked for.
ROWS_AHEAD = 6
# Items of a float32 row asked for ahead: what follows is a stream that the processor sees by itself.
MAX_AHEAD = 256


class Rows(NamedTuple):
    """The vectors in bytes, x = low + step * byte with an error of length `error` at most, and as they are.

    `bytes` (n, dim) uint8; `exact` (n, dim) float32, or (0, dim) where the bytes lose nothing. Distances are minus dot
    products where `by_dot`; queries are scaled to the length `radius` unless that is 0.
    """

    bytes: Array
    exact: Array
    low: float
    step: float
    error: float
    radius: float
    by_dot: bool


@kernel
def to_bytes(rows: Array, low: float, step: float, coded: Array) -> Any:
    """Fill `coded` (n, dim) uint8 with rows in steps from `low`; return the largest squared error of a row."""
    worst = 0.0
    for i in range(rows.shape[0]):
        error = 0.0
        for j in range(rows.shape[1]):
            level = np.floor((rows[i, j] - low) / step + 0.5)
            coded[i, j] = np.uint8(min(max(level, 0.0), 255.0))
            away = rows[i, j] - (low + step * coded[i, j])
            error += away * away
        worst = max(worst, error)
    return worst


@kernel
def byte_distance(rows: Rows, i: int, coded: Array, total: float) -> np.float32:
    """Return the distance to a row in bytes: squared L2, or minus the dot product.

    `coded` (dim,) float32 is the query in the units of the bytes under L2, and as it is otherwise; `total` its sum.
    """
    step, low = np.float32(rows.step), np.float32(rows.low)
    if rows.by_dot:
        return -step * dot(rows.bytes, i, coded) - low * np.float32(total)
    return step * step * squared_l2(rows.bytes, i, coded)


@kernel
def exact_distance(rows: Rows, i: int, query: Array) -> np.float32:
    """Return the distance to a row in float32: squared L2, or minus the dot product."""
    if rows.by_dot:
        return -dot(rows.exact, i, query)
    return squared_l2(rows.exact, i, query)


@kernel
def rank(rows: Rows, query: Array, candidates: Array, near: Array, distances: Array, ids: Array) -> Any:
    """Fill `distances` (k,) float32 and `ids` (k,) with the nearest of the candidates; return the distances computed.

    `candidates` (count,) int64 and `near` (count or more,) float32 are overwritten. All are ranked by their bytes,
    which is exact where those lose nothing. Where they do, a candidate is measured again if, by the largest error of a
    row, it may be among the nearest.
    """
    dim = query.shape[0]
    count = candidates.shape[0]
    worst = ids.shape[0] - 1
    low = np.float32(0.0 if rows.by_dot else rows.low)
    unit = np.float32(1.0 if rows.by_dot else rows.step)
    coded = (query - low) / unit
    total = query.sum()
    distances[:] = np.inf
    ids[:] = -1
    for i in range(-ROWS_AHEAD, count):
        if i + ROWS_AHEAD < count:
            prefetch_items(rows.bytes, candidates[i + ROWS_AHEAD] * dim, dim)
        if i >= 0:
            near[i] = byte_distance(rows, candidates[i], coded, total)
            if near[i] < distances[worst]:
                insert(distances, ids, near[i], candidates[i])
    if rows.error == 0.0:
        return count
    # The error is `error` of a length at most, and `error` |q| of a dot product: the k-th distance is at most that much
    # above what it seems, and what seems to lie above that by as much again isn't among the nearest.
    if rows.by_dot:
        limit = distances[worst] + np.float32(2.0 * rows.error) * np.sqrt((query * query).sum())
    else:
        limit = (np.sqrt(distances[worst]) + np.float32(2.0 * rows.error)) ** 2
    unclear = 0
    for i in range(count):
        if near[i] <= limit:
            prefetch_items(rows.exact, candidates[i] * dim, min(dim, MAX_AHEAD))
            candidates[unclear] = candidates[i]
            unclear += 1
    distances[:] = np.inf
    ids[:] = -1
    for i in range(unclear):
        distance = exact_distance(rows, candidates[i], query)
        if distance < distances[worst]:
            insert(distances, ids, distance, candidates[i])
    return count + unclear
