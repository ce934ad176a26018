"""All rows within a radius, exactly: a product of blocks by BLAS, and float64 for what rounding leaves open."""

from __future__ import annotations

from typing import Any

import numpy as np
from numpy.typing import NDArray
from threadpoolctl import threadpool_limits

from harness.data.metric import Metric, normalise, pair_distances

# Rows of a block of products: with 1,280 queries it fills 10 MiB, and stays in the last-level cache.
_QUERIES, _ROWS = 1280, 2048
# A float32 product may be off by so much of the product of both lengths.
_ROUNDING = 2e-5


def within_radius(
    metric: Metric,
    rows: Any,
    offsets: NDArray[np.float32] | None,
    longest: float,
    queries: Any,
    radius: float,
    threads: int,
) -> tuple[NDArray[np.int64], NDArray[np.int64]]:
    """Return (indptr (m + 1,), ids) of the rows within `radius` of each query.

    `rows` (n, dim) are normalised under angular, 64-bit words under hamming; `offsets` (n,) are half their squared
    lengths under euclidean, else 0; `longest` is the length of the longest row.
    """
    if metric is Metric.HAMMING:
        return _by_bits(rows, queries, radius)
    if metric is Metric.JACCARD:
        every = np.arange(len(rows))
        near = [pair_distances(metric, queries, rows, np.full(len(rows), i), every) for i in range(len(queries))]
        return _joined([np.flatnonzero(away <= radius) for away in near])
    assert offsets is not None  # noqa: S101 - every other metric has them
    queries = normalise(queries) if metric is Metric.ANGULAR else queries
    ids, owners = [], []
    with threadpool_limits(limits=threads, user_api="blas"):
        for first in range(0, len(queries), _QUERIES):
            part = queries[first : first + _QUERIES]
            for start in range(0, len(rows), _ROWS):
                block = slice(start, start + _ROWS)
                q, r = _in_block(metric, rows[block], offsets[block], longest, part, radius)
                owners.append(q + first)
                ids.append(r + start)
    owner, found = np.concatenate(owners), np.concatenate(ids)
    order = np.lexsort((found, owner))
    indptr = np.zeros(len(queries) + 1, np.int64)
    np.cumsum(np.bincount(owner, minlength=len(queries)), out=indptr[1:])
    return indptr, found[order]


def _in_block(
    metric: Metric,
    rows: NDArray[np.float32],
    offsets: NDArray[np.float32],
    longest: float,
    queries: NDArray[np.float32],
    radius: float,
) -> tuple[NDArray[np.int64], NDArray[np.int64]]:
    """Return the (query, row) pairs of two blocks within the radius."""
    lengths = np.sqrt(np.einsum("ij,ij->i", queries, queries, dtype=np.float64))
    if metric is Metric.EUCLIDEAN:  # (d^2 - |q|^2) / 2 = |x|^2 / 2 - q.x
        limit = (radius * abs(radius) - lengths**2) / 2.0
    else:
        limit = np.full(len(queries), radius - 1.0 if metric is Metric.ANGULAR else radius)
    scores = offsets[None] - queries @ rows.T
    slack = _ROUNDING * (lengths + longest) * longest + 1e-12
    upper = (limit + slack).astype(np.float32)[:, None]
    owner, found = np.nonzero(scores <= np.nextafter(upper, np.float32(np.inf)))
    open_still = scores[owner, found] > (limit - slack)[owner]
    keep = np.ones(len(owner), np.bool_)
    if open_still.any():
        away = pair_distances(metric, queries, rows, owner[open_still], found[open_still])
        keep[open_still] = away <= radius
    return owner[keep], found[keep]


def _by_bits(
    words: NDArray[np.uint64], queries: NDArray[np.uint8], radius: float
) -> tuple[NDArray[np.int64], NDArray[np.int64]]:
    padded = np.zeros((len(queries), words.shape[1] * 8), np.uint8)
    padded[:, : queries.shape[1]] = queries
    limit = radius * 8 * queries.shape[1]
    ids = [
        np.flatnonzero(np.bitwise_count(words ^ query).sum(axis=1, dtype=np.int64) <= limit + 1e-9)
        for query in padded.view(np.uint64)
    ]
    return _joined(ids)


def _joined(ids: list[NDArray[np.int64]]) -> tuple[NDArray[np.int64], NDArray[np.int64]]:
    indptr = np.concatenate([[0], np.cumsum([len(row) for row in ids])]).astype(np.int64)
    return indptr, np.concatenate(ids) if ids else np.empty(0, np.int64)
