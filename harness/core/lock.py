"""Let one process at a time do a thing."""

from __future__ import annotations

import contextlib
import os
from collections.abc import Iterator
from pathlib import Path

from harness.core.errors import AnnbenchError


@contextlib.contextmanager
def held_alone(lock: Path, what: str, error: type[AnnbenchError]) -> Iterator[None]:
    """Hold the file `lock` while the block runs, and remove it afterwards; a process that dies lets go of it.

    Raises `error`, "`what` by another process", where another holds it. Systems without such locks aren't guarded.
    """
    with lock.open("wb") as held:
        if not _locked(held.fileno(), lock):
            raise error(f"{what} by another process; wait for it to finish")
        try:
            yield
        finally:
            lock.unlink(missing_ok=True)


def _locked(descriptor: int, lock: Path) -> bool:
    try:
        import fcntl
    except ImportError:  # Windows
        return True
    try:
        fcntl.flock(descriptor, fcntl.LOCK_EX | fcntl.LOCK_NB)
        # Its last holder may have removed the file between our opening and locking it: then it guards nothing.
        return os.path.samestat(os.fstat(descriptor), lock.stat())
    except OSError:
        return False
