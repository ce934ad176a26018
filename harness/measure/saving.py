"""Save an index that was measured: how long that takes, how large it is; kept for the processes of later rounds."""

from __future__ import annotations

import shutil
import tempfile
import time
from collections.abc import Callable
from pathlib import Path

from harness.engines.contract import Algorithm, Saves
from harness.measure.blame import calling
from harness.store.document import Process

# Saved indexes leave a tenth of the disk free, or so many bytes.
_MOST_LEFT = 10 << 30


def save(algorithm: Saves, make: Callable[[], Algorithm], process: Process, keep: str) -> str:
    """Time saving and loading into a fresh index, and note them; return where the index is kept, empty if it isn't.

    `keep` is a folder for it, or empty; where the disk is too full it isn't kept. Raises Raised where a plug-in fails.
    """
    kept = bool(keep) and _room(Path(keep).parent, process.index_bytes or 0)
    folder = Path(keep) if kept else Path(tempfile.mkdtemp(prefix="annbench-save-"))
    shutil.rmtree(folder, ignore_errors=True)  # what a process before this one may have left half done
    whole = False
    try:
        with calling("save or load"):
            folder.mkdir(parents=True)
            target = folder / "index"
            started = time.perf_counter()
            algorithm.save(target)
            process.save_seconds = time.perf_counter() - started
            files = [target] if target.is_file() else [f for f in target.rglob("*") if f.is_file()]
            process.saved_bytes = sum(file.stat().st_size for file in files)
            fresh = make()
            if isinstance(fresh, Saves):
                started = time.perf_counter()
                fresh.load(target)
                process.restore_seconds = time.perf_counter() - started
                whole = kept
    finally:
        if not whole:
            shutil.rmtree(folder, ignore_errors=True)
    return str(target) if whole else ""


def _room(folder: Path, size: int) -> bool:
    """Say whether an index of so many bytes may stay on a disk until the run ends."""
    usage = shutil.disk_usage(folder)
    return usage.free - 2 * size >= min(usage.total // 10, _MOST_LEFT)
