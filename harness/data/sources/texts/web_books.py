"""Verses to be told apart by the book that they are from: a classification of labelled texts."""

from __future__ import annotations

from collections import defaultdict
from pathlib import Path

from harness.data.sources.texts.jsonl import split_of, write_jsonl
from harness.data.sources.texts.nave_web import Scripture

_TEST = 0.1
_ABOUT = """
**web-books**, this folder: the verses of WEB as `text`, and the book of each as `label`. A tenth of the chapters, by
the SHA-256 of their names, are in test.jsonl as a whole; books of one chapter are left out.
"""


def write_web_books(scripture: Scripture, folder: Path) -> None:
    """Write `train.jsonl` and `test.jsonl` with the `text` of each verse and its book as `label`.

    A chapter is in test as a whole, by its hash, since neighbouring verses tell one story. Left out are books of one
    chapter, of which none could be held out, and chapters of test whose book would have none in train.
    """
    chapters: defaultdict[str, set[str]] = defaultdict(set)
    for verse in scripture.documents():
        chapters[_book(verse)].add(_chapter(verse))
    told = {book for book, of in chapters.items() if len(of) > 1 and any(_split(one) == "train" for one in of)}
    for split in ("train", "test"):
        records = (
            {"id": verse, "text": text, "label": _book(verse)}
            for verse, text in scripture.documents().items()
            if _book(verse) in told and _split(_chapter(verse)) == split
        )
        write_jsonl(folder / f"{split}.jsonl", records)
    (folder / "README.md").write_text(scripture.readme + _ABOUT, encoding="utf-8")


def _book(verse: str) -> str:
    return verse.partition(".")[0]


def _chapter(verse: str) -> str:
    return verse.rpartition(".")[0]


def _split(chapter: str) -> str:
    return split_of(chapter, dev=0.0, test=_TEST)
