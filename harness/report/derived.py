"""What a report needs of each result file: its row of the tidy table, and its detail; kept, so that it is read once.

Reading thousands of files and drawing their bootstraps takes most of a report's time, and a file doesn't change: so
what was derived is kept in the user's cache folder, under a hash of the code that derives it. A file counts as known
while its size, its time of change and its inode are the same. The cache can be deleted at any time; nothing of it is in
the results.
"""

from __future__ import annotations

import hashlib
import json
import os
import subprocess
import sys
import tempfile
import warnings
import zipfile
from collections.abc import Collection, Mapping, Sequence
from functools import cache as remembered
from pathlib import Path
from typing import TYPE_CHECKING, Any, NamedTuple

import numpy as np

from harness.analyse.statistics import redraw_all
from harness.analyse.table import MEASURED, failure_row, joined, result_row, tidy_frame
from harness.core.atomic import replacing
from harness.core.cores import usable_cores
from harness.core.errors import DamagedResult, UnknownNameError
from harness.core.folders import cache_folder
from harness.core.programs import import_path
from harness.report.detail import Detail, describe, describe_failure
from harness.store.envelope import read_ours
from harness.store.results import ResultStore, skipping_damage

if TYPE_CHECKING:
    import pandas as pd
    from numpy.typing import NDArray

_CODE = Path(__file__).resolve().parents[1]
_SOURCES = ("analyse/*.py", "store.py", "document.py", "spec.py", "report/detail.py", "report/derived.py")
# Fewer files are read sooner than a process starts, or than it matters to have kept them.
_WORTH_A_PROCESS = 200
_WORTH_KEEPING = 100
# Files whose replicates are drawn in one product.
_AT_ONCE = 16
_SAMPLES = ("qps_samples", "recall_samples")


class Derived(NamedTuple):
    """The tidy table of a store, and by the path of each row what the table doesn't hold."""

    table: pd.DataFrame
    details: dict[str, Detail]

    def only(self, dataset: str | None) -> Derived:
        """Keep the rows of one dataset, or all for None; an unknown name suggests the nearest with results."""
        if dataset is None:
            return self
        mine = self.table[self.table["dataset"] == dataset].reset_index(drop=True)
        if mine.empty and len(self.table):
            raise UnknownNameError("dataset with results", dataset, set(self.table["dataset"]))
        return Derived(mine, self.details)

    def paths_of(self, datasets: Collection[str]) -> list[Path]:
        """Return the files of what was measured on some datasets."""
        rows = self.table[(self.table["status"] == MEASURED) & self.table["dataset"].isin(list(datasets))]
        return [Path(path) for path in rows["path"] if path in self.details]


class Entry(NamedTuple):
    """What was derived of one file: its row without the replicates, and its detail.

    `qps` and `missed` (replicates,) float32 are the replicates of QPS and of 1 - recall, which float32 keeps exactly.
    """

    row: Mapping[str, Any]
    detail: Detail
    qps: NDArray[np.float32]
    missed: NDArray[np.float32]


def derive(
    store: ResultStore,
    more: pd.DataFrame | None = None,
    *,
    cache: Path | None = None,
    workers: int | None = None,
) -> Derived:
    """Read every result and failure of a store; a file that can't be read is passed over with a DamagedResult.

    `more` are rows of the tidy table that no result stands behind, such as those of another tool's table. `cache` is a
    folder to keep what was derived in, by default one in the user's cache folder; `workers` how many processes read
    what isn't there yet, by default as many as there are cores.
    """
    kept = _kept(store, cache_folder() if cache is None else cache)
    known = read_entries(kept)
    paths = store.paths()
    stamps = {str(path): _stamp(path) for path in paths}
    found = {name: known[stamp] for name, stamp in stamps.items() if stamp in known}
    missing = [path for path in paths if str(path) not in found]
    fresh = _read_all(missing, workers)
    found |= {name: entry for name, entry in fresh.items() if entry is not None}
    changed = any(entry is not None for entry in fresh.values()) or len(known) != len(found)
    if changed and len(found) >= _WORTH_KEEPING:
        _keep(kept, {stamps[name]: entry for name, entry in found.items()})
    rows, details = [], {}
    for path in paths:  # in the order of their names, known or not
        entry = found.get(str(path))
        if entry is not None:
            rows.append(_whole(entry, str(path)))
            details[str(path)] = entry.detail
    for failure in store.failures():
        rows.append(failure_row(failure))
        details[str(failure.path)] = describe_failure(failure)
    table = tidy_frame(rows)
    return Derived(table if more is None else joined(table, more), details)


def derive_files(paths: Sequence[Path]) -> dict[str, Entry | None]:
    """Read result files; None for one of another tool, and for a damaged one, which is passed over and said."""
    found: dict[str, Entry | None] = dict.fromkeys(map(str, paths))
    for start in range(0, len(paths), _AT_ONCE):
        results = {}
        for path in paths[start : start + _AT_ONCE]:
            with skipping_damage():
                if (result := read_ours(path)) is not None:
                    results[str(path)] = result
        for (name, result), redrawn in zip(results.items(), redraw_all(list(results.values())), strict=True):
            row = result_row(result, redrawn=redrawn)
            qps, recall = (row.pop(sample) for sample in _SAMPLES)
            found[name] = Entry(row, describe(result), qps.astype(np.float32), (1.0 - recall).astype(np.float32))
    return found


def _whole(entry: Entry, path: str) -> dict[str, Any]:
    recall = 1.0 - entry.missed.astype(np.float64)
    return {**entry.row, "path": path, "qps_samples": entry.qps.astype(np.float64), "recall_samples": recall}


# --- reading in several processes -------------------------------------------------------------------------------------


def _read_all(paths: Sequence[Path], workers: int | None) -> dict[str, Entry | None]:
    """Derive files, in processes of their own where there are many.

    They are started as programs: multiprocessing would run an unguarded script of the user's again in each.
    """
    count = min(workers or len(usable_cores()), len(paths) // _WORTH_A_PROCESS)
    if count < 2:
        return derive_files(paths)
    shares = [paths[start::count] for start in range(count)]
    with tempfile.TemporaryDirectory(prefix="annbench-report-") as folder:
        files = [Path(folder) / f"{number}.npz" for number in range(count)]
        children = [_start(share, file) for share, file in zip(shares, files, strict=True)]
        try:
            entries = {
                name: entry
                for child, file in zip(children, files, strict=True)
                if child.wait() == 0
                for name, entry in read_entries(file).items()
            }
        finally:
            for child in children:
                child.kill()
                child.wait()
    # What a child could not read is read here, where it is said.
    return {**entries, **derive_files([path for path in paths if str(path) not in entries])}


def _start(share: Sequence[Path], out: Path) -> subprocess.Popen[bytes]:
    wanted = out.with_suffix(".json")
    wanted.write_text(json.dumps([str(path) for path in share]), encoding="utf-8")
    environment = {**os.environ, "OPENBLAS_NUM_THREADS": "1", "OMP_NUM_THREADS": "1", "MKL_NUM_THREADS": "1"}
    environment["PYTHONPATH"] = import_path(environment)
    return subprocess.Popen(
        [sys.executable, "-P", "-m", "harness.report.derived", str(wanted), str(out)],
        stdin=subprocess.DEVNULL,
        stdout=subprocess.DEVNULL,
        stderr=subprocess.DEVNULL,
        env=environment,
    )


# --- what is kept -----------------------------------------------------------------------------------------------------


@remembered
def _version() -> str:
    """Hash the code that derives, and the library that computes."""
    digest = hashlib.sha256(np.__version__.encode())
    for pattern in _SOURCES:
        for path in sorted(_CODE.glob(pattern)):
            digest.update(path.name.encode() + b"\0" + path.read_bytes())
    return digest.hexdigest()[:12]


def _kept(store: ResultStore, cache: Path) -> Path:
    """Return the file that is kept for a store."""
    name = hashlib.sha256(str(store.folder.resolve()).encode("utf-8", "surrogateescape")).hexdigest()[:16]
    return cache / f"report-{_version()}" / f"{name}.npz"


def _stamp(path: Path) -> str:
    """Tell a file and its state from all others; empty where it is gone, so that reading it complains."""
    try:
        seen = path.stat()
    except OSError:
        return ""
    return f"{path}\n{seen.st_size} {seen.st_mtime_ns} {seen.st_ino}"


def write_entries(path: Path, entries: Mapping[str, Entry]) -> None:
    """Write entries by their keys, whole: arrays and one document of JSON."""
    document = [[key, entry.row, vars(entry.detail)] for key, entry in entries.items()]
    text = np.frombuffer(json.dumps(document).encode(), np.uint8)
    qps, missed = (_stacked([getattr(entry, name) for entry in entries.values()]) for name in ("qps", "missed"))
    with replacing(path) as temporary, temporary.open("wb") as stream:
        np.savez(stream, text=text, qps=qps, missed=missed)


def _stacked(samples: Sequence[NDArray[np.float32]]) -> NDArray[np.float32]:
    return np.stack(samples) if samples else np.empty((0, 0), np.float32)


def read_entries(path: Path) -> dict[str, Entry]:
    """Read what `write_entries` wrote; nothing where the file is absent or damaged, which costs only time."""
    try:
        with path.open("rb") as stream, np.load(stream, allow_pickle=False) as file:
            document, qps, missed = json.loads(bytes(file["text"])), file["qps"], file["missed"]
        return {
            key: Entry(row, _detail(detail), qps[place], missed[place])
            for place, (key, row, detail) in enumerate(document)
        }
    except (OSError, ValueError, TypeError, LookupError, EOFError, zipfile.BadZipFile):
        return {}


def _detail(content: Mapping[str, Any]) -> Detail:
    return Detail(**{**content, "latencies": tuple(content["latencies"]), "recalls": tuple(content["recalls"])})


def _keep(path: Path, entries: Mapping[str, Entry]) -> None:
    """Keep entries in place of those before, and of those of other versions of the code."""
    try:
        write_entries(path, entries)
        for other in path.parent.parent.glob(f"report-*/{path.name}"):
            if other != path:
                other.unlink(missing_ok=True)
    except OSError:
        return  # a report is no worse for a cache that can't be written


def _child(wanted: Path, out: Path) -> None:
    """Derive the files that are named in `wanted`, a list in JSON, into `out`."""
    with warnings.catch_warnings():
        warnings.simplefilter("ignore", DamagedResult)  # the parent reads such a file again, and tells
        found = derive_files([Path(name) for name in json.loads(wanted.read_text(encoding="utf-8"))])
    write_entries(out, {name: entry for name, entry in found.items() if entry is not None})


if __name__ == "__main__":
    _child(Path(sys.argv[1]), Path(sys.argv[2]))
