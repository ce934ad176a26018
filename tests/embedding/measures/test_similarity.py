"""Textual similarity: against scikit-learn's distances and scipy's correlations, and where there is no correlation."""

from __future__ import annotations

import math

import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st
from scipy.stats import pearsonr, spearmanr
from sklearn.metrics.pairwise import paired_cosine_distances, paired_euclidean_distances

from harness.core.errors import AnnbenchError, DatasetError, UnknownNameError
from harness.embedding.measures.similarity import correlate, similarities, sts


@pytest.fixture(scope="module")
def pairs():
    """Two arrays of embeddings, the second a noisy copy of the first."""
    rng = np.random.default_rng(0)
    first = rng.standard_normal((300, 24)).astype(np.float32)
    return first, first + rng.standard_normal((300, 24)).astype(np.float32) * rng.random((300, 1)).astype(np.float32)


def test_similarities_are_those_of_scikit_learn(pairs):
    """Cosine, minus the distance, and the dot product, a value a pair."""
    first, second = (side.astype(np.float64) for side in pairs)
    assert similarities(*pairs, "cosine") == pytest.approx(1 - paired_cosine_distances(first, second), abs=1e-6)
    assert similarities(*pairs, "euclidean") == pytest.approx(-paired_euclidean_distances(first, second), abs=1e-6)
    assert similarities(*pairs, "dot") == pytest.approx((first * second).sum(axis=1), abs=1e-6)


def test_each_kind_has_its_correlations(pairs):
    """The correlations of each kind are scipy's, with gold scores that have many ties."""
    gold = np.random.default_rng(1).integers(0, 6, 300)
    for kind, found in sts(*pairs, gold).items():
        values = similarities(*pairs, kind)
        assert found.spearman == pytest.approx(spearmanr(values, gold).statistic, abs=1e-9)
        assert found.pearson == pytest.approx(pearsonr(values, gold).statistic, abs=1e-9)
        assert found.unknown == ""


@given(
    st.lists(st.tuples(st.integers(-4, 4), st.integers(-4, 4)), min_size=2, max_size=30), st.sampled_from([1, 1e200])
)
def test_correlations_are_those_of_scipy(rows, scale):
    """Small whole numbers, so that most are tied; huge ones leave their squares no room."""
    x, y = np.array(rows, np.float64).T
    found = correlate(x * scale, y)
    if not np.ptp(x) or not np.ptp(y):
        assert math.isnan(found.spearman)
        assert math.isnan(found.pearson)
        assert "vary" in found.unknown
    else:
        assert found.spearman == pytest.approx(spearmanr(x, y).statistic, abs=1e-9)
        assert found.pearson == pytest.approx(pearsonr(x, y).statistic, abs=1e-9)


def test_collapsed_embeddings_have_no_correlation():
    """Where all embeddings are one, rounding doesn't make a ranking; the reason says which side doesn't vary."""
    one = np.random.default_rng(2).standard_normal(50).astype(np.float32)
    tilted = np.tile(one, (40, 1)) * np.linspace(1, 3, 40, dtype=np.float32)[:, None]
    found = sts(np.tile(one, (40, 1)), np.tile(one[::-1], (40, 1)), np.arange(40))
    assert all(math.isnan(each.spearman) and "all similarities are" in each.unknown for each in found.values())
    assert math.isnan(correlate(similarities(tilted, tilted), np.arange(40)).spearman)
    rounded = np.where(np.arange(40) % 2, 0.3, np.nextafter(0.3, 1.0))
    assert math.isnan(correlate(rounded, np.arange(40)).spearman)
    assert "all gold scores are 3" in correlate(np.arange(4.0), np.full(4, 3)).unknown
    assert "there are 1" in correlate(np.ones(1), np.ones(1)).unknown


def test_bad_input_is_refused(pairs):
    """Errors name the kind, the shapes or the row that is wrong."""
    first, second = pairs
    with pytest.raises(UnknownNameError, match="did you mean cosine"):
        similarities(first, second, "cosin")
    with pytest.raises(AnnbenchError, match=r"\(300, 24\) and \(299, 24\)"):
        similarities(first, second[1:])
    broken = second.copy()
    broken[7, 3] = np.nan
    with pytest.raises(DatasetError, match=r"second\[7, 3\] is nan"):
        similarities(first, broken)
    with pytest.raises(AnnbenchError, match=r"\(3,\) and \(2,\)"):
        correlate(np.arange(3.0), np.arange(2))
    with pytest.raises(AnnbenchError, match=r"gold scores\[1\] is inf"):
        correlate(np.arange(3.0), np.array([0.0, np.inf, 1.0]))
