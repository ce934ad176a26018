"""Retrieval tasks in BEIR's layout: `corpus.jsonl`, `queries.jsonl` and `qrels/SPLIT.tsv` (Thakur et al. 2021)."""

from __future__ import annotations

import re
from collections import defaultdict
from pathlib import Path

from harness.embedding.formats.lines import find, read_jsonl, read_lines, text_of
from harness.embedding.tasks import Retrieval
from harness.errors import DatasetError

_HEADER = "query-id"
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
    out, and counted in `about`; relevance below 1 is none, and of a pair judged twice the last holds, as in BEIR's own
    reader. Each file may be gzipped. Raises DatasetError that names file and line.
    """
    document_ids, documents = _documents(_required(folder, "corpus"))
    queries = _queries(_required(folder, "queries"))
    judgements, unknown = _judgements(folder, split, queries, set(document_ids))
    wanted = [query for query in queries if query in judgements]
    return Retrieval(
        name=folder.name if split == "test" else f"{folder.name}/{split}",
        document_ids=document_ids,
        documents=documents,
        query_ids=wanted,
        queries=[queries[query] for query in wanted],
        judgements={query: judgements[query] for query in wanted},
        about=f"judgements left out, since their query or document isn't there: {unknown:,}" if unknown else "",
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


def _judgements(
    folder: Path, split: str, queries: dict[str, str], documents: set[str]
) -> tuple[dict[str, dict[str, int]], int]:
    """Return query -> document -> relevance, and how many judgements were left out."""
    path = find(folder / "qrels", split, [".tsv"])
    if path is None:
        there = ", ".join(splits(folder)) or "none"
        raise DatasetError(f"{folder}: no judgements for the split {split!r}; there are: {there}")
    found: defaultdict[str, dict[str, int]] = defaultdict(dict)
    unknown = 0
    for number, text in read_lines(path):
        cells = text.split("\t")
        if not text.strip() or (number == 1 and cells[0] == _HEADER):
            continue
        if len(cells) == 4:  # TREC's own form, with a column that nobody reads
            del cells[1]
        if len(cells) != 3:
            raise DatasetError(f"{path}:{number}: should hold query, document and relevance between tabs, not {text!r}")
        query, document, relevance = cells
        if _WHOLE.fullmatch(relevance) is None:
            raise DatasetError(f"{path}:{number}: relevance {relevance!r} is not a whole number of at most nine digits")
        if query in queries and document in documents:
            found[query][document] = max(int(relevance), 0)
        else:
            unknown += 1
    judged = {query: by for query, by in found.items() if any(by.values())}
    if not judged:
        raise DatasetError(f"{path}: no query of queries.jsonl has a relevant document of corpus.jsonl")
    return judged, unknown
