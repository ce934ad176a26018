"""Is this the ground truth of these vectors? Ids and order of all queries, distances and neighbours of a sample.

Nothing here is exact to the last digit: files are published whose truth was computed in float32, whose ties stand in
another order, or whose distances are off by a per cent.
"""

from __future__ import annotations

from collections.abc import Callable, Iterator, Mapping
from dataclasses import replace
from typing import Any

import numpy as np
from numpy.typing import NDArray

from harness.data.dataset import Dataset
from harness.data.metric import Metric, neighbour_distances
from harness.data.vectors import Sets

_SAMPLED_QUERIES = 32
_BLOCK = 32_768
# Ground truth made in float32 with |x|^2 - 2xy + |y|^2 is off by this much at worst on the published files.
_DISTANCE_SLACK = 2e-2
# Neighbours are only called out of order, or missing, where exact distances differ by more than this share.
_RANK_SLACK = 1e-3
_SHARE_WRONG = 0.01

_Distances = NDArray[np.float64]

# What is found stored in place of distances, as a function of these.
_MISTAKEN: Mapping[str, Callable[[_Distances], _Distances]] = {
    "they are squared: store their roots": np.square,
    "their sign is turned: store them negated": np.negative,
    "they are similarities: store 1 - similarity": lambda found: 1.0 - found,
    "they are squared distances of unit vectors, twice as large: halve them": lambda found: 2.0 * found,
    "they are distances of unit vectors, not 1 - cos: store half their squares": lambda found: np.sqrt(
        2.0 * np.maximum(found, 0.0)
    ),
}


def truth_findings(dataset: Dataset, numbers: NDArray[np.intp]) -> Iterator[str]:
    """Yield a sentence for the first thing that is wrong; `numbers` are those of the queries in their file."""
    if len(numbers):
        for check in (_id_findings, _order_findings, _sampled_findings):
            found = [*check(dataset, numbers)]
            if found:
                yield from found
                return


def _id_findings(dataset: Dataset, numbers: NDArray[np.intp]) -> Iterator[str]:
    ids, n = dataset.neighbors, len(dataset.train)
    outside = (ids < 0) | (ids >= n)
    # Rows of small sets may be padded with -1 and inf where a query has fewer neighbours than columns.
    outside &= ~((ids == -1) & ~np.isfinite(dataset.distances))
    if outside.any():
        row, column = np.argwhere(outside)[0]
        why = "ids count from 1: subtract 1" if ids.min() >= 1 and ids.max() == n else "made for other data?"
        yield f"neighbors[{numbers[row]}, {column}] is {ids[row, column]}, outside 0..{n - 1}: {why}"
        return
    ordered = np.sort(ids, axis=1)
    twice = (ordered[:, 1:] == ordered[:, :-1]) & (ordered[:, 1:] >= 0)
    if twice.any():
        row, place = np.argwhere(twice)[0]
        which = ordered[row, place]
        columns = np.flatnonzero(ids[row] == which)
        yield f"neighbors[{numbers[row]}] holds {which} twice, in columns {columns[0]} and {columns[1]}"


def _order_findings(dataset: Dataset, numbers: NDArray[np.intp]) -> Iterator[str]:
    ids, wide = dataset.neighbors, np.asarray(dataset.distances, np.float64)
    if np.isnan(wide).any():
        row, column = np.argwhere(np.isnan(wide))[0]
        yield f"distances[{numbers[row]}, {column}] is NaN"
        return
    lost = ~np.isfinite(wide) & (ids >= 0)
    if lost.any():
        row, column = np.argwhere(lost)[0]
        value = wide[row, column]
        yield f"distances[{numbers[row]}, {column}] is {value}, though neighbour {ids[row, column]} is given"
        return
    slack = 1e-5 * np.maximum(np.abs(wide[:, :-1]), 1e-3)
    slack[np.isinf(slack)] = 0.0  # after padding nothing may follow
    falls = wide[:, 1:] < wide[:, :-1] - slack
    if falls.any():
        row, column = np.argwhere(falls)[0]
        yield (
            f"distances[{numbers[row]}, {column + 1}] = {wide[row, column + 1]:.6g} comes after "
            f"{wide[row, column]:.6g}: neighbours must be ascending"
        )


def _sampled_findings(dataset: Dataset, numbers: NDArray[np.intp]) -> Iterator[str]:
    """Compute distances of the stored neighbours, and the neighbours themselves, for a sample of queries."""
    q = len(numbers)
    rows = np.unique(np.linspace(0, q - 1, min(q, _SAMPLED_QUERIES)).astype(np.int64))
    sample = replace(
        dataset, test=dataset.test[rows], neighbors=dataset.neighbors[rows], distances=dataset.distances[rows]
    )
    numbers = numbers[rows]
    stored = np.asarray(sample.distances, np.float64)
    real = (sample.neighbors >= 0) & np.isfinite(stored)
    if not real.any():
        return
    found = _recompute(sample, sample.metric, sample.neighbors)
    if not _agree(found[real], stored[real]):
        row, column = np.argwhere(real & ~_near(found, stored, real))[0]
        yield (
            f"distances[{numbers[row]}, {column}] is {stored[row, column]:.6g}, but the {sample.metric} distance of "
            f"query {numbers[row]} and neighbour {sample.neighbors[row, column]} is {found[row, column]:.6g}: "
            f"{_explain(sample, found, stored, real)}"
        )
        return
    scale = _scale(stored[real])
    slack = _RANK_SLACK * np.maximum(np.abs(np.where(real, found, 0.0)), scale)
    found[~real] = np.inf
    early = np.maximum.accumulate(np.where(real, found, -np.inf), axis=1) > found + slack
    if early[real].mean() > _SHARE_WRONG:
        row, column = np.argwhere(early & real)[0]
        yield (
            f"neighbors[{numbers[row]}, {column}] is row {sample.neighbors[row, column]}, at {found[row, column]:.6g} "
            f"from its query, after one at {found[row, :column].max():.6g}: neighbours must be ascending"
        )
        return
    yield from _missing_findings(sample, numbers, found, slack, real)


def _missing_findings(
    sample: Dataset, numbers: NDArray[np.intp], found: _Distances, slack: _Distances, real: NDArray[np.bool_]
) -> Iterator[str]:
    nearest = _nearest(sample, found.shape[1])
    true = _recompute(sample, sample.metric, nearest)
    order = np.argsort(true, axis=1, kind="stable")[:, : found.shape[1]]
    nearest, true = np.take_along_axis(nearest, order, axis=1), np.take_along_axis(true, order, axis=1)
    mine = np.sort(found, axis=1)[:, : true.shape[1]]
    real, slack = real[:, : true.shape[1]], slack[:, : true.shape[1]]
    farther = (mine > true + slack) & real
    if farther[real].mean() <= _SHARE_WRONG:
        return
    row = int(np.argwhere(farther)[0][0])
    for which, away in zip(nearest[row], true[row], strict=True):
        if which not in sample.neighbors[row]:
            share = farther[real].mean()
            yield (
                f"neighbors[{numbers[row]}] lacks row {which} of train, at distance {away:.6g}, while its last is at "
                f"{mine[row][np.isfinite(mine[row])].max():.6g}, and {share:.1%} of a sample are not the nearest: "
                "were they computed by an approximate search, or for fewer rows?"
            )
            return


def _explain(sample: Dataset, found: _Distances, stored: _Distances, real: NDArray[np.bool_]) -> str:
    """Name the mistake that would explain the stored distances."""
    ids = sample.neighbors
    if sample.neighbors.min() >= 0:
        one_less = _recompute(sample, sample.metric, np.maximum(ids - 1, 0))
        if _agree(one_less[real], stored[real]):
            return "ids count from 1: subtract 1"
        if _agree(found[:, ::-1][real], stored[real]):
            return "neighbours stand in reverse order, distances don't: neighbours must be ascending"
    if sample.metric.is_dense:
        for other in Metric:
            if other.is_dense and other is not sample.metric:
                theirs = _recompute(sample, other, ids)
                if _agree(theirs[real], stored[real]):
                    return f"they are {other} distances: set the attribute 'distance' to {str(other)!r}"
    for what, mistaken in _MISTAKEN.items():
        with np.errstate(over="ignore", invalid="ignore"):
            if _agree(mistaken(found[real]), stored[real]):
                return what
    return "are rows of train in another order than when the neighbours were computed, or from elsewhere?"


def _recompute(sample: Dataset, metric: Metric, ids: NDArray[np.integer[Any]]) -> _Distances:
    with np.errstate(over="ignore", invalid="ignore"):
        return neighbour_distances(metric, sample.test, sample.train, ids.astype(np.int64)) * sample.bit_scale


def _scale(stored: _Distances) -> float:
    return max(float(np.abs(stored).mean()), 1e-6)


def _near(computed: _Distances, stored: _Distances, real: NDArray[np.bool_]) -> NDArray[np.bool_]:
    with np.errstate(invalid="ignore"):
        near = np.abs(computed - stored) <= _DISTANCE_SLACK * np.maximum(np.abs(stored), _scale(stored[real]))
    return np.asarray(near)


def _agree(computed: _Distances, stored: _Distances) -> bool:
    return bool(_near(computed, stored, np.ones(stored.shape, np.bool_)).mean() > 0.98)


def _nearest(sample: Dataset, k: int) -> NDArray[np.int64]:
    """Find candidates for the k nearest rows of each query, (q, <= k + 16), by a score in float32 that is cheap."""
    n, q = len(sample.train), len(sample.test)
    wanted = min(k + 16, n)
    best, ids = np.full((q, 0), 0.0, np.float32), np.full((q, 0), 0, np.int64)
    for start in range(0, n, _BLOCK):
        block = sample.train[start : start + _BLOCK]
        with np.errstate(all="ignore"):
            score = np.nan_to_num(_scores(sample.metric, block, sample.test), nan=-np.inf)
        best = np.concatenate([best, score], axis=1)
        ids = np.concatenate([ids, np.broadcast_to(np.arange(start, start + len(block)), score.shape)], axis=1)
        if best.shape[1] > wanted:
            top = np.argpartition(best, -wanted, axis=1)[:, -wanted:]
            best, ids = np.take_along_axis(best, top, axis=1), np.take_along_axis(ids, top, axis=1)
    return ids


def _scores(metric: Metric, block: Any, queries: Any) -> NDArray[np.float32]:
    """Score rows for each query, (q, rows): the larger, the nearer."""
    if metric is Metric.JACCARD:
        return _set_scores(block, queries)
    if metric is Metric.HAMMING:
        apart = [np.bitwise_count(block ^ query).sum(axis=1, dtype=np.int64) for query in queries]
        return -np.array(apart, np.float32)
    score = queries @ block.T
    if metric is Metric.IP:
        return np.asarray(score)
    squares = np.einsum("ij,ij->i", block, block)
    return np.asarray(score - squares / 2 if metric is Metric.EUCLIDEAN else score / np.sqrt(squares), np.float32)


def _set_scores(block: Sets, queries: Sets) -> NDArray[np.float32]:
    sizes = np.diff(block.indptr)
    scores = np.zeros((len(queries), len(block)), np.float32)
    for row, query in enumerate(queries):
        total = np.concatenate([[0], np.cumsum(np.isin(block.indices, query))])
        both = total[block.indptr[1:]] - total[block.indptr[:-1]]
        either = sizes + query.size - both
        scores[row] = np.where(either > 0, both / np.maximum(either, 1), 0.0)
    return scores
