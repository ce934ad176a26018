"""Write collections of texts: JSON lines, BEIR's judgements, and which part of a collection is for what."""

from __future__ import annotations

import hashlib
import json
from collections.abc import Iterable, Mapping
from pathlib import Path
from typing import Any


def write_jsonl(path: Path, records: Iterable[Mapping[str, Any]]) -> int:
    """Write one JSON object a line, in UTF-8, and return how many there were."""
    count = 0
    with path.open("w", encoding="utf-8", newline="\n") as stream:
        for record in records:
            stream.write(json.dumps(record, ensure_ascii=False) + "\n")
            count += 1
    return count


def write_judgements(path: Path, judgements: Mapping[str, Iterable[str]]) -> None:
    """Write relevance judgements, query id -> ids of its relevant documents, as BEIR does; all have the score 1."""
    path.parent.mkdir(exist_ok=True)
    with path.open("w", encoding="utf-8", newline="\n") as stream:
        stream.write("query-id\tcorpus-id\tscore\n")
        for query, documents in judgements.items():
            stream.writelines(f"{query}\t{document}\t1\n" for document in documents)


def split_of(key: str, *, dev: float, test: float = 0.0) -> str:
    """Return `train`, `dev` or `test` by the SHA-256 of `key`, so that a key has the same split everywhere.

    `dev` and `test` are the shares of keys that the two get.
    """
    place = int.from_bytes(hashlib.sha256(key.encode()).digest()[:8], "big") / 2**64
    return "test" if place < test else "dev" if place < test + dev else "train"
