"""Clustering: against MTEB's own loop, on groups that can and can't be found."""

from __future__ import annotations

import random

import numpy as np
import pytest
from sklearn.cluster import MiniBatchKMeans
from sklearn.metrics import v_measure_score

from harness.core.errors import AnnbenchError, DatasetError
from harness.embedding.measures.clustering import v_measures


def groups(apart):
    """Draw 300 rows about four centres."""
    rng = np.random.default_rng(0)
    labels = rng.integers(0, 4, 300)
    return (apart * rng.standard_normal((4, 8))[labels] + rng.standard_normal((300, 8))).astype(np.float32), labels


def by_mteb(vectors, labels, *, draws, rows, seed):
    """Transcribe `_evaluate_clustering_bootstrapped` of mteb/abstasks/clustering.py."""
    state, found = random.Random(seed), []
    model = MiniBatchKMeans(n_clusters=4, batch_size=512, init="k-means++", n_init=1, random_state=seed)
    for _ in range(draws):
        indices = state.choices(range(len(vectors)), k=rows)
        found.append(v_measure_score(labels[indices], model.fit_predict(vectors[indices])))
    return found


def test_figures_are_those_of_mteb():
    """The same rows are drawn and the same clusters found."""
    vectors, labels = groups(1.0)
    found = v_measures(vectors, labels, draws=3, rows=700, seed=5)
    assert found == pytest.approx(by_mteb(vectors, labels, draws=3, rows=700, seed=5), abs=1e-9)
    assert np.ptp(found) > 0


def test_what_is_found_and_what_is_not():
    """Groups far apart are found in most draws; labels dealt at random are not; names serve as labels."""
    vectors, labels = groups(20.0)
    names = np.array(["a", "b", "c", "d"])[labels]
    assert np.median(v_measures(vectors, names, rows=500)) > 0.85
    assert v_measures(vectors, np.random.default_rng(3).permutation(labels), rows=500).mean() < 0.1


def test_bad_input_is_refused():
    """Errors say what a clustering needs."""
    vectors, labels = groups(1.0)
    with pytest.raises(AnnbenchError, match=r"300 rows need a label each: given \(299,\)"):
        v_measures(vectors, labels[1:])
    with pytest.raises(AnnbenchError, match=r"all rows have 0$"):
        v_measures(vectors, np.zeros(300, np.int64))
    with pytest.raises(AnnbenchError, match="given 10 of 3"):
        v_measures(vectors, labels, rows=3)
    vectors[9, 0] = np.nan
    with pytest.raises(DatasetError, match=r"vectors\[9, 0\] is nan"):
        v_measures(vectors, labels)
