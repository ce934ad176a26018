"""Intrinsic dimension: against scikit-dimension, on shapes whose dimension is known, and where there is none."""

from __future__ import annotations

import math

import numpy as np
import pytest
from sklearn.neighbors import NearestNeighbors

from harness.analyse.dimension import levina_bickel, two_nn


def distances_within(points, k):
    """Return each point's distances to its k nearest others."""
    return NearestNeighbors(n_neighbors=k).fit(points).kneighbors()[0]


def sphere(dimension, rows=3000):
    """Draw points evenly from the sphere of `dimension` dimensions, which lies in one more."""
    points = np.random.default_rng(dimension).standard_normal((rows, dimension + 1))
    return points / np.linalg.norm(points, axis=1, keepdims=True)


@pytest.mark.parametrize("dimension", [1, 2, 5, 30])
def test_estimates_are_those_of_scikit_dimension(dimension):
    """Both estimators agree with another implementation, also where it takes another way to its neighbours."""
    skdim = pytest.importorskip("skdim")
    points = sphere(dimension, 600)
    distances = distances_within(points, 20)
    assert levina_bickel(distances) == pytest.approx(skdim.id.MLE().fit(points, n_neighbors=20).dimension_, rel=1e-6)
    assert two_nn(distances) == pytest.approx(skdim.id.TwoNN().fit(points).dimension_, rel=1e-6)


@pytest.mark.parametrize("dimension", [1, 2, 5])
def test_a_sphere_has_its_dimension(dimension):
    """Points spread evenly over a sphere fill one dimension less than they are written in."""
    distances = distances_within(sphere(dimension), 20)
    assert levina_bickel(distances) == pytest.approx(dimension, rel=0.08)
    assert two_nn(distances) == pytest.approx(dimension, rel=0.08)


def test_copies_say_nothing():
    """Points with a copy are left out; where all have one, or there are too few distances, nothing is known."""
    distances = distances_within(sphere(2, 400), 20)
    with_copies = np.concatenate([distances, np.where(np.arange(20) == 0, 0.0, distances[:50])])
    assert levina_bickel(with_copies) == levina_bickel(distances)
    assert two_nn(with_copies) == two_nn(distances)
    for nothing in (np.zeros((5, 20)), np.ones((5, 1)), np.empty((5, 0)), np.ones((50, 20))):
        assert math.isnan(levina_bickel(nothing))
        assert math.isnan(two_nn(nothing))


def test_distances_of_a_pareto_law_give_its_exponent():
    """Where the ratios are the quantiles of the law itself, two-NN gives the dimension to a few parts in a hundred."""
    ratios = (1 - np.arange(1, 2000) / 2000) ** (-1 / 7)
    assert two_nn(np.stack([np.ones_like(ratios), ratios], axis=1)) == pytest.approx(7, rel=0.01)
