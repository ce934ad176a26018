"""Read vectors from a user's own file, whatever its format, mapped into memory where the format allows."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass
from pathlib import Path
from typing import TYPE_CHECKING, Any

import numpy as np
from numpy.typing import NDArray

from harness.core.errors import DatasetError
from harness.core.file_kind import PICKLE, stands_in
from harness.data.hdf5_layout import opened
from harness.data.sources import arrays, binary, parquet, text_table
from harness.data.sources.binary import suffix_of

if TYPE_CHECKING:
    import h5py

HDF5_SUFFIXES = (".hdf5", ".h5")
FORMATS = (*HDF5_SUFFIXES, ".npy", ".npz", *text_table.SUFFIXES, *binary.SUFFIXES, *parquet.SUFFIXES)
_WITH_KEY = (*HDF5_SUFFIXES, ".npz", *parquet.SUFFIXES)
_SAVE = 'save the vectors by numpy.save("x.npy", array)'
# What is asked for, and can't be read: the way out.
_REFUSED: Mapping[tuple[str, ...], str] = {
    (".pkl", ".pickle", ".p", ".joblib", ".dill"): f"is {PICKLE}",
    (".pt", ".pth", ".ckpt"): "is a pickle of PyTorch's, which runs code when it is read: save the tensor by "
    'numpy.save("x.npy", tensor.numpy())',
    (".gz", ".bz2", ".xz", ".zst", ".zip", ".tar", ".tgz", ".7z"): "is compressed: unpack it first",
    (".txt", ".vec", ".json", ".jsonl", ".ndjson"): f"is text of no one layout: {_SAVE}",
    (".safetensors", ".mat", ".arrow", ".feather", ".orc", ".avro"): f"is not read: {_SAVE}",
    (".index", ".faiss", ".ann"): f"is an index, which may not hold the vectors as they were: {_SAVE}",
    (".bin",): "says no type of number: rename it to .fbin (float32), .f16bin, .u8bin, .i8bin or .ibin (int32)",
}


@dataclass(frozen=True)
class FileSpec:
    """A file, and the dataset (HDF5) or column (Parquet) in it, None where the user named none."""

    path: Path
    key: str | None = None

    def __str__(self) -> str:
        """Write it as the user would: `path` or `path:key`."""
        return f"{self.path}:{self.key}" if self.key else str(self.path)

    @property
    def stem(self) -> str:
        """A short name made of the file's and the key's, fit for a file name."""
        text = self.path.stem + (f"-{self.key}" if self.key else "")
        return "".join(c if c.isalnum() or c in "._-" else "-" for c in text).strip(".-") or "vectors"

    @property
    def is_hdf5(self) -> bool:
        """Whether the suffix says HDF5."""
        return self.path.suffix.lower() in HDF5_SUFFIXES


def looks_like_file(text: str) -> bool:
    """Tell a path from a dataset's name: it has a folder or a suffix that we know, or it is there."""
    spec = split_spec(text)
    known = {*FORMATS, *(suffix for suffixes in _REFUSED for suffix in suffixes)}
    return "/" in text or "\\" in text or suffix_of(spec.path) in known or spec.path.is_file()


def parse_spec(text: str | Path) -> FileSpec:
    """Read `path`, `path.h5:key` or `path.parquet:column`; raise DatasetError for what is missing or can't be read."""
    spec = split_spec(str(text))
    path, suffix = spec.path, suffix_of(spec.path)
    if path.is_dir():
        if not parquet.parts_of(path):
            raise DatasetError(f"{path}: is a folder without Parquet files; name a file of vectors")
        return spec
    if not path.exists():
        raise DatasetError(f"{path}: no such file")
    for suffixes, what in _REFUSED.items():
        if suffix in suffixes:
            raise DatasetError(f"{path}: {what}")
    if suffix not in FORMATS:
        what = f"suffix {path.suffix!r}" if path.suffix else "no suffix"
        raise DatasetError(f"{path}: {what}; formats known: {', '.join(FORMATS)}")
    if others := parquet.other_parts(path):
        raise DatasetError(f"{path}: is one of {others + 1} parts; name their folder to read all, or rename this one")
    return spec


def split_spec(text: str) -> FileSpec:
    """Tell the key from the path, whether or not the file is there."""
    path = Path(text).expanduser()
    before, colon, key = text.rpartition(":")
    if colon and not path.exists() and (suffix_of(Path(before)) in _WITH_KEY or Path(before).expanduser().is_dir()):
        return FileSpec(Path(before).expanduser(), key or None)
    return FileSpec(path)


def queries_beside(spec: FileSpec) -> FileSpec | None:
    """Return the queries that a folder of Parquet files brings along, under the same column."""
    path = spec.path / parquet.QUERIES
    return FileSpec(path, spec.key) if path.is_file() else None


def stamp_of(spec: FileSpec) -> tuple[int, int]:
    """Return size in bytes and time of modification in ns: others mean that the file was edited."""
    paths = parquet.parts_of(spec.path) if spec.path.is_dir() else [spec.path]
    statuses = [path.stat() for path in paths]
    return sum(status.st_size for status in statuses), max(status.st_mtime_ns for status in statuses)


def read_vectors(spec: FileSpec) -> NDArray[Any]:
    """Read the vectors of a file as a (n, dim) array of numbers, of the stored type.

    Raises DatasetError in one line that names the file, what is wrong with it, and where.
    """
    try:
        array = _read(spec)
    except OSError as problem:
        raise DatasetError(f"{spec.path}: can't be read ({problem.strerror or problem})") from None
    except DatasetError:
        if what := stands_in(spec.path):
            raise DatasetError(f"{spec.path}: is {what}") from None
        raise
    if array.ndim != 2 or 0 in array.shape:
        raise DatasetError(f"{spec}: holds shape {array.shape}; vectors are a table of (rows, dimensions)")
    if array.dtype.kind not in "fiub":
        raise DatasetError(f"{spec}: holds {array.dtype}; vectors are numbers")
    return array


def _read(spec: FileSpec) -> NDArray[Any]:
    suffix = suffix_of(spec.path)
    if spec.path.is_dir():
        return parquet.read_parts(spec.path, spec.key)
    if spec.is_hdf5:
        return _read_hdf5(spec)
    if suffix in {".npy", ".npz"}:
        return arrays.read_npy(spec.path) if suffix == ".npy" else arrays.read_npz(spec.path, spec.key)
    if suffix in parquet.SUFFIXES:
        return parquet.read_parquet(spec.path, spec.key)
    return text_table.read_text(spec.path) if suffix in text_table.SUFFIXES else binary.read_binary(spec.path)


def _read_hdf5(spec: FileSpec) -> NDArray[Any]:
    import h5py

    with opened(spec.path) as file:
        tables = _tables(file)
        listed = ", ".join(tables) or "none"
        key = spec.key
        if key is None:
            if len(tables) != 1:
                name = spec.path.name
                raise DatasetError(f"{spec.path}: choose a dataset of vectors by {name}:KEY; there are: {listed}")
            key = tables[0]
        found = file.get(key)
        if not isinstance(found, h5py.Dataset):
            raise DatasetError(f"{spec.path}: no dataset is called {key!r}; datasets of vectors: {listed}")
        try:
            return np.asarray(found[()])
        except OSError as problem:
            raise DatasetError(f"{spec.path}: {key!r} can't be read ({str(problem).splitlines()[0]})") from None


def _tables(file: h5py.File) -> list[str]:
    """List the datasets of numbers with two axes."""
    import h5py

    found: list[str] = []

    def visit(name: str, item: Any) -> None:
        if isinstance(item, h5py.Dataset) and item.ndim == 2 and item.dtype.kind in "fiub":
            found.append(name)

    file.visititems(visit)
    return found
