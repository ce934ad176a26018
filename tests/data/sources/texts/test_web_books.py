"""Verses with their books as labels: which are there, and in which split."""

from __future__ import annotations

import json
from pathlib import Path

import pytest

from harness.data.sources.texts import web_books
from harness.data.sources.texts.nave_web import Scripture
from harness.data.sources.texts.prepare import prepare_texts


def read(path: Path) -> list[dict[str, str]]:
    return [json.loads(line) for line in path.read_text(encoding="utf-8").splitlines()]


def write(folder, chapters, monkeypatch, held_out):
    """Write two verses a chapter, of which some chapters are in test."""
    monkeypatch.setattr(web_books, "_split", lambda chapter: "test" if chapter in held_out else "train")
    verses = {f"{chapter}.{verse}": ("kjv", f"{chapter} {verse}") for chapter in chapters for verse in (1, 2)}
    verses["Gen.1.3"] = ("only in the King James Version", "")
    web_books.write_web_books(Scripture(verses, (), "about"), folder)
    return {split: read(folder / f"{split}.jsonl") for split in ("train", "test")}


def test_chapters_stay_whole_and_books_can_be_learnt(tmp_path, monkeypatch):
    """A book of one chapter, and one with no chapter in train, are left out; so is a verse that WEB lacks."""
    chapters = ["Gen.1", "Gen.2", "Obad.1", "Hag.1", "Hag.2"]
    found = write(tmp_path, chapters, monkeypatch, {"Gen.2", "Hag.1", "Hag.2"})
    assert [line["id"] for line in found["train"]] == ["Gen.1.1", "Gen.1.2"]
    assert [(line["id"], line["text"], line["label"]) for line in found["test"]] == [
        ("Gen.2.1", "Gen.2 1", "Gen"),
        ("Gen.2.2", "Gen.2 2", "Gen"),
    ]


def test_the_committed_archive_gives_the_task(tmp_path):
    """Of the 66 books those with several chapters are there, each in both splits or in train, no chapter in two."""
    pytest.importorskip("torch")
    from harness.embedding.formats.pairs import read_pairs

    folder = prepare_texts("web-books", folder=tmp_path, progress=False)
    found = {split: read(folder / f"{split}.jsonl") for split in ("train", "test")}
    books = {split: {line["label"] for line in lines} for split, lines in found.items()}
    assert "**web-books**, this folder" in (folder / "README.md").read_text(encoding="utf-8")
    assert len(books["train"]) == 61
    assert books["test"] <= books["train"]
    chapters = {split: {line["id"].rpartition(".")[0] for line in lines} for split, lines in found.items()}
    assert not chapters["train"] & chapters["test"]
    assert len(found["test"]) / len(found["train"]) == pytest.approx(0.1, abs=0.02)
    assert len(read_pairs(folder).test) == len(found["test"])
