"""The result store: one HDF5 file for each search setting, a superset of the ann-benchmarks result layout.

History of the format, a line a version (`schema_version` of the attribute `annbench`):
  1  first: latencies_ns (repetitions, q), repetition_pass, pass_disturbed, pass_process, kth_distance(_file);
     later, arrays are compressed and latencies stored as uint32 where they fit; readers of version 1 read both

Files are written whole. Reading never writes. Derived figures are not stored: `harness.analyse` computes them.
A file with fewer passes than were asked for is a valid result; a later run adds what is missing.
"""

from __future__ import annotations

import contextlib
import json
import os
import shutil
import warnings
from collections.abc import Iterator
from dataclasses import dataclass
from pathlib import Path
from typing import TYPE_CHECKING, Any

import numpy as np
from numpy.typing import NDArray
from pydantic import ValidationError

from harness.core.atomic import reason, replacing, write_text, writing_hdf5
from harness.core.errors import DamagedResult, StoreError
from harness.core.validation import said, where
from harness.store.document import Document
from harness.store.spec import label

if TYPE_CHECKING:
    import h5py

SCHEMA_VERSION = 1
RESULT_SUFFIX = ".hdf5"
FAILURE_SUFFIX = ".json"
_ATTRIBUTE = "annbench"
# Arrays of fewer bytes are stored as they are: a compressed chunk costs more than it saves.
_WORTH_COMPRESSING = 4096
_CHUNK_BYTES = 1 << 20
_BESIDE_THE_BUILD = ("start", "load", "import", "check", "search")
# What h5py raises for a damaged file depends on which byte is damaged.
_DAMAGE = (OSError, RuntimeError, KeyError, ValueError, TypeError, AttributeError)


def allowance(passes: int) -> int:
    """Bound the passes that are run to get `passes` undisturbed ones: a quarter more, at least two."""
    return passes + max(2, passes // 4)


@dataclass(frozen=True, eq=False)
class Result:
    """All that was measured of one search setting.

    `latencies_ns` (repetitions, q) int64 in single mode, (repetitions, 1) in batch mode, where one call answers all;
    `repetition_pass` (repetitions,) says to which pass a row belongs; `pass_disturbed` and `pass_process` (passes,);
    `neighbors` (q, k) int64 padded with -1 and `distances` (q, k) float64 padded with inf, row i being query i;
    `kth_distance` (q,) the exact distance of the true k-th neighbour, `kth_distance_file` the dataset's own figure.
    """

    document: Document
    latencies_ns: NDArray[np.int64]
    repetition_pass: NDArray[np.int32]
    pass_disturbed: NDArray[np.bool_]
    pass_process: NDArray[np.int32]
    neighbors: NDArray[np.int64]
    distances: NDArray[np.float64]
    kth_distance: NDArray[np.float64]
    kth_distance_file: NDArray[np.floating[Any]]
    path: Path | None = None

    @property
    def spec(self) -> dict[str, Any]:
        """Return what `BuildSpec.identity` gave: dataset, metric, k, mode, algorithm, build, search, ..."""
        return self.document.spec

    @property
    def queries(self) -> int:
        """Count the queries that were measured, which may be fewer than were asked for."""
        return len(self.neighbors)

    @property
    def passes(self) -> int:
        """Count the passes, disturbed ones included."""
        return len(self.pass_disturbed)

    @property
    def undisturbed(self) -> int:
        """Count the passes that nothing disturbed."""
        return int((~self.pass_disturbed).sum())

    def thorough(self, pass_seconds: float) -> bool:
        """Say whether all queries asked for were measured, or as many as a pass of `pass_seconds` allowed."""
        asked = int(self.spec.get("queries") or 0)
        return self.queries >= asked or float(self.document.environment.get("pass_seconds", 0.0)) >= pass_seconds

    def enough(self, passes: int) -> bool:
        """Say whether `passes` undisturbed passes are there, or as many tries as are allowed for that."""
        return self.undisturbed >= passes or self.passes >= allowance(passes)

    @property
    def name(self) -> str:
        """Name the setting for people: `hnswlib (M=16, ef=40)`."""
        params = {**self.spec["build"], **(self.spec["search"] or {})}
        return f"{self.spec['algorithm']} ({label(params)})" if params else str(self.spec["algorithm"])


@dataclass(frozen=True)
class Failure:
    """What did not finish, and why. `search` is None where the build itself failed."""

    spec: dict[str, Any]
    reason: str  # "timeout", "out of memory", "crashed (SIGSEGV)", "failed (message)", "not conforming (message)"
    detail: str = ""
    stage: str = ""
    created: str = ""
    limits: dict[str, Any] | None = None
    path: Path | None = None

    @property
    def lasts(self) -> bool:
        """Say whether the same would fail again: a setting's failure does, a build's where the index itself failed.

        What stopped a build before it (data, imports, rules that may have changed) or after it (a setting) does not.
        """
        return self.spec.get("search") is not None or self.stage not in _BESIDE_THE_BUILD


def _visible(folder: Path, suffix: str) -> Iterator[Path]:
    """Yield files below `folder` in order of their names, those in hidden folders and temporary ones apart."""
    for path in sorted(folder.rglob(f"*{suffix}")):
        if not any(part.startswith(".") for part in path.relative_to(folder).parts):
            yield path


class ResultStore:
    """A folder of results: `<dataset>/<k>/<algorithm>[-batch]/<slug>-<8 hex>.hdf5`."""

    def __init__(self, folder: Path) -> None:
        self.folder = folder

    def path(self, relative: str, stem: str, suffix: str = RESULT_SUFFIX) -> Path:
        """Return where the result called `stem` is kept."""
        return self.folder / relative / f"{stem}{suffix}"

    def write(self, path: Path, result: Result) -> None:
        """Write a result whole, in place of an older one."""
        if len(result.latencies_ns) == 0 or result.queries == 0:
            raise StoreError(f"{path}: nothing was measured (no pass, or no query), so there is no result to write")
        try:
            with writing_hdf5(path) as file:
                _write(file, result)
        except OSError as refused:
            raise StoreError(
                f"{path}: could not be written ({reason(refused)}); earlier results are whole. "
                "Free disk space, then give the same command again: it goes on where it stopped"
            ) from None

    def write_failure(self, path: Path, failure: Failure) -> None:
        """Write what did not finish, as JSON."""
        content = {key: value for key, value in vars(failure).items() if key != "path"}
        try:
            write_text(path, json.dumps({"schema_version": SCHEMA_VERSION, **content}, indent=1, default=str) + "\n")
        except OSError as refused:
            raise StoreError(f"{path}: could not be written ({reason(refused)})") from None

    def read(self, path: Path) -> Result:
        """Read one result; raise StoreError in one line where that can't be done."""
        return read_result(path)

    def paths(self) -> list[Path]:
        """List the result files in order of their names."""
        return list(_visible(self.folder, RESULT_SUFFIX))

    def results(self) -> Iterator[Result]:
        """Read every result, those of other tools in the same layout apart (`harness.interop` reads them).

        A file that can't be read is passed over with a DamagedResult.
        """
        for path in self.paths():
            found = None
            with skipping_damage():
                found = read_ours(path)
            if found is not None:
                yield found

    def failures(self) -> Iterator[Failure]:
        """Read all that did not finish."""
        for path in _visible(self.folder, FAILURE_SUFFIX):
            found = read_failure(path)
            if found is not None:
                yield found

    def merge(self, other: Path) -> tuple[int, int]:
        """Copy what is missing here from another store; return how many were copied and how many were here already.

        A file that can't be read is passed over with a DamagedResult. Raises StoreError where there is nothing to copy.
        """
        if not other.is_dir():
            raise StoreError(f"{other}: no such folder to merge from")
        copied = known = 0
        for suffix in (RESULT_SUFFIX, FAILURE_SUFFIX):
            for source in _visible(other, suffix):
                if suffix == FAILURE_SUFFIX and read_failure(source) is None:
                    continue
                target = self.folder / source.relative_to(other)
                fewer = target.exists()
                if suffix == RESULT_SUFFIX:
                    read = False
                    with skipping_damage():
                        theirs = read_result(source)  # a broken file is never copied, nor one put in its place
                        fewer = fewer and read_result(target).passes >= theirs.passes
                        read = True
                    if not read:
                        continue
                if fewer:
                    known += 1
                    continue
                try:
                    with replacing(target) as temporary:
                        shutil.copyfile(source, temporary)
                except OSError as refused:
                    raise StoreError(f"{target}: could not be written ({reason(refused)})") from None
                copied += 1
        if not copied + known:
            raise StoreError(f"{other}: holds no result to merge; give a folder that annbench run wrote results into")
        return copied, known


@contextlib.contextmanager
def skipping_damage() -> Iterator[None]:
    """Turn the StoreError of a file that can't be read into a DamagedResult, so that the others are read."""
    try:
        yield
    except StoreError as problem:
        warnings.warn(str(problem), DamagedResult, stacklevel=4)


def _write(file: h5py.File, result: Result) -> None:
    spec, document = result.spec, result.document
    _put(file, "latencies_ns", _narrowed(result.latencies_ns))
    _put(file, "repetition_pass", result.repetition_pass)
    _put(file, "pass_disturbed", result.pass_disturbed)
    _put(file, "pass_process", result.pass_process)
    _put(file, "kth_distance", result.kth_distance)
    _put(file, "kth_distance_file", result.kth_distance_file)
    _put(file, "neighbors", result.neighbors.astype(np.int32))
    _put(file, "distances", result.distances)
    # From here on: what ann-benchmarks' own scripts read. Its best_search_time is the smallest mean over repetitions.
    times = best_times(result)
    _put(file, "times", times)
    built = [one.build_seconds for one in document.processes if one.build_seconds is not None]
    process = document.processes[-1] if document.processes else None
    file.attrs.update(
        {
            "batch_mode": spec["mode"] == "batch",
            "best_search_time": float(times.mean()),
            "candidates": float((result.neighbors >= 0).sum(axis=1).mean()),
            "name": result.name,
            "run_count": len(result.latencies_ns),
            "distance": spec["metric"],
            "count": int(spec["k"]),
            "build_time": built[-1] if built else 0.0,
            "index_size": (process.index_bytes or 0) / 1024 if process else 0.0,
            "algo": spec["algorithm"],
            "dataset": spec["dataset"],
            "expect_extra": False,
            "dist_comps": int(document.counters.get("distance_computations", 0)) * len(result.latencies_ns),
            _ATTRIBUTE: document.model_dump_json(),
        }
    )


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


def best_times(result: Result) -> NDArray[np.float64]:
    """Return the seconds of each query, (q,), in the fastest repetition: what ann-benchmarks keeps of all.

    In batch mode, where one call answers all, each query has its share of it.
    """
    q = result.queries
    best = result.latencies_ns[int(np.argmin(result.latencies_ns.sum(axis=1)))] / 1e9
    return best if len(best) == q and result.spec["mode"] == "single" else np.full(q, best.sum() / q)


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
    if version != SCHEMA_VERSION:
        age, way = ("newer", "upgrade with: pip install -U annbench")
        if version < SCHEMA_VERSION:
            age, way = ("older", "measure anew with: annbench run --force")
        raise StoreError(f"{path}: schema {version} is {age} than this annbench's ({SCHEMA_VERSION}); {way}")
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
        neighbors=_array(file, "neighbors").astype(np.int64),
        distances=_array(file, "distances"),
        kth_distance=_array(file, "kth_distance"),
        kth_distance_file=_array(file, "kth_distance_file"),
        path=path,
    )


def _array(file: h5py.h5f.FileID, name: str) -> NDArray[Any]:
    """Read an array whole."""
    from h5py import h5d, h5s

    dataset = h5d.open(file, name.encode())
    out = np.empty(dataset.shape, dataset.dtype)
    dataset.read(h5s.ALL, h5s.ALL, out)
    return out


def read_failure(path: Path) -> Failure | None:
    """Read a failure; None for JSON that is not one of ours."""
    try:
        content = json.loads(path.read_text(encoding="utf-8"))
        known = {key: content[key] for key in ("spec", "reason", "detail", "stage", "created", "limits")}
    except (OSError, ValueError, KeyError, TypeError):
        return None
    if not isinstance(known["spec"], dict):
        return None
    return Failure(**known, path=path)
