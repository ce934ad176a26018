"""What can be wrong with a dataset: each finding is one line that says what and where."""

from __future__ import annotations

from collections.abc import Iterator
from dataclasses import replace
from typing import Any

import numpy as np
from numpy.typing import NDArray

from harness.core.errors import DatasetError
from harness.data.dataset import Dataset
from harness.data.hdf5_layout import TOO_LARGE
from harness.data.metric import Metric
from harness.data.truth_checks import truth_findings
from harness.data.vectors import Sets

CHECKS = 1
"""The revision of these checks: a file that passed an earlier one is checked again."""

_BLOCK = 65_536
_LARGEST = float(np.finfo(np.float32).max)


def check_dataset(dataset: Dataset, *, null_vectors: bool = False, remedy: str = "") -> None:
    """Raise DatasetError with every finding, one a line; return quietly where there is none.

    With `null_vectors`, all-zero vectors under angular are no finding, and what depends on them is taken on trust.
    `remedy` says what to do about wrong ground truth.
    """
    null_vectors = null_vectors and dataset.metric is Metric.ANGULAR
    findings = [*_shape_findings(dataset)]
    # The later checks only make sense where the earlier ones pass.
    findings = findings or [*_all_vector_findings(dataset, null_vectors=null_vectors)]
    if not findings:
        sound = _without_null_vectors(dataset) if null_vectors else (dataset, np.arange(len(dataset.test)))
        findings = [finding + remedy for finding in truth_findings(*sound)]
    if findings:
        where = dataset.path or dataset.name
        raise DatasetError("\n".join(f"{where}: {finding}" for finding in findings))


def _all_vector_findings(dataset: Dataset, *, null_vectors: bool) -> Iterator[str]:
    metric = Metric.EUCLIDEAN if null_vectors else dataset.metric
    for name, part in (("train", dataset.train), ("test", dataset.test)):
        yield from vector_findings(metric, part, name)


def vector_findings(metric: Metric, part: Any, name: str) -> Iterator[str]:
    """Yield what is wrong with one array of vectors, of any type: values that float32 can't hold, zero rows (angular).

    A row counts as zeros, or a value as too large, where it is so in float32.
    """
    if isinstance(part, Sets):
        if part.indices.size and part.indices.min() < 0:
            yield f"{name} holds a negative set member"
        return
    if metric is Metric.HAMMING:
        return
    for start in range(0, len(part), _BLOCK):
        block = part[start : start + _BLOCK]
        # A sum is finite only where every value is: one pass over memory, and a second one only to name the place.
        with np.errstate(over="ignore", invalid="ignore", under="ignore"):
            block = block.astype(np.float32, copy=False)
            suspicious = not np.isfinite(block.sum(axis=1, dtype=np.float64)).all()
        if suspicious and not np.isfinite(block).all():
            row, column = np.argwhere(~np.isfinite(block))[0]
            value = part[start + row, column]
            said = f"{value:g}, {TOO_LARGE}" if np.isfinite(value) else f"{value}: vectors must be finite"
            yield f"{name}[{start + row}, {column}] is {said}"
            return
        if metric is Metric.ANGULAR:
            null = np.flatnonzero(~block.any(axis=1))
            if null.size:
                row = start + int(null[0])
                small = " in float32" if np.any(part[row]) else ""
                yield f"{name}[{row}] is all zeros{small}, which has no angle: drop it or use another metric"
                return


def _without_null_vectors(dataset: Dataset) -> tuple[Dataset, NDArray[np.intp]]:
    """Return the queries that neither are zero nor have a zero vector among their neighbours, and their numbers."""
    zero = ~dataset.train.any(axis=1)
    known = np.clip(dataset.neighbors, 0, len(zero) - 1)
    kept = np.flatnonzero(dataset.test.any(axis=1) & ~zero[known].any(axis=1))
    chosen = replace(
        dataset, test=dataset.test[kept], neighbors=dataset.neighbors[kept], distances=dataset.distances[kept]
    )
    return chosen, kept


def _shape_findings(dataset: Dataset) -> Iterator[str]:
    n, q = len(dataset.train), len(dataset.test)
    if n == 0 or q == 0:
        yield f"there are {n} vectors in train and {q} in test: both need at least one"
        return
    if not isinstance(dataset.train, Sets) and dataset.train.shape[1] != dataset.test.shape[1]:
        yield f"train has {dataset.train.shape[1]} columns, test has {dataset.test.shape[1]}"
    if dataset.neighbors.shape[0] != q or dataset.neighbors.shape != dataset.distances.shape:
        yield f"neighbors {dataset.neighbors.shape} and distances {dataset.distances.shape} need {q} rows each"
    elif dataset.neighbors.shape[1] == 0:
        yield "neighbors has no column: there is no ground truth"
