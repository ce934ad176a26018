"""Turn a user's own files into a dataset's content: choose queries, understand the metric, keep known neighbours."""

from __future__ import annotations

import re
import shlex
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import numpy as np
from numpy.typing import NDArray

from harness.core.errors import ConfigError, DatasetError, UnstatedMetricError
from harness.data.checks import vector_findings
from harness.data.dataset import SUFFIX, read_dataset, read_dataset_vectors
from harness.data.hdf5_layout import PARTS, opened
from harness.data.metric import Metric, pack_bits
from harness.data.sources.content import SPLIT_SEED, Content, default_queries, split_rows
from harness.data.sources.files import FileSpec, parse_spec, queries_beside, read_vectors, split_spec, stamp_of
from harness.data.vectors import Data

_STAMP = r"file:(?P<{}>.+?) \(\d+ bytes, mtime \d+\)"
_SOURCE = re.compile(
    _STAMP.format("vectors")
    + rf"(?:; queries {_STAMP.format('file')}|; (?P<number>\d+) queries, seed \d+)?; \d+ neighbours"
)


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
            vectors = parse_spec(path)
            return cls(vectors, queries_beside(vectors) if queries is None else queries)
        return cls(parse_spec(path), parse_spec(queries))

    @classmethod
    def described_by(cls, source: str) -> OwnFile | None:
        """Return the files that `source` describes, whether or not they still exist; None where it describes none."""
        match = _SOURCE.fullmatch(source)
        if match is None:
            return None
        queries: FileSpec | int | None = None
        if match["file"]:
            queries = split_spec(match["file"])
        elif match["number"]:
            queries = int(match["number"])
        return cls(split_spec(match["vectors"]), queries)

    @property
    def stem(self) -> str:
        """The beginning of a dataset's name."""
        return self.vectors.stem

    @property
    def about(self) -> str:
        """What messages call it."""
        return str(self.vectors)

    def is_there(self) -> bool:
        """Whether the files still exist."""
        return all(spec.path.exists() for spec in (self.vectors, self.queries) if isinstance(spec, FileSpec))

    def lies_in(self, folder: Path) -> bool:
        """Whether the file is itself a dataset, with queries, in the folder of datasets."""
        path = self.vectors.path
        if path.suffix != SUFFIX or path.resolve().parent != folder.resolve() or not self.is_layout():
            return False
        with opened(path) as file:
            return "test" in file

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
        return source.startswith(f"file:{_absolute(self.vectors)} (")

    def is_layout(self) -> bool:
        """Whether the file is HDF5 in the ann-benchmarks layout: at least `train`, and no key was named."""
        if not self.vectors.is_hdf5 or self.vectors.key is not None:
            return False
        with opened(self.vectors.path) as file:
            return "train" in file

    def declared_metric(self) -> str | None:
        """Return the attribute `distance` of a file in the ann-benchmarks layout."""
        if not self.is_layout():
            return None
        with opened(self.vectors.path) as file:
            stated = file.attrs.get("distance")
        return stated.decode() if isinstance(stated, bytes) else None if stated is None else str(stated)

    def metric(self, asked: Metric | None) -> Metric:
        """Return the metric that the user asked for, else the one that the file declares."""
        declared = asked or self.declared_metric()
        if declared is None:
            raise UnstatedMetricError(f"{self.vectors}: doesn't say its metric; choose one of {', '.join(Metric)}")
        return Metric(declared)

    def read(self, metric: Metric, depth: int) -> Content:
        """Read train and test; neighbours come along where the file has enough of them for this metric."""
        source = self.source(depth)
        path = self.vectors.path
        if self._is_complete(metric):
            dataset = read_dataset(path)
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
                remedy=f"; its true neighbours are computed anew by: annbench prepare {shlex.quote(str(path))} --force",
            )
        if self._has_queries(metric):
            held = read_dataset_vectors(path, metric)
            for part, name in ((held.train, "train"), (held.test, "test")):
                _refuse_unsound(metric, part, f"{path}:{name}")
            return Content(metric, held.train, held.test, held.dimension, source)
        if metric is Metric.JACCARD:
            raise DatasetError(f"{self.vectors}: jaccard needs sets: give an .hdf5 in the ann-benchmarks layout")
        vectors, queries = self.vectors, self.queries
        if self.is_layout():
            vectors = FileSpec(path, "train")
            with opened(path) as file:
                if "test" in file and queries is None:
                    queries = FileSpec(path, "test")
        given = read_vectors(queries) if isinstance(queries, FileSpec) else queries
        names = (str(vectors), str(queries))
        return content_of(metric, read_vectors(vectors), given, source=source, names=names, about=self.about)

    def _is_complete(self, metric: Metric) -> bool:
        if self.queries is not None or not self.is_layout():
            return False
        with opened(self.vectors.path) as file:
            complete = set(file) >= set(PARTS)
        declared = self.declared_metric()
        return complete and declared is not None and Metric(declared) is metric

    def _has_queries(self, metric: Metric) -> bool:
        """Whether the file is in the layout but for true neighbours; bits whose number isn't stated are guessed at."""
        if self.queries is not None or not self.is_layout():
            return False
        with opened(self.vectors.path) as file:
            return "test" in file and (metric is not Metric.HAMMING or "dimension" in file.attrs)


def content_of(
    metric: Metric,
    rows: NDArray[Any],
    queries: NDArray[Any] | int | None,
    *,
    source: str,
    names: tuple[str, str],
    about: str,
) -> Content:
    """Make content of a table of vectors, and of one of queries or of how many rows become queries.

    `names` are those of the tables, by which messages name the place of what is wrong.
    """
    _refuse_unsound(metric, rows, names[0])
    if isinstance(queries, np.ndarray):
        _refuse_unsound(metric, queries, names[1])
        test = queries
    else:
        try:
            chosen, others = split_rows(len(rows), queries or default_queries(len(rows)))
        except DatasetError as problem:
            raise DatasetError(f"{about}: {problem}") from None
        rows, test = rows[chosen], rows[others]
    packed = metric is Metric.HAMMING and any(_is_packed(part) for part in (rows, test))
    train, dimension = _as_data(metric, rows, names[0], packed=packed)
    where = names[1] if isinstance(queries, np.ndarray) else names[0]
    data, other = _as_data(metric, test, where, packed=packed)
    if dimension != other:
        raise DatasetError(f"{where}: queries have {other} dimensions, {about} has {dimension}")
    return Content(metric, train, data, dimension, source)


def _refuse_unsound(metric: Metric, rows: Any, name: str) -> None:
    for finding in vector_findings(metric, rows, name):
        raise DatasetError(finding)


def _absolute(spec: FileSpec) -> str:
    return str(FileSpec(spec.path.resolve(), spec.key))


def _stamp(spec: FileSpec) -> str:
    size, mtime_ns = stamp_of(spec)
    return f"file:{_absolute(spec)} ({size} bytes, mtime {mtime_ns})"


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
    with np.errstate(under="ignore"):
        return np.ascontiguousarray(rows, np.float32), rows.shape[1]
