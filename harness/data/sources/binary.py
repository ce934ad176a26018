"""Read flat binary files of vectors: .fvecs and its kin have a length before each row, .fbin and its kin a header.

Of the latter, big-ann's crops are read too: `base.fbin.crop_nb_1000000` may have the header of the whole file.
"""

from __future__ import annotations

import re
from pathlib import Path
from typing import Any

import numpy as np
from numpy.typing import NDArray

from harness.core.errors import DatasetError

_VECS = {".fvecs": "<f4", ".bvecs": "u1", ".ivecs": "<i4"}
_BIN = {".fbin": "<f4", ".f16bin": "<f2", ".u8bin": "u1", ".i8bin": "i1", ".ibin": "<i4"}
SUFFIXES = (*_VECS, *_BIN)
_CROP = re.compile(r"\.crop_nb_(\d+)$")


def suffix_of(path: Path) -> str:
    """Return the suffix that says how a file is laid out, in small letters: of a crop, that before `.crop_nb_N`."""
    return Path(_CROP.sub("", path.name.lower())).suffix


def read_binary(path: Path) -> NDArray[Any]:
    """Map a flat binary file into memory; its suffix says which kind.

    Returns a read-only (n, dim) array of the stored type. Raises DatasetError that names the file, the record and the
    byte where it is truncated, where a row has another length than the first, or where it holds no vectors.
    """
    size = path.stat().st_size
    suffix = suffix_of(path)
    if suffix in _VECS:
        return _read_vecs(path, size, np.dtype(_VECS[suffix]))
    return _read_bin(path, size, np.dtype(_BIN[suffix]))


def _read_vecs(path: Path, size: int, dtype: np.dtype[Any]) -> NDArray[Any]:
    if size < 4:
        raise DatasetError(f"{path}: truncated in record 0, at byte {size}: a row starts with its length in 4 bytes")
    raw = np.memmap(path, np.uint8, mode="r")
    dim = int(raw[:4].view("<i4")[0])
    record = 4 + dim * dtype.itemsize
    if not 1 <= dim <= 10_000_000:
        raise DatasetError(f"{path}: record 0 states {dim} dimensions: not a {suffix_of(path)} file")
    whole, rest = divmod(size, record)
    # A row of another length shifts all that follow, so the first odd length is the one that is wrong.
    rows = raw[: whole * record].reshape(whole, record)
    lengths = np.ascontiguousarray(rows[:, :4]).view("<i4").ravel()
    odd = np.flatnonzero(lengths != dim)
    if odd.size:
        i = int(odd[0])
        raise DatasetError(
            f"{path}: record {i}, at byte {i * record}, states {lengths[i]} dimensions; record 0 states {dim}"
        )
    if rest:
        raise DatasetError(
            f"{path}: truncated in record {whole}, at byte {size}: it starts at byte {whole * record} "
            f"and needs {record} bytes for {dim} dimensions"
        )
    return rows[:, 4:].view(dtype)


def _read_bin(path: Path, size: int, dtype: np.dtype[Any]) -> NDArray[Any]:
    if size < 8:
        raise DatasetError(f"{path}: truncated in its header, at byte {size} of 8: rows and dimensions in 4 bytes each")
    n, dim = (int(value) for value in np.fromfile(path, "<u4", 2))
    if n == 0 or dim == 0:
        raise DatasetError(f"{path}: its header states {n} vectors of {dim} dimensions; both should be 1 or more")
    crop = _CROP.search(path.name)
    if crop is not None:
        n = min(n, int(crop[1]))
    states = "the header states" if crop is None else "its name and header state"
    record = dim * dtype.itemsize
    expected = 8 + n * record
    if size < expected:
        raise DatasetError(
            f"{path}: truncated in record {(size - 8) // record} of {n}, at byte {size}: "
            f"{states} {n} x {dim}, which needs {expected} bytes"
        )
    if size > expected:
        raise DatasetError(f"{path}: too long: {states} {n} x {dim}, {expected} bytes, but it holds {size}")
    return np.memmap(path, dtype, mode="r", offset=8, shape=(n, dim))
