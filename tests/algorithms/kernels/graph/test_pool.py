"""Candidates as keys of one integer each: what a key holds, how keys order, and how they are kept sorted."""

from __future__ import annotations

import numpy as np
import pytest
from hypothesis import example, given, settings
from hypothesis import strategies as st

from algorithms.kernels.graph.pool import EMPTY, insert_key, make_key, node_of, rank_of, sort_keys

RANKS = st.integers(-(2**31), 2**31 - 1)
NODES = st.integers(0, 2**31 - 1)
KEYS = st.integers(-(2**63), 2**63 - 1)


@given(RANKS, NODES)
@example(-(2**31), 2**31 - 1)
@example(2**31 - 1, 2**31 - 1)
@example(-1, 0)
@settings(deadline=None)
def test_a_key_gives_back_rank_and_node(rank, node):
    """Every int32 rank and every node of 31 bits comes back from a key, expanded or not; all keys are below EMPTY."""
    key = make_key(rank, node)
    assert (rank_of(key), node_of(key)) == (rank, node)
    assert key & 1 == 0
    assert key < EMPTY
    expanded = key | 1
    assert (rank_of(expanded), node_of(expanded)) == (rank, node)


def test_an_empty_place_reads_as_expanded_and_last():
    """EMPTY needs no test of its own in a search: its lowest bit is set, and no rank is above its rank."""
    assert EMPTY & 1 == 1
    assert rank_of(np.int64(EMPTY)) == 2**31 - 1


@given(st.tuples(RANKS, NODES), st.tuples(RANKS, NODES))
@example((-1, 2**31 - 1), (0, 0))
@example((5, 3), (5, 4))
@settings(deadline=None)
def test_keys_order_as_ranks_then_nodes(left, right):
    """Comparing two keys is comparing two pairs of rank and node."""
    assert (make_key(*left) < make_key(*right)) == (left < right)
    assert (make_key(*left) == make_key(*right)) == (left == right)


@given(st.lists(KEYS, min_size=1, max_size=70), st.data())
@settings(deadline=None)
def test_insert_key_keeps_a_prefix_sorted(keys, data):
    """The new key stands at the place returned, the last one is pushed out, and what lies behind is left alone."""
    keys.sort()
    size = data.draw(st.integers(1, len(keys)))
    new = data.draw(st.one_of(KEYS, st.sampled_from(keys)))
    if new >= keys[size - 1]:
        keys[size - 1] = EMPTY
        new = min(new, EMPTY - 1)
    pool = np.array(keys, np.int64)
    place = insert_key(pool, size, np.int64(new))
    assert pool.tolist() == sorted([*keys[: size - 1], new]) + keys[size:]
    assert pool[place] == new


@given(st.lists(st.integers(0, 30), max_size=60), st.integers(1, 20))
@settings(deadline=None)
def test_inserting_into_empty_places_keeps_the_least(values, size):
    """A pool of empty places ends with the least keys that were offered, ascending, and its other places empty."""
    pool = np.full(size, EMPTY, np.int64)
    for node, value in enumerate(values):
        key = make_key(value - 15, node)
        if key < pool[-1]:
            insert_key(pool, size, key)
    least = sorted((value - 15, node) for node, value in enumerate(values))[:size]
    assert [(rank_of(key), node_of(key)) for key in pool[: len(least)]] == least
    assert (pool[len(least) :] == EMPTY).all()


@given(st.lists(st.one_of(KEYS, st.integers(0, 4)), max_size=80), st.data())
@settings(deadline=None)
def test_sort_keys_sorts_a_prefix(keys, data):
    """The first keys come out as np.sort has them, ties and extremes included; the rest is left alone."""
    count = data.draw(st.integers(0, len(keys)))
    array = np.array(keys, np.int64)
    expected = np.concatenate([np.sort(array[:count]), array[count:]])
    sort_keys(array, count)
    np.testing.assert_array_equal(array, expected)


@pytest.mark.parametrize("order", ["ascending", "descending", "equal", "random"])
def test_sort_keys_at_the_size_of_a_candidate_list(order):
    """Several hundred keys, where Shell's gaps are many, are sorted from any order."""
    keys = np.random.default_rng(0).integers(-(2**62), 2**62, 700)
    if order != "random":
        keys = {"ascending": np.sort(keys), "descending": -np.sort(-keys), "equal": np.full(700, 5)}[order]
    expected = np.sort(keys)
    sort_keys(keys, len(keys))
    np.testing.assert_array_equal(keys, expected)
