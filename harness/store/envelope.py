"""The envelope: one HDF5 file a search setting, the same for every workload.

It holds a document in JSON (the attribute `annbench`), the times of all passes, and the arrays that the workload
records. A companion adds what other tools read of it: for k nearest neighbours the layout of ann-benchmarks.

History of the format, a line a version (`schema_version` of the document):
  1  k nearest neighbours only: latencies_ns (repetitions, q), repetition_pass, pass_disturbed, pass_process, neighbors,
     distances, kth_distance(_file); later, arrays are compressed and latencies stored as uint32 where they fit
  2  `workload`, `queries` and the names of the workload's `arrays` in the document
`harness.store.migrations` turns older documents into the newest form. A newer file is an error that says what to do.
"""

from __future__ import annotations

import json
import os
from collections.abc import Mapping
from dataclasses import dataclass, field
from pathlib import Path
from typing import TYPE_CHECKING, Any

import numpy as np
from numpy.typing import NDArray
from pydantic import ValidationError

from harness.core.atomic import reason, writing_hdf5
from harness.core.errors import StoreError
from harness.core.validation import said, where
from harness.store.document import SCHEMA_VERSION, Document
from harness.store.migrations import upgrade
from harness.store.result import Result

if TYPE_CHECKING:
    import h5py

_ATTRIBUTE = "annbench"
_TIMES = ("latencies_ns", "repetition_pass", "pass_disturbed", "pass_process")
# Arrays of fewer bytes are stored as they are: a compressed chunk costs more than it saves.
_WORTH_COMPRESSING = 4096
_CHUNK_BYTES = 1 << 20
# What h5py raises for a damaged file depends on which byte is damaged.
_DAMAGE = (OSError, RuntimeError, KeyError, ValueError, TypeError, AttributeError)


@dataclass(frozen=True, eq=False)
class Companion:
    """Arrays and attributes beside our own, for tools that know the file by another layout; never read back."""

    arrays: Mapping[str, NDArray[Any]] = field(default_factory=dict)
    attributes: Mapping[str, Any] = field(default_factory=dict)


NO_COMPANION = Companion()


def write_result(path: Path, result: Result, companion: Companion) -> None:
    """Write a result whole, in place of an older one.

    Raises StoreError where nothing was measured, or the disk is full.
    """
    if len(result.latencies_ns) == 0 or result.queries == 0:
        raise StoreError(f"{path}: nothing was measured (no pass, or no query), so there is no result to write")
    try:
        with writing_hdf5(path) as file:
            _write(file, result, companion)
    except OSError as refused:
        raise StoreError(
            f"{path}: could not be written ({reason(refused)}); earlier results are whole. "
            "Free disk space, then give the same command again: it goes on where it stopped"
        ) from None


def _write(file: h5py.File, result: Result, companion: Companion) -> None:
    _put(file, "latencies_ns", _narrowed(result.latencies_ns))
    for name in _TIMES[1:]:
        _put(file, name, getattr(result, name))
    for name, values in {**result.arrays, **companion.arrays}.items():
        _put(file, name, _as_stored(values))
    document = result.document.model_copy(update={"schema_version": SCHEMA_VERSION, "arrays": sorted(result.arrays)})
    file.attrs.update({**companion.attributes, _ATTRIBUTE: document.model_dump_json()})


def _as_stored(values: NDArray[Any]) -> NDArray[Any]:
    """Return ids as int32, where all fit; other arrays as they are."""
    if values.dtype != np.int64 or (values.size and np.abs(values).max() > np.iinfo(np.int32).max):
        return values
    return values.astype(np.int32)


def _put(file: h5py.File, name: str, values: NDArray[Any]) -> None:
    """Store an array, compressed where that saves more than it costs (shuffled, as high bytes are mostly alike)."""
    if values.nbytes < _WORTH_COMPRESSING:
        file[name] = values
        return
    rows = max(1, min(len(values), _CHUNK_BYTES * len(values) // values.nbytes))
    chunks = (rows, *values.shape[1:])
    file.create_dataset(name, data=values, chunks=chunks, shuffle=True, compression="gzip", compression_opts=1)


def _narrowed(latencies: NDArray[np.int64]) -> NDArray[np.integer[Any]]:
    """Return latencies as uint32 where all fit (4.29 s), which is exact; else as they are."""
    fits = latencies.size == 0 or (latencies.min() >= 0 and latencies.max() < 1 << 32)
    return latencies.astype(np.uint32) if fits else latencies


def is_ours(path: Path) -> bool:
    """Say whether a result file carries our attribute; a file that can't be opened counts: reading it complains."""
    import h5py

    try:
        with h5py.File(path, "r") as file:
            return _ATTRIBUTE in file.attrs
    except _DAMAGE:
        return True


def read_ours(path: Path) -> Result | None:
    """Read a result file; None for one of another tool in the same layout, which `harness.interop` reads."""
    return _open_and_read(path)


def read_result(path: Path) -> Result:
    """Read one result file of ours; extra groups (ann-benchmarks adds `metrics`) are left alone."""
    found = _open_and_read(path)
    if found is None:
        raise StoreError(f"{path}: not written by annbench; import it with: annbench results merge --foreign FOLDER")
    return found


def _open_and_read(path: Path) -> Result | None:
    from h5py import h5a, h5f, h5p

    # By the calls below h5py.File, which take half the time: that counts where thousands of files are read.
    closing_all = h5p.create(h5p.FILE_ACCESS)
    closing_all.set_fclose_degree(h5f.CLOSE_STRONG)
    try:
        file = h5f.open(os.fsencode(path), h5f.ACC_RDONLY, fapl=closing_all)
        try:
            return _read(file, path) if h5a.exists(file, _ATTRIBUTE.encode()) else None
        finally:
            file.close()
    except FileNotFoundError:
        raise StoreError(f"{path}: no such result") from None
    except _DAMAGE as problem:
        raise StoreError(f"{path}: truncated or not a result file ({reason(problem)}); remove it, run again") from None


def _read(file: h5py.h5f.FileID, path: Path) -> Result:
    from h5py import h5a

    try:
        attribute = h5a.open(file, _ATTRIBUTE.encode())
        text = np.empty((), attribute.dtype)
        attribute.read(text)
        content = json.loads(text.item())
        version = content["schema_version"]
    except (ValueError, KeyError, TypeError):
        raise StoreError(f"{path}: the attribute '{_ATTRIBUTE}' is damaged; remove the file and run again") from None
    if isinstance(version, bool) or not isinstance(version, int):
        raise StoreError(f"{path}: schema {version!r} is no version number; remove the file and run again")
    if version > SCHEMA_VERSION:
        raise StoreError(
            f"{path}: schema {version} is newer than this annbench's ({SCHEMA_VERSION}); "
            "upgrade with: pip install -U annbench"
        )
    if version < 1:
        raise StoreError(
            f"{path}: schema {version} is older than this annbench's first (1); measure anew with: annbench run --force"
        )
    if version < SCHEMA_VERSION:
        content = upgrade(content, lambda name: _shape(file, name))
    try:
        document = Document.model_validate(content)
    except ValidationError as problem:
        first = problem.errors()[0]
        raise StoreError(f"{path}: '{_ATTRIBUTE}' is damaged at {where(first)}: {said(first)}") from None
    return Result(
        document=document,
        latencies_ns=_array(file, "latencies_ns").astype(np.int64),
        repetition_pass=_array(file, "repetition_pass"),
        pass_disturbed=_array(file, "pass_disturbed").astype(bool),
        pass_process=_array(file, "pass_process"),
        arrays={name: _widened(_array(file, name)) for name in document.arrays},
        path=path,
    )


def _widened(values: NDArray[Any]) -> NDArray[Any]:
    """Return ids as int64, as they were before they were stored."""
    return values.astype(np.int64) if values.dtype == np.int32 else values


def _shape(file: h5py.h5f.FileID, name: str) -> tuple[int, ...]:
    from h5py import h5d

    return tuple(h5d.open(file, name.encode()).shape)


def _array(file: h5py.h5f.FileID, name: str) -> NDArray[Any]:
    """Read an array whole."""
    from h5py import h5d, h5s

    dataset = h5d.open(file, name.encode())
    out = np.empty(dataset.shape, dataset.dtype)
    dataset.read(h5s.ALL, h5s.ALL, out)
    return out
