"""Datasets in the ann-benchmarks HDF5 layout: read, checked and written.

A file holds `train (n, d)`, `test (q, d)`, `neighbors (q, 100)` and `distances (q, 100)` ascending; attributes
`distance`, `type`, `dimension`, `point_type`. Sets (jaccard) are flat integers with `size_train` and `size_test`. Bits
(hamming) are read from 0/1 columns or from packed bytes, and kept packed in memory. Attributes of ours: `sha256` of the
content, `source`, `licence`, `created_by`.
"""

from __future__ import annotations

import contextlib
import hashlib
from collections.abc import Iterator, Mapping
from dataclasses import dataclass, field, replace
from pathlib import Path
from typing import TYPE_CHECKING, Any, Literal, NamedTuple

import numpy as np
from numpy.typing import NDArray

from harness.core.atomic import reason, writing_hdf5
from harness.core.errors import DatasetError
from harness.core.file_notes import file_sha256
from harness.core.version import __version__
from harness.data.hdf5_layout import (
    BIT_ROWS,
    declared_dimension,
    metric_of,
    opened,
    read_dense,
    read_sets,
    read_truth,
    require,
    text_of,
)
from harness.data.metric import Metric, neighbour_distances
from harness.data.vectors import Sets

if TYPE_CHECKING:
    import h5py

CREATED_BY = f"annbench {__version__}"
SUFFIX = ".hdf5"

Half = Literal["even", "odd"]
"""Every other query, from the first or the second on."""


@dataclass(frozen=True, eq=False)
class Dataset:
    """Vectors to index, queries, and the true neighbours of the queries.

    `train` (n, dim) and `test` (q, dim) are read-only float32, packed uint8 (hamming) or `Sets` (jaccard); `neighbors`
    (q, depth) int32 and `distances` (q, depth) float are ascending; `dimension` counts floats, bits, or the universe.
    """

    name: str
    metric: Metric
    train: Any
    test: Any
    neighbors: NDArray[np.int32]
    distances: NDArray[np.floating[Any]]
    dimension: int
    sha256: str
    attributes: Mapping[str, str] = field(default_factory=dict)
    path: Path | None = None

    def distances_to(self, ids: NDArray[np.integer[Any]]) -> NDArray[np.float64]:
        """Compute exact distances of the first `len(ids)` queries to `ids` (m, k), inf where the id is -1."""
        found = neighbour_distances(self.metric, self.test, self.train, ids)
        return found * self.bit_scale

    def half(self, which: Half) -> Dataset:
        """Return the same vectors with every other query, from the first (even) or the second (odd) on."""
        rows = slice(0 if which == "even" else 1, None, 2)
        test = self.test[rows] if isinstance(self.test, Sets) else np.ascontiguousarray(self.test[rows])
        if isinstance(test, np.ndarray):
            test.flags.writeable = False
        return replace(self, test=test, neighbors=self.neighbors[rows], distances=self.distances[rows])

    @property
    def bit_scale(self) -> float:
        """Factor from a share over stored bits to a share over `dimension` bits (1.0 but for padded hamming data)."""
        if self.metric is Metric.HAMMING:
            return 8.0 * float(self.train.shape[1]) / self.dimension
        return 1.0


def dataset_path(folder: Path, name: str) -> Path:
    """Return where the dataset called `name` is kept."""
    return folder / f"{name}{SUFFIX}"


def open_dataset(folder: Path, name: str) -> Dataset:
    """Read a dataset by name without checking its content; the error for a missing one says how to get it."""
    path = dataset_path(folder, name)
    if not path.exists():
        raise _absent(folder, name)
    return read_dataset(path)


class Header(NamedTuple):
    """What a plan needs to know of a dataset, read without its vectors."""

    name: str
    metric: Metric
    n: int
    queries: int
    depth: int
    dimension: int
    sha256: str


def read_header(folder: Path, name: str) -> Header:
    """Read what a dataset is without its vectors; errors as in `open_dataset`."""
    path = dataset_path(folder, name)
    if not path.exists():
        raise _absent(folder, name)
    with opened(path) as file:
        require(file, path)
        metric = metric_of(file, path)
        sets = metric is Metric.JACCARD
        train, test = (file[f"size_{key}" if sets else key] for key in ("train", "test"))
        return Header(
            name=name,
            metric=metric,
            n=len(train),
            queries=len(test),
            depth=int(file["neighbors"].shape[1]),
            dimension=int(file.attrs.get("dimension", 0 if sets else train.shape[1])),
            sha256=text_of(file.attrs.get("sha256", "")) or file_sha256(path),
        )


def _absent(folder: Path, name: str) -> DatasetError:
    own = f"or, from a file of your own: annbench prepare FILE --name {name}"
    return DatasetError(f"dataset {name!r} is not in {folder}; get it with: annbench prepare {name}, {own}")


def read_dataset(path: Path) -> Dataset:
    """Read a dataset file; raise DatasetError in one line where it is not one."""
    with opened(path) as file:
        return _read(file, path)


class StoredVectors(NamedTuple):
    """The vectors of a dataset file: train and test as `Dataset` holds them, and what the file says of them."""

    metric: Metric
    train: Any
    test: Any
    dimension: int
    attributes: Mapping[str, str]


def read_dataset_vectors(path: Path, metric: Metric | None = None) -> StoredVectors:
    """Read `train` and `test` of a file that may lack true neighbours; `metric` goes before the one that it states."""
    with opened(path) as file:
        require(file, path, ("train", "test"))
        return _read_vectors(file, path, metric or metric_of(file, path))


def _read(file: h5py.File, path: Path) -> Dataset:
    require(file, path)
    metric, train, test, dimension, attributes = _read_vectors(file, path, metric_of(file, path))
    neighbors, distances = read_truth(file, metric, len(test), dimension, path)
    return Dataset(
        name=path.name.removesuffix(SUFFIX),
        metric=metric,
        train=train,
        test=test,
        neighbors=neighbors,
        distances=distances,
        dimension=dimension,
        sha256=attributes.get("sha256") or file_sha256(path),
        attributes=attributes,
        path=path,
    )


def _read_vectors(file: h5py.File, path: Path, metric: Metric) -> StoredVectors:
    train: Any
    test: Any
    if metric is Metric.JACCARD:
        train, test = read_sets(file, "train", path), read_sets(file, "test", path)
        top = max(int(s.indices.max(initial=-1)) + 1 for s in (train, test))
        dimension = declared_dimension(file, path, top)
    else:
        train, dimension = read_dense(file, "train", metric, path)
        test, other = read_dense(file, "test", metric, path)
        if dimension != other:
            raise DatasetError(f"{path}: train has {dimension} dimensions, test has {other}")
    return StoredVectors(metric, train, test, dimension, {key: text_of(value) for key, value in file.attrs.items()})


def content_sha256(metric: Metric, train: Any, test: Any) -> str:
    """Hash the metric and the vectors: what a result depends on. Returns 64 hex digits."""
    digest = hashlib.sha256(str(metric).encode())
    for part in (train, test):
        arrays = (part.indptr, part.indices) if isinstance(part, Sets) else (part,)
        for array in arrays:
            digest.update(f"{array.shape}{array.dtype}".encode())
            for start in range(0, len(array), 65_536):
                digest.update(np.ascontiguousarray(array[start : start + 65_536]).data)
    return digest.hexdigest()


def write_dataset(
    path: Path,
    *,
    metric: Metric,
    train: Any,
    test: Any,
    neighbors: NDArray[np.integer[Any]],
    distances: NDArray[np.floating[Any]],
    dimension: int,
    source: str,
    licence: str = "unknown",
    tables: Mapping[str, Any] | None = None,
    attributes: Mapping[str, str] | None = None,
) -> None:
    """Write a dataset file whole, in the ann-benchmarks layout.

    `train` and `test` as in `Dataset`; `neighbors` and `distances` (q, depth) are stored as int32 and float32. Bits are
    written one a column, as ann-benchmarks does; other vectors as float32. `tables` are further arrays, or lists of
    texts, and `attributes` further attributes. Raises DatasetError where the disk refuses.
    """
    if metric.is_dense:
        train, test = np.asarray(train, np.float32), np.asarray(test, np.float32)

    with _writing(path) as file:
        if isinstance(train, Sets) or isinstance(test, Sets):
            for key, part in (("train", train), ("test", test)):
                file[key], file[f"size_{key}"] = part.indices, np.diff(part.indptr)
        elif metric is Metric.HAMMING:
            for key, part in (("train", train), ("test", test)):
                bits = file.create_dataset(key, (len(part), dimension), np.bool_)
                for start in range(0, len(part), BIT_ROWS):
                    block = np.unpackbits(part[start : start + BIT_ROWS], axis=1, count=dimension)
                    bits[start : start + BIT_ROWS] = block.view(np.bool_)
        else:
            file["train"], file["test"] = train, test
        file["neighbors"] = neighbors.astype(np.int32)
        file["distances"] = distances.astype(np.float32)
        for key, table in (tables or {}).items():
            file[key] = table
        sparse = metric is Metric.JACCARD
        file.attrs.update(
            {
                "distance": str(metric),
                "type": "sparse" if sparse else "dense",
                "dimension": dimension,
                "point_type": "float" if metric.is_dense else "bit",
                "sha256": content_sha256(metric, train, test),
                "source": source,
                "licence": licence,
                "created_by": CREATED_BY,
                **(attributes or {}),
            }
        )


@contextlib.contextmanager
def _writing(path: Path) -> Iterator[h5py.File]:
    """Write `path` whole, and turn what the disk says into a DatasetError."""
    try:
        with writing_hdf5(path) as file:
            yield file
    except OSError as refused:
        raise DatasetError(f"{path}: could not be written ({reason(refused)}); no part of it is left behind") from None
