"""The parts of a dataset file in the ann-benchmarks HDF5 layout, read and checked for what they can't be."""

from __future__ import annotations

import contextlib
from collections.abc import Iterator, Sequence
from pathlib import Path
from typing import TYPE_CHECKING, Any

import numpy as np
from numpy.typing import NDArray

from harness.core.atomic import reason
from harness.core.errors import ConfigError, DatasetError, UnknownNameError
from harness.core.file_kind import stands_in
from harness.data.metric import Metric, pack_bits
from harness.data.vectors import Data, Sets

if TYPE_CHECKING:
    import h5py

PARTS = ("train", "test", "neighbors", "distances")
TOO_LARGE = "too large for float32 (at most 3.4e38), in which vectors are kept: rescale them"

# Rows handled at once where bits are packed and unpacked: the unpacked form of a whole file is eight times its size.
BIT_ROWS = 65_536


@contextlib.contextmanager
def opened(path: Path) -> Iterator[h5py.File]:
    """Open an HDF5 file to read; DatasetError says in one line where that, or what is read meanwhile, fails."""
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
        what = stands_in(path)
        found = f": it is {what}" if what else f" ({reason(problem)}); fetch it again"
        raise DatasetError(f"{path}: truncated, or not an HDF5 file{found}") from None


def require(file: h5py.File, path: Path, parts: Sequence[str] = PARTS) -> None:
    """Raise DatasetError where a file lacks any of `parts`."""
    import h5py

    missing = [name for name in parts if not isinstance(file.get(name), h5py.Dataset)]
    if missing:
        raise DatasetError(f"{path}: not in the ann-benchmarks layout, {' and '.join(missing)} missing")


def metric_of(file: h5py.File, path: Path) -> Metric:
    """Return the metric that a file states."""
    if "distance" not in file.attrs:
        raise DatasetError(f"{path}: the attribute 'distance' is missing, so the metric is not known")
    try:
        return Metric(text_of(file.attrs["distance"]))
    except UnknownNameError as problem:
        raise DatasetError(f"{path}: {problem}") from None


def text_of(value: Any) -> str:
    """Return an attribute as text."""
    return value.decode(errors="replace") if isinstance(value, bytes) else str(value)


def declared_dimension(file: h5py.File, path: Path, otherwise: int) -> int:
    """Return the attribute `dimension`."""
    declared = file.attrs.get("dimension", otherwise)
    try:
        return int(declared)
    except (TypeError, ValueError):
        raise DatasetError(f"{path}: the attribute 'dimension' is {declared!r}, not a number") from None


def read_truth(
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


def read_dense(file: h5py.File, key: str, metric: Metric, path: Path) -> tuple[Data, int]:
    """Read vectors as float32 (n, dim), or packed bits, and their dimension."""
    stored = file[key]
    if stored.ndim != 2 or 0 in stored.shape:
        raise DatasetError(f"{path}: {key} should be (n, dimension), not {stored.shape}")
    if metric is Metric.HAMMING:
        return _read_bits(file, key, path)
    if stored.dtype.kind not in "fiu":
        raise DatasetError(f"{path}: {key} holds {stored.dtype}, not numbers")
    rows = np.empty(stored.shape, np.float32)
    stored.read_direct(rows)
    _refuse_too_large(stored, rows, f"{path}: {key}")
    rows.flags.writeable = False
    return rows, int(rows.shape[1])


def _refuse_too_large(stored: h5py.Dataset, rows: NDArray[np.float32], where: str) -> None:
    """Name a number that only became infinite when it was read as float32."""
    if stored.dtype.kind != "f" or stored.dtype.itemsize <= 4:
        return
    for start in range(0, len(rows), BIT_ROWS):
        infinite = np.argwhere(np.isinf(rows[start : start + BIT_ROWS]))
        if infinite.size:
            row, column = int(infinite[0][0]) + start, int(infinite[0][1])
            value = float(stored[row, column])
            if np.isfinite(value):
                raise DatasetError(f"{where}[{row}, {column}] is {value:g}, {TOO_LARGE}")


def _read_bits(file: h5py.File, key: str, path: Path) -> tuple[NDArray[np.uint8], int]:
    stored = file[key]
    rows, columns = stored.shape
    dimension = declared_dimension(file, path, columns)
    # Packed files hold fewer columns than bits; a file of one column a bit may leave 'dimension' out.
    if stored.dtype == np.uint8 and columns == -(-dimension // 8) and columns < dimension:
        packed: NDArray[np.uint8] = stored[:]
        if dimension % 8:
            packed[:, -1] &= 0xFF << (8 - dimension % 8) & 0xFF  # padding bits must not count as differences
    else:
        dimension = columns
        packed = np.empty((rows, -(-columns // 8)), np.uint8)
        try:
            for start in range(0, rows, BIT_ROWS):
                packed[start : start + BIT_ROWS] = pack_bits(stored[start : start + BIT_ROWS])
        except ConfigError as problem:
            if stored.dtype == np.uint8:
                said = f"is {dimension}" if "dimension" in file.attrs else "is missing"
                raise DatasetError(
                    f"{path}: {key} has {columns} columns of bytes, which look like packed bits, but its attribute "
                    f"'dimension' {said}: set it to the number of bits, {8 * columns} or up to 7 less"
                ) from None
            raise DatasetError(f"{path}: {key}: {problem}") from None
    packed.flags.writeable = False
    return packed, dimension


def read_sets(file: h5py.File, key: str, path: Path) -> Sets:
    """Read sets, each ascending."""
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
