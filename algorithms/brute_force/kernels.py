"""Kernels of the exact search: one query against all rows, and the refinement of a block's candidates in float64."""

from __future__ import annotations

from typing import Any

import numpy as np

from algorithms.kernels.jit import kernel
from algorithms.kernels.select.topk import insert, select, sort_prefix
from algorithms.kernels.simd.distance import differing_bits, dot, exact_dot, exact_squared_l2, squared_l2

Array = Any


@kernel
def scan_l2(rows: Array, query: Array, distances: Array, ids: Array) -> None:
    """Fill `distances` and `ids` (k,) with the nearest rows under squared L2, ascending; -1 where there are fewer."""
    distances[:] = np.inf
    ids[:] = -1
    worst = len(ids) - 1
    for i in range(rows.shape[0]):
        distance = squared_l2(rows, i, query)
        if distance < distances[worst]:
            insert(distances, ids, distance, i)


@kernel
def scan_dot(rows: Array, query: Array, distances: Array, ids: Array) -> None:
    """Fill `distances` and `ids` (k,) with the rows of the largest dot products, as negative dots ascending."""
    distances[:] = np.inf
    ids[:] = -1
    worst = len(ids) - 1
    for i in range(rows.shape[0]):
        distance = -dot(rows, i, query)
        if distance < distances[worst]:
            insert(distances, ids, distance, i)


@kernel
def exact_angular(rows: Array, i: int, query: Array) -> float:
    """Return minus the cosine of unit vectors in float64, as |x - q|^2 / 2 - 1; 0 where either is all zeros.

    float32 unit vectors have lengths that are off by 1e-7. Minus their product is, too: more than there is between the
    near neighbours of tight clusters. Their difference keeps its digits.
    """
    if exact_dot(rows, i, query) == 0.0:
        return 0.0
    return 0.5 * exact_squared_l2(rows, i, query) - 1.0


@kernel
def exact_score(rows: Array, i: int, query: Array, inner_product: bool, unit: bool) -> float:
    """Return in float64 what rows are ranked by: `unit` vectors by their angles, others by products or squared L2."""
    if unit:
        return exact_angular(rows, i, query)
    return -exact_dot(rows, i, query) if inner_product else exact_squared_l2(rows, i, query)


@kernel
def scan_unit(rows: Array, query: Array, keep: int, ids: Array) -> None:
    """Fill `ids` (k,) with the unit rows at the least angles to a unit query, ascending; -1 where there are fewer.

    The `keep` rows of the largest products, at least k, are ranked again by `exact_angular`.
    """
    products, found = np.empty(keep, np.float32), np.empty(keep, np.int64)
    scan_dot(rows, query, products, found)
    exact = np.empty(keep, np.float64)
    count = 0
    while count < keep and found[count] >= 0:
        exact[count] = exact_angular(rows, found[count], query)
        count += 1
    sort_prefix(exact, found, count)
    ids[:] = found[: ids.shape[0]]


@kernel
def scan_exact(rows: Array, query: Array, inner_product: bool, unit: bool, distances: Array, ids: Array) -> None:
    """Do what `scan_l2` and `scan_dot` do, in float64: for queries whose candidates could not be certified."""
    distances[:] = np.inf
    ids[:] = -1
    worst = len(ids) - 1
    for i in range(rows.shape[0]):
        distance = exact_score(rows, i, query, inner_product, unit)
        if distance < distances[worst]:
            insert(distances, ids, distance, i)


@kernel
def scan_bits(rows: Array, query: Array, distances: Array, ids: Array) -> None:
    """Fill `distances` and `ids` (k,) with the rows that differ in the fewest bits; `rows` (n, words) uint64."""
    distances[:] = np.inf
    ids[:] = -1
    worst = len(ids) - 1
    for i in range(rows.shape[0]):
        distance = np.float64(differing_bits(rows, i, query))
        if distance < distances[worst]:
            insert(distances, ids, distance, i)


@kernel
def scan_sets(indptr: Array, indices: Array, members: Array, marks: Array, distances: Array, ids: Array) -> None:
    """Fill `distances` and `ids` (k,) with the sets of the smallest Jaccard distance to the set `members`.

    `marks` (universe,) uint8 is all zeros on entry and on return; in between it marks the members of the query.
    """
    distances[:] = np.inf
    ids[:] = -1
    worst = len(ids) - 1
    for member in members:
        if member < marks.shape[0]:
            marks[member] = 1
    for i in range(indptr.shape[0] - 1):
        both = 0
        for j in range(indptr[i], indptr[i + 1]):
            both += marks[indices[j]]
        either = indptr[i + 1] - indptr[i] + members.shape[0] - both
        distance = 1.0 - both / either if either > 0 else 1.0
        if distance < distances[worst]:
            insert(distances, ids, distance, i)
    for member in members:
        if member < marks.shape[0]:
            marks[member] = 0


@kernel
def refine(
    rows: Array,
    queries: Array,
    inner_product: bool,
    unit: bool,
    counts: Array,
    scores: Array,
    candidates: Array,
    keep: int,
    slack: Array,
    distances: Array,
    ids: Array,
) -> int:
    """Rank each query's candidates by their float64 distance, and certify that no other row can be nearer.

    `scores` and `candidates` (m, capacity) are what `offer_block` left, `slack` (m,) bounds the rounding error of a
    score. Fills `distances` (m, k) float64 and `ids` (m, k) int64. A query is certified when its k-th exact score is
    below the worst kept score by more than the slack; the others are searched again in float64. Returns how many were.
    """
    m, k = ids.shape
    again = 0
    exact = np.empty(candidates.shape[1], np.float64)
    for i in range(m):
        count = counts[i]
        worst_kept = np.inf
        if count > keep:
            worst_kept = select(scores[i], candidates[i], count, keep)
            count = keep
        elif count == keep:
            worst_kept = scores[i, :count].max()
        for j in range(count):
            exact[j] = exact_score(rows, candidates[i, j], queries[i], inner_product, unit)
        sort_prefix(exact, candidates[i], count)
        found = min(k, count)
        ids[i, :found] = candidates[i, :found]
        distances[i, :found] = exact[:found]
        ids[i, found:] = -1
        distances[i, found:] = np.inf
        if count == keep and count < rows.shape[0]:
            kth = exact[found - 1]
            if not inner_product:
                # Scores leave out |q|^2 and are halved: |x|^2 / 2 - q.x = (|x - q|^2 - |q|^2) / 2.
                norm = 0.0
                for j in range(queries.shape[1]):
                    norm += np.float64(queries[i, j]) * np.float64(queries[i, j])
                kth = 0.5 * (kth - norm)
            if kth > worst_kept - slack[i]:
                scan_exact(rows, queries[i], inner_product, unit, distances[i], ids[i])
                again += 1
    return again
