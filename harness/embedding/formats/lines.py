"""Read text files line by line, plain or gzipped, with errors that name the file and the line."""

from __future__ import annotations

import contextlib
import csv
import gzip
import json
import zlib
from collections.abc import Iterator, Sequence
from pathlib import Path
from typing import Any, NamedTuple, TextIO

from harness.core.atomic import reason
from harness.core.errors import DatasetError


class Line(NamedTuple):
    """A line's number, from 1 on, and its content."""

    number: int
    content: Any


def find(folder: Path, stem: str, suffixes: Sequence[str]) -> Path | None:
    """Return the first of `folder/stem + suffix` that exists, gzipped ones included."""
    for suffix in suffixes:
        for path in (folder / f"{stem}{suffix}", folder / f"{stem}{suffix}.gz"):
            if path.is_file():
                return path
    return None


def read_lines(path: Path) -> Iterator[Line]:
    """Yield the lines of a UTF-8 file without their ends; raises DatasetError."""
    with _reading(path) as stream:
        for number, text in enumerate(stream, 1):
            yield Line(number, text.rstrip("\r\n"))


@contextlib.contextmanager
def _reading(path: Path, newline: str | None = None) -> Iterator[TextIO]:
    try:
        with (
            gzip.open(path, "rt", encoding="utf-8-sig", newline=newline)
            if path.suffix == ".gz"
            else path.open(encoding="utf-8-sig", newline=newline) as stream
        ):
            yield stream
    except (OSError, EOFError, zlib.error, UnicodeDecodeError) as problem:
        raise DatasetError(f"{path}: can't be read as UTF-8 text ({reason(problem)})") from None


def read_jsonl(path: Path) -> Iterator[Line]:
    """Yield the objects of a file that holds one JSON object a line; empty lines are skipped. Raises DatasetError."""
    for number, text in read_lines(path):
        if not text.strip():
            continue
        try:
            content = json.loads(text)
            if "\\u" in text:
                json.dumps(content, ensure_ascii=False).encode()  # half a surrogate pair is no text
        except (ValueError, RecursionError) as problem:
            raise DatasetError(f"{path}:{number}: not JSON ({problem})") from None
        if not isinstance(content, dict):
            raise DatasetError(f"{path}:{number}: should hold an object, such as {{...}}, not {type(content).__name__}")
        yield Line(number, content)


def read_table(path: Path) -> Iterator[Line]:
    """Yield the cells of each row of a table, tab-separated if its first line has a tab, else by commas.

    Quotes mean nothing between tabs, as in the published files, and group cells between commas.
    """
    first = next(iter(read_lines(path)), None)
    if first is None:
        raise DatasetError(f"{path}: is empty")
    if "\t" in first.content:
        for number, text in read_lines(path):
            if text.strip():
                yield Line(number, text.split("\t"))
        return
    with _reading(path, newline="") as stream:  # which leaves the ends of lines within quotes as they are
        rows = csv.reader(stream)
        try:
            for cells in rows:
                if cells:
                    yield Line(rows.line_num, cells)
        except csv.Error as problem:
            raise DatasetError(f"{path}:{rows.line_num}: not CSV ({problem})") from None


def text_of(path: Path, line: Line, key: str) -> str:
    """Return the text under `key` of an object; raises DatasetError where there is none."""
    value = line.content.get(key)
    if not isinstance(value, str):
        found = "missing" if value is None else f"{value!r}"
        raise DatasetError(f"{path}:{line.number}: {key!r} should be a text; it is {found}")
    return value
