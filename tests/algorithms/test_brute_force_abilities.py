"""Brute force among fewer rows: those that match a predicate, and those that are left after deletes."""

from __future__ import annotations

from typing import Any

import numpy as np
import pytest

from algorithms.brute_force import BruteForce
from harness.core.errors import ParameterError
from harness.data.attributes import Attributes, Categories, Integers
from harness.data.metric import Metric, neighbour_distances
from harness.data.predicates import And, Equals, Or, Range
from harness.engines.conformance.samples import sample

N, K = 150, 6
ATTRIBUTES = Attributes(
    {"number": Integers(np.arange(N)), "colour": Categories.of([("red", "green", "blue")[i % 3] for i in range(N)])}
)
PREDICATES = (
    Equals("colour", "red"), And(), Or(), Range("number", below=4), Equals("colour", "red") & Range("number", above=99),
)  # fmt: skip


def _near_as_the_nearest(metric: Metric, queries: Any, train: Any, ids: Any, masks: Any) -> None:
    """Compare with the nearest rows of each query among those in its mask, (m, n)."""
    every = neighbour_distances(metric, queries, train, np.tile(np.arange(len(train)), (len(queries), 1)))
    expected = np.sort(np.where(masks, every, np.inf), axis=1)[:, : ids.shape[1]]
    found = np.where(ids < 0, np.inf, np.take_along_axis(np.where(masks, every, np.inf), np.maximum(ids, 0), axis=1))
    np.testing.assert_allclose(found, expected, rtol=1e-5, atol=1e-6)


@pytest.mark.parametrize("metric", list(Metric))
def test_a_filtered_search_is_exact(metric: Metric) -> None:
    """Each query gets the nearest that match its predicate, also after deletes; -1 where there are few."""
    train, queries = sample(metric, N, seed=1), sample(metric, 10, seed=2)
    index = BruteForce(metric)
    index.attach(ATTRIBUTES)
    index.fit(train)
    own = [PREDICATES[i % len(PREDICATES)] for i in range(10)]
    masks = np.stack([predicate.mask(ATTRIBUTES) for predicate in own])
    _near_as_the_nearest(metric, queries, train, index.filtered_searcher()(queries, K, own), masks)
    gone = np.arange(0, N, 2)
    index.delete(gone)
    masks[:, gone] = False
    _near_as_the_nearest(metric, queries, train, index.filtered_searcher()(queries, K, own), masks)


@pytest.mark.parametrize("metric", list(Metric))
def test_ids_stay_after_deletes(metric: Metric) -> None:
    """Whether asked one a call or together, ids are those of `fit`; of nothing that is left, nothing is found."""
    train, queries = sample(metric, N, seed=1), sample(metric, 3, seed=2)
    index, masks = BruteForce(metric), np.ones((3, N), np.bool_)
    index.fit(train)
    for gone in ([5, 3], np.arange(100, N), np.setdiff1d(np.arange(100), [3, 5])):
        index.delete(np.asarray(gone))
        masks[:, gone] = False
        search = index.searcher()
        _near_as_the_nearest(metric, queries, train, search(queries, K), masks)
        _near_as_the_nearest(metric, queries[:1], train, search(queries[:1], K), masks[:1])
    assert not masks.any()
    assert index.index_bytes() <= 8
    index.fit(train)
    assert 3 in index.nearest(train[3:4], 1)[0]


@pytest.mark.parametrize("ids", [[N], [-1], [0, 7, 7000], [9]])
def test_an_id_that_is_not_there(ids: list[int]) -> None:
    """It is named, and nothing is deleted."""
    index = BruteForce(Metric.EUCLIDEAN)
    index.fit(sample(Metric.EUCLIDEAN, N, seed=1))
    index.delete(np.array([9]))
    before = index.index_bytes()
    with pytest.raises(ParameterError, match=rf"there is no id {ids[-1]} to delete"):
        index.delete(np.array(ids))
    assert index.index_bytes() == before


def test_filters_need_attributes() -> None:
    """Nothing can be filtered where no attributes were attached."""
    index = BruteForce(Metric.EUCLIDEAN)
    index.fit(sample(Metric.EUCLIDEAN, N, seed=1))
    with pytest.raises(ParameterError, match="no attributes were attached"):
        index.filtered_searcher()(np.zeros((1, 16), np.float32), K, [And()])
