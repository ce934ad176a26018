"""The linear probe: against MTEB's own loop, on labels that can and can't be told apart."""

from __future__ import annotations

from collections import defaultdict

import numpy as np
import pytest
from sklearn.linear_model import LogisticRegression
from sklearn.metrics import accuracy_score, f1_score

from harness.core.errors import AnnbenchError, DatasetError
from harness.embedding.measures.classification import few_shot_probe, full_probe


def blobs(apart, rows=200, labels=3, dim=12):
    """Draw rows about one centre a label, `apart` times as far from 0 as rows are from their centre."""
    rng = np.random.default_rng(0)
    centres = np.random.default_rng(1).standard_normal((labels, dim))
    names = np.array(["wine", "beer", "tea", "milk"])[rng.integers(0, labels, rows)]
    which = np.unique(names, return_inverse=True)[1]
    vectors = apart * centres[which] + rng.standard_normal((rows, dim))
    return vectors.astype(np.float32), names


def by_mteb(train, train_labels, test, test_labels, *, per_label, draws, seed):
    """Transcribe `_undersample_data` and `_calculate_scores` of mteb/abstasks/classification.py."""
    idxs, accuracies, scores = list(range(len(train))), [], []
    for _ in range(draws):
        np.random.RandomState(seed).shuffle(idxs)
        counter, sampled = defaultdict(int), []
        for i in idxs:
            if counter[train_labels[i]] < per_label:
                sampled.append(i)
                counter[train_labels[i]] += 1
        guess = LogisticRegression(max_iter=100).fit(train[sampled], train_labels[sampled]).predict(test)
        accuracies.append(accuracy_score(test_labels, guess))
        scores.append(f1_score(test_labels, guess, average="macro"))
    return accuracies, scores


@pytest.mark.parametrize(("per_label", "seed"), [(8, 42), (3, 7), (1000, 42)])
def test_figures_are_those_of_mteb(per_label, seed):
    """The same rows are drawn, and the same classifier judged, also where labels have too few rows."""
    vectors, labels = blobs(0.5)
    parts = vectors[:120], labels[:120], vectors[120:], labels[120:]
    found = few_shot_probe(*parts, per_label=per_label, draws=4, seed=seed)
    accuracies, scores = by_mteb(*parts, per_label=per_label, draws=4, seed=seed)
    assert found.accuracies == pytest.approx(accuracies, abs=1e-9)
    assert found.macro_f1s == pytest.approx(scores, abs=1e-9)
    assert found.accuracy == pytest.approx(found.correct.mean())
    assert found.macro_f1 == pytest.approx(np.mean(scores))
    assert found.correct.shape == (80,)


def test_what_is_told_apart_and_what_is_not():
    """Labels far apart are all found; labels dealt at random are no better than chance; all rows beat a few."""
    vectors, labels = blobs(8.0)
    assert few_shot_probe(vectors[:120], labels[:120], vectors[120:], labels[120:]).accuracy == 1.0
    dealt = np.random.default_rng(2).permutation(labels)
    assert few_shot_probe(vectors[:120], dealt[:120], vectors[120:], dealt[120:]).accuracy < 0.5
    vectors, labels = blobs(0.5, rows=600)
    parts = vectors[:400], labels[:400], vectors[400:], labels[400:]
    assert full_probe(*parts).accuracy > few_shot_probe(*parts).accuracy


def test_a_fit_that_is_cut_short_is_taken():
    """Where 100 steps are too few the probe neither warns nor fails, as MTEB's figures are made so."""
    vectors, labels = blobs(0.2, rows=300)
    stretched = vectors * np.logspace(0, 5, vectors.shape[1], dtype=np.float32)
    found = full_probe(stretched[:200], labels[:200], stretched[200:], labels[200:])
    assert found.accuracies.shape == (1,)


def test_bad_input_is_refused():
    """Errors name the side and what it lacks."""
    vectors, labels = blobs(1.0, rows=40)
    with pytest.raises(AnnbenchError, match=r"test has 20 rows, which need a label each: given \(19,\)"):
        full_probe(vectors[:20], labels[:20], vectors[20:], labels[21:])
    with pytest.raises(AnnbenchError, match="train has only tea"):
        full_probe(vectors[:20], np.full(20, "tea"), vectors[20:], labels[20:])
    with pytest.raises(AnnbenchError, match="given 0 and 10"):
        few_shot_probe(vectors[:20], labels[:20], vectors[20:], labels[20:], per_label=0)
    vectors[33, 2] = np.inf
    with pytest.raises(DatasetError, match=r"test\[13, 2\] is inf"):
        full_probe(vectors[:20], labels[:20], vectors[20:], labels[20:])
