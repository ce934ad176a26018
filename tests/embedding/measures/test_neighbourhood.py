"""Neighbours within a set: against scikit-learn, with copies; hubs that were put there."""

from __future__ import annotations

import math

import numpy as np
import pytest
from scipy.spatial.distance import pdist
from scipy.stats import skew
from sklearn.neighbors import NearestNeighbors

from harness.embedding.measures.neighbourhood import hubness, nearest, relative_contrast


def normal(rows, dim):
    """Draw rows of float32."""
    return np.random.default_rng(dim).standard_normal((rows, dim)).astype(np.float32)


@pytest.mark.parametrize("k", [1, 5, 30])
def test_neighbours_are_those_of_scikit_learn(k):
    """Ids and distances agree with an exact search in float64, without the row itself."""
    vectors = normal(400, 6)
    found = nearest(vectors, k, threads=1)
    distances, ids = NearestNeighbors(n_neighbors=k, algorithm="brute").fit(vectors.astype(np.float64)).kneighbors()
    assert found.distances == pytest.approx(distances, abs=1e-6)
    assert np.array_equal(found.ids, ids)


def test_copies_are_neighbours_and_the_row_itself_is_not():
    """Rows with more copies than they have places find nothing but copies, none of them themselves or twice."""
    vectors = np.repeat(normal(6, 3), 10, axis=0)
    found = nearest(vectors, 4, threads=1)
    assert not found.distances.any()
    assert (found.ids != np.arange(60)[:, None]).all()
    assert (np.diff(np.sort(found.ids, axis=1), axis=1) > 0).all()
    assert (found.ids // 10 == np.arange(60)[:, None] // 10).all()


def test_few_rows_have_few_neighbours():
    """A list is as long as there are other rows; a row alone has none."""
    assert nearest(normal(3, 2), 10, threads=1).ids.shape == (3, 2)
    assert nearest(normal(1, 2), 10, threads=1).distances.shape == (1, 0)


def test_a_hub_is_seen():
    """A row in the middle of others far apart is the nearest of all; the skewness is scipy's."""
    star = np.concatenate([np.eye(20), np.full((1, 20), 0.2)]).astype(np.float32)
    lists = nearest(star, 1, threads=1).ids
    assert (lists[:20] == 20).all()
    counts = np.bincount(lists.ravel(), minlength=21)
    assert hubness(lists) == pytest.approx(skew(counts), rel=1e-9)
    assert hubness(lists) > 4


def test_hubs_come_with_dimensions():
    """In many dimensions some rows are near to many; in few none are; in a ring all are alike (Radovanović et al.)."""
    few, many = (hubness(nearest(normal(1500, dim), 10, threads=1).ids) for dim in (3, 100))
    assert few < 0.6
    assert many > 2
    ring = np.arange(12)
    assert hubness(np.stack([(ring + 1) % 12, (ring - 1) % 12], axis=1)) == 0.0
    assert math.isnan(hubness(np.empty((1, 0), np.int64)))


def test_contrast_is_mean_over_nearest():
    """The contrast is as defined, lower in more dimensions, and told where rows have copies or are alone."""
    contrasts = []
    for dim in (2, 50):
        vectors = normal(300, dim)
        distances = nearest(vectors, 1, threads=1).distances[:, 0]
        mean = float(pdist(vectors).mean())
        expected = mean / NearestNeighbors(n_neighbors=1).fit(vectors).kneighbors()[0].mean()
        contrasts.append(relative_contrast(mean, distances))
        assert contrasts[-1] == pytest.approx(expected, rel=1e-6)
    assert contrasts[0] > 5
    assert 1 < contrasts[1] < 2
    assert relative_contrast(1.0, np.zeros(3)) == math.inf
    assert math.isnan(relative_contrast(math.nan, np.empty(0)))
