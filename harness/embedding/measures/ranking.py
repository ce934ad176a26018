"""Measures of ranked documents against graded judgements, query by query: the numbers of trec_eval (pytrec_eval).

A run is an array of document numbers (queries, depth), best first, padded with -1; `Judgements` gives the numbers. What
trec_eval does, and so do we:

- the gain is the relevance itself, discounted by log2(rank + 1) (Järvelin and Kekäläinen 2002); the ideal ranking is
  over all judged documents of the query, whether or not the corpus holds them;
- a document is relevant from a relevance of 1; one that isn't judged counts as not relevant, one below 0 as 0;
- scores are compared as float32, equal ones rank by document name, the last in the alphabet first;
- a precision at k divides by k even where fewer documents were found.

Where it goes another way, we don't: pytrec_eval gives no value for a query that the run lacks (trec_eval -c and
`ranked_run` count 0), and gives 0 to a query that is judged but has no relevant document, which nobody could answer.
`Judgements.build` leaves the latter out unless asked to keep them.
"""

from __future__ import annotations

from collections.abc import Iterable, Mapping
from dataclasses import dataclass
from functools import cached_property
from numbers import Integral
from typing import Any, Self

import numpy as np
from numpy.typing import NDArray

from harness.core.errors import AnnbenchError

Ids = NDArray[np.int64]
Values = NDArray[np.float64]


@dataclass(frozen=True, eq=False)
class Judgements:
    """What is relevant to each query, as the rows of a sparse matrix.

    `queries` and `documents` are names by number; documents beyond the first `corpus` are judged but not in the corpus,
    so no run can hold them. Query i is judged on `judged[start[i]:start[i + 1]]`, document numbers in ascending order,
    with `relevance` beside them, both (m,) int64; `start` (q + 1,) int64.
    """

    queries: tuple[str, ...]
    documents: tuple[str, ...]
    corpus: int
    start: Ids
    judged: Ids
    relevance: Ids

    @classmethod
    def build(
        cls,
        judgements: Mapping[str, Mapping[str, int]],
        documents: Iterable[str],
        *,
        keep_unanswerable: bool = False,
    ) -> Self:
        """Number the queries of `judgements` ({query: {document: relevance}}) and the `documents` of the corpus.

        Queries without a relevant document are left out; with `keep_unanswerable` they stay where anything is judged,
        and means are those over all of pytrec_eval's values. Raises AnnbenchError for a document that the corpus has
        twice, and for a relevance that is no whole number.
        """
        names = list(documents)
        numbers = {name: number for number, name in enumerate(names)}
        if len(numbers) < len(names):
            twice = next(name for number, name in enumerate(names) if numbers[name] != number)
            raise AnnbenchError(f"the corpus holds the document {twice!r} twice: give each a name of its own")
        corpus, queries, start = len(names), [], [0]
        judged: list[int] = []
        relevance: list[int] = []
        for query, grades in judgements.items():
            for document, grade in grades.items():
                if not isinstance(grade, Integral):
                    raise AnnbenchError(f"the relevance of {document!r} to {query!r} must be whole: given {grade!r}")
            if not grades or (not keep_unanswerable and max(grades.values()) < 1):
                continue
            row = sorted((numbers.setdefault(document, len(numbers)), grade) for document, grade in grades.items())
            judged += (number for number, _ in row)
            relevance += (grade for _, grade in row)
            queries.append(query)
            start.append(len(judged))
        arrays = (np.array(values, np.int64) for values in (start, judged, relevance))
        return cls(tuple(queries), tuple(numbers), corpus, *arrays)

    @cached_property
    def precedence(self) -> Ids:
        """Return each document's place among documents of equal score, (documents,): the last name comes first."""
        order = sorted(range(len(self.documents)), key=self.documents.__getitem__, reverse=True)
        places = np.empty(len(order), np.int64)
        places[order] = np.arange(len(order))
        return places

    @cached_property
    def numbers(self) -> dict[str, int]:
        """Return the number of each document."""
        return {name: number for number, name in enumerate(self.documents)}

    @cached_property
    def relevant(self) -> Ids:
        """Return how many relevant documents each query has, (q,)."""
        return np.bincount(self._row[self.relevance > 0], minlength=len(self.queries)).astype(np.int64)

    @cached_property
    def _row(self) -> Ids:
        """The query of each judgement, (m,)."""
        return np.repeat(np.arange(len(self.queries)), np.diff(self.start))

    def gains(self, ids: Ids) -> Ids:
        """Return the relevance of ranked documents, (q, depth): 0 for padding, what isn't judged and what is below 0.

        `ids` (q, depth) holds a row a query. Raises AnnbenchError for another number of rows, for a number that no
        document has, and for a document that a row holds twice.
        """
        q, n = len(self.queries), len(self.documents)
        if ids.ndim != 2 or len(ids) != q or not np.issubdtype(ids.dtype, np.integer):
            raise AnnbenchError(f"a run needs whole numbers ({q}, depth), a row a query: given {ids.dtype} {ids.shape}")
        wrong = np.argwhere((ids < -1) | (ids >= n))
        if wrong.size:
            row, column = wrong[0]
            raise AnnbenchError(f"the run of query {self.queries[row]!r} holds {ids[row, column]} of {n} documents")
        in_order = np.sort(ids, axis=1)
        twice = np.argwhere((np.diff(in_order, axis=1) == 0) & (in_order[:, 1:] >= 0))
        if twice.size:
            row, column = twice[0]
            name = self.documents[in_order[row, column]]
            raise AnnbenchError(f"the run of query {self.queries[row]!r} holds document {name!r} twice")
        if not self.judged.size:
            return np.zeros(ids.shape, np.int64)
        keys = self._row * n + self.judged  # ascending
        wanted = np.arange(q)[:, None] * n + ids
        place = np.minimum(np.searchsorted(keys, wanted), len(keys) - 1)
        found = (keys[place] == wanted) & (ids >= 0)
        gains: Ids = np.where(found, self.relevance[place], 0).clip(min=0)
        return gains

    def ideal_dcg(self, k: int) -> Values:
        """Return the discounted gain of the best possible first k documents, (q,)."""
        gain = self.relevance.clip(min=0)
        order = np.lexsort((-gain, self._row))
        rank = np.arange(len(order)) - self.start[self._row]  # within the query, from 0
        first = rank < k
        discounted = gain[order][first] / np.log2(rank[first] + 2.0)
        return np.bincount(self._row[first], discounted, minlength=len(self.queries)).astype(np.float64)


# --- runs ----------------------------------------------------------------------------------------------------------


def rank(scores: NDArray[np.floating[Any]], precedence: Ids, k: int, ids: Ids | None = None) -> Ids:
    """Return the k documents of highest score for each query, (q, k), padded with -1; of equals in trec_eval's order.

    `scores` (q, c) are those of the documents `ids` (q, c), -1 where there is none, or of the documents 0..c-1;
    `precedence` is that of `Judgements`. Ties are those of float32, and are only broken right among candidates that
    are there: a search that cut a tie short has broken it. Raises AnnbenchError for a score that is NaN.
    """
    compared = scores.astype(np.float32)
    unknown = np.argwhere(np.isnan(compared))
    if unknown.size:
        row, column = unknown[0]
        raise AnnbenchError(f"scores[{row}, {column}] is nan: a score must be comparable")
    ranked = np.full((len(scores), k), -1, np.int64)
    for row, values in enumerate(compared):
        documents = np.arange(len(values)) if ids is None else ids[row]
        kept = np.flatnonzero(documents >= 0)
        if len(kept) > k:
            kth = np.partition(values[kept], len(kept) - k)[len(kept) - k]
            kept = kept[values[kept] >= kth]
        order = kept[np.lexsort((precedence[documents[kept]], -values[kept]))][:k]
        ranked[row, : len(order)] = documents[order]
    return ranked


def ranked_run(judgements: Judgements, run: Mapping[str, Mapping[str, float]], k: int) -> Ids:
    """Return the first k documents of a run by names, {query: {document: score}}, as numbers (q, k).

    A query that the run lacks finds nothing, and one that isn't judged is ignored. Raises AnnbenchError for a document
    that neither the corpus nor the judgements hold, and for a score that is NaN.
    """
    ranked = np.full((len(judgements.queries), k), -1, np.int64)
    for row, query in enumerate(judgements.queries):
        scores = run.get(query, {})
        unknown = next((name for name in scores if name not in judgements.numbers), None)
        if unknown is not None:
            raise AnnbenchError(f"the run of query {query!r} holds document {unknown!r}, which the corpus lacks")
        ids = np.array([[judgements.numbers[name] for name in scores]], np.int64)
        ranked[row] = rank(np.array([list(scores.values())], np.float64), judgements.precedence, k, ids)[0]
    return ranked


# --- measures ------------------------------------------------------------------------------------------------------
# Each takes a run (q, depth) and returns a value a query, (q,) float64; a depth below k is a run that found no more.


def ndcg(judgements: Judgements, ids: Ids, k: int) -> Values:
    """Return the normalised discounted cumulative gain of the first k, with linear gain (trec_eval's ndcg_cut)."""
    gains = _gains(judgements, ids, k)
    found = gains @ (1.0 / np.log2(np.arange(gains.shape[1]) + 2.0))
    return _ratio(found, judgements.ideal_dcg(k))


def reciprocal_rank(judgements: Judgements, ids: Ids, k: int) -> Values:
    """Return 1 / rank of the first relevant document among the first k, 0 where there is none; its mean is MRR@k.

    trec_eval's recip_rank looks at the whole run.
    """
    hits = _gains(judgements, ids, k) > 0
    if not hits.shape[1]:
        return np.zeros(len(hits))
    found: Values = np.where(hits.any(axis=1), 1.0 / (hits.argmax(axis=1) + 1.0), 0.0)
    return found


def recall(judgements: Judgements, ids: Ids, k: int) -> Values:
    """Return the share of the query's relevant documents that are among the first k (trec_eval's recall)."""
    return _ratio((_gains(judgements, ids, k) > 0).sum(axis=1), judgements.relevant)


def precision(judgements: Judgements, ids: Ids, k: int) -> Values:
    """Return the share of the first k that is relevant (trec_eval's P)."""
    shares: Values = (_gains(judgements, ids, k) > 0).sum(axis=1) / k
    return shares


def average_precision(judgements: Judgements, ids: Ids, k: int) -> Values:
    """Return the precisions at each relevant document among the first k, summed, over the number of relevant ones.

    Its mean is MAP@k (trec_eval's map_cut).
    """
    hits = _gains(judgements, ids, k) > 0
    precisions = hits.cumsum(axis=1) / np.arange(1, hits.shape[1] + 1)
    return _ratio((precisions * hits).sum(axis=1), judgements.relevant)


def _gains(judgements: Judgements, ids: Ids, k: int) -> Ids:
    if k < 1:
        raise AnnbenchError(f"a measure at k needs k >= 1: given {k}")
    return judgements.gains(ids)[:, :k]


def _ratio(part: NDArray[Any], whole: NDArray[Any]) -> Values:
    """Divide; 0 where nothing could be had."""
    ratio: Values = np.divide(part, whole, out=np.zeros(len(whole)), where=whole > 0)
    return ratio
