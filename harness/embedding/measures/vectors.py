"""What every measure asks of its vectors: rows of finite numbers."""

from __future__ import annotations

from typing import Any

import numpy as np
from numpy.typing import NDArray

from harness.core.errors import DatasetError
from harness.data.checks import vector_findings
from harness.data.metric import Metric, normalise

Matrix = NDArray[np.floating[Any]]


def finite(vectors: Matrix, name: str = "vectors", *, metric: Metric = Metric.EUCLIDEAN) -> Matrix:
    """Return `vectors` (n, dim) as they are.

    Raises DatasetError for what isn't a matrix with rows, and names the row and column of a value that isn't finite;
    under `angular` also a row of zeros.
    """
    if vectors.ndim != 2 or not vectors.size:
        raise DatasetError(f"{name} must be (n, dim) with a row or more: given {vectors.shape}")
    for finding in vector_findings(metric, vectors, name):
        raise DatasetError(finding)
    return vectors


def directions(vectors: Matrix, name: str = "vectors") -> NDArray[np.float32]:
    """Return the rows of `vectors` (n, dim) scaled to unit length, float32.

    Raises DatasetError as `finite` does, and for a row of zeros, which has no direction.
    """
    return normalise(finite(vectors, name, metric=Metric.ANGULAR))
