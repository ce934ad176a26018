"""What holds for every answer: ids that are valid, near, in order and repeatable, and data left as they were."""

from __future__ import annotations

from collections.abc import Iterator, Mapping

import numpy as np
from numpy.typing import NDArray

from harness.engines.conformance.samples import fingerprint
from harness.engines.conformance.subject import QUERIES, K, Trial, recall, singly
from harness.engines.contract import as_neighbors


def builds(trial: Trial) -> Iterator[str]:
    """It is constructed, compiled and built over some hundred vectors, and a searcher can be bound."""
    trial.bind()
    yield from ()


def valid_ids(trial: Trial) -> Iterator[str]:
    """Answers are integers, at most k a query, between 0 and n - 1, none twice; all queries at once or one a call."""
    for mode in ("together", "one_by_one"):
        getattr(trial, mode)
    yield from ()


def _modes(trial: Trial) -> Iterator[tuple[str, NDArray[np.int64]]]:
    yield "batch", trial.together
    yield "single", trial.one_by_one


def finds_neighbours(trial: Trial) -> Iterator[str]:
    """Its most thorough setting finds far more of the true neighbours than guessing would."""
    for mode, ids in _modes(trial):
        share = recall(trial.subject.metric, trial.queries, trial.train, ids)
        if share < trial.subject.least_recall:
            yield f"{mode}: recall {share:.3f} on {trial.n} vectors at its last setting, near that of guessing"


def k_answers(trial: Trial) -> Iterator[str]:
    """A query gets fewer than k ids only where there are fewer than k vectors."""
    for mode, ids in _modes(trial):
        short = (ids < 0).any(axis=1)
        if short.any():
            yield f"{mode}: query {np.flatnonzero(short)[0]} got fewer than k = {K} of {trial.n} vectors"


def nearest_first(trial: Trial) -> Iterator[str]:
    """Ids come nearest first, unless the config says `ordered: false`."""
    for mode, ids in _modes(trial):
        found = trial.distances(ids)
        with np.errstate(invalid="ignore"):
            falls = np.diff(found, axis=1) < -1e-3 * np.maximum(np.abs(found[:, 1:]), 1e-3)
        falls &= np.isfinite(found[:, 1:])
        if falls.any():
            row = np.argwhere(falls)[0][0]
            yield f"{mode}: query {row} is not nearest first; set `ordered: false` if that is meant"


def inputs_unchanged(trial: Trial) -> Iterator[str]:
    """Neither `fit` nor a search writes to the vectors that it was given."""
    trial.bind()
    if fingerprint(trial.train) != trial.prints[0]:
        yield "fit changed the vectors that it was given"
    search = trial.bind()
    search(trial.queries, K)
    search(trial.queries[:1], K)
    if fingerprint(trial.queries) != trial.prints[1]:
        yield "search changed the queries that it was given"


def same_answer_twice(trial: Trial) -> Iterator[str]:
    """The same queries get the same answer again."""
    search = trial.bind()
    batches = [as_neighbors(search(trial.queries, K), QUERIES, K, trial.n) for _ in range(2)]
    singles = [singly(search, trial.queries, K, trial.n) for _ in range(2)]
    if (batches[0] != batches[1]).any():
        yield "the same batch gave another answer the second time"
    if (singles[0] != singles[1]).any():
        yield "the same queries, one a call, gave another answer the second time"


def settings_apart(trial: Trial) -> Iterator[str]:
    """A setting that was bound, used and bound over leaves nothing behind when the first one is bound again."""
    expected = trial.one_by_one
    trial.bind(0)(trial.queries, K)
    if (singly(trial.bind(), trial.queries, K, trial.n) != expected).any():
        yield "the answer changed after another setting was bound in between"


def earlier_answers_stay(trial: Trial) -> Iterator[str]:
    """What a call returned is the caller's: later calls don't write to it."""
    search = trial.bind()
    several, one = search(trial.queries, K), search(trial.queries[:1], K)
    kept = np.array(as_neighbors(several, QUERIES, K, trial.n)), np.array(as_neighbors(one, 1, K, trial.n))
    search(trial.queries[1:], K)
    search(trial.queries[-1:], K)
    singly(trial.bind(0), trial.queries, K, trial.n)
    now = as_neighbors(several, QUERIES, K, trial.n), as_neighbors(one, 1, K, trial.n)
    if any((before != after).any() for before, after in zip(kept, now, strict=True)):
        yield "a later call changed what an earlier one had returned"


def counts_bytes(trial: Trial) -> Iterator[str]:
    """`index_bytes` gives a count of bytes, or None where that isn't known."""
    trial.bind()
    size = trial.index.index_bytes()
    if size is not None and not _is_count(size):
        yield f"index_bytes gave {size!r}: it should be a count of bytes, or None"


def counts_work(trial: Trial) -> Iterator[str]:
    """`counters` gives whole numbers by name that start at zero with each bind and never fall."""
    search = trial.bind()
    fresh = trial.index.counters()
    search(trial.queries, K)
    after = trial.index.counters()
    search(trial.queries[:1], K)
    later = trial.index.counters()
    for counted in (fresh, after, later):
        if not isinstance(counted, Mapping):
            yield f"counters gave {counted!r:.80}: it should be a table of counts by name"
            return
        wrong = {name: value for name, value in counted.items() if not _is_count(value)}
        if wrong:
            yield f"counters gave {wrong!r:.80}: each should be a whole number of 0 or more"
            return
    if used := {name: value for name, value in fresh.items() if value}:
        yield f"counters gave {used!r:.80} before the first search: they count since the last bind"
    fallen = [name for name in after if later.get(name, -1) < after[name]]
    if fallen:
        yield f"counter {fallen[0]!r} fell, or is gone, after one search more"


def _is_count(value: object) -> bool:
    return isinstance(value, int | np.integer) and not isinstance(value, bool) and int(value) >= 0
