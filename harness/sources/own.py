"""Turn a user's own files into a dataset's content: choose queries, understand the metric, keep known neighbours."""

from __future__ import annotations

from dataclasses import dataclass
from pathlib import Path
from typing import Any

import numpy as np
from numpy.typing import NDArray

from harness.contract import Data
from harness.dataset import read_dataset
from harness.dataset_checks import vector_findings
from harness.errors import ConfigError, DatasetError
from harness.metric import Metric, pack_bits
from harness.sources.content import SPLIT_SEED, Content, default_queries, split_rows
from harness.sources.files import FileSpec, open_hdf5, parse_spec, read_vectors

_LAYOUT = frozenset({"train", "test", "neighbors", "distances"})


@dataclass(frozen=True)
class OwnFile:
    """A user's file of vectors, and where its queries come from: a file, a number of rows to split off, or None."""

    vectors: FileSpec
    queries: FileSpec | int | None = None

    @classmethod
    def of(cls, path: str | Path, queries: str | Path | int | None) -> OwnFile:
        """Check that the files exist and have a known suffix."""
        if isinstance(queries, int) or queries is None:
            if queries is not None and queries < 1:
                raise ConfigError(f"queries: {queries} should be 1 or more, or a file")
            return cls(parse_spec(path), queries)
        return cls(parse_spec(path), parse_spec(queries))

    def source(self, depth: int) -> str:
        """Describe what a prepared dataset depends on: another text means that the file was edited since."""
        text = _stamp(self.vectors)
        if isinstance(self.queries, FileSpec):
            text += f"; queries {_stamp(self.queries)}"
        elif self.queries is not None:
            text += f"; {self.queries} queries, seed {SPLIT_SEED}"
        return f"{text}; {depth} neighbours"

    def is_described_by(self, source: str) -> bool:
        """Tell whether `source` describes this file, at whatever time it was prepared."""
        return source.startswith(f"file:{self._absolute} (")

    @property
    def _absolute(self) -> str:
        return _absolute(self.vectors)

    def is_layout(self) -> bool:
        """Whether the file is HDF5 in the ann-benchmarks layout: at least `train`, and no key was named."""
        if not self.vectors.is_hdf5 or self.vectors.key is not None:
            return False
        with open_hdf5(self.vectors.path) as file:
            return "train" in file

    def declared_metric(self) -> str | None:
        """Return the attribute `distance` of a file in the ann-benchmarks layout."""
        if not self.is_layout():
            return None
        with open_hdf5(self.vectors.path) as file:
            stated = file.attrs.get("distance")
        return stated.decode() if isinstance(stated, bytes) else None if stated is None else str(stated)

    def metric(self, asked: str | None) -> Metric:
        """Return the metric that the user asked for, else the one that the file declares."""
        declared = asked or self.declared_metric()
        if declared is None:
            raise ConfigError(f"{self.vectors}: doesn't say its metric; choose one of {', '.join(Metric)}")
        return Metric(declared)

    def read(self, metric: Metric, depth: int) -> Content:
        """Read train and test; neighbours come along where the file has enough of them for this metric."""
        source = self.source(depth)
        if self._is_complete(metric):
            dataset = read_dataset(self.vectors.path)
            enough = dataset.neighbors.shape[1] >= min(depth, len(dataset.train))
            return Content(
                metric,
                dataset.train,
                dataset.test,
                dataset.dimension,
                source,
                dataset.attributes.get("licence", "unknown"),
                neighbors=dataset.neighbors if enough else None,
                distances=dataset.distances if enough else None,
            )
        if metric is Metric.JACCARD:
            raise DatasetError(f"{self.vectors}: jaccard needs sets: give an .hdf5 in the ann-benchmarks layout")
        rows, queries = self._tables(metric)
        packed = metric is Metric.HAMMING and any(_is_packed(part) for part in (rows, queries))
        train, dimension = _as_data(metric, rows, str(self.vectors), packed=packed)
        where = self.queries if isinstance(self.queries, FileSpec) else self.vectors
        test, other = _as_data(metric, queries, str(where), packed=packed)
        if dimension != other:
            raise DatasetError(f"{where}: queries have {other} dimensions, {self.vectors} has {dimension}")
        return Content(metric, train, test, dimension, source)

    def _is_complete(self, metric: Metric) -> bool:
        if self.queries is not None or not self.is_layout():
            return False
        with open_hdf5(self.vectors.path) as file:
            complete = set(file) >= _LAYOUT
        declared = self.declared_metric()
        return complete and declared is not None and Metric(declared) is metric

    def _tables(self, metric: Metric) -> tuple[NDArray[Any], NDArray[Any]]:
        """Return the rows of train and test as stored; what is wrong with one is reported by its place in the file."""
        vectors = self.vectors
        if self.is_layout():
            with open_hdf5(vectors.path) as file:
                has_test = "test" in file
            vectors = FileSpec(vectors.path, "train")
            if has_test and self.queries is None:
                return _sound(vectors, metric), _sound(FileSpec(vectors.path, "test"), metric)
        rows = _sound(vectors, metric)
        if isinstance(self.queries, FileSpec):
            return rows, _sound(self.queries, metric)
        try:
            train, test = split_rows(len(rows), self.queries or default_queries(len(rows)))
        except DatasetError as problem:
            raise DatasetError(f"{self.vectors}: {problem}") from None
        return rows[train], rows[test]


def _sound(spec: FileSpec, metric: Metric) -> NDArray[Any]:
    rows = read_vectors(spec)
    for finding in vector_findings(metric, rows, str(spec)):
        raise DatasetError(finding)
    return rows


def _absolute(spec: FileSpec) -> str:
    return str(FileSpec(spec.path.resolve(), spec.key))


def _stamp(spec: FileSpec) -> str:
    status = spec.path.stat()
    return f"file:{_absolute(spec)} ({status.st_size} bytes, mtime {status.st_mtime_ns})"


def _is_packed(rows: NDArray[Any]) -> bool:
    """Tell packed bits from one bit a column: bytes above 1 can only be the former."""
    return rows.dtype == np.uint8 and bool(rows.max(initial=0) > 1)


def _as_data(metric: Metric, rows: NDArray[Any], where: str, *, packed: bool) -> tuple[Data, int]:
    """Turn stored rows into what a metric works on; returns (data, dimension)."""
    if metric is Metric.HAMMING:
        if packed and rows.dtype == np.uint8:
            return np.ascontiguousarray(rows), 8 * rows.shape[1]
        try:
            return pack_bits(rows), rows.shape[1]
        except ConfigError as problem:
            raise DatasetError(f"{where}: {problem}") from None
    with np.errstate(over="ignore"):  # too large for float32 is infinite, which the checks report with its place
        return np.ascontiguousarray(rows, np.float32), rows.shape[1]
