"""Read the modules of the SWORD project: compressed Bibles (zText) and dictionaries (zLD), without its library.

The layouts are those of SWORD's `zverse.cpp` and `zstr.cpp`; all numbers are little-endian.
"""

from __future__ import annotations

import contextlib
import re
import struct
import zlib
from collections.abc import Iterator
from pathlib import Path

from harness.core.atomic import reason
from harness.core.errors import SourceError

_TESTAMENTS = ("ot", "nt")
# Markers of a chapter's and a book's beginning; those of their ends carry an eID in place of the sID.
_CHAPTER_END = '<chapter eID="'
_CHAPTER = re.compile(r'<chapter (?=[^>]*\bsID=)[^>]*\bosisID="([^"]+)"')
_BOOK = re.compile(r'<div (?=[^>]*\bsID=)(?=[^>]*\btype="book")')


def read_bible(folder: Path) -> dict[str, str]:
    """Read the verses of a zText module, in the module's order: OSIS id such as `Gen.1.1` -> its OSIS markup.

    A module is a flat list of entries: introductions of books and chapters, and after each chapter's its verses. The
    introductions name their chapter, so no table of the versification is needed. Verses without text are left out, and
    so is what stands behind a chapter's last verse, such as a glossary.
    Raises SourceError where a file is missing, truncated, or no such module.
    """
    verses: dict[str, str] = {}
    with _reading(folder):
        for testament in _TESTAMENTS:
            chapter, number = "", 0
            for markup in _entries(folder / testament):
                begun = _CHAPTER.findall(markup)
                if begun or _BOOK.search(markup):
                    chapter, number = begun[-1] if begun else "", 0
                else:
                    number += 1
                    verse = markup.partition(_CHAPTER_END)[0]
                    if chapter and verse.strip():
                        verses[f"{chapter}.{number}"] = verse
    if not verses:
        raise SourceError(f"{folder}: holds no verse")
    return verses


def _entries(stem: Path) -> Iterator[str]:
    """Yield the entries of a testament: .bzs tells where blocks are in .bzz, .bzv where entries are in a block."""
    packed = stem.with_suffix(".bzz").read_bytes()
    blocks = [
        zlib.decompress(packed[offset : offset + size]) if size else b""
        for offset, size, _length in struct.iter_unpack("<III", stem.with_suffix(".bzs").read_bytes())
    ]
    for block, start, size in struct.iter_unpack("<IIH", stem.with_suffix(".bzv").read_bytes()):
        yield _cut(blocks[block], start, size).decode() if size else ""


def read_dictionary(stem: Path) -> list[tuple[str, str]]:
    """Read the entries of a zLD module, in the module's order, as (headword, TEI markup); a headword may come twice.

    `stem` is the path of its four files without their suffixes: .idx tells where headwords are in .dat, each followed
    by its block and its place there; .zdx where blocks are in .zdt. Raises SourceError as `read_bible` does.
    """
    entries: list[tuple[str, str]] = []
    with _reading(stem):
        keys, packed = stem.with_suffix(".dat").read_bytes(), stem.with_suffix(".zdt").read_bytes()
        blocks = [
            zlib.decompress(packed[offset : offset + size])
            for offset, size in struct.iter_unpack("<II", stem.with_suffix(".zdx").read_bytes())
        ]
        for offset, size in struct.iter_unpack("<II", stem.with_suffix(".idx").read_bytes()):
            headword, _, place = _cut(keys, offset, size).partition(b"\r\n")
            block, entry = struct.unpack("<II", place)
            start, length = struct.unpack_from("<II", blocks[block], 4 + 8 * entry)
            entries.append((headword.decode(), _cut(blocks[block], start, length).rstrip(b"\0").decode()))
    if not entries:
        raise SourceError(f"{stem}: holds no entry")
    return entries


def _cut(content: bytes, start: int, size: int) -> bytes:
    part = content[start : start + size]
    if len(part) < size:
        raise EOFError(f"{size} bytes at {start} reach beyond the end")
    return part


@contextlib.contextmanager
def _reading(where: Path) -> Iterator[None]:
    try:
        yield
    except (OSError, EOFError, struct.error, zlib.error, IndexError, UnicodeDecodeError) as problem:
        raise SourceError(f"{where}: not a whole SWORD module ({reason(problem)})") from None
