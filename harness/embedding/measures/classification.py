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

from harness.embedding.measures.vectors import Matrix, finite
from harness.errors import AnnbenchError

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
