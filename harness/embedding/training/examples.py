"""What is learnt from: queries and documents, each once, and which of them belong together."""

from __future__ import annotations

import hashlib
from collections.abc import Iterable, Sequence
from dataclasses import dataclass, replace
from pathlib import Path
from typing import Any

import numpy as np
from numpy.typing import NDArray

from harness.core.errors import ConfigError, DatasetError
from harness.embedding.formats.beir import is_beir, read_beir, read_corpus
from harness.embedding.formats.images import is_images, read_image_text
from harness.embedding.formats.lines import Line, find, read_jsonl
from harness.embedding.formats.pairs import JUDGED, find_split, read_pairs
from harness.embedding.tasks import Classification, Pairs, Similarity
from harness.embedding.towers.tower import item_bytes

Ids = NDArray[np.int64]
_QUERY = ("query", "anchor", "first", "sentence1")
_POSITIVE = ("positive", "pos", "second", "sentence2")
_NEGATIVE = ("negatives", "negative", "neg")


@dataclass(frozen=True, eq=False)
class Examples:
    """Training examples by number, so that each text is tokenised once however often it is seen.

    `pairs` (n, 2) int64: the query and its document. `negatives` (n, h) int64, documents that come with the data;
    `labels` (n,) int64: classes of queries where there are no documents (`pairs[:, 1]` is -1 then), or 1 and 0 for
    pairs that belong together or don't. `others` (m, 2) are pairs that belong together, but aren't learnt from.
    """

    queries: Sequence[Any]
    documents: Sequence[Any]
    pairs: Ids
    negatives: Ids | None = None
    labels: Ids | None = None
    others: Ids | None = None

    def __len__(self) -> int:
        """Count the examples."""
        return len(self.pairs)

    def known(self) -> Known:
        """Return which documents are known to answer which query."""
        positive = self.pairs if self.labels is None else self.pairs[self.labels > 0]
        if self.others is not None:
            positive = np.concatenate([positive, self.others])
        return Known(np.unique(positive[:, 0] * (len(self.documents) + 1) + positive[:, 1]), len(self.documents) + 1)

    def first(self, count: int | None, seed: int) -> Examples:
        """Keep `count` examples, drawn by `seed`; all where None."""
        if count is None or count >= len(self):
            return self
        order = np.random.default_rng((seed, 5)).permutation(len(self))
        kept, left = np.sort(order[:count]), order[count:]
        if len(self.documents):
            return self._only(kept, left if self.labels is None else left[self.labels[left] > 0])
        # What isn't asked about needs no embedding; documents may be drawn as negatives.
        seen, place = np.unique(self.pairs[kept, 0], return_inverse=True)
        pairs = np.stack([place, self.pairs[kept, 1]], axis=1)
        labels = None if self.labels is None else self.labels[kept]
        return Examples([self.queries[row] for row in seen], (), pairs, labels=labels)

    def _only(self, kept: Ids, known: Ids) -> Examples:
        """Keep some examples, and know of others that their pairs belong together."""
        others = self.pairs[known] if self.others is None else np.concatenate([self.others, self.pairs[known]])
        return replace(
            self,
            pairs=self.pairs[kept],
            negatives=None if self.negatives is None else self.negatives[kept],
            labels=None if self.labels is None else self.labels[kept],
            others=others,
        )

    def suited(self, needs: Sequence[str]) -> Examples:
        """Return the examples as a loss takes them that needs these fields of a batch.

        One of pairs gets those that belong together, one that needs neither partner nor label every text by itself.
        Raises ConfigError where the data isn't of the kind that the loss learns from.
        """
        if "positives" in needs:
            if not len(self.documents):
                raise ConfigError("the loss learns from pairs, and these examples are labelled texts without partners")
            if self.labels is None or "labels" in needs:
                return self
            kept = np.flatnonzero(self.labels > 0)
            if not len(kept):
                raise ConfigError("the loss learns from pairs that belong together, and no pair has the label 1")
            return replace(self._only(kept, kept[:0]), labels=None)
        if "labels" in needs:
            if self.labels is None or len(self.documents):
                raise ConfigError(
                    "the loss learns from labelled texts, with the columns text and label; these are pairs"
                )
            return self
        return self.alone()

    def alone(self) -> Examples:
        """Return every text of either side as an example of its own, as what needs no partner is learnt from.

        Raises ConfigError for examples with images.
        """
        if not all(isinstance(item, str) for item in (*self.queries[:1], *self.documents[:1])):
            raise ConfigError("images are learnt from with their captions, not alone; choose a loss of pairs")
        texts = list(dict.fromkeys([*self.queries, *self.documents]))
        return Examples(texts, (), np.stack([np.arange(len(texts)), np.full(len(texts), -1)], axis=1))

    def twice(self) -> Examples:
        """Return every text of either side as its own partner, as SimCSE learns from (Gao, Yao and Chen 2021)."""
        texts = self.alone().queries
        return Examples(texts, texts, np.repeat(np.arange(len(texts))[:, None], 2, axis=1))

    def content_hash(self) -> str:
        """Hash all that is learnt from (SHA-256, hexadecimal)."""
        digest = hashlib.sha256()
        for part in (self.queries, self.documents):
            digest.update(f"{len(part)}\n".encode())
            for text in part:
                coded = item_bytes(text)
                digest.update(len(coded).to_bytes(8, "little"))
                digest.update(coded)
        for array in (self.pairs, self.negatives, self.labels, self.others):
            digest.update(b"-" if array is None else array.tobytes())
        return digest.hexdigest()


@dataclass(frozen=True, eq=False)
class Known:
    """Pairs of query and document that belong together, as sorted keys."""

    keys: Ids
    stride: int

    def contains(self, queries: Ids, documents: Ids) -> NDArray[np.bool_]:
        """Tell for each query and document, broadcast against each other, whether they are known to belong together."""
        wanted = queries * self.stride + documents
        if not len(self.keys):
            return np.zeros(wanted.shape, np.bool_)
        place = np.minimum(np.searchsorted(self.keys, wanted), len(self.keys) - 1)
        found: NDArray[np.bool_] = self.keys[place] == wanted
        return found

    def table(self, queries: Ids, documents: Ids) -> NDArray[np.bool_]:
        """Tell which documents (d,) are known to answer which queries (q,): (q, d).

        The same as `contains` of all pairs, but found by the few that are known.
        """
        first, last = (np.searchsorted(self.keys, queries * self.stride + end) for end in (0, self.stride))
        known = self.keys[_runs(first, last - first)] % self.stride
        row = np.repeat(np.arange(len(queries)), last - first)
        order = np.argsort(documents, kind="stable")
        start, stop = (np.searchsorted(documents, known, side, sorter=order) for side in ("left", "right"))
        table = np.zeros((len(queries), len(documents)), np.bool_)
        table[np.repeat(row, stop - start), order[_runs(start, stop - start)]] = True
        return table


def _runs(starts: Ids, counts: Ids) -> Ids:
    """Return `counts[i]` numbers from `starts[i]` on, one run after the other."""
    return np.arange(counts.sum()) + np.repeat(starts - (counts.cumsum() - counts), counts)


def read_examples(folders: Sequence[Path]) -> Examples:
    """Read and join the training examples of folders: all pairs, or all labelled texts.

    A BEIR folder gives its judgements of the split `train`, a folder of images its captions of that split with their
    images as documents; `train.jsonl` pairs with `query` and `positive`, perhaps
    with `negatives`; tables what their columns say, STS pairs from a score of 4 of 5 on. Raises AnnbenchError.
    """
    parts = [_read(folder) for folder in folders]
    if len(parts) == 1:
        return parts[0]
    if any(part.labels is not None for part in parts):
        raise ConfigError("labelled examples can't be joined with others; train on one folder of them")
    if any(is_images(folder) for folder in folders):
        raise ConfigError("images can't be joined with other examples; train on one folder of them")
    return _join(parts)


def read_texts(folders: Sequence[Path]) -> Examples:
    """Read every text of folders as an example of its own, as pre-training takes them; of BEIR folders the documents.

    Raises AnnbenchError.
    """
    parts = [read_corpus(folder)[1] if is_beir(folder) else _read(folder).alone().queries for folder in folders]
    texts = [text for part in parts for text in part]
    return Examples(texts, (), np.empty((0, 2), np.int64)).alone()


def _read(folder: Path) -> Examples:
    if is_beir(folder):
        return _from_judgements(folder)
    if is_images(folder):
        shown = read_image_text(folder, "train")
        return Examples(shown.captions, list(shown.images), shown.pairs)
    path = find(folder, "train", [".jsonl"])
    if path is not None:
        first = next(iter(read_jsonl(path)), None)
        if first is not None and _key(first, _QUERY) and _key(first, _POSITIVE) and not _key(first, JUDGED):
            return _from_jsonl(path)
    if find_split(folder, "train") is None:
        raise DatasetError(
            f"{folder}: holds nothing to learn from: no corpus.jsonl, train.jsonl, train.csv or train.tsv"
        )
    task = read_pairs(folder, "train")
    if isinstance(task, Classification):
        names = sorted(set(task.train_labels))
        labels = np.searchsorted(names, task.train_labels)
        alone = np.stack([np.arange(len(labels)), np.full(len(labels), -1)], axis=1)
        return Examples(task.train, (), alone, labels=labels.astype(np.int64))
    return _from_pairs(task)


def _from_judgements(folder: Path) -> Examples:
    task = read_beir(folder, "train")
    queries, documents = _Texts(), _Texts()
    # Documents of one text are one: as each other's negatives they would teach nonsense.
    number = {name: documents.add(text) for name, text in zip(task.document_ids, task.documents, strict=True)}
    pairs = {
        (queries.add(text), number[document]): None
        for query, text in zip(task.query_ids, task.queries, strict=True)
        for document, relevance in task.judgements[query].items()
        if relevance > 0
    }
    return Examples(queries.texts, documents.texts, np.array(list(pairs), np.int64))


def _from_pairs(task: Pairs | Similarity) -> Examples:
    queries, documents = _Texts(), _Texts()
    rows = [(queries.add(a), documents.add(b)) for a, b in zip(task.first, task.second, strict=True)]
    pairs = np.array(rows, np.int64)
    if isinstance(task, Pairs):
        return Examples(queries.texts, documents.texts, pairs, labels=task.labels.astype(np.int64))
    alike = task.scores >= 0.8 * task.scores.max()
    return Examples(queries.texts, documents.texts, pairs[alike])


def _from_jsonl(path: Path) -> Examples:
    queries, documents = _Texts(), _Texts()
    pairs: list[tuple[int, int]] = []
    negatives: list[list[int]] = []
    for line in read_jsonl(path):
        query, positive = _texts(path, line, _QUERY), _texts(path, line, _POSITIVE)
        others = _texts(path, line, _NEGATIVE) if _key(line, _NEGATIVE) else []
        for text in positive:
            pairs.append((queries.add(query[0]), documents.add(text)))
            negatives.append([documents.add(other) for other in others])
    width = min(map(len, negatives), default=0)
    given = np.array([row[:width] for row in negatives], np.int64) if width else None
    return Examples(queries.texts, documents.texts, np.array(pairs, np.int64), negatives=given)


def _key(line: Line, names: Iterable[str]) -> str | None:
    return next((name for name in names if name in line.content), None)


def _texts(path: Path, line: Line, names: Sequence[str]) -> list[str]:
    """Return the text, or the list of texts, under the first of the names that is there."""
    value = line.content.get(_key(line, names) or names[0])
    texts = [value] if isinstance(value, str) else value
    if not isinstance(texts, list) or not texts or not all(isinstance(text, str) for text in texts):
        raise DatasetError(f"{path}:{line.number}: {names[0]!r} should be a text or a list of texts; it is {value!r}")
    return texts


class _Texts:
    """Texts by number, each once."""

    def __init__(self) -> None:
        self.texts: list[str] = []
        self._numbers: dict[str, int] = {}

    def add(self, text: str) -> int:
        number = self._numbers.setdefault(text, len(self.texts))
        if number == len(self.texts):
            self.texts.append(text)
        return number


def _join(parts: Sequence[Examples]) -> Examples:
    """Join examples; negatives that come with the data are kept where all parts have some."""
    queries, documents = _Texts(), _Texts()
    pairs, negatives = [], []
    for part in parts:
        to_query = np.array([queries.add(text) for text in part.queries], np.int64)
        to_document = np.array([documents.add(text) for text in part.documents], np.int64)
        pairs.append(np.stack([to_query[part.pairs[:, 0]], to_document[part.pairs[:, 1]]], axis=1))
        if part.negatives is not None:
            negatives.append(to_document[part.negatives])
    given = None
    if len(negatives) == len(parts):
        width = min(part.shape[1] for part in negatives)
        given = np.concatenate([part[:, :width] for part in negatives])
    return Examples(queries.texts, documents.texts, np.concatenate(pairs), negatives=given)
