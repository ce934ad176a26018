"""Rank documents for queries: by embeddings exactly, or by words (BM25)."""

from __future__ import annotations

from collections.abc import Sequence

import numpy as np
from numpy.typing import NDArray

from harness.core.extras import extra
from harness.data.metric import normalise
from harness.embedding.encoder import Vectors
from harness.embedding.measures.ranking import rank
from harness.embedding.variants import RESCORED, Codec

Ids = NDArray[np.int64]
# Values held at once: 256 MiB of float32.
_BLOCK = 1 << 26


def exact_ranking(
    queries: Vectors, documents: Vectors, codec: Codec, k: int, precedence: Ids, own: NDArray[np.int64] | None = None
) -> Ids:
    """Rank all documents by their cosine with each query, under a variant: (q, k) int64, padded with -1.

    `precedence` (n,) is the order of equals, that of `Judgements`. `own` (q,), where given, is a document that is the
    query itself, which is left out as BEIR does; -1 for none.
    """
    stored = codec.documents(documents)
    if codec.variant.precision in ("float16", "int8"):
        stored = normalise(stored)  # what codes stand for has a length of about 1, and an angular index ignores it
    asked = codec.queries(queries)
    rescoring = codec.variant.rescore
    depth = min(RESCORED * k if rescoring else k, len(stored))
    ranked = np.full((len(queries), k), -1, np.int64)
    # Rescoring gathers the candidates' vectors, which for a small corpus is more than the scores of all.
    held = max(len(stored), depth * codec.dims if rescoring else 1)
    step = max(1, _BLOCK // held)
    for start in range(0, len(queries), step):
        part = slice(start, start + step)
        scores = asked[part] @ stored.T
        if codec.variant.precision == "binary":
            # Bits that agree less those that don't: a whole number, and equal where Hamming distances are.
            scores = np.rint(scores * codec.dims)
        if own is not None:
            rows = np.flatnonzero(own[part] >= 0)
            scores[rows, own[part][rows]] = -np.inf
        found = rank(scores, precedence, depth)
        if rescoring:
            reduced = codec.reduce(queries[part])
            again = np.einsum("qd,qcd->qc", reduced, stored[found])
            found = rank(
                np.where(np.isneginf(np.take_along_axis(scores, found, 1)), -np.inf, again), precedence, k, found
            )
        if own is not None:
            found = np.where(found == own[part][:, None], -1, found)
        ranked[part, : found.shape[1]] = found
    return ranked


def bm25_ranking(
    queries: Sequence[str],
    documents: Sequence[str],
    k: int,
    precedence: Ids,
    own: NDArray[np.int64] | None = None,
) -> Ids:
    """Rank documents by BM25 (Lucene's form, k1 = 1.5, b = .75; English stop words, Snowball stems): (q, k) int64.

    `precedence` and `own` are those of `exact_ranking`. Raises ConfigError where bm25s or PyStemmer is missing.
    """
    with extra("embed", "bm25"):
        import bm25s
        import Stemmer

    stemmer = Stemmer.Stemmer("english")
    corpus = bm25s.tokenize(list(documents), stopwords="en", stemmer=stemmer, show_progress=False)
    ranked = np.full((len(queries), k), -1, np.int64)
    if not any(len(words) for words in corpus.ids):
        return ranked
    index = bm25s.BM25(method="lucene", k1=1.5, b=0.75)
    index.index(corpus, show_progress=False)
    for row, query in enumerate(queries):
        (tokens,) = bm25s.tokenize([query], stopwords="en", stemmer=stemmer, show_progress=False, return_ids=False)
        if not tokens:
            continue
        scores = index.get_scores(tokens)
        # A document that shares no word with the query was not found.
        found = np.flatnonzero(scores > 0)
        if own is not None:
            found = found[found != own[row]]
        ranked[row] = rank(scores[None, found], precedence, k, found[None])[0] if len(found) else -1
    return ranked
