"""Let one process at a time do a thing."""

from __future__ import annotations

import contextlib
from collections.abc import Iterator
from pathlib import Path

from harness.core.errors import AnnbenchError


@contextlib.contextmanager
def held_alone(lock: Path, what: str, error: type[AnnbenchError]) -> Iterator[None]:
    """Hold the file `lock` while the block runs, and remove it afterwards; a process that dies lets go of it.

    Raises `error`, "`what` by another process", where another holds it, and OSError where the file can't be created.
    """
    from filelock import FileLock, Timeout

    held = FileLock(lock)
    try:
        held.acquire(blocking=False)
    except Timeout:
        raise error(f"{what} by another process; wait for it to finish") from None
    try:
        yield
    finally:
        # Removed while it is held: a process that opened it in between finds that its file has no name, and opens anew.
        with contextlib.suppress(OSError):  # Windows removes no open file
            lock.unlink()
        held.release()
