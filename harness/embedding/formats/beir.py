"""Retrieval tasks in BEIR's layout: `corpus.jsonl`, `queries.jsonl` and `qrels/SPLIT.tsv` (Thakur et al. 2021)."""

from __future__ import annotations

import csv
import re
from collections import Counter, defaultdict
from collections.abc import Collection, Iterator
from pathlib import Path
from typing import NamedTuple

from harness.core.errors import DatasetError
from harness.embedding.formats.lines import find, read_jsonl, read_lines, text_of
from harness.embedding.tasks import Retrieval

_WHOLE = re.compile(r"\s*[+-]?[0-9]{1,9}\s*")


def is_beir(folder: Path) -> bool:
    """Tell whether a folder holds a corpus."""
    return find(folder, "corpus", [".jsonl"]) is not None


def splits(folder: Path) -> tuple[str, ...]:
    """List the splits that have judgements."""
    found = {path.name.removesuffix(".gz") for path in (folder / "qrels").glob("*.tsv*")}
    return tuple(sorted(name.removesuffix(".tsv") for name in found if name.endswith(".tsv")))


def read_beir(folder: Path, split: str = "test") -> Retrieval:
    """Read a retrieval task.

    A document is its title and its text, a blank between. Judgements of queries or documents that aren't there are left
    out; `about` says how many, and names one. Relevance below 1 is none, and of a pair judged twice the last holds, as
    in BEIR's own reader. Each file may be gzipped. Raises DatasetError that names file and line.
    """
    document_ids, documents = _documents(_required(folder, "corpus"))
    queries = _queries(_required(folder, "queries"))
    judgements, about = _judgements(folder, split, queries, set(document_ids))
    wanted = [query for query in queries if query in judgements]
    return Retrieval(
        name=folder.name if split == "test" else f"{folder.name}/{split}",
        document_ids=document_ids,
        documents=documents,
        query_ids=wanted,
        queries=[queries[query] for query in wanted],
        judgements={query: judgements[query] for query in wanted},
        about=about,
    )


def read_corpus(folder: Path) -> tuple[list[str], list[str]]:
    """Read the ids and texts of the documents alone."""
    return _documents(_required(folder, "corpus"))


def _required(folder: Path, stem: str) -> Path:
    path = find(folder, stem, [".jsonl"])
    if path is None:
        raise DatasetError(
            f"{folder}: {stem}.jsonl is missing; a BEIR folder holds corpus.jsonl, queries.jsonl, qrels/"
        )
    return path


def _documents(path: Path) -> tuple[list[str], list[str]]:
    documents: dict[str, str] = {}
    for line in read_jsonl(path):
        name = text_of(path, line, "_id")
        if name in documents:
            raise DatasetError(f"{path}:{line.number}: document {name!r} stands there twice; give each its own _id")
        title = line.content.get("title") or ""
        documents[name] = f"{title} {text_of(path, line, 'text')}".strip()
    if not documents:
        raise DatasetError(f"{path}: holds no document")
    return list(documents), list(documents.values())


def _queries(path: Path) -> dict[str, str]:
    queries: dict[str, str] = {}
    for line in read_jsonl(path):
        name = text_of(path, line, "_id")
        if name in queries:
            raise DatasetError(f"{path}:{line.number}: query {name!r} stands there twice; give each its own _id")
        queries[name] = text_of(path, line, "text")
    return queries


class _Judgement(NamedTuple):
    line: int
    query: str
    document: str
    relevance: int


def _judgements(
    folder: Path, split: str, queries: Collection[str], documents: Collection[str]
) -> tuple[dict[str, dict[str, int]], str]:
    """Return query -> document -> relevance, and in words which judgements were left out."""
    path = find(folder / "qrels", split, [".tsv"])
    if path is None:
        there = ", ".join(splits(folder)) or "none"
        raise DatasetError(f"{folder}: no judgements for the split {split!r}; there are: {there}")
    found: defaultdict[str, dict[str, int]] = defaultdict(dict)
    left_out: Counter[str] = Counter()
    examples: dict[str, str] = {}
    for line, query, document, relevance in _rows(path, queries, documents):
        if query in queries and document in documents:
            found[query][document] = max(relevance, 0)
            continue
        lacking, name = ("corpus.jsonl", document) if query in queries else ("queries.jsonl", query)
        left_out[lacking] += 1
        examples.setdefault(lacking, f"{name!r} of {path.name}:{line} is not in {lacking}")
    count = left_out.total()
    about = f"{count:,} judgement{'s' * (count > 1)} left out: {'; '.join(examples.values())}" if count else ""
    judged = {query: by for query, by in found.items() if any(by.values())}
    if not judged:
        raise DatasetError(f"{path}: no query of queries.jsonl has a relevant document of corpus.jsonl")
    return judged, about


def _rows(path: Path, queries: Collection[str], documents: Collection[str]) -> Iterator[_Judgement]:
    """Yield judgements; a first row whose third cell is no number is a header, whatever it says."""
    for number, text in read_lines(path):
        if not text.strip():
            continue
        cells = _cells(text)
        # TREC's own form has a column that nobody reads between query and document.
        if len(cells) == 4 and _WHOLE.fullmatch(cells[3]) and not (cells[1] in documents and cells[2].isdigit()):
            del cells[1]
        if len(cells) < 3:
            raise DatasetError(f"{path}:{number}: should hold query, document and relevance between tabs, not {text!r}")
        query, document, relevance = cells[:3]
        if number == 1 and not _is_number(relevance) and not (query in queries and document in documents):
            continue
        if _WHOLE.fullmatch(relevance) is None:
            raise DatasetError(f"{path}:{number}: relevance {relevance!r} is not a whole number of at most nine digits")
        yield _Judgement(number, query, document, int(relevance))


def _cells(text: str) -> list[str]:
    """Split a row at its tabs. As BEIR's reader does, take quotes off a cell, but for one that nothing closes."""
    plain = text.split("\t")
    if '"' not in text:
        return plain
    try:
        quoted = next(csv.reader([text], delimiter="\t"))
    except csv.Error:
        return plain
    return quoted if len(quoted) >= 3 else plain


def _is_number(text: str) -> bool:
    try:
        float(text)
    except ValueError:
        return False
    return True
