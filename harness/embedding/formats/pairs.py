"""Tables and JSONL of texts with scores or labels: STS, pairs that say the same or don't, labelled texts."""

from __future__ import annotations

from collections.abc import Iterable, Iterator, Mapping
from itertools import chain
from pathlib import Path
from typing import Any, NamedTuple

import numpy as np

from harness.core.errors import DatasetError
from harness.embedding.formats.lines import Line, find, read_jsonl, read_table
from harness.embedding.tasks import Classification, Pairs, Similarity

_SUFFIXES = (".csv", ".tsv", ".jsonl")
# The columns of STS-B as published, which has no header: genre, file, year, index, score, sentences, and licences.
_STS_SCORE, _STS_FIRST, _STS_SECOND = 4, 5, 6
# What columns are called, by those who publish.
_NAMES = {
    "first": ("first", "sentence1", "sentence_1", "text1", "text_a", "question1"),
    "second": ("second", "sentence2", "sentence_2", "text2", "text_b", "question2"),
    "score": ("score", "similarity", "similarity_score"),
    "label": ("label", "is_duplicate", "class", "category"),
    "text": ("text", "sentence"),
}
JUDGED = (*_NAMES["score"], *_NAMES["label"])
"""What a column is called that says how alike two texts are, or of which class one is."""


class _Row(NamedTuple):
    line: int
    cells: Mapping[str, str]


def find_split(folder: Path, split: str) -> Path | None:
    """Return the file of a split, as CSV, TSV or JSONL, gzipped or not; None where there is none."""
    return find(folder, split, _SUFFIXES)


def read_pairs(folder: Path, split: str = "test") -> Similarity | Pairs | Classification:
    """Read what a folder of `train`, `dev` and `test` files holds; which kind it is, its columns say.

    Two texts with a `score` make a Similarity, with a `label` of 0 or 1 Pairs; one text with a `label` makes a
    Classification, learnt from `train`. Without a header, columns are those of STS-B. Raises DatasetError.
    """
    path = find_split(folder, split)
    if path is None:
        raise DatasetError(f"{folder}: holds no {split}.csv, {split}.tsv or {split}.jsonl")
    name = folder.name if split == "test" else f"{folder.name}/{split}"
    rows = list(_rows(path))
    if not rows:
        raise DatasetError(f"{path}: holds no rows")
    given = rows[0].cells.keys()
    if {"first", "second", "score"} <= given:
        scores = np.array([_number(path, row, "score") for row in rows])
        return Similarity(name, _column(path, rows, "first"), _column(path, rows, "second"), scores)
    if {"first", "second", "label"} <= given:
        labels = np.array([_truth(path, row) for row in rows])
        return Pairs(name, _column(path, rows, "first"), _column(path, rows, "second"), labels)
    if {"text", "label"} <= given:
        return _classification(folder, name, path, rows)
    wanted = "sentence1, sentence2 and score; or sentence1, sentence2 and label; or text and label"
    raise DatasetError(f"{path}: columns should be {wanted}; found {', '.join(given) or 'none of these'}")


def _classification(folder: Path, name: str, path: Path, rows: list[_Row]) -> Classification:
    learnt = find_split(folder, "train")
    if learnt is None:
        raise DatasetError(f"{folder}: labels are learnt from train.csv, train.tsv or train.jsonl, and there is none")
    train = list(_rows(learnt))
    known = set(_column(learnt, train, "label"))
    labels = _column(path, rows, "label")
    if new := sorted(set(labels) - known):
        raise DatasetError(f"{path}: label {new[0]!r} is not among those of {learnt.name}")
    return Classification(
        name, _column(learnt, train, "text"), _column(learnt, train, "label"), _column(path, rows, "text"), labels
    )


def _rows(path: Path) -> Iterator[_Row]:
    """Yield rows with the columns that are known, under our names."""
    if ".jsonl" in path.suffixes:
        for line in read_jsonl(path):
            cells = {key: str(value) for key, value in line.content.items() if isinstance(value, str | int | float)}
            yield _Row(line.number, _known(cells))
        return
    lines = read_table(path)
    first = next(lines, None)
    if first is None:
        return
    header = [cell.strip().lower() for cell in first.content]
    known = _known({name: name for name in header})
    if not known:
        yield from _sts(path, chain([first], lines))
        return
    for line in lines:
        if len(line.content) != len(header):
            raise DatasetError(f"{path}:{line.number}: {len(line.content)} cells under {len(header)} columns")
        yield _Row(line.number, _known(dict(zip(header, line.content, strict=True))))


def _sts(path: Path, lines: Iterable[Line]) -> Iterator[_Row]:
    for line in lines:
        cells: list[str] = line.content
        if len(cells) <= _STS_SECOND:
            raise DatasetError(
                f"{path}:{line.number}: {len(cells)} columns; without a header, 5 is the score, 6 and 7 the sentences"
            )
        yield _Row(line.number, {"score": cells[_STS_SCORE], "first": cells[_STS_FIRST], "second": cells[_STS_SECOND]})


def _known(cells: Mapping[str, Any]) -> dict[str, Any]:
    found = {}
    for ours, names in _NAMES.items():
        for name in names:
            if name in cells:
                found[ours] = cells[name]
                break
    return found


def _column(path: Path, rows: list[_Row], name: str) -> list[str]:
    missing = next((row for row in rows if name not in row.cells), None)
    if missing is not None:
        raise DatasetError(f"{path}:{missing.line}: has no {name}, which the first row has")
    return [row.cells[name] for row in rows]


def _number(path: Path, row: _Row, name: str) -> float:
    text = row.cells.get(name, "")
    try:
        value = float(text)
    except ValueError:
        value = float("nan")
    if not np.isfinite(value):
        raise DatasetError(f"{path}:{row.line}: the {name} {text!r} is not a number")
    return value


def _truth(path: Path, row: _Row) -> bool:
    text = row.cells.get("label", "").lower()
    if text not in ("0", "1", "true", "false"):
        raise DatasetError(f"{path}:{row.line}: the label of a pair is 0 or 1, not {text!r}")
    return text in ("1", "true")
