"""Geometry: against definitions written out, on arrangements whose figures are known, and collapsed."""

from __future__ import annotations

import math
from dataclasses import asdict

import numpy as np
import pytest
from scipy.spatial.distance import pdist
from scipy.stats import entropy, ortho_group

from harness.core.errors import AnnbenchError, DatasetError
from harness.embedding.measures import geometry
from harness.embedding.measures.geometry import (
    alignment,
    anisotropy,
    describe_geometry,
    effective_rank,
    iso_score,
    mean_distance,
    uniformity,
)


def sphere(dimension, rows=1500, within=24):
    """Draw rows evenly from the sphere of `dimension` dimensions, turned at random in a space of `within`."""
    rng = np.random.default_rng(dimension)
    points = rng.standard_normal((rows, dimension + 1)) @ ortho_group.rvs(within, random_state=1)[: dimension + 1]
    return (points * rng.uniform(0.5, 2.0, (rows, 1))).astype(np.float32)


def unit(vectors):
    """Return rows of unit length in float64."""
    return vectors / np.linalg.norm(vectors.astype(np.float64), axis=1, keepdims=True)


def test_figures_of_pairs_are_their_definitions(monkeypatch):
    """Uniformity, mean distance and anisotropy are means over all pairs, whatever the blocks; so is alignment."""
    vectors = sphere(7, rows=130)
    distances = pdist(unit(vectors))
    for block in (1024, 64, 1):
        monkeypatch.setattr(geometry, "_BLOCK", block)
        assert uniformity(vectors) == pytest.approx(math.log(np.exp(-2 * distances**2).mean()), abs=1e-6)
        assert mean_distance(vectors) == pytest.approx(distances.mean(), abs=1e-6)
    assert anisotropy(vectors) == pytest.approx(1 - pdist(vectors, "cosine").mean(), abs=1e-6)
    apart = np.linalg.norm(unit(vectors[:65]) - unit(vectors[65:]), axis=1)
    assert alignment(vectors[:65], vectors[65:]) == pytest.approx((apart**2).mean(), abs=1e-6)


def test_effective_rank_is_the_entropy_of_singular_values():
    """The figure is that of scipy's entropy, which scales shares by itself."""
    vectors = sphere(5, rows=200) + 0.1 * np.random.default_rng(0).standard_normal((200, 24)).astype(np.float32)
    values = np.linalg.svd(unit(vectors), compute_uv=False)
    assert effective_rank(vectors) == pytest.approx(math.exp(entropy(values)), abs=1e-4)


@pytest.mark.parametrize("dim", [2, 8, 30])
def test_an_orthonormal_basis(dim):
    """Rows at right angles: rank dim, no common direction, all sqrt(2) apart."""
    basis = 3.0 * ortho_group.rvs(dim, random_state=0)
    assert effective_rank(basis) == pytest.approx(dim, rel=1e-6)
    assert anisotropy(basis) == pytest.approx(0, abs=1e-6)
    assert uniformity(basis) == pytest.approx(-4, abs=1e-5)
    assert mean_distance(basis) == pytest.approx(math.sqrt(2), abs=1e-6)
    assert alignment(basis, -basis) == pytest.approx(4, abs=1e-5)


@pytest.mark.parametrize(("used", "dim"), [(1, 5), (4, 9), (16, 16)])
def test_iso_score_is_the_share_of_dimensions_used(used, dim):
    """Variance spread evenly over some axes scores (used - 1) / (dim - 1), however the axes lie (Rudman et al.)."""
    axes = np.concatenate([np.eye(dim)[:used], -np.eye(dim)[:used]]) @ ortho_group.rvs(dim, random_state=0)
    assert iso_score(axes) == pytest.approx((used - 1) / (dim - 1), abs=1e-5)


@pytest.mark.parametrize("dimension", [1, 2, 4])
def test_a_sphere_is_described(dimension):
    """Directions that fill a sphere evenly have its dimension, a rank one above it and no common direction."""
    found = describe_geometry(sphere(dimension), threads=1)
    assert found.local_intrinsic_dimension == pytest.approx(dimension, rel=0.1)
    assert found.two_nn == pytest.approx(dimension, rel=0.1)
    assert found.effective_rank == pytest.approx(dimension + 1, rel=0.01)
    assert found.anisotropy == pytest.approx(0, abs=0.01)
    assert found.iso_score == pytest.approx(dimension / 23, abs=0.01)
    assert found.relative_contrast > 5
    assert math.isnan(found.alignment)


@pytest.mark.parametrize("dimension", [2, 6])
def test_dimensions_are_those_of_scikit_dimension(dimension):
    """From vectors to figure, both estimates agree with another implementation that finds its own neighbours."""
    skdim = pytest.importorskip("skdim")
    vectors = sphere(dimension, rows=500)
    found = describe_geometry(vectors, threads=1)
    units = geometry.directions(vectors).astype(np.float64)
    expected = skdim.id.MLE().fit(units, n_neighbors=20).dimension_
    assert found.local_intrinsic_dimension == pytest.approx(expected, rel=1e-6)
    assert found.two_nn == pytest.approx(skdim.id.TwoNN().fit(units).dimension_, rel=1e-6)


def test_collapsed_embeddings():
    """One direction for all, up to rounding: rank 1, anisotropy 1, uniformity 0, and no dimension."""
    rng = np.random.default_rng(0)
    one = rng.standard_normal(40).astype(np.float32)
    assert effective_rank(np.tile(one, (60, 1))) == pytest.approx(1, abs=1e-6)
    found = describe_geometry(rng.uniform(0.1, 9, (60, 1)).astype(np.float32) * one, threads=1)
    assert found.effective_rank == pytest.approx(1, abs=1e-4)
    assert found.anisotropy == pytest.approx(1, abs=1e-6)
    assert found.uniformity == pytest.approx(0, abs=1e-6)
    assert describe_geometry(np.tile(one, (60, 1)), threads=1).relative_contrast == math.inf
    assert all(math.isnan(value) for value in (found.iso_score, found.two_nn, found.local_intrinsic_dimension))


def test_near_copies_dont_count_for_the_dimension():
    """A third of the rows encoded twice, with the noise of another batch, leaves the dimensions as they were."""
    vectors = sphere(4)
    noise = 1e-7 * np.random.default_rng(0).standard_normal((500, 24)).astype(np.float32)
    before = describe_geometry(vectors, threads=1)
    after = describe_geometry(np.concatenate([vectors, vectors[:500] + noise]), threads=1)
    assert after.two_nn == pytest.approx(before.two_nn, rel=1e-3)
    assert after.local_intrinsic_dimension == pytest.approx(before.local_intrinsic_dimension, rel=1e-3)


def test_figures_dont_depend_on_the_axes():
    """A rotation of all rows, and a length of its own for each, leave every figure as it is."""
    vectors = sphere(3, rows=300)
    turned = vectors @ ortho_group.rvs(24, random_state=3) * np.random.default_rng(0).uniform(0.1, 9, (300, 1))
    before = describe_geometry(vectors, positives=(vectors[:9], vectors[9:18]), threads=1)
    after = describe_geometry(turned, positives=(turned[:9], turned[9:18]), threads=1)
    assert asdict(after) == pytest.approx(asdict(before), rel=1e-3, abs=1e-4)


def test_large_sets_are_sampled():
    """A sample says how large it is, is drawn by its seed, and is another for another seed."""
    vectors = sphere(3, rows=400)
    found = describe_geometry(vectors, sample=150, seed=1, threads=1)
    assert (found.of, found.rows, found.dim, found.seed) == (400, 150, 24, 1)
    # The alignment, of no pairs, is nan, which equals nothing.
    assert asdict(describe_geometry(vectors, sample=150, seed=1, threads=1)) == pytest.approx(
        asdict(found), nan_ok=True
    )
    assert describe_geometry(vectors, sample=150, seed=2, threads=1).two_nn != found.two_nn


def test_one_and_two_rows():
    """A row alone has a rank, and nan for all that needs another; two rows have what a pair has."""
    alone = describe_geometry(sphere(3, rows=1), threads=1)
    assert alone.effective_rank == pytest.approx(1)
    pairwise = ("uniformity", "anisotropy", "two_nn", "local_intrinsic_dimension", "hubness", "relative_contrast")
    assert all(math.isnan(getattr(alone, name)) for name in (*pairwise, "iso_score"))
    two = describe_geometry(sphere(3, rows=2), threads=1)
    assert two.relative_contrast == pytest.approx(1)
    assert two.hubness == 0


def test_bad_input_is_refused():
    """Errors name the row that has no direction or isn't finite, and the shapes that don't fit."""
    vectors = sphere(3, rows=20)
    with pytest.raises(AnnbenchError, match=r"\(20, 24\) and \(19, 24\)"):
        alignment(vectors, vectors[1:])
    with pytest.raises(AnnbenchError, match="a sample of 0"):
        describe_geometry(vectors, sample=0)
    with pytest.raises(DatasetError, match=r"given \(0, 24\)"):
        describe_geometry(vectors[:0])
    vectors[4] = 0
    with pytest.raises(DatasetError, match=r"vectors\[4\] is all zeros"):
        describe_geometry(vectors)
    vectors[11, 5] = np.nan
    with pytest.raises(DatasetError, match=r"vectors\[11, 5\] is nan"):
        describe_geometry(vectors)
