"""Hard negatives: documents that look like an answer, and aren't known to be one."""

from __future__ import annotations

from collections.abc import Callable, Iterator, Mapping
from contextlib import contextmanager
from functools import lru_cache
from typing import Any, NamedTuple

import numpy as np
import torch
from numpy.typing import NDArray

from harness.core.errors import ConfigError
from harness.data.metric import Metric
from harness.embedding.training.examples import Examples, Known
from harness.embedding.training.parts import NegativesPart
from harness.engines.contract import Search, as_neighbors
from harness.engines.registry import load_registry

Ids = NDArray[np.int64]
Vectors = NDArray[np.float32]
# Random documents drawn again where they answer the query, before the few that may be taken are counted out.
_TRIES = 8
# Values of embeddings held at once: 256 MiB of float32.
_BLOCK = 1 << 26


class Embedded(NamedTuple):
    """The embeddings of all queries and documents under the weights as they are, each of length 1 or 0."""

    queries: Vectors
    documents: Vectors


def due(part: NegativesPart, epoch: int) -> bool:
    """Tell whether negatives are drawn anew before an epoch: at first, and from the first ranking on at each refresh.

    The model's ranking starts with the second epoch, unless `from_start`; until then random documents stand in.
    """
    ranked_from = 1 if _ranks_later(part) else 0
    return epoch == 0 or (epoch - ranked_from) % part.refresh == 0


def _ranks_later(part: NegativesPart) -> bool:
    return part.kind == "mined" and not part.from_start


def draw_negatives(
    part: NegativesPart, examples: Examples, embed: Callable[[], Embedded], *, seed: int, epoch: int
) -> Ids | None:
    """Draw hard negatives for an epoch: (n, count) numbers of documents, or None for none.

    `embed` is called only where the model's own ranking is wanted. Where the window holds too few that may be taken,
    random documents fill it. Raises ConfigError for examples without documents, or settings that the index refuses.
    """
    if part.kind == "given":
        return examples.negatives
    if not len(examples.documents):
        raise ConfigError(f"negatives: {part.kind} needs documents, and these examples are labelled items without any")
    rng = np.random.default_rng((seed, 2, epoch))
    known = examples.known()
    if part.kind == "random" or (epoch == 0 and _ranks_later(part)):
        return random_negatives(examples, known, part.count, rng)
    asked, place = np.unique(examples.pairs[:, 0], return_inverse=True)
    if part.kind == "bm25":
        ranked = _rank_by_words(examples, part.window[1])
        return _draw(part, examples, known, ranked[place], None, rng)
    embedded = embed()
    ranked = rank_by_index(part, embedded.queries[asked], embedded.documents)
    return _draw(part, examples, known, ranked[place], embedded, rng)


def random_negatives(examples: Examples, known: Known, count: int, rng: np.random.Generator) -> Ids:
    """Draw documents that aren't known to answer the query, (n, count); any of them where all are known to."""
    number = len(examples.documents)
    drawn = rng.integers(0, number, (len(examples), count))
    queries = examples.pairs[:, :1]
    for _ in range(_TRIES):
        wrong = known.contains(queries, drawn)
        if not wrong.any():
            return drawn
        drawn[wrong] = rng.integers(0, number, int(wrong.sum()))
    wrong = known.contains(queries, drawn)
    for row in np.flatnonzero(wrong.any(axis=1)):
        allowed = np.flatnonzero(~known.contains(queries[row], np.arange(number)))
        if len(allowed):
            drawn[row, wrong[row]] = rng.choice(allowed, int(wrong[row].sum()))
    return drawn


def rank_by_index(part: NegativesPart, queries: Vectors, documents: Vectors) -> Ids:
    """Rank documents for each query by the algorithm of the registry that the recipe names: (q, window end) int64.

    Raises UnknownNameError for an algorithm that isn't there, ConfigError for settings that it doesn't have.
    """
    entry = load_registry()[part.algorithm]
    depth, threads = min(part.window[1], len(documents)), torch.get_num_threads()
    settings: Mapping[str, Any] = part.search
    if part.algorithm == "hnsw" and "ef" not in settings:
        settings = {**settings, "ef": max(64, 2 * depth)}
    with _explained(part.algorithm):
        index = entry.load()(Metric.ANGULAR, **part.build)
    index.fit(documents, threads=threads)
    with _explained(part.algorithm):
        search: Search = index.searcher(threads=threads, **settings)
    return as_neighbors(search(queries, depth), len(queries), depth, len(documents))


@contextmanager
def _explained(algorithm: str) -> Iterator[None]:
    """Say in one line which setting an algorithm doesn't have."""
    try:
        yield
    except TypeError as problem:
        raise ConfigError(f"negatives: {algorithm}: {problem}; see its config.yml for what it takes") from None


@lru_cache(maxsize=1)  # words don't change while a model learns
def _rank_by_words(examples: Examples, depth: int) -> Ids:
    """Rank documents by BM25 for each query that is asked, in the order of their numbers. Raises ConfigError."""
    from harness.embedding.retrieval import bm25_ranking

    queries = [examples.queries[row] for row in np.unique(examples.pairs[:, 0])]
    order = np.arange(len(examples.documents), dtype=np.int64)
    return bm25_ranking(queries, examples.documents, min(depth, len(order)), order)


def _draw(
    part: NegativesPart,
    examples: Examples,
    known: Known,
    ranked: Ids,
    embedded: Embedded | None,
    rng: np.random.Generator,
) -> Ids:
    """Draw from the window of each example's ranking what may be taken."""
    window = ranked[:, part.window[0] - 1 : part.window[1]]
    queries = examples.pairs[:, 0]
    allowed = (window >= 0) & ~known.contains(queries[:, None], window)
    if embedded is not None and part.ceiling is not None:
        allowed &= below_ceiling(part.ceiling, examples, window, embedded)
    # The smallest of random keys are a draw without replacement.
    keys = np.where(allowed, rng.random(window.shape), np.inf)
    order = np.argsort(keys, axis=1)[:, : part.count]
    drawn = np.take_along_axis(window, order, axis=1)
    chosen = np.take_along_axis(allowed, order, axis=1)
    negatives = random_negatives(examples, known, part.count, rng)
    negatives[:, : drawn.shape[1]][chosen] = drawn[chosen]
    return negatives


def below_ceiling(ceiling: float, examples: Examples, window: Ids, embedded: Embedded) -> NDArray[np.bool_]:
    """Tell which documents of the window (n, w) score below `ceiling` times the positive's score, a cosine.

    A positive at or below 0 has no such bound below itself; then the documents must score below it.
    """
    allowed = np.empty(window.shape, np.bool_)
    step = max(1, _BLOCK // max(1, window.shape[1] * embedded.documents.shape[1]))
    for start in range(0, len(window), step):
        part = slice(start, start + step)
        queries = embedded.queries[examples.pairs[part, 0]]
        own = np.einsum("nd,nd->n", queries, embedded.documents[examples.pairs[part, 1]])
        others = np.einsum("nd,nwd->nw", queries, embedded.documents[window[part]])
        allowed[part] = others < np.where(own > 0, ceiling * own, own)[:, None]
    return allowed
