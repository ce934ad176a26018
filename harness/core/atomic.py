"""Write files whole: to a temporary name in the same folder, then rename."""

from __future__ import annotations

import contextlib
import io
import os
import secrets
import shutil
from collections.abc import Iterator
from pathlib import Path
from typing import TYPE_CHECKING, Any

if TYPE_CHECKING:
    import h5py


@contextlib.contextmanager
def replacing(path: Path) -> Iterator[Path]:
    """Yield a temporary path beside `path`; on success it takes `path`'s place, on failure it is removed.

    The temporary name never has the suffix of the final one, so a reader of `*.hdf5` can't meet half a file.
    """
    path.parent.mkdir(parents=True, exist_ok=True)
    temporary = path.with_name(f".{path.name}.{os.getpid()}-{secrets.token_hex(4)}.tmp")
    try:
        yield temporary
        with temporary.open("rb") as stream:
            os.fsync(stream.fileno())
        temporary.replace(path)
    finally:
        temporary.unlink(missing_ok=True)


@contextlib.contextmanager
def replacing_folder(path: Path) -> Iterator[Path]:
    """Yield a new folder beside `path` to fill; on success it takes `path`'s place, on failure it is removed.

    What was there before is moved aside first and put back where the renaming fails, since no system swaps two folders
    in one step everywhere.
    """
    path.parent.mkdir(parents=True, exist_ok=True)
    mark = f"{os.getpid()}-{secrets.token_hex(4)}"
    temporary, old = path.with_name(f".{path.name}.{mark}.tmp"), path.with_name(f".{path.name}.{mark}.old.tmp")
    try:
        temporary.mkdir()
        yield temporary
        for file in temporary.rglob("*"):
            if file.is_file():
                with file.open("rb") as stream:
                    os.fsync(stream.fileno())
        if path.exists():
            path.rename(old)
        try:
            temporary.rename(path)
        except OSError:
            if old.exists():
                old.rename(path)
            raise
    finally:
        for leftover in (temporary, old):
            shutil.rmtree(leftover, ignore_errors=True)


class _Remembering(io.FileIO):
    """A file that keeps its first write error to itself until it is asked for.

    HDF5 can't give up a file that it may not write to: it fails again at each close, and may bring the process down.
    """

    problem: OSError | None = None

    def write(self, data: Any, /) -> int:
        rest = memoryview(data).cast("B")
        size = len(rest)
        try:
            while self.problem is None and rest:
                rest = rest[super().write(rest) :]
        except OSError as refused:
            self.problem = refused
        return size

    def truncate(self, size: int | None = None, /) -> int:
        try:
            return super().truncate(size)
        except OSError as refused:
            self.problem = self.problem or refused
            return size or 0


@contextlib.contextmanager
def writing_hdf5(path: Path) -> Iterator[h5py.File]:
    """Yield an HDF5 file to fill; whole, it takes `path`'s place. Raises OSError with the disk's own reason."""
    import h5py

    with replacing(path) as temporary, _Remembering(temporary, "w+") as stream:
        try:
            with h5py.File(stream, "w") as file:
                yield file
        except Exception:
            if stream.problem is not None:
                raise stream.problem from None
            raise
        if stream.problem is not None:
            raise stream.problem


def reason(problem: BaseException) -> str:
    """Say in a few words why a file could not be read or written: the system's own where the problem carries them.

    HDF5 puts a page around the cause.
    """
    if isinstance(problem, OSError) and problem.errno:
        return os.strerror(problem.errno)
    return (str(problem).splitlines() or [type(problem).__name__])[0]


def write_text(path: Path, text: str) -> None:
    """Write `text` to `path` whole, as UTF-8."""
    with replacing(path) as temporary:
        temporary.write_text(text, encoding="utf-8")
