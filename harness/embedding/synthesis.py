"""Training examples without people: a language model writes queries, and relabels what answers them.

After Gecko (Lee et al. 2024, "Gecko: Versatile Text Embeddings Distilled from Large Language Models", section 3): a
query is written for a passage; an embedding model finds candidates for the query; the language model, by the likelihood
of the query given each candidate, or a teacher, says which candidate is the positive, often another passage than the
query's own, and which are hard negatives.
"""

from __future__ import annotations

import hashlib
import json
import re
import shutil
from collections.abc import Callable, Mapping, Sequence
from dataclasses import asdict, dataclass
from pathlib import Path
from typing import Any, NamedTuple

import numpy as np
from numpy.typing import NDArray

from harness.core.atomic import write_text
from harness.core.errors import ConfigError
from harness.core.lock import held_alone
from harness.embedding.cache import EmbeddingCache
from harness.embedding.encoder import Encoder
from harness.embedding.journal import Journal
from harness.embedding.language_model import LanguageModel
from harness.embedding.retrieval import exact_ranking
from harness.embedding.training.examples import Examples
from harness.embedding.training.teacher import Teacher
from harness.embedding.variants import Variant

EXAMPLES, ABOUT = "train.jsonl", "synthesis.json"
_EXAMPLES = (
    ("The Nile flows north through eleven countries and reaches the sea in Egypt.", "which way does the Nile flow"),
    ("Bees tell each other by a dance where flowers are to be found.", "how do bees show the way to flowers"),
    ("Bread without yeast was eaten in haste on the night before the journey.", "why was the bread not leavened"),
    ("She kept the letters of her brother in a box, and read them in winter.", "woman who treasured old letters"),
)
PROMPT = "".join(f"Passage: {passage}\nSearch: {query}\n\n" for passage, query in _EXAMPLES)
_KNOWN = {query.lower() for _, query in _EXAMPLES}
_PASSAGE = 1500  # characters of a passage that are shown
_WORDS = (2, 24)
_LEAD = re.compile(r"^(?:[-*\d.)\s]+|(?:search )?(?:query|question)\s*:\s*)+", re.IGNORECASE)
_QUOTES = "\"'`\N{LEFT DOUBLE QUOTATION MARK}\N{RIGHT DOUBLE QUOTATION MARK} "
Ids = NDArray[np.int64]
Listener = Callable[[str, dict[str, Any]], None]
MakeTeacher = Callable[[Examples], Teacher]


@dataclass(frozen=True)
class Settings:
    """How examples are made: `queries` tries for each of `passages` passages, drawn by `seed`.

    Of `candidates` documents found for a query the best labelled is its positive, the `negatives` worst its negatives.
    `teacher` names what labels; the writer, by likelihood, where it is empty.
    """

    passages: int = 100
    queries: int = 1
    candidates: int = 20
    negatives: int = 1
    temperature: float = 0.8
    seed: int = 0
    teacher: str = ""

    def __post_init__(self) -> None:
        """Check the numbers; raises ConfigError."""
        for name in ("passages", "queries", "negatives"):
            if getattr(self, name) < 1:
                raise ConfigError(f"{name}: should be 1 or more; it is {getattr(self, name)}")
        if self.candidates < self.negatives + 2:
            raise ConfigError(
                f"candidates: {self.candidates} leave no {self.negatives} negatives beside a positive and the "
                f"query's own passage; take {self.negatives + 2} or more"
            )
        if self.temperature < 0:
            raise ConfigError(f"temperature: should be 0 or more; it is {self.temperature}")


class Corpus(NamedTuple):
    """Documents by id."""

    name: str
    ids: Sequence[str]
    texts: Sequence[str]

    def content_hash(self) -> str:
        """Hash ids and texts (SHA-256, hexadecimal)."""
        return hashlib.sha256(json.dumps([list(self.ids), list(self.texts)]).encode()).hexdigest()


class _Written(NamedTuple):
    """A query, and the row of the passage that it was written for."""

    query: str
    passage: int


class LikelihoodTeacher:
    """Scores a query with a document by how probable the writer finds the query, given the document."""

    def __init__(self, writer: LanguageModel, examples: Examples) -> None:
        self._writer = writer
        self._examples = examples

    def scores(self, queries: Ids, documents: Ids) -> NDArray[np.float32]:
        """Score each query (b,) with its candidates (b, c): (b, c) mean log-probabilities."""
        rows = [
            self._writer.likelihood(
                [prompt_for(self._examples.documents[one]) for one in row], f" {self._examples.queries[query]}"
            )
            for query, row in zip(queries.tolist(), documents.tolist(), strict=True)
        ]
        return np.array(rows, np.float32)


def synthesise(
    corpus: Corpus,
    writer: LanguageModel,
    encoder: Encoder,
    settings: Settings,
    folder: Path,
    *,
    cache: EmbeddingCache,
    make_teacher: MakeTeacher | None = None,
    listener: Listener | None = None,
) -> Mapping[str, Any]:
    """Make examples of a corpus into `folder/train.jsonl`, and return what `synthesis.json` beside it says.

    A line has `query`, `positive` and `negatives`, as `read_examples` reads them, and the ids of all. What was
    interrupted goes on where it stopped, query by query; what is done is not done again. `make_teacher` makes what
    labels in place of the writer. Raises AnnbenchError.
    """
    tell = listener or (lambda _event, _content: None)
    if settings.candidates > len(corpus.texts):
        raise ConfigError(f"{corpus.name}: has only {len(corpus.texts)} documents; take fewer candidates")
    work = folder / ".work"
    work.mkdir(parents=True, exist_ok=True)
    with held_alone(work / "lock", f"{folder} is being filled", ConfigError):
        content = corpus.content_hash()
        of_writing = ("passages", "queries", "temperature", "seed")
        written_key = _hash(writer.name, content, PROMPT, {name: asdict(settings)[name] for name in of_writing})
        key = _hash(written_key, encoder.fingerprint, asdict(settings))
        about = _read_about(folder)
        if about.get("key") == key:
            tell("known", {"folder": str(folder)})
        else:
            written = _write(corpus, writer, settings, work / "queries.jsonl", written_key, tell)
            labels = work / "labels.jsonl"
            lines = _label(corpus, writer, encoder, settings, written, labels, key, cache, make_teacher, tell)
            about = {
                "key": key,
                "corpus": corpus.name,
                "writer": writer.name,
                "model": encoder.name,
                "settings": asdict(settings),
                "tries": min(settings.passages, len(corpus.texts)) * settings.queries,
                "queries": len(lines),
                "moved": sum(line["positive_id"] != line["passage_id"] for line in lines),
            }
            # Gone first and written last: where it is there, it is of the examples beside it.
            (folder / ABOUT).unlink(missing_ok=True)
            write_text(folder / EXAMPLES, "".join(json.dumps(line, ensure_ascii=False) + "\n" for line in lines))
            write_text(folder / ABOUT, json.dumps(about, indent=1) + "\n")
    shutil.rmtree(work, ignore_errors=True)
    return about


def _write(
    corpus: Corpus, writer: LanguageModel, settings: Settings, path: Path, key: str, tell: Listener
) -> list[_Written]:
    """Write queries for passages; equal queries are one, that of the first passage."""
    chosen = np.random.default_rng((settings.seed, 6)).permutation(len(corpus.texts))[: settings.passages].tolist()
    found: dict[str, int] = {}
    with Journal(path, key) as journal:
        done = {int(line["passage"]): line["queries"] for line in journal.done}
        for number, passage in enumerate(chosen, 1):
            text = corpus.texts[passage]
            if passage not in done:
                seed = int(_hash(settings.seed, corpus.ids[passage])[:15], 16)  # its own, whatever was done before
                answers = writer.write(prompt_for(text), settings.queries, seed=seed, temperature=settings.temperature)
                queries = [query for answer in answers if (query := read_query(answer, text)) is not None]
                journal.add({"passage": passage, "queries": queries})
                done[passage] = queries
            for query in done[passage]:
                found.setdefault(query, passage)
            tell("written", {"done": number, "total": len(chosen), "queries": done[passage]})
    return [_Written(query, passage) for query, passage in found.items()]


def _label(
    corpus: Corpus,
    writer: LanguageModel,
    encoder: Encoder,
    settings: Settings,
    written: list[_Written],
    path: Path,
    key: str,
    cache: EmbeddingCache,
    make_teacher: MakeTeacher | None,
    tell: Listener,
) -> list[dict[str, Any]]:
    """Find candidates of each query and say which is the positive and which are negatives."""
    if not written:
        raise ConfigError(f"{writer.name}: wrote no query that could be used; try more passages or another writer")
    queries = [one.query for one in written]
    passages = np.array([one.passage for one in written], np.int64)
    candidates = find_candidates(corpus, queries, passages, encoder, settings.candidates, cache)
    rows = np.arange(len(queries))
    examples = Examples(queries, corpus.texts, np.stack([rows, passages], axis=1))
    teacher = LikelihoodTeacher(writer, examples) if make_teacher is None else make_teacher(examples)
    lines = []
    with Journal(path, key) as journal:
        done = {line["query"]: line for line in journal.done}
        for row in rows.tolist():
            record = done.get(queries[row])
            if record is None:
                scores = teacher.scores(rows[row : row + 1], candidates[row : row + 1])[0]
                positive, negatives = choose(candidates[row], scores, int(passages[row]), settings.negatives)
                record = {"query": queries[row], "positive": positive, "negatives": negatives}
                journal.add(record)
            lines.append(_line(corpus, record, int(passages[row])))
            tell("labelled", {"done": row + 1, "total": len(queries)})
    return lines


def find_candidates(
    corpus: Corpus, queries: Sequence[str], passages: Ids, encoder: Encoder, count: int, cache: EmbeddingCache
) -> Ids:
    """Return the documents nearest to each query, (q, count), the query's own passage (q,) among them in any case."""
    documents = cache.embed(encoder, corpus.texts, "document").vectors
    asked = cache.embed(encoder, queries, "query").vectors
    order = np.arange(len(documents), dtype=np.int64)
    found = exact_ranking(asked, documents, Variant().fit(documents), count, order)
    missing = ~(found == passages[:, None]).any(axis=1)
    found[missing, -1] = passages[missing]
    return found


def choose(candidates: Ids, scores: NDArray[np.float32], passage: int, negatives: int) -> tuple[int, list[int]]:
    """Return the candidate of the highest score, and the `negatives` of the lowest, the lowest first.

    The query's own passage is never a negative: it was written for it. Candidates (c,) that come first win ties.
    """
    order = np.argsort(-scores, kind="stable")
    positive = int(candidates[order[0]])
    others = [int(candidates[place]) for place in order[::-1]]
    return positive, [one for one in others if one not in (positive, passage)][:negatives]


def _line(corpus: Corpus, record: Mapping[str, Any], passage: int) -> dict[str, Any]:
    positive, negatives = record["positive"], record["negatives"]
    return {
        "query": record["query"],
        "positive": corpus.texts[positive],
        "negatives": [corpus.texts[one] for one in negatives],
        "passage_id": corpus.ids[passage],
        "positive_id": corpus.ids[positive],
        "negative_ids": [corpus.ids[one] for one in negatives],
    }


def prompt_for(passage: str) -> str:
    """Ask for a query that a passage answers, after examples of such queries."""
    return f"{PROMPT}Passage: {' '.join(passage.split())[:_PASSAGE]}\nSearch:"


def read_query(answer: str, passage: str) -> str | None:
    """Read the query in an answer: its first line, without list marks and quotes.

    None where there are fewer than 2 words or more than 24, where it is one of the prompt's examples, or a part of the
    passage as it stands, which any search by words would find.
    """
    line = next((stripped for one in answer.splitlines() if (stripped := one.strip())), "")
    query = " ".join(_LEAD.sub("", line).strip(_QUOTES).split())
    fewest, most = _WORDS
    bare = query.rstrip(".?! ").lower()
    if not fewest <= len(query.split()) <= most or bare in passage.lower() or bare in _KNOWN:
        return None
    return query


def _read_about(folder: Path) -> Mapping[str, Any]:
    """Return what an earlier run wrote; empty where there is none, or it or its examples can't be read."""
    try:
        content = json.loads((folder / ABOUT).read_text(encoding="utf-8"))
    except (OSError, ValueError):
        return {}
    return content if isinstance(content, dict) and (folder / EXAMPLES).is_file() else {}


def _hash(*parts: Any) -> str:
    return hashlib.sha256(json.dumps(parts, sort_keys=True).encode()).hexdigest()
