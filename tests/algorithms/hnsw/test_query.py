"""From a query to its answer: ranking again, and when that may end early."""

from __future__ import annotations

import numpy as np
from hypothesis import given, settings
from hypothesis import strategies as st

from algorithms.kernels.codes.ranking import rerank, write_ids
from algorithms.kernels.graph.pool import EMPTY, make_key, node_of


def keys_of(ranks, room):
    """Return a pool of keys with these ranks, nodes numbered, and empty places behind."""
    keys = np.full(room, EMPTY, np.int64)
    keys[: len(ranks)] = [make_key(int(rank), node) for node, rank in enumerate(ranks)]
    return keys


def test_answers_are_padded():
    """Where fewer are found than asked for, -1 follows."""
    answer = np.empty(5, np.int64)
    write_ids(keys_of([3, 4, 9], 4), np.array([70, 80, 90], np.int32), answer)
    assert answer.tolist() == [70, 80, 90, -1, -1]
    write_ids(keys_of([], 2), np.array([70], np.int32), answer)
    assert answer.tolist() == [-1] * 5


@given(st.integers(0, 40), st.integers(1, 15), st.sampled_from([1, 7, 33]), st.booleans(), st.integers(0, 99))
@settings(deadline=None, max_examples=40)
def test_rows_rank_again(n, k, dim, inner, seed):
    """Without trust all that was found is ranked by the rows, whatever the codes said."""
    rng = np.random.default_rng(seed)
    rows, query = rng.standard_normal((n, dim), dtype=np.float32), rng.standard_normal(dim, dtype=np.float32)
    best = np.empty(k, np.int64)
    rerank(rows, query, inner, keys_of(np.sort(rng.integers(0, 1000, n)), n + 3), 1.0, 0.0, 0.0, best)
    distances = -(rows @ query) if inner else ((rows - query) ** 2).sum(axis=1)
    found = [int(node_of(key)) for key in best if key != EMPTY]
    assert len(found) == min(n, k)
    np.testing.assert_allclose(distances[found], np.sort(distances)[:k], rtol=1e-4, atol=1e-5)


@given(st.integers(12, 60), st.floats(0.5, 1.0), st.integers(0, 99))
@settings(deadline=None, max_examples=40)
def test_trust_loses_nothing_that_it_may_not(n, trust, seed):
    """Where every distance is at least `trust` times its estimate, less the margin, ending early loses no neighbour."""
    rng = np.random.default_rng(seed)
    rows = np.sort(rng.uniform(1.0, 30.0, n)).astype(np.float32)[:, None]
    true = rows[:, 0].astype(np.float64) ** 2
    scale, margin = 10.0, 8.0
    estimates = np.floor((true * scale**2 + rng.uniform(0.0, margin, n)) / rng.uniform(trust, 1.0, n))
    order = np.argsort(estimates, kind="stable")
    best = np.empty(10, np.int64)
    found = keys_of(estimates[order], n)
    rerank(rows[order], np.zeros(1, np.float32), False, found, 1.0 / scale**2, trust, margin, best)  # noqa: FBT003
    np.testing.assert_allclose(np.sort(true[order][node_of(best)]), np.sort(true)[:10], rtol=1e-5)


def test_trust_ends_early():
    """Nodes that lie beyond what codes can be wrong by aren't looked at: a row there is never read."""
    rows = np.array([[1.0], [2.0], [0.0]], np.float32)  # the last row says 0, but its code says 100
    best = np.empty(1, np.int64)
    for trust, expected in ((0.0, 2), (1.0, 0)):
        rerank(rows, np.zeros(1, np.float32), False, keys_of([1, 4, 100], 3), 1.0, trust, 0.0, best)  # noqa: FBT003
        assert node_of(best[0]) == expected
