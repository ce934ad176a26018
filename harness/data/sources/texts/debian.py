"""Pairs out of Debian's lists of packages: a package's one line of description, and its long description."""

from __future__ import annotations

from collections.abc import Iterator
from pathlib import Path
from typing import NamedTuple

from rich.console import Console

from harness.core.errors import SourceError
from harness.data.sources.package import debian_lists
from harness.data.sources.texts.jsonl import split_of, write_jsonl

_SHORTEST = 40  # characters; less than that says no more than the one line does
_DEV = 0.02


class Description(NamedTuple):
    """A package, what it is in a line, and at length."""

    package: str
    short: str
    long: str


def write_debian_descriptions(folder: Path, lists: str, *, console: Console) -> None:
    """Write `train.jsonl` and `dev.jsonl`: `query` is the short description, `positive` the long one.

    `lists` is what the files that hold them are called, such as Translation-en. Packages of one source often share
    either; only the first of them, by name, is taken. Raises SourceError where Debian's lists can't be had.
    """
    with debian_lists(language="en", console=console) as fetched:
        found = [one for path in sorted(fetched.glob(f"*_{lists}")) for one in read_descriptions(path)]
    chosen = list(_distinct(found))
    if not chosen:
        raise SourceError("Debian's lists came without descriptions")
    for split in ("train", "dev"):
        records = (
            {"id": one.package, "query": one.short, "positive": one.long}
            for one in chosen
            if split_of(one.package, dev=_DEV) == split
        )
        write_jsonl(folder / f"{split}.jsonl", records)


def _distinct(found: list[Description]) -> Iterator[Description]:
    seen: set[str] = set()
    for one in sorted(found):
        if len(one.long) >= _SHORTEST and not seen & {one.short, one.long}:
            seen |= {one.short, one.long}
            yield one


def read_descriptions(path: Path) -> Iterator[Description]:
    """Yield the descriptions of a Translation file: paragraphs of fields, whose continued lines start with a blank."""
    for paragraph in path.read_text(encoding="utf-8").split("\n\n"):
        package = short = ""
        long: list[str] = []
        inside = False
        for line in paragraph.splitlines():
            if line.startswith(" "):
                long += [line.strip()] if inside and line.strip() != "." else []
                continue
            field, _, value = line.partition(": ")
            inside = field.startswith("Description-") and field != "Description-md5"
            package = value if field == "Package" else package
            short = value if inside else short
        if package and short:
            yield Description(package, short, " ".join(long))
