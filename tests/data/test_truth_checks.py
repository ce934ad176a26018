"""Wrong ground truth is found and explained; truth that is merely computed or ordered in another way passes."""

from __future__ import annotations

from dataclasses import replace
from typing import Any

import numpy as np
import pytest

from harness.core.errors import DatasetError
from harness.data.checks import check_dataset
from harness.data.dataset import Dataset
from harness.data.metric import Metric, neighbour_distances, pack_bits
from harness.engines.contract import Sets

N, DEPTH = 400, 20


def _vectors(metric: Metric, n: int, rng: np.random.Generator) -> Any:
    if metric is Metric.JACCARD:
        return Sets.of([rng.choice(60, rng.integers(3, 12), replace=False) for _ in range(n)])
    if metric is Metric.HAMMING:
        return pack_bits(rng.integers(0, 2, (n, 64)))
    return (rng.standard_normal((n, 8)) + 0.3).astype(np.float32)


def _truth(metric: Metric, train: Any, test: Any, depth: int = DEPTH) -> tuple[Any, Any]:
    every = neighbour_distances(metric, test, train, np.tile(np.arange(len(train)), (len(test), 1)))
    ids = np.argsort(every, axis=1, kind="stable")[:, :depth]
    return ids.astype(np.int32), np.take_along_axis(every, ids, axis=1)


def _dataset(metric: Metric, seed: int = 0) -> Dataset:
    rng = np.random.default_rng(seed)
    train, test = _vectors(metric, N, rng), _vectors(metric, 50, rng)
    ids, distances = _truth(metric, train, test)
    return Dataset("made", metric, train, test, ids, distances, 64 if metric is Metric.HAMMING else 8, "")


def _refused(dataset: Dataset, why: str, **options: Any) -> None:
    with pytest.raises(DatasetError, match=why) as caught:
        check_dataset(dataset, **options)
    assert "\n" not in str(caught.value)


@pytest.mark.parametrize("metric", list(Metric))
def test_true_neighbours_pass(metric: Metric) -> None:
    """Exact truth passes under each metric, in float32 and in float64, with ties in any order."""
    good = _dataset(metric)
    check_dataset(good)
    check_dataset(replace(good, distances=good.distances.astype(np.float32)))
    twice = good.train[np.repeat(np.arange(N // 2), 2)]
    ids, distances = _truth(metric, twice, good.test)
    check_dataset(replace(good, train=twice, neighbors=ids, distances=distances))
    check_dataset(replace(good, train=twice, neighbors=ids ^ 1, distances=distances))


@pytest.mark.parametrize("metric", list(Metric))
def test_rows_in_another_order_are_found(metric: Metric) -> None:
    """Rows of train that were permuted after the neighbours were computed are named, whatever the metric."""
    good = _dataset(metric)
    order = np.random.default_rng(1).permutation(N)
    _refused(replace(good, train=good.train[order]), r"distances\[\d+, \d+\] is .* in another order")


@pytest.mark.parametrize("metric", list(Metric))
def test_ids_that_count_from_one_are_found(metric: Metric) -> None:
    """Ids of files made for MATLAB are recognised, whether or not one of them is out of range."""
    good = _dataset(metric)
    _refused(replace(good, neighbors=good.neighbors + 1), "ids count from 1: subtract 1")
    last = good.neighbors + 1
    if (last < N).all():
        last[0, -1] = N
    _refused(replace(good, neighbors=last), f"is {N}, outside 0..{N - 1}: ids count from 1")


def test_what_is_stored_in_place_of_distances_is_named() -> None:
    """Squares, similarities, turned signs and distances of unit vectors are each told apart."""
    far = _dataset(Metric.EUCLIDEAN)
    _refused(replace(far, distances=far.distances**2), "they are squared: store their roots")
    near = _dataset(Metric.ANGULAR)
    _refused(replace(near, distances=2 * near.distances), "twice as large: halve them")
    _refused(replace(near, distances=np.sqrt(2 * near.distances)), "store half their squares")
    _refused(replace(near, distances=np.sort(1 - near.distances)), r"distances\[0, 0\] is")
    dots = _dataset(Metric.IP)
    positive = replace(dots, distances=-dots.distances[:, ::-1], neighbors=dots.neighbors[:, ::-1])
    _refused(positive, "their sign is turned")


def test_reversed_neighbours_are_found() -> None:
    """Neighbours from the farthest to the nearest are found, alone, with their distances, and in a dense crowd."""
    good = _dataset(Metric.EUCLIDEAN)
    back = good.neighbors[:, ::-1]
    _refused(replace(good, neighbors=back, distances=good.distances[:, ::-1]), "must be ascending")
    _refused(replace(good, neighbors=back), "in reverse order, distances don't")
    crowd = _dataset(Metric.EUCLIDEAN)
    shifted = replace(crowd, test=crowd.test + np.float32(300))  # all distances within 1.5%
    ids, distances = _truth(Metric.EUCLIDEAN, shifted.train, shifted.test)
    assert (distances[:, -1] < 1.019 * distances[:, 0]).all()
    check_dataset(replace(shifted, neighbors=ids, distances=distances))
    _refused(replace(shifted, neighbors=ids[:, ::-1], distances=distances), "must be ascending")


@pytest.mark.parametrize("metric", list(Metric))
def test_neighbours_that_are_not_the_nearest_are_found(metric: Metric) -> None:
    """Truth of half of the rows is refused with the number of a row that it lacks, though its distances are right."""
    good = _dataset(metric)
    ids, distances = _truth(metric, good.train[: N // 2], good.test)
    _refused(replace(good, neighbors=ids, distances=distances), r"lacks row \d+ of train, at distance .*fewer rows")


def test_an_id_that_stands_twice_is_found() -> None:
    """A query whose neighbours repeat is named, with the id and its columns; padding may repeat."""
    good = _dataset(Metric.EUCLIDEAN)
    ids, distances = good.neighbors.copy(), good.distances.copy()
    ids[7, 3] = ids[7, 2]
    _refused(replace(good, neighbors=ids), rf"neighbors\[7\] holds {ids[7, 2]} twice, in columns 2 and 3")
    ids, distances = good.neighbors.copy(), good.distances.copy()
    ids[:, -3:], distances[:, -3:] = -1, np.inf
    check_dataset(replace(good, neighbors=ids, distances=distances))


def test_vectors_that_have_no_distance_are_found() -> None:
    """NaN and zero rows are named; where zeros are allowed, the rest is checked all the same."""
    good = _dataset(Metric.ANGULAR)
    for value, why in ((np.nan, r"train\[9, 0\] is nan"), (0, r"train\[9\] is all zeros")):
        train = good.train.copy()
        train[9] = value
        _refused(replace(good, train=train), why)
    ids, distances = _truth(Metric.ANGULAR, train, good.test)
    check_dataset(replace(good, train=train, neighbors=ids, distances=distances), null_vectors=True)
    order = np.random.default_rng(1).permutation(N)
    _refused(replace(good, train=train[order]), "in another order", null_vectors=True)


def test_truth_in_single_precision_passes() -> None:
    """Neighbours and distances computed by |x|^2 - 2xy + |y|^2 in float32, far from the origin, are no finding."""
    rng = np.random.default_rng(2)
    train, test = ((rng.standard_normal((n, 8)) + 20).astype(np.float32) for n in (N, 50))
    squares = (train**2).sum(axis=1) - 2 * test @ train.T + (test**2).sum(axis=1)[:, None]
    ids = np.argsort(squares, axis=1)[:, :DEPTH]
    distances = np.sqrt(np.maximum(np.take_along_axis(squares, ids, axis=1), 0))
    exact = _truth(Metric.EUCLIDEAN, train, test)[0]
    made = Dataset("made", Metric.EUCLIDEAN, train, test, ids.astype(np.int32), distances, 8, "")
    assert (exact != ids).any()
    check_dataset(made)
