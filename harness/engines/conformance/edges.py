"""Data at the edges: fewer vectors than k, one vector, copies, a k of one, views of larger arrays, several threads."""

from __future__ import annotations

from collections.abc import Iterator
from typing import Any

import numpy as np

from harness.core.errors import PluginError
from harness.engines.conformance.samples import fingerprint, repeat, sample, twice
from harness.engines.conformance.subject import QUERIES, K, Trial, recall
from harness.engines.contract import Sets, as_neighbors

_FEW = 150


def more_than_there_are(trial: Trial) -> Iterator[str]:
    """Asked for more neighbours than there are vectors, it gives those that there are."""
    yield from _edge(trial, "k > n", sample(trial.subject.metric, 5, seed=3))


def one_vector(trial: Trial) -> Iterator[str]:
    """An index of a single vector can be built, and finds it."""
    yield from _edge(trial, "one vector", _single(trial))


def every_vector_twice(trial: Trial) -> Iterator[str]:
    """Copies of a vector are vectors of their own: ties break nothing."""
    yield from _edge(trial, "every vector twice", twice(sample(trial.subject.metric, _FEW, seed=5)))


def constant_data(trial: Trial) -> Iterator[str]:
    """An index of 300 equal vectors can be built and searched."""
    yield from _edge(trial, "constant data", repeat(_single(trial), 300))


def _single(trial: Trial) -> Any:
    return sample(trial.subject.metric, 1, seed=4)


def _edge(trial: Trial, title: str, train: Any) -> Iterator[str]:
    algorithm, searches = trial.subject.built(train)
    queries = sample(trial.subject.metric, 3, seed=6)
    k = min(K, len(train)) if trial.subject.is_floor else K
    for label, asked in (("batch", queries), ("one query", queries[:1])):
        try:
            ids = as_neighbors(algorithm.searcher(**searches[-1])(asked, k), len(asked), k, len(train))
        except PluginError as problem:
            yield f"{title}, {label}: {problem}"
        except Exception as problem:  # noqa: BLE001 - whatever a plug-in raises is a finding
            yield f"{title}, {label}: raised {type(problem).__name__}: {problem}"
        else:
            if not (ids >= 0).any():
                yield f"{title}, {label}: no neighbour at all among {len(train)}"


def another_k(trial: Trial) -> Iterator[str]:
    """One searcher answers calls with different k: 10, then 1, then 10 again."""
    search = trial.bind()
    wide = as_neighbors(search(trial.queries, K), QUERIES, K, trial.n)
    one = as_neighbors(search(trial.queries, 1), QUERIES, 1, trial.n)
    single = as_neighbors(search(trial.queries[:1], 1), 1, 1, trial.n)
    again = as_neighbors(search(trial.queries, K), QUERIES, K, trial.n)
    if (one < 0).any() or (single < 0).any():
        yield f"k = 1: no neighbour among {trial.n} vectors"
    if (wide != again).any():
        yield f"k = {K}: the answer changed after a call with k = 1 in between"


def views(trial: Trial) -> Iterator[str]:
    """Vectors may be read-only views into larger arrays, as those of a mapped file are; what is around them is not."""
    metric = trial.subject.metric
    around = sample(metric, 3 * _FEW, seed=7)
    train, queries = _view(around, _FEW, 2 * _FEW), _view(around, 5, 5 + QUERIES)
    before = fingerprint(around)
    algorithm, searches = trial.subject.built(train)
    ids = as_neighbors(algorithm.searcher(**searches[-1])(queries, K), QUERIES, K, _FEW)
    if fingerprint(around) != before:
        yield "views: memory around the vectors that it was given was written to"
    yield from _poor(trial, "views", queries, train, ids)


def _view(data: Any, start: int, stop: int) -> Any:
    """Return some vectors without copying them; their memory starts in the middle of an array that owns it."""
    if isinstance(data, Sets):
        low, high = data.indptr[start], data.indptr[stop]
        return Sets(data.indptr[start : stop + 1] - low, data.indices[low:high])
    return data[start:stop]


def several_threads(trial: Trial) -> Iterator[str]:
    """`fit` and `searcher` take `threads=2`, and the answers are as valid and as near as with one."""
    train = sample(trial.subject.metric, _FEW, seed=8)
    algorithm, searches = trial.subject.built(train, threads=2)
    search = algorithm.searcher(threads=2, **searches[-1])
    ids = as_neighbors(search(trial.queries, K), QUERIES, K, _FEW)
    yield from _poor(trial, "threads = 2", trial.queries, train, ids)


def _poor(trial: Trial, title: str, queries: Any, train: Any, ids: Any) -> Iterator[str]:
    if trial.subject.is_floor:
        return
    share = recall(trial.subject.metric, queries, train, np.asarray(ids))
    if share < trial.subject.least_recall:
        yield f"{title}: recall {share:.3f} on {len(train)} vectors at its last setting, near that of guessing"
