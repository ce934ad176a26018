"""Abilities that later workloads need: each does what its mixin in `harness.engines.abilities` says."""

from __future__ import annotations

import pickle
from collections.abc import Iterator, Mapping
from concurrent.futures import ThreadPoolExecutor
from threading import Barrier
from typing import Any

import numpy as np
import psutil
from numpy.typing import NDArray

from harness.core.errors import AnnbenchError, ParameterError
from harness.data.attributes import Attributes, Categories, Floats, Integers, Tags
from harness.data.predicates import And, Contains, Equals, In, Not, Or, Predicate, Range
from harness.engines.conformance.samples import sample
from harness.engines.conformance.subject import (
    COMPILE_ROWS,
    LEAST_RECALL,
    QUERIES,
    K,
    N,
    Trial,
    singly,
    true_distances,
)
from harness.engines.contract import (
    Closes,
    Concurrent,
    Deletes,
    Evidence,
    Explains,
    FilteredSearch,
    Filters,
    Flushes,
    Grows,
    Search,
    as_neighbors,
)

_CLIENTS = 4
_KEPT = 3  # vectors that are left when nearly all are deleted
# A predicate that admits this share of the vectors is no excuse for an answer near that of guessing.
_WIDE = 0.4

# Every kind of predicate, wide ones and narrow ones, with one that admits nothing and one that admits everything.
_PREDICATES: tuple[Predicate, ...] = (
    And(),
    Or(),
    Equals("number", 7),
    In("number", (1, 2, 3)),
    Range("number", at_least=100, below=500),
    Range("share", above=0.25, at_most=0.75),
    Equals("colour", "red"),
    Not(Equals("colour", "red")),
    Contains("tags", ("even",)),
    Contains("tags", ("even", "third")),
    And((Contains("tags", ("even",)), Range("share", at_least=0.1))),
    Or((Equals("colour", "red"), Equals("colour", "blue"))),
)


def _attributes(n: int) -> Attributes:
    rng = np.random.default_rng(13)
    colours = [("red", "green", "blue", None)[i % 4] for i in range(n)]
    tags = [[name for name, step in (("even", 2), ("third", 3)) if i % step == 0] for i in range(n)]
    return Attributes(
        {
            "number": Integers(np.arange(n)),
            "share": Floats(rng.random(n)),
            "colour": Categories.of(colours),
            "tags": Tags.of(tags),
        }
    )


def filters(trial: Trial) -> Iterator[str]:
    """A filtered search returns rows that match, the near ones among them, and refuses a predicate by its column."""
    train, attributes = sample(trial.subject.metric, N, seed=11), _attributes(N)
    algorithm, searches = trial.subject.construct(N)
    if not isinstance(algorithm, Filters):
        return
    algorithm.compile(train[:COMPILE_ROWS])
    algorithm.attach(attributes)
    algorithm.fit(train, threads=1)
    search = algorithm.filtered_searcher(**searches[-1])
    distances = true_distances(trial.subject.metric, trial.queries, train)
    refused: dict[Predicate, str] = {}
    for predicate in _PREDICATES:
        mask = predicate.mask(attributes)
        for title, chosen in (("batch", slice(None)), ("single", slice(0, 1))):
            queries = trial.queries[chosen]
            try:
                ids = as_neighbors(search(queries, K, [predicate] * len(queries)), len(queries), K, N)
            except ParameterError as problem:
                refused[predicate] = str(problem)
                break
            yield from _unmatched(f"{title}, {predicate.document()}", ids, np.broadcast_to(mask, (len(queries), N)))
            if mask.mean() >= _WIDE and (title == "batch"):
                yield from _far(f"under {predicate.document()}", np.where(mask, distances, np.inf), ids)
    for predicate, words in refused.items():
        if predicate.columns() and not any(column in words for column in predicate.columns()):
            yield f"{predicate.document()} is refused without the name of its column: {words}"
    known = [predicate for predicate in _PREDICATES if predicate not in refused]
    if not any(predicate.columns() for predicate in known):
        yield "it refuses every predicate on a column"
    yield from _mixed(trial, search, attributes, known)
    # What was attached must not narrow a search without a predicate.
    yield from _far("without a predicate", distances, _asked(algorithm.searcher(**searches[-1]), trial))


def _mixed(trial: Trial, search: FilteredSearch, attributes: Attributes, known: list[Predicate]) -> Iterator[str]:
    """Ask every query under a predicate of its own."""
    if not known:
        return
    own = [known[i % len(known)] for i in range(QUERIES)]
    ids = as_neighbors(search(trial.queries, K, own), QUERIES, K, N)
    yield from _unmatched("a predicate a query", ids, np.stack([predicate.mask(attributes) for predicate in own]))


def _unmatched(title: str, ids: NDArray[np.int64], masks: NDArray[np.bool_]) -> Iterator[str]:
    """Yield a breach for an id whose row doesn't match; `masks` are (m, n)."""
    wrong = (ids >= 0) & ~np.take_along_axis(masks, np.maximum(ids, 0), axis=1)
    if wrong.any():
        row, column = np.argwhere(wrong)[0]
        yield f"{title}: query {row} got id {ids[row, column]}, which doesn't match"


def deletes(trial: Trial) -> Iterator[str]:
    """Deleted vectors are never returned, the others are found by the ids that they had, and no id is deleted twice."""
    metric, train = trial.subject.metric, sample(trial.subject.metric, N, seed=12)
    algorithm, searches = trial.subject.built(train)
    if not isinstance(algorithm, Deletes):
        return
    distances = true_distances(metric, trial.queries, train)
    _asked(algorithm.searcher(**searches[-1]), trial)
    gone = np.union1d(np.arange(0, N, 3), distances.argmin(axis=1))
    given = gone.copy()
    algorithm.delete(given)
    if (given != gone).any():
        yield "delete changed the ids that it was given"
    ids = _asked(algorithm.searcher(**searches[-1]), trial)
    yield from _returned(ids, gone)
    left = distances.copy()
    left[:, gone] = np.inf
    yield from _far("after delete", left, ids)
    for title, bad in (("that is deleted already", gone[:1]), ("that was never given", np.array([N + 5]))):
        try:
            algorithm.delete(bad)
        except AnnbenchError:
            continue
        yield f"an id {title} was deleted in silence: raise ParameterError that names it"
    if isinstance(algorithm, Grows):
        algorithm.add(sample(metric, _KEPT, seed=14), threads=1)
        search = algorithm.searcher(**searches[-1])
        yield from _returned(as_neighbors(search(trial.queries, K), QUERIES, K, N + _KEPT), gone)
    rest = np.setdiff1d(np.arange(N), gone)
    algorithm.delete(rest[_KEPT:])
    search = algorithm.searcher(**searches[-1])
    yield from _returned(as_neighbors(search(trial.queries, K), QUERIES, K, N + _KEPT), [*gone, *rest[_KEPT:]])


def _returned(ids: NDArray[np.int64], gone: Any) -> Iterator[str]:
    if (back := np.isin(ids, gone) & (ids >= 0)).any():
        row, column = np.argwhere(back)[0]
        yield f"query {row} got id {ids[row, column]} after it was deleted"


def flushes(trial: Trial) -> Iterator[str]:
    """After `flush` all that was written is found, and flushing again does no harm."""
    metric, train = trial.subject.metric, sample(trial.subject.metric, N, seed=15)
    algorithm, _ = trial.subject.built(train[: N // 2])
    if not isinstance(algorithm, Flushes):
        return
    n = N // 2
    if isinstance(algorithm, Grows):
        algorithm.add(train[n:], threads=1)
        n = N
    algorithm.flush()
    algorithm.flush()
    ids = _asked(algorithm.searcher(**trial.subject.construct(n)[1][-1]), trial)
    yield from _far("after flush", true_distances(metric, trial.queries, train[:n]), ids)


def concurrent(trial: Trial) -> Iterator[str]:
    """Clients that search at once get the answers that one alone gets."""
    expected = trial.one_by_one
    trial.bind()
    algorithm = trial.index
    if not isinstance(algorithm, Concurrent):
        return
    kind: str = algorithm.clients
    if kind not in {"threads", "processes"}:
        yield f"clients is {kind!r:.80}: it should be 'threads' or 'processes'"
        return
    if kind == "processes":
        copied = pickle.loads(pickle.dumps(algorithm)).client()  # noqa: S301 - it was written a moment before
        if (singly(copied, trial.queries, K, trial.n) != expected).any():
            yield "a client of a copy by pickle gives other answers than the index itself"
        return
    together = Barrier(_CLIENTS)
    # Each client begins with another query, so that no two ask the same at once.
    orders = [np.roll(np.arange(QUERIES), client) for client in range(_CLIENTS)]

    def ask(search: Search, order: NDArray[np.int64]) -> NDArray[np.int64]:
        together.wait()
        return singly(search, trial.queries[order], K, trial.n)

    with ThreadPoolExecutor(_CLIENTS) as pool:
        searches = [algorithm.client() for _ in orders]
        for number, found in enumerate(pool.map(ask, searches, orders)):
            if (found != expected[orders[number]]).any():
                yield f"client {number} of {_CLIENTS} at once got other answers than one alone"
                return


def closes(trial: Trial) -> Iterator[str]:
    """`close` ends the processes that an index started, and closing again does nothing."""
    own = psutil.Process()
    before = {child.pid for child in own.children(recursive=True)}
    algorithm, searches = trial.subject.built(trial.train)
    if not isinstance(algorithm, Closes):
        return
    algorithm.searcher(**searches[-1])(trial.queries, K)
    algorithm.close()
    running = [child for child in own.children(recursive=True) if child.status() != psutil.STATUS_ZOMBIE]
    if left := [child.name() for child in running if child.pid not in before]:
        yield f"close left a process running: {', '.join(left)}"
    algorithm.close()


def explains(trial: Trial) -> Iterator[str]:
    """`evidence` counts the vectors that the index holds, n at most, and names the index and the plan of a search."""
    trial.bind()(trial.queries, K)
    if not isinstance(trial.index, Explains):
        return
    found: Any = trial.index.evidence()  # which may be anything
    if not isinstance(found, Mapping) or set(found) != set(Evidence.__annotations__):
        yield f"evidence gave {found!r:.120}: it should be a table of {', '.join(Evidence.__annotations__)}"
        return
    rows = found["indexed_rows"]
    if not isinstance(rows, int | np.integer) or isinstance(rows, bool) or not 0 <= rows <= trial.n:
        yield f"evidence: indexed_rows = {rows!r:.80}; it should be a count of vectors, {trial.n} at most"
    for name in ("index", "plan"):
        if not isinstance(found[name], str):
            yield f"evidence: {name} = {found[name]!r:.80}; it should be a text"


def _asked(search: Search, trial: Trial) -> NDArray[np.int64]:
    return as_neighbors(search(trial.queries, K), QUERIES, K, N)


def _far(title: str, distances: NDArray[np.float64], ids: NDArray[np.int64]) -> Iterator[str]:
    """Yield a breach where few of the ids are as near as the K-th nearest; `distances` (m, n), inf for what is out."""
    found = np.where(ids < 0, np.inf, np.take_along_axis(distances, np.maximum(ids, 0), axis=1))
    kth = np.sort(distances, axis=1)[:, K - 1]
    share = float((found <= kth[:, None] + 1e-5 * np.abs(kth[:, None]) + 1e-9).mean())
    if share < LEAST_RECALL:
        yield f"{title}: {share:.3f} of the true neighbours are found, near that of guessing"
