"""What a plug-in must not do: checked on small sets before it is timed, in a child process that it may crash."""

from __future__ import annotations

import zlib
from collections.abc import Callable, Iterator, Mapping
from dataclasses import dataclass
from typing import Any

import numpy as np
from numpy.typing import NDArray

from harness.contract import Algorithm, Sets, as_neighbors
from harness.errors import AnnbenchError, PluginError
from harness.metric import Metric, neighbour_distances, pack_bits

_N, _QUERIES, _DIM, _K = 600, 24, 16, 10
# For plug-ins whose parameters are made for large sets: thousands of clusters or trees want as many vectors.
_MANY = 5000
# Their coarsest setting may be the one that is checked: chance finds 10 of 5000.
_LEAST_RECALL_OF_MANY = 0.05
# An index on 600 vectors with a sensible setting finds most neighbours; a random answer finds 10 of 600.
_LEAST_RECALL = 0.3

Resolve = Callable[[Mapping[str, int]], tuple[Mapping[str, Any], list[Mapping[str, Any]]]]
"""(n, dim, k) -> build parameters and some search settings, the last of which should be the most thorough."""


@dataclass(frozen=True)
class Subject:
    """The plug-in under test: its class, what it claims, and how its parameters follow from the data.

    Without `edges`, it owes neither answers on fewer vectors than k nor all of k ids, and is asked for more vectors.
    """

    name: str
    make: type[Algorithm]
    metric: Metric
    ordered: bool
    is_floor: bool
    resolve: Resolve
    edges: bool = True


def findings(subject: Subject) -> Iterator[str]:
    """Yield a sentence for each breach of the contract; none means that the plug-in may be timed."""
    checks = {"small set": _main_checks, "odd data": _odd_checks}
    if not subject.edges:
        del checks["odd data"]
    for title, check in checks.items():
        try:
            yield from check(subject)
        except AnnbenchError as problem:
            yield f"{title}: {problem}"
        except Exception as problem:  # noqa: BLE001 - whatever a plug-in raises is a finding
            yield f"{title}: raised {type(problem).__name__}: {problem}"


def _built(subject: Subject, train: Any, dim: int) -> tuple[Algorithm, list[Mapping[str, Any]]]:
    build, searches = subject.resolve({"n": len(train), "dim": dim, "k": _K})
    algorithm = subject.make(subject.metric, **build)
    algorithm.compile(train[: min(len(train), 256)])
    algorithm.fit(train, threads=1)
    return algorithm, searches


def _main_checks(subject: Subject) -> Iterator[str]:
    n = _N if subject.edges else _MANY
    train, queries = sample(subject.metric, n, seed=1), sample(subject.metric, _QUERIES, seed=2)
    prints = [fingerprint(part) for part in (train, queries)]
    algorithm, searches = _built(subject, train, _DIM)
    if fingerprint(train) != prints[0]:
        yield "fit changed the vectors that it was given"
    first = algorithm.searcher(**searches[-1])
    raw, raw_one = first(queries, _K), first(queries[:1], _K)
    together = as_neighbors(raw, _QUERIES, _K, n)
    kept = np.array(together)
    one_by_one = _singly(first, queries, _K, n)
    if fingerprint(queries) != prints[1]:
        yield "search changed the queries that it was given"
    yield from _quality(subject, queries, train, together, "batch")
    yield from _quality(subject, queries, train, one_by_one, "single")
    if (as_neighbors(first(queries, _K), _QUERIES, _K, n) != kept).any():
        yield "the same batch gave another answer the second time"
    if (_singly(first, queries, _K, n) != one_by_one).any():
        yield "the same queries, one a call, gave another answer the second time"
    algorithm.searcher(**searches[0])(queries, _K)
    again = algorithm.searcher(**searches[-1])
    if (_singly(again, queries, _K, n) != one_by_one).any():
        yield "the answer changed after another setting was bound in between"
    changed = (as_neighbors(raw_one, 1, _K, n) != one_by_one[:1]).any()
    if changed or (as_neighbors(raw, _QUERIES, _K, n) != kept).any():
        yield "a later call changed what an earlier one had returned"
    size = algorithm.index_bytes()
    if size is not None and size < 0:
        yield f"index_bytes gave {size!r}: it should be a count of bytes, or None"


def _singly(search: Any, queries: Any, k: int, n: int) -> NDArray[np.int64]:
    return np.concatenate([as_neighbors(search(queries[i : i + 1], k), 1, k, n) for i in range(len(queries))])


def _quality(subject: Subject, queries: Any, train: Any, ids: NDArray[np.int64], mode: str) -> Iterator[str]:
    if subject.is_floor:
        return
    found = neighbour_distances(subject.metric, queries, train, ids)
    every = np.tile(np.arange(len(train)), (len(queries), 1))
    kth = np.sort(neighbour_distances(subject.metric, queries, train, every), axis=1)[:, _K - 1]
    recall = float((found <= kth[:, None] + 1e-5 * np.abs(kth[:, None]) + 1e-9).mean())
    if recall < (_LEAST_RECALL if subject.edges else _LEAST_RECALL_OF_MANY):
        yield f"{mode}: recall {recall:.3f} on {len(train)} vectors at its last setting, near that of guessing"
    short = (ids < 0).any(axis=1)
    if subject.edges and short.any():
        yield f"{mode}: query {np.flatnonzero(short)[0]} got fewer than k = {_K} of {len(train)} vectors"
    if subject.ordered:
        with np.errstate(invalid="ignore"):
            falls = np.diff(found, axis=1) < -1e-3 * np.maximum(np.abs(found[:, 1:]), 1e-3)
        falls &= np.isfinite(found[:, 1:])
        if falls.any():
            row = np.argwhere(falls)[0][0]
            yield f"{mode}: query {row} is not nearest first; set `ordered: false` if that is meant"


def _odd_checks(subject: Subject) -> Iterator[str]:
    """Check data at the edges: fewer vectors than k, one vector, copies of one vector, a few distinct ones."""
    few = sample(subject.metric, 5, seed=3)
    single = sample(subject.metric, 1, seed=4)
    half = sample(subject.metric, 150, seed=5)
    for title, train in (
        ("k > n", few),
        ("one vector", single),
        ("every vector twice", _twice(half)),
        ("constant data", _repeat(single, 300)),
    ):
        algorithm, searches = _built(subject, train, _DIM)
        queries = sample(subject.metric, 3, seed=6)
        k = min(_K, len(train)) if subject.is_floor else _K
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


def sample(metric: Metric, n: int, seed: int) -> Any:
    """Draw `n` vectors in clusters, read-only, in the form of the metric."""
    rng = np.random.default_rng(seed)
    if metric is Metric.JACCARD:
        return Sets.of([rng.choice(40, rng.integers(3, 15), replace=False) for _ in range(n)])
    centres = np.random.default_rng(0).standard_normal((12, _DIM)) * 2
    rows = centres[rng.integers(0, len(centres), n)] + rng.standard_normal((n, _DIM))
    found: Any = pack_bits(rows > 0) if metric is Metric.HAMMING else rows.astype(np.float32)
    found.flags.writeable = False
    return found


def _twice(data: Any) -> Any:
    return data[np.concatenate([np.arange(len(data))] * 2)]


def _repeat(data: Any, times: int) -> Any:
    return data[np.zeros(times, np.int64)]


def fingerprint(data: Any) -> int:
    """Return a checksum of vectors, to see whether somebody wrote to them."""
    if isinstance(data, Sets):
        return zlib.crc32(data.indices.tobytes(), zlib.crc32(data.indptr.tobytes()))
    return zlib.crc32(np.ascontiguousarray(data).data)
