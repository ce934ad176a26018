"""Datasets in the ann-benchmarks HDF5 layout: read, checked and written.

A file holds `train (n, d)`, `test (q, d)`, `neighbors (q, 100)` and `distances (q, 100)` ascending; attributes
`distance`, `type`, `dimension`, `point_type`. Sets (jaccard) are flat integers with `size_train` and `size_test`. Bits
(hamming) are read from 0/1 columns or from packed bytes, and kept packed in memory. Attributes of ours: `sha256` of the
content, `source`, `licence`, `created_by`.
"""

from __future__ import annotations

import contextlib
import hashlib
import json
from collections.abc import Iterator, Mapping
from dataclasses import dataclass, field, replace
from pathlib import Path
from typing import TYPE_CHECKING, Any, NamedTuple

import numpy as np
from numpy.typing import NDArray

from harness import __version__
from harness.atomic import reason, write_text, writing_hdf5
from harness.contract import Data, Sets
from harness.errors import ConfigError, DatasetError, UnknownNameError
from harness.metric import Metric, neighbour_distances, pack_bits
from harness.spec import Half

if TYPE_CHECKING:
    import h5py

CREATED_BY = f"annbench {__version__}"
SUFFIX = ".hdf5"

# Rows handled at once where bits are packed and unpacked: the unpacked form of a whole file is eight times its size.
_BIT_ROWS = 65_536


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
    with _open(path) as file:
        _require(file, path)
        metric = _metric(file, path)
        sets = metric is Metric.JACCARD
        train, test = (file[f"size_{key}" if sets else key] for key in ("train", "test"))
        return Header(
            name=name,
            metric=metric,
            n=len(train),
            queries=len(test),
            depth=int(file["neighbors"].shape[1]),
            dimension=int(file.attrs.get("dimension", 0 if sets else train.shape[1])),
            sha256=_text(file.attrs.get("sha256", "")) or _foreign_sha256(path),
        )


def _absent(folder: Path, name: str) -> DatasetError:
    return DatasetError(f"dataset {name!r} is not in {folder}; get it with: annbench prepare {name}")


@contextlib.contextmanager
def _open(path: Path) -> Iterator[h5py.File]:
    """Open for reading; say in one line where that, or what is read meanwhile, fails."""
    import h5py

    try:
        with h5py.File(path, "r") as file:
            yield file
    except FileNotFoundError:
        raise DatasetError(f"{path}: no such file") from None
    except MemoryError as problem:
        raise DatasetError(f"{path}: does not fit in memory ({reason(problem)})") from None
    # What a damaged file makes h5py raise depends on which byte is damaged.
    except (OSError, RuntimeError, KeyError, ValueError, TypeError, AttributeError) as problem:
        raise DatasetError(f"{path}: truncated, or not an HDF5 file ({reason(problem)}); fetch it again") from None


def _require(file: h5py.File, path: Path) -> None:
    import h5py

    parts = ("train", "test", "neighbors", "distances")
    missing = [name for name in parts if not isinstance(file.get(name), h5py.Dataset)]
    if missing:
        raise DatasetError(f"{path}: not in the ann-benchmarks layout, {' and '.join(missing)} missing")


def _metric(file: h5py.File, path: Path) -> Metric:
    if "distance" not in file.attrs:
        raise DatasetError(f"{path}: the attribute 'distance' is missing, so the metric is not known")
    try:
        return Metric(_text(file.attrs["distance"]))
    except UnknownNameError as problem:
        raise DatasetError(f"{path}: {problem}") from None


def read_dataset(path: Path) -> Dataset:
    """Read a dataset file; raise DatasetError in one line where it is not one."""
    with _open(path) as file:
        return _read(file, path)


def _read(file: h5py.File, path: Path) -> Dataset:
    _require(file, path)
    metric = _metric(file, path)
    train: Any
    test: Any
    if metric is Metric.JACCARD:
        train, test = _read_sets(file, "train", path), _read_sets(file, "test", path)
        top = max(int(s.indices.max(initial=-1)) + 1 for s in (train, test))
        dimension = _declared_dimension(file, path, top)
    else:
        train, dimension = _read_dense(file, "train", metric, path)
        test, other = _read_dense(file, "test", metric, path)
        if dimension != other:
            raise DatasetError(f"{path}: train has {dimension} dimensions, test has {other}")
    neighbors, distances = _read_truth(file, metric, len(test), dimension, path)
    attributes = {key: _text(value) for key, value in file.attrs.items()}
    return Dataset(
        name=path.name.removesuffix(SUFFIX),
        metric=metric,
        train=train,
        test=test,
        neighbors=neighbors,
        distances=distances,
        dimension=dimension,
        sha256=attributes.get("sha256") or _foreign_sha256(path),
        attributes=attributes,
        path=path,
    )


def _text(value: Any) -> str:
    return value.decode(errors="replace") if isinstance(value, bytes) else str(value)


def _declared_dimension(file: h5py.File, path: Path, otherwise: int) -> int:
    declared = file.attrs.get("dimension", otherwise)
    try:
        return int(declared)
    except (TypeError, ValueError):
        raise DatasetError(f"{path}: the attribute 'dimension' is {declared!r}, not a number") from None


def _read_truth(
    file: h5py.File, metric: Metric, q: int, dimension: int, path: Path
) -> tuple[NDArray[np.int32], NDArray[np.floating[Any]]]:
    """Read ids and distances of the true neighbours, (q, depth) each."""
    ids, found = file["neighbors"], file["distances"]
    if ids.shape != found.shape or ids.ndim != 2 or ids.shape[0] != q:
        raise DatasetError(
            f"{path}: neighbors {ids.shape} and distances {found.shape} should both be ({q}, depth), one row a query"
        )
    if ids.dtype.kind not in "iu" or found.dtype.kind not in "fiu":
        raise DatasetError(f"{path}: neighbors hold {ids.dtype} and distances {found.dtype}, not integers and numbers")
    wide = np.asarray(ids[:])
    neighbors = wide.astype(np.int32, copy=False)
    if (wide != neighbors).any():
        row, column = np.argwhere(wide != neighbors)[0]
        raise DatasetError(f"{path}: neighbors[{row}, {column}] is {wide[row, column]}, which is no 32-bit row number")
    native = np.float32 if found.dtype.kind == "f" and found.dtype.itemsize <= 4 else np.float64
    distances: NDArray[np.floating[Any]] = np.asarray(found[:], dtype=native)
    if metric is Metric.HAMMING and distances.max(initial=0.0, where=np.isfinite(distances)) > 1.0:
        distances = distances / native(dimension)  # VIBE counts the bits that differ; shares are kept here
    neighbors.flags.writeable = distances.flags.writeable = False
    return neighbors, distances


def _read_dense(file: h5py.File, key: str, metric: Metric, path: Path) -> tuple[Data, int]:
    stored = file[key]
    if stored.ndim != 2 or 0 in stored.shape:
        raise DatasetError(f"{path}: {key} should be (n, dimension), not {stored.shape}")
    if metric is Metric.HAMMING:
        return _read_bits(file, key, path)
    if stored.dtype.kind not in "fiu":
        raise DatasetError(f"{path}: {key} holds {stored.dtype}, not numbers")
    rows = np.empty(stored.shape, np.float32)
    stored.read_direct(rows)
    rows.flags.writeable = False
    return rows, int(rows.shape[1])


def _read_bits(file: h5py.File, key: str, path: Path) -> tuple[NDArray[np.uint8], int]:
    stored = file[key]
    rows, columns = stored.shape
    dimension = _declared_dimension(file, path, columns)
    # Packed files hold fewer columns than bits; a file of one column a bit may leave 'dimension' out.
    if stored.dtype == np.uint8 and columns == -(-dimension // 8) and columns < dimension:
        packed: NDArray[np.uint8] = stored[:]
        if dimension % 8:
            packed[:, -1] &= 0xFF << (8 - dimension % 8) & 0xFF  # padding bits must not count as differences
    else:
        dimension = columns
        packed = np.empty((rows, -(-columns // 8)), np.uint8)
        try:
            for start in range(0, rows, _BIT_ROWS):
                packed[start : start + _BIT_ROWS] = pack_bits(stored[start : start + _BIT_ROWS])
        except ConfigError as problem:
            raise DatasetError(f"{path}: {key}: {problem}") from None
    packed.flags.writeable = False
    return packed, dimension


def _read_sets(file: h5py.File, key: str, path: Path) -> Sets:
    if f"size_{key}" not in file:
        raise DatasetError(f"{path}: jaccard data needs size_{key}, the length of each set")
    sizes = np.asarray(file[f"size_{key}"][:], dtype=np.int64)
    if file[key].dtype.kind not in "iu":
        raise DatasetError(f"{path}: {key} holds {file[key].dtype}, not integers")
    wide = file[key][:]
    members = wide.astype(np.int32)
    if members.ndim != 1 or sizes.ndim != 1 or (sizes < 0).any() or int(sizes.sum()) != members.size:
        raise DatasetError(f"{path}: size_{key} adds up to {int(sizes.sum())}, but {key} has {members.size} members")
    if (wide != members).any():
        raise DatasetError(f"{path}: {key} has the member {wide[wide != members][0]}, which is no 32-bit integer")
    indptr = np.zeros(len(sizes) + 1, np.int64)
    np.cumsum(sizes, out=indptr[1:])
    # Members must ascend within a set: they do where every descent falls on a set's first member.
    descents = np.flatnonzero(members[1:] <= members[:-1]) + 1
    sets = Sets(indptr, members)
    if not np.isin(descents, indptr).all():
        sets = Sets.of(list(sets))
    sets.indptr.flags.writeable = sets.indices.flags.writeable = False
    return sets


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


def _foreign_sha256(path: Path) -> str:
    """Hash a file that carries no hash of its own; remembered beside it for as long as size and time stand."""
    note = path.with_name(f".{path.name}.sha256.json")
    status = path.stat()
    seen = {"size": status.st_size, "mtime_ns": status.st_mtime_ns}
    try:
        known = json.loads(note.read_text())
        if {key: known[key] for key in seen} == seen:
            return str(known["sha256"])
    except (OSError, ValueError, KeyError, TypeError):
        pass
    with path.open("rb") as stream:
        digest = hashlib.file_digest(stream, "sha256").hexdigest()
    with contextlib.suppress(OSError):  # a read-only data folder costs a hash each time, nothing more
        write_text(note, json.dumps({**seen, "sha256": digest}))
    return digest


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
                for start in range(0, len(part), _BIT_ROWS):
                    block = np.unpackbits(part[start : start + _BIT_ROWS], axis=1, count=dimension)
                    bits[start : start + _BIT_ROWS] = block.view(np.bool_)
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
