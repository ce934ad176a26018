"""Pairs out of WordNet: words and their definition, an example and the definition (Miller 1995; format: wndb(5WN))."""

from __future__ import annotations

import re
from collections.abc import Iterator
from pathlib import Path
from typing import NamedTuple

from rich.console import Console

from harness.core.errors import SourceError
from harness.data.sources.package import unpacked_debian
from harness.data.sources.texts.jsonl import split_of, write_jsonl

_PARTS = ("noun", "verb", "adj", "adv")
_EXAMPLE = re.compile(r'"([^"]+)"')
_MARKER = re.compile(r"\((?:a|p|ip)\)$")  # where an adjective may stand
_DEV = 0.02


class Synset(NamedTuple):
    """Words that mean the same, what they mean, and sentences in which they stand."""

    name: str
    words: tuple[str, ...]
    definition: str
    examples: tuple[str, ...]


def write_wordnet_pairs(folder: Path, package: str, *, console: Console) -> None:
    """Write pairs as `train.jsonl` and `dev.jsonl`, all those of a synset into the same.

    `query` is a synset's words or one of its examples, `positive` its definition. Raises SourceError where Debian's
    package can't be had or read.
    """
    with unpacked_debian(package, console=console) as (unpacked, _):
        synsets = [synset for part in _PARTS for synset in read_synsets(_data(unpacked, part, package))]
    for split in ("train", "dev"):
        chosen = (synset for synset in synsets if split_of(synset.name, dev=_DEV) == split)
        write_jsonl(folder / f"{split}.jsonl", (pair for synset in chosen for pair in _pairs(synset)))


def _data(folder: Path, part: str, package: str) -> Path:
    found = sorted(folder.rglob(f"data.{part}"))
    if not found:
        raise SourceError(f"{package} holds no data.{part}")
    return found[0]


def _pairs(synset: Synset) -> Iterator[dict[str, str]]:
    yield {"id": synset.name, "query": ", ".join(synset.words), "positive": synset.definition}
    for number, example in enumerate(synset.examples, 1):
        yield {"id": f"{synset.name}-{number}", "query": example, "positive": synset.definition}


def read_synsets(path: Path) -> Iterator[Synset]:
    """Yield the synsets of a `data.*` file; raises SourceError that names the line which isn't one."""
    for number, line in enumerate(path.read_text(encoding="utf-8").splitlines(), 1):
        if line.startswith("  "):  # the licence
            continue
        head, bar, gloss = line.partition(" | ")
        try:
            offset, _, kind, count, *rest = head.split(" ")
            # Each word is followed by a number that tells its senses apart.
            words = rest[: 2 * int(count, 16) : 2]
        except ValueError:
            words = []
        if not bar or not words:
            raise SourceError(f"{path}:{number}: not a line of WordNet's data: {line[:60]!r}")
        definition = re.split(r'[;:,]?\s*"', gloss, maxsplit=1)[0].strip(" ;")
        if definition:
            plain = tuple(_MARKER.sub("", word).replace("_", " ") for word in words)
            yield Synset(f"{kind}{offset}", plain, definition, tuple(_EXAMPLE.findall(gloss)))
