"""A linear probe: how well a logistic regression on frozen embeddings tells labels apart, as MTEB measures it.

MTEB (Muennighoff et al. 2023; `mteb/abstasks/classification.py`) fits scikit-learn's LogisticRegression(max_iter=100)
to 8 rows a label, ten times over, and quotes the mean accuracy on the whole test set. The rows of each time are the
first of each label in an order that is shuffled anew from the last by a RandomState of seed 42: so are ours.
"""

from __future__ import annotations

import warnings
from dataclasses import dataclass
from typing import Any

import numpy as np
from numpy.typing import NDArray

from harness.analyse.statistics import (
    DEFAULT_LEVEL,
    DEFAULT_REPLICATES,
    Range,
    check_bootstrap,
    percentile_range,
)
from harness.core.errors import AnnbenchError
from harness.embedding.measures.vectors import Matrix, finite

SEED = 42
PER_LABEL = 8
DRAWS = 10
MAX_ITER = 100


@dataclass(frozen=True, eq=False)
class Probe:
    """What a linear probe reached.

    `accuracies` and `macro_f1s` (draws,), one a set of rows that it was fitted to; `correct` (test rows,) the share of
    draws that labelled a row rightly, whose mean is the accuracy, for intervals and paired tests over rows.
    """

    accuracies: NDArray[np.float64]
    macro_f1s: NDArray[np.float64]
    correct: NDArray[np.float64]

    @property
    def accuracy(self) -> float:
        """Return the mean accuracy of the draws, which MTEB quotes."""
        return float(self.accuracies.mean())

    @property
    def macro_f1(self) -> float:
        """Return the mean over the draws of the F1 score, averaged over labels."""
        return float(self.macro_f1s.mean())


def few_shot_probe(
    train: Matrix,
    train_labels: NDArray[Any],
    test: Matrix,
    test_labels: NDArray[Any],
    *,
    per_label: int = PER_LABEL,
    draws: int = DRAWS,
    seed: int = SEED,
) -> Probe:
    """Fit to `per_label` rows of each label, `draws` times, and judge on all test rows.

    `train` (n, dim) and `test` (m, dim) float; labels (n,) and (m,) of any kind that compares. A label with fewer rows
    gives all of them. Raises AnnbenchError for labels that don't fit their rows, fewer than two labels, or fewer than
    one row or draw.
    """
    if per_label < 1 or draws < 1:
        raise AnnbenchError(f"a probe needs a row a label and a draw, or more: given {per_label} and {draws}")
    order = np.arange(len(train))
    chosen = []
    for _ in range(draws):
        # MTEB's stream, so that its figures compare: a new state of the same seed shuffles what the last one left.
        np.random.RandomState(seed).shuffle(order)
        chosen.append(_first_of_each(train_labels, order, per_label))
    return _probe(train, train_labels, test, test_labels, chosen)


def full_probe(train: Matrix, train_labels: NDArray[Any], test: Matrix, test_labels: NDArray[Any]) -> Probe:
    """Fit to all rows of `train` once, and judge on all test rows; arguments and errors as in `few_shot_probe`."""
    return _probe(train, train_labels, test, test_labels, [np.arange(len(train))])


def macro_f1(truth: NDArray[np.int64], guess: NDArray[np.int64]) -> float:
    """Return the F1 score averaged over the labels that are true or guessed somewhere; labels (n,) count from 0.

    It is scikit-learn's. Raises AnnbenchError for shapes that differ or no row.
    """
    return float(_macro_f1(_confusion(truth, guess)[None])[0])


def macro_f1_range(
    truth: NDArray[np.int64],
    guess: NDArray[np.int64],
    *,
    level: float = DEFAULT_LEVEL,
    replicates: int = DEFAULT_REPLICATES,
    seed: int = 0,
) -> Range:
    """Return the interval of the macro-F1 by a bootstrap over rows; deterministic by `seed`.

    Drawing rows anew draws how many stand in each cell of the confusion matrix, so that is what is drawn. Raises
    AnnbenchError for shapes that differ, no row, or settings that are no bootstrap.
    """
    check_bootstrap(level, replicates)
    confusion = _confusion(truth, guess)
    shares = (confusion / confusion.sum()).ravel()
    rng = np.random.default_rng((seed, 4))
    drawn = rng.multinomial(len(truth), shares, size=replicates).reshape(replicates, *confusion.shape)
    return percentile_range(_macro_f1(drawn), level)


def _confusion(truth: NDArray[np.int64], guess: NDArray[np.int64]) -> NDArray[np.int64]:
    """Count rows by their true label and the guessed one, (labels, labels)."""
    if truth.shape != guess.shape or truth.ndim != 1 or not truth.size:
        raise AnnbenchError(f"each row needs its label and a guess: given {truth.shape} and {guess.shape}")
    labels = int(max(truth.max(), guess.max())) + 1
    return np.bincount(truth * labels + guess, minlength=labels**2).reshape(labels, labels)


def _macro_f1(confusions: NDArray[np.int64]) -> NDArray[np.float64]:
    """Return the macro-F1 of each confusion matrix (m, labels, labels)."""
    hits = np.einsum("mll->ml", confusions)
    both = confusions.sum(axis=1) + confusions.sum(axis=2)  # twice the hits, and misses of either side
    scores = np.divide(2.0 * hits, both, out=np.zeros(hits.shape), where=both > 0)
    averaged: NDArray[np.float64] = scores.sum(axis=1) / (both > 0).sum(axis=1)
    return averaged


def _first_of_each(labels: NDArray[Any], order: NDArray[np.int64], count: int) -> NDArray[np.int64]:
    """Return the rows that are among the first `count` of their label in `order`, in that order."""
    by_label = np.argsort(labels[order], kind="stable")
    _, start, size = np.unique(labels[order][by_label], return_index=True, return_counts=True)
    place = np.arange(len(order)) - np.repeat(start, size)
    kept: NDArray[np.int64] = order[np.sort(by_label[place < count])]
    return kept


def _probe(
    train: Matrix,
    train_labels: NDArray[Any],
    test: Matrix,
    test_labels: NDArray[Any],
    chosen: list[NDArray[np.int64]],
) -> Probe:
    from sklearn.exceptions import ConvergenceWarning
    from sklearn.linear_model import LogisticRegression
    from sklearn.metrics import f1_score

    for name, vectors, labels in (("train", train, train_labels), ("test", test, test_labels)):
        if labels.shape != (len(finite(vectors, name)),):
            raise AnnbenchError(f"{name} has {len(vectors)} rows, which need a label each: given {labels.shape}")
    if len(np.unique(train_labels)) < 2:
        raise AnnbenchError(f"a probe tells two labels or more apart: train has only {train_labels[0]}")
    guesses = []
    for rows in chosen:
        with warnings.catch_warnings():
            # MTEB takes what 100 steps give, and so do we: more would be another measure.
            warnings.simplefilter("ignore", ConvergenceWarning)
            model = LogisticRegression(max_iter=MAX_ITER).fit(train[rows], train_labels[rows])
        guesses.append(model.predict(test))
    right = np.array([guess == test_labels for guess in guesses])
    return Probe(
        accuracies=right.mean(axis=1),
        macro_f1s=np.array([f1_score(test_labels, guess, average="macro") for guess in guesses]),
        correct=right.mean(axis=0),
    )
