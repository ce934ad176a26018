"""Writers of small SWORD modules, after the layouts in SWORD's `zverse.cpp` and `zstr.cpp`."""

from __future__ import annotations

import struct
import zlib
from collections.abc import Callable, Sequence
from pathlib import Path

import pytest

from harness.data.sources.texts.nave import Topic
from harness.data.sources.texts.nave_web import Scripture


def _write_bible(folder: Path, testaments: dict[str, Sequence[Sequence[str]]]) -> Path:
    """Write blocks of entries, a list of texts each, for `ot` and `nt`."""
    folder.mkdir(parents=True, exist_ok=True)
    for name, blocks in testaments.items():
        packed, starts, entries = b"", b"", b""
        for number, block in enumerate(blocks):
            content = b""
            for text in block:
                entries += struct.pack("<IIH", number, len(content), len(text.encode()))
                content += text.encode()
            part = zlib.compress(content)
            starts += struct.pack("<III", len(packed), len(part), len(content))
            packed += part
        for suffix, written in (("bzs", starts), ("bzv", entries), ("bzz", packed)):
            (folder / f"{name}.{suffix}").write_bytes(written)
    return folder


def _write_dictionary(stem: Path, entries: Sequence[tuple[str, str]], per_block: int = 2) -> Path:
    """Write entries, `per_block` to a block."""
    stem.parent.mkdir(parents=True, exist_ok=True)
    keys = index = packed = starts = b""
    for number, first in enumerate(range(0, len(entries), per_block)):
        block = [text.encode() + b"\0" for _, text in entries[first : first + per_block]]
        place = 4 + 8 * len(block)
        table = struct.pack("<I", len(block))
        for text in block:
            table += struct.pack("<II", place, len(text))
            place += len(text)
        part = zlib.compress(table + b"".join(block))
        starts += struct.pack("<II", len(packed), len(part))
        packed += part
        for within, (headword, _) in enumerate(entries[first : first + per_block]):
            key = headword.encode() + b"\r\n" + struct.pack("<II", number, within)
            index += struct.pack("<II", len(keys), len(key))
            keys += key + b"\r\n"
    for suffix, written in (("idx", index), ("dat", keys), ("zdx", starts), ("zdt", packed)):
        stem.with_suffix(f".{suffix}").write_bytes(written)
    return stem


@pytest.fixture(scope="session")
def write_bible() -> Callable[..., Path]:
    """A function that writes a zText module into a folder and returns the folder."""
    return _write_bible


@pytest.fixture(scope="session")
def write_dictionary() -> Callable[..., Path]:
    """A function that writes a zLD module under a stem and returns the stem."""
    return _write_dictionary


@pytest.fixture
def scripture() -> Scripture:
    """Forty verses of Genesis and Job, which is held out; WEB lacks one. Sixty headwords have a topic each."""
    verses = {
        f"{book}.{chapter}.{verse}": (f"thou {book} {chapter} {verse}", f"you {book} {chapter} {verse}")
        for book in ("Gen", "Job")
        for chapter in (1, 2)
        for verse in range(1, 11)
    }
    verses["Gen.1.10"] = ("thou alone", "")
    topics = [
        Topic(f"HEAD {i}", f"Head {i}: of what", (f"{'Gen' if i % 2 else 'Job'}.1.{i % 8 + 1}", "Job.2.1-Job.2.2"))
        for i in range(60)
    ]
    return Scripture(verses, tuple(topics), "# About\n")
