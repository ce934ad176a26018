"""Read vectors from a user's own file, whatever its format, mapped into memory where the format allows."""

from __future__ import annotations

from dataclasses import dataclass
from pathlib import Path
from typing import TYPE_CHECKING, Any

import numpy as np
from numpy.typing import NDArray

from harness.errors import DatasetError
from harness.hdf5_layout import opened
from harness.sources import binary, parquet

if TYPE_CHECKING:
    import h5py

HDF5_SUFFIXES = (".hdf5", ".h5")
FORMATS = (*HDF5_SUFFIXES, ".npy", *binary.SUFFIXES, *parquet.SUFFIXES)
_WITH_KEY = (*HDF5_SUFFIXES, *parquet.SUFFIXES)


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
    return "/" in text or "\\" in text or spec.path.suffix.lower() in FORMATS or spec.path.is_file()


def parse_spec(text: str | Path) -> FileSpec:
    """Read `path`, `path.h5:key` or `path.parquet:column`; raise DatasetError for a missing file or unknown suffix."""
    spec = split_spec(str(text))
    if spec.path.is_dir():
        raise DatasetError(f"{spec.path}: is a folder; name a file of vectors")
    if not spec.path.exists():
        raise DatasetError(f"{spec.path}: no such file")
    if spec.path.suffix.lower() not in FORMATS:
        what = f"suffix {spec.path.suffix!r}" if spec.path.suffix else "no suffix"
        raise DatasetError(f"{spec.path}: {what}; formats known: {', '.join(FORMATS)}")
    return spec


def split_spec(text: str) -> FileSpec:
    """Tell the key from the path, whether or not the file is there."""
    path = Path(text).expanduser()
    before, colon, key = text.rpartition(":")
    if colon and not path.exists() and Path(before).suffix.lower() in _WITH_KEY:
        return FileSpec(Path(before).expanduser(), key or None)
    return FileSpec(path)


def stamp_of(spec: FileSpec) -> tuple[int, int]:
    """Return size in bytes and time of modification in ns: others mean that the file was edited."""
    status = spec.path.stat()
    return status.st_size, status.st_mtime_ns


def read_vectors(spec: FileSpec) -> NDArray[Any]:
    """Read the vectors of a file as a (n, dim) array of numbers, of the stored type.

    Raises DatasetError in one line that names the file, what is wrong with it, and where.
    """
    suffix = spec.path.suffix.lower()
    try:
        if spec.is_hdf5:
            array = _read_hdf5(spec)
        elif suffix == ".npy":
            array = _read_npy(spec.path)
        elif suffix in parquet.SUFFIXES:
            array = parquet.read_parquet(spec.path, spec.key)
        else:
            array = binary.read_binary(spec.path)
    except OSError as problem:
        raise DatasetError(f"{spec.path}: can't be read ({problem.strerror or problem})") from None
    if array.ndim != 2 or 0 in array.shape:
        raise DatasetError(f"{spec}: holds shape {array.shape}; vectors are a table of (rows, dimensions)")
    if array.dtype.kind not in "fiub":
        raise DatasetError(f"{spec}: holds {array.dtype}; vectors are numbers")
    return array


def _read_npy(path: Path) -> NDArray[Any]:
    try:
        array = np.load(path, mmap_mode="r", allow_pickle=False)
    except (ValueError, EOFError) as problem:
        raise DatasetError(f"{path}: not a whole .npy file of numbers ({str(problem).splitlines()[0]})") from None
    return np.asarray(array)


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
