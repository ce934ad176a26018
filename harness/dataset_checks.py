"""What can be wrong with a dataset: each finding is one line that says what and where."""

from __future__ import annotations

from collections.abc import Iterator
from typing import Any

import numpy as np
from numpy.typing import NDArray

from harness.contract import Sets
from harness.dataset import Dataset
from harness.errors import DatasetError
from harness.metric import Metric, neighbour_distances

_BLOCK = 65_536
_SAMPLED_QUERIES = 32
# Ground truth made in float32 with |x|^2 - 2xy + |y|^2 is off by this much at worst on the published files.
_DISTANCE_SLACK = 2e-2


def check_dataset(dataset: Dataset) -> None:
    """Raise DatasetError with every finding, one a line; return quietly where there is none."""
    findings = list(findings_of(dataset))
    if findings:
        where = dataset.path or dataset.name
        raise DatasetError("\n".join(f"{where}: {finding}" for finding in findings))


def findings_of(dataset: Dataset) -> Iterator[str]:
    """Yield a sentence for each thing that is wrong; the later checks only run where the earlier pass."""
    broken = False
    for finding in _shape_findings(dataset):
        broken = True
        yield finding
    if broken:
        return
    for name, part in (("train", dataset.train), ("test", dataset.test)):
        for finding in vector_findings(dataset.metric, part, name):
            broken = True
            yield finding
    if broken:
        return
    yield from _neighbor_findings(dataset)


def vector_findings(metric: Metric, part: Any, name: str) -> Iterator[str]:
    """Yield what is wrong with one array of vectors: NaN, infinite values, or zero rows under angular."""
    if isinstance(part, Sets):
        if part.indices.size and part.indices.min() < 0:
            yield f"{name} holds a negative set member"
        return
    if metric is Metric.HAMMING:
        return
    for start in range(0, len(part), _BLOCK):
        block = part[start : start + _BLOCK]
        # A sum is finite only where every value is: one pass over memory, and a second one only to name the place.
        with np.errstate(over="ignore", invalid="ignore"):
            suspicious = not np.isfinite(block.sum(axis=1, dtype=np.float64)).all()
        if suspicious and not np.isfinite(block).all():
            row, column = np.argwhere(~np.isfinite(block))[0]
            yield f"{name}[{start + row}, {column}] is {block[row, column]}: vectors must be finite"
            return
        if metric is Metric.ANGULAR:
            null = np.flatnonzero(~block.any(axis=1))
            if null.size:
                yield f"{name}[{start + null[0]}] is all zeros, which has no angle: drop it or use another metric"
                return


def _shape_findings(dataset: Dataset) -> Iterator[str]:
    n, q = len(dataset.train), len(dataset.test)
    if n == 0 or q == 0:
        yield f"there are {n} vectors in train and {q} in test: both need at least one"
        return
    if not isinstance(dataset.train, Sets) and dataset.train.shape[1] != dataset.test.shape[1]:
        yield f"train has {dataset.train.shape[1]} columns, test has {dataset.test.shape[1]}"
    if dataset.neighbors.shape[0] != q or dataset.neighbors.shape != dataset.distances.shape:
        yield f"neighbors {dataset.neighbors.shape} and distances {dataset.distances.shape} need {q} rows each"


def _neighbor_findings(dataset: Dataset) -> Iterator[str]:
    ids, distances, n = dataset.neighbors, dataset.distances, len(dataset.train)
    if ids.shape[1] == 0:
        yield "neighbors has no column: there is no ground truth"
        return
    outside = (ids < 0) | (ids >= n)
    # Rows of small sets may be padded with -1 and inf where a query has fewer neighbours than columns.
    outside &= ~((ids == -1) & ~np.isfinite(distances))
    if outside.any():
        row, column = np.argwhere(outside)[0]
        yield f"neighbors[{row}, {column}] is {ids[row, column]}, outside 0..{n - 1}: made for other data?"
        return
    if np.isnan(distances).any():
        row, column = np.argwhere(np.isnan(distances))[0]
        yield f"distances[{row}, {column}] is NaN"
        return
    wide: NDArray[np.float64] = np.asarray(distances, np.float64)
    lost = ~np.isfinite(wide) & (ids >= 0)
    if lost.any():
        row, column = np.argwhere(lost)[0]
        yield f"distances[{row}, {column}] is {wide[row, column]}, though neighbour {ids[row, column]} is given"
        return
    slack = 1e-5 * np.maximum(np.abs(wide[:, :-1]), 1e-3)
    slack[np.isinf(slack)] = 0.0  # after padding nothing may follow
    falls = wide[:, 1:] < wide[:, :-1] - slack
    if falls.any():
        row, column = np.argwhere(falls)[0]
        yield (
            f"distances[{row}, {column + 1}] = {wide[row, column + 1]:.6g} comes after {wide[row, column]:.6g}: "
            "neighbours must be ascending"
        )
        return
    yield from _metric_findings(dataset)


def _metric_findings(dataset: Dataset) -> Iterator[str]:
    """Recompute some stored distances: a file made for another metric gives itself away."""
    q, depth = dataset.neighbors.shape
    rows = np.unique(np.linspace(0, q - 1, min(q, _SAMPLED_QUERIES)).astype(np.int64))
    columns = np.unique(np.linspace(0, depth - 1, min(depth, 4)).astype(np.int64))
    ids = dataset.neighbors[np.ix_(rows, columns)].astype(np.int64)
    stored = np.asarray(dataset.distances, np.float64)[np.ix_(rows, columns)]
    real = (ids >= 0) & np.isfinite(stored)
    if not real.any() or _agree(_recompute(dataset, dataset.metric, rows, ids)[real], stored[real]):
        return
    others = [m for m in Metric if m.is_dense and dataset.metric.is_dense and m is not dataset.metric]
    like = [str(m) for m in others if _agree(_recompute(dataset, m, rows, ids)[real], stored[real])]
    hint = f"they are {like[0]} distances: set the attribute 'distance' to {like[0]!r}" if like else "prepare it anew"
    yield f"the stored distances are not {dataset.metric} distances of the stored neighbours; {hint}"


def _recompute(
    dataset: Dataset, metric: Metric, rows: NDArray[np.int64], ids: NDArray[np.int64]
) -> NDArray[np.float64]:
    return neighbour_distances(metric, dataset.test[rows], dataset.train, ids) * dataset.bit_scale


def _agree(computed: NDArray[np.float64], stored: NDArray[np.float64]) -> bool:
    scale = max(float(np.abs(stored).mean()), 1e-6)
    return bool((np.abs(computed - stored) <= _DISTANCE_SLACK * np.maximum(np.abs(stored), scale)).mean() > 0.98)
