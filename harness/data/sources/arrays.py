"""Read vectors from what NumPy wrote: .npy, mapped into memory, and .npz. Pickles in them are never read."""

from __future__ import annotations

import zipfile
import zlib
from pathlib import Path
from typing import Any

import numpy as np
from numpy.typing import NDArray

from harness.core.errors import DatasetError

# What damage makes NumPy and zipfile raise depends on which byte is damaged.
_DAMAGE = (
    *(ValueError, EOFError, SyntaxError, TypeError, KeyError, OverflowError, MemoryError, RuntimeError),
    *(NotImplementedError, zipfile.BadZipFile, zlib.error),
)
_SUFFIX = ".npy"
_MAGIC = b"\x93NUMPY"
_OBJECTS = 'holds Python objects, that is a pickle: save numbers by numpy.save("x.npy", numpy.stack(list(array)))'


def read_npy(path: Path) -> NDArray[Any]:
    """Map an array into memory, of whatever shape and type. Raises DatasetError in one line."""
    with path.open("rb") as stream:
        head = stream.read(len(_MAGIC))
    if head != _MAGIC:
        raise DatasetError(f"{path}: not a .npy file: it begins with {head!r}; save vectors by numpy.save")
    try:
        array = np.load(path, mmap_mode="r", allow_pickle=False)
    except _DAMAGE as problem:
        said = _first_line(problem)
        if "object" in said.lower():
            raise DatasetError(f"{path}: {_OBJECTS}") from None
        raise DatasetError(f"{path}: not a whole .npy file of numbers ({said})") from None
    return np.asarray(array)


def read_npz(path: Path, key: str | None) -> NDArray[Any]:
    """Read the array called `key`, or the only table of numbers that there is. Raises DatasetError in one line."""
    try:
        with zipfile.ZipFile(path) as archive:
            names = [name.removesuffix(_SUFFIX) for name in archive.namelist() if name.endswith(_SUFFIX)]
            if key is not None and key not in names:
                raise DatasetError(f"{path}: no array is called {key!r}; there are: {', '.join(names) or 'none'}")
            tables = [name for name in names if _is_table(archive, name)] if key is None else [key]
            if len(tables) != 1:
                listed = ", ".join(tables) or "none"
                raise DatasetError(f"{path}: choose an array of vectors by {path.name}:KEY; there are: {listed}")
            with archive.open(tables[0] + _SUFFIX) as stream:
                array: NDArray[Any] = np.lib.format.read_array(stream, allow_pickle=False)
    except _DAMAGE as problem:
        said = _first_line(problem)
        if "object" in said.lower():
            raise DatasetError(f"{path}: {key!r} {_OBJECTS}") from None
        raise DatasetError(f"{path}: not a whole .npz file ({said})") from None
    return array


def _is_table(archive: zipfile.ZipFile, name: str) -> bool:
    """Tell by its header whether an array is a table of numbers."""
    with archive.open(name + _SUFFIX) as stream:
        version = np.lib.format.read_magic(stream)
        read_header = np.lib.format.read_array_header_1_0 if version == (1, 0) else np.lib.format.read_array_header_2_0
        shape, _, kind = read_header(stream)
    return len(shape) == 2 and kind.kind in "fiub"


def _first_line(problem: BaseException) -> str:
    return (str(problem).splitlines() or [type(problem).__name__])[0]
