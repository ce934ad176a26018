"""What a student learns from a teacher: its scores of candidates, or its embeddings, each computed once and kept."""

from __future__ import annotations

import hashlib
from collections.abc import Callable
from pathlib import Path
from typing import Any, Protocol

import numpy as np
import torch
from numpy.typing import NDArray

from harness.core.atomic import replacing
from harness.core.errors import ConfigError
from harness.embedding.cache import EmbeddingCache
from harness.embedding.encoder import Encoder, Vectors
from harness.embedding.layout import explained, quiet
from harness.embedding.models import load_model, locate
from harness.embedding.threads import adjust_threads
from harness.embedding.training.examples import Examples
from harness.embedding.training.parts import TeacherPart
from harness.embedding.variants import principal_components

Ids = NDArray[np.int64]
_BATCH = 32


class Teacher(Protocol):
    """Scores of query and document by their numbers, the higher the better."""

    def scores(self, queries: Ids, documents: Ids) -> NDArray[np.float32]:
        """Score each query (b,) with its candidates (b, c): (b, c)."""


class EmbeddingTeacher:
    """A bi-encoder: scores are inner products of what it embeds."""

    def __init__(self, encoder: Encoder, examples: Examples, cache: EmbeddingCache) -> None:
        self._queries = cache.embed(encoder, examples.queries, "query").vectors
        documents = examples.documents
        self._documents = cache.embed(encoder, documents, "document").vectors if len(documents) else None

    def scores(self, queries: Ids, documents: Ids) -> NDArray[np.float32]:
        """Score each query (b,) with its candidates (b, c): (b, c)."""
        if self._documents is None:
            raise ConfigError("a teacher's scores need documents, and these examples are labelled items without any")
        scores: NDArray[np.float32] = np.einsum("bd,bcd->bc", self._queries[queries], self._documents[documents])
        return scores

    def embeddings(self, dimension: int) -> tuple[Vectors, Vectors | None]:
        """Return those of queries and documents, in `dimension` principal components where there are more.

        Raises ConfigError where there are fewer.
        """
        have = self._queries.shape[1]
        if dimension > have:
            raise ConfigError(f"the teacher embeds in {have} dimensions, the student in {dimension}; it needs as many")
        if dimension == have:
            return self._queries, self._documents
        all_of_them = self._queries if self._documents is None else np.concatenate([self._queries, self._documents])
        basis = principal_components(all_of_them, dimension).T
        return self._queries @ basis, None if self._documents is None else self._documents @ basis


class CrossTeacher:
    """A cross-encoder: reads query and document at once. Scores are kept in memory, and below `folder` for good."""

    def __init__(self, name: str, models: Path, examples: Examples, folder: Path | None) -> None:
        import transformers

        quiet(transformers)
        where = locate(name, models)
        with explained(where):
            options: dict[str, Any] = {"local_files_only": True, "trust_remote_code": False}
            self._tokenizer: Any = transformers.AutoTokenizer.from_pretrained(where, **options)
            kind = transformers.AutoModelForSequenceClassification
            self._model: Any = kind.from_pretrained(where, dtype=torch.float32, use_safetensors=True, **options).eval()
        if self._model.config.num_labels != 1:
            raise ConfigError(
                f"{name}: has {self._model.config.num_labels} outputs; a cross-encoder has one, the score"
            )
        self._examples = examples
        self._known: dict[tuple[int, int], float] = {}
        self._path = None if folder is None else folder / f"{_scores_key(where, examples)}.npy"
        self._kept = 0
        if self._path is not None:
            rows = _read_scores(self._path)
            self._known = {(int(query), int(document)): float(score) for query, document, score in rows}
            self._kept = len(rows)

    def scores(self, queries: Ids, documents: Ids) -> NDArray[np.float32]:
        """Score each query (b,) with its candidates (b, c): (b, c)."""
        pairs = [(int(query), int(other)) for query, row in zip(queries, documents, strict=True) for other in row]
        new = [pair for pair in dict.fromkeys(pairs) if pair not in self._known]
        new.sort(key=self._length)  # so that little is padded
        for start in range(0, len(new), _BATCH):
            adjust_threads()
            some = new[start : start + _BATCH]
            self._known.update(zip(some, self._read(some), strict=True))
        return np.array([self._known[pair] for pair in pairs], np.float32).reshape(documents.shape)

    def _length(self, pair: tuple[int, int]) -> int:
        return len(self._examples.queries[pair[0]]) + len(self._examples.documents[pair[1]])

    def _read(self, pairs: list[tuple[int, int]]) -> list[float]:
        texts = [[self._examples.queries[query] for query, _ in pairs], [self._examples.documents[d] for _, d in pairs]]
        inputs = self._tokenizer(*texts, padding=True, truncation=True, max_length=512, return_tensors="pt")
        with torch.inference_mode():
            scores: list[float] = self._model(**inputs).logits[:, 0].tolist()
        return scores

    def keep(self) -> None:
        """Write what was scored, so that neither a run that goes on nor a later one need score it again."""
        if self._path is None or len(self._known) == self._kept:
            return
        rows = np.array([(query, document, score) for (query, document), score in self._known.items()], np.float64)
        with replacing(self._path) as temporary, temporary.open("wb") as stream:
            np.save(stream, rows, allow_pickle=False)
        self._kept = len(rows)


def _read_scores(path: Path) -> NDArray[np.float64]:
    """Read scores that were kept, (m, 3): query, document, score; what is damaged is as good as absent."""
    try:
        with path.open("rb") as stream:
            rows: Any = np.lib.format.read_array(stream, allow_pickle=False)
    except (OSError, ValueError, TypeError, EOFError):
        return np.empty((0, 3))
    return rows if rows.ndim == 2 and rows.shape[1] == 3 and rows.dtype == np.float64 else np.empty((0, 3))


def _scores_key(model: Path, examples: Examples) -> str:
    digest = hashlib.sha256(examples.content_hash().encode())
    for path in sorted([*model.glob("*.safetensors"), *model.glob("*.json")]):
        with path.open("rb") as stream:
            digest.update(hashlib.file_digest(stream, "sha256").digest())
    return digest.hexdigest()


def load_teacher(
    part: TeacherPart, models: Path, examples: Examples, cache: EmbeddingCache, folder: Path | None
) -> tuple[Encoder | None, Callable[[], EmbeddingTeacher | CrossTeacher]]:
    """Return the teacher's encoder, None for a cross-encoder, and what makes it ready for the examples."""
    if part.cross:
        return None, lambda: CrossTeacher(part.model, models, examples, folder)
    encoder = load_model(part.model, models)
    return encoder, lambda: EmbeddingTeacher(encoder, examples, cache)
