"""Hard negatives: documents that look like an answer, and aren't known to be one."""

from __future__ import annotations

from collections.abc import Callable, Mapping, Sequence
from typing import Any, NamedTuple

import numpy as np
from numpy.typing import NDArray

from harness.embedding.training.examples import Examples, Known
from harness.embedding.training.parts import NegativesPart
from harness.errors import ConfigError
from harness.metric import Metric
from harness.registry import load_registry

Ids = NDArray[np.int64]
Vectors = NDArray[np.float32]


class Embedded(NamedTuple):
    """The embeddings of all queries and documents under the weights as they are, each of length 1 or 0."""

    queries: Vectors
    documents: Vectors


def draw_negatives(
    part: NegativesPart, examples: Examples, embed: Callable[[], Embedded], *, seed: int, epoch: int
) -> Ids | None:
    """Draw hard negatives for an epoch: (n, count) numbers of documents, or None for none.

    `embed` is called only where the model's own ranking is wanted. Where the window holds too few that may be taken,
    random documents fill it. Raises ConfigError for examples without documents.
    """
    if part.kind == "given":
        return examples.negatives
    if not len(examples.documents):
        raise ConfigError(f"negatives: {part.kind} needs documents, and these examples are labelled items without any")
    rng = np.random.default_rng((seed, 2, epoch))
    known = examples.known()
    if part.kind == "random" or (part.kind == "mined" and epoch == 0 and not part.from_start):
        return random_negatives(examples, known, part.count, rng)
    asked, place = np.unique(examples.pairs[:, 0], return_inverse=True)
    if part.kind == "bm25":
        ranked = _rank_by_words(examples, asked, part.window[1])
        return _draw(part, examples, known, ranked[place], None, rng)
    embedded = embed()
    ranked = rank_by_index(part, embedded.queries[asked], embedded.documents)
    return _draw(part, examples, known, ranked[place], embedded, rng)


def random_negatives(examples: Examples, known: Known, count: int, rng: np.random.Generator) -> Ids:
    """Draw documents that aren't known to answer the query, (n, count); as they come where all are known to."""
    drawn = rng.integers(0, len(examples.documents), (len(examples), count))
    queries = examples.pairs[:, :1]
    for _ in range(20):
        wrong = known.contains(queries, drawn)
        if not wrong.any():
            break
        drawn[wrong] = rng.integers(0, len(examples.documents), int(wrong.sum()))
    return drawn


def rank_by_index(part: NegativesPart, queries: Vectors, documents: Vectors) -> Ids:
    """Rank documents for each query by the algorithm of the registry that the recipe names: (q, window end) int64."""
    entry = load_registry()[part.algorithm]
    index = entry.load()(Metric.ANGULAR, **part.build)
    index.fit(documents, threads=2)
    depth = min(part.window[1], len(documents))
    settings: Mapping[str, Any] = part.search
    if part.algorithm == "hnsw" and "ef" not in settings:
        settings = {**settings, "ef": max(64, 2 * depth)}
    return np.asarray(index.searcher(threads=2, **settings)(queries, depth), np.int64)


def _rank_by_words(examples: Examples, asked: Ids, depth: int) -> Ids:
    from harness.embedding.retrieval import bm25_ranking

    queries: Sequence[str] = [examples.queries[row] for row in asked]
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
    for start in range(0, len(window), 4096):
        part = slice(start, start + 4096)
        queries = embedded.queries[examples.pairs[part, 0]]
        own = np.einsum("nd,nd->n", queries, embedded.documents[examples.pairs[part, 1]])
        others = np.einsum("nd,nwd->nw", queries, embedded.documents[window[part]])
        allowed[part] = others < np.where(own > 0, ceiling * own, own)[:, None]
    return allowed
