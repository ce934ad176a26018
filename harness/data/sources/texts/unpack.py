"""Unpack archives that others made: only plain files, only below the folder given, never more than was agreed."""

from __future__ import annotations

import lzma
import shutil
import stat
import tarfile
import zipfile
import zlib
from collections.abc import Iterator
from contextlib import closing
from pathlib import Path, PurePosixPath
from typing import IO, NamedTuple

from harness.core.atomic import reason
from harness.core.errors import SourceError

MOST_BYTES = 32 << 30  # several times BEIR's largest collection, unpacked
MOST_FILES = 10_000
_CHUNK = 1 << 20


class _Member(NamedTuple):
    name: str
    stream: IO[bytes]


def unpack(archive: Path, folder: Path, *, most_bytes: int = MOST_BYTES) -> None:
    """Unpack a .zip or a (compressed) tar archive into `folder`, which is there and empty.

    Raises SourceError where the archive is broken, has a link or a device in it, a name that leads out of `folder` or
    comes twice, or more than `most_bytes` of content, whatever its headers say of its size. What was unpacked until
    then stays: give a folder that can be thrown away.
    """
    left = most_bytes
    try:
        for count, member in enumerate(_zip(archive) if zipfile.is_zipfile(archive) else _tar(archive)):
            if count == MOST_FILES:
                raise SourceError(f"{archive.name}: holds more than {MOST_FILES:,} files")
            target = _inside(folder, member.name, archive)
            target.parent.mkdir(parents=True, exist_ok=True)
            with closing(member.stream), target.open("xb") as out:
                while chunk := member.stream.read(min(_CHUNK, left + 1)):
                    left -= len(chunk)
                    if left < 0:
                        raise SourceError(f"{archive.name}: holds more than {most_bytes:,} bytes")
                    out.write(chunk)
    except FileExistsError as problem:
        raise SourceError(f"{archive.name}: {Path(problem.filename).name!r} comes twice in it") from None
    except (OSError, EOFError, zipfile.BadZipFile, tarfile.TarError, zlib.error, lzma.LZMAError) as problem:
        raise SourceError(f"{archive.name}: can't be unpacked ({reason(problem)})") from None
    except RuntimeError as problem:  # zipfile's word for a password, or a method that it doesn't know
        raise SourceError(f"{archive.name}: can't be unpacked ({problem})") from None


def lift_only_folder(folder: Path) -> None:
    """Move the content of a folder's only folder one level up, where it has nothing else."""
    inner = list(folder.iterdir())
    if len(inner) != 1 or not inner[0].is_dir():
        return
    # The inner folder may hold one of its own name.
    lifted = inner[0].rename(folder / ".lifted")
    for path in lifted.iterdir():
        shutil.move(path, folder / path.name)
    lifted.rmdir()


def _zip(archive: Path) -> Iterator[_Member]:
    with zipfile.ZipFile(archive) as opened:
        for info in opened.infolist():
            mode = info.external_attr >> 16
            if mode and stat.S_IFMT(mode) not in (0, stat.S_IFREG, stat.S_IFDIR):
                raise SourceError(f"{archive.name}: {info.filename!r} is a link or a device; only files are unpacked")
            if not info.is_dir():
                yield _Member(info.filename, opened.open(info))


def _tar(archive: Path) -> Iterator[_Member]:
    with tarfile.open(archive, "r:*") as opened:
        for info in opened:
            if info.isdir():
                continue
            stream = opened.extractfile(info) if info.isreg() else None
            if stream is None:
                raise SourceError(f"{archive.name}: {info.name!r} is a link or a device; only files are unpacked")
            yield _Member(info.name, stream)


def _inside(folder: Path, name: str, archive: Path) -> Path:
    parts = PurePosixPath(name).parts
    if not parts or name.startswith("/") or ".." in parts or any(c in name for c in "\\:\0"):
        raise SourceError(f"{archive.name}: {name!r} would be written outside of its folder; nothing of it is used")
    return folder.joinpath(*parts)
