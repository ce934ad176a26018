"""Lists of packed codes: all that was packed comes out again, and scans add up what NumPy does."""

from __future__ import annotations

import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from algorithms.kernels.codes.fast_scan import BLOCK, GROUP, MAX_SUM, scan_list
from algorithms.kernels.lists.partition import NARROW, Entries, Lists, join, pack, padded_positions, unpack


def entries(sizes, positions=4, seed=0, *, biased=True):
    """Draw entries of lists of these sizes, in a random order, each row in one or two lists."""
    rng = np.random.default_rng(seed)
    m = sum(sizes)
    return Entries(
        rng.permutation(np.repeat(np.arange(len(sizes)), sizes)).astype(np.int32),
        rng.integers(0, max(m, 1), m).astype(np.int32),
        rng.integers(0, 16, (m, positions), np.uint8),
        rng.integers(0, 65536, m if biased else 0).astype(np.uint16),
    )


@given(
    sizes=st.lists(st.sampled_from([0, 0, 1, 2, 31, 32, 33, 70]), min_size=1, max_size=6),
    groups=st.integers(1, 3),
    biased=st.booleans(),
    seed=st.integers(0, 99),
)
@settings(deadline=None, max_examples=40)
def test_unpacks_what_was_packed(sizes, groups, biased, seed):
    """Entries come out list by list in the order in which they went in, empty lists or not."""
    given_entries = entries(sizes, GROUP * groups, seed, biased=biased)
    lists = pack(given_entries, len(sizes), NARROW)
    np.testing.assert_array_equal(lists.sizes, sizes)
    order = np.argsort(given_entries.lists, kind="stable")
    found = unpack(lists, GROUP * groups, NARROW)
    for name, value in found._asdict().items():
        expected = getattr(given_entries, name)
        np.testing.assert_array_equal(value, expected[order] if len(expected) else expected)
        assert value.dtype == expected.dtype
    again = pack(found, len(sizes), NARROW)
    for left, right in zip(lists, again, strict=True):
        np.testing.assert_array_equal(left, right)
    lists.check(max(sum(sizes), 1), len(sizes), GROUP * groups, NARROW, biased=biased)


def test_a_row_may_lie_in_two_leaves():
    """Entries of the same rows in other lists are joined behind the first."""
    first = entries([5, 0, 3])
    second = first._replace(lists=(first.lists + 1) % 3)
    both = join(first, second)
    lists = pack(both, 3, NARROW)
    assert lists.sizes.tolist() == [8, 5, 3]
    for number in range(3):
        start = lists.starts[number] * BLOCK
        expected = both.rows[both.lists == number]
        np.testing.assert_array_equal(lists.rows[start : start + lists.sizes[number]], expected)


def test_no_entries():
    """Lists may all be empty, and take no more than the bytes that a scan may ask for."""
    lists = pack(entries([0, 0, 0]), 3, NARROW)
    assert lists.starts.tolist() == [0, 0, 0, 0]
    assert len(lists.rows) == len(lists.biases) == 0
    assert len(unpack(lists, 4, NARROW).rows) == 0
    assert Lists.empty().nbytes == 0
    assert lists.nbytes == sum(array.nbytes for array in lists)


@pytest.mark.parametrize(("positions", "expected"), [(0, 0), (1, 4), (4, 4), (5, 8)])
def test_positions_are_padded_to_groups(positions, expected):
    """Code positions come in whole groups."""
    assert padded_positions(positions, NARROW) == expected


@given(
    sizes=st.lists(st.integers(0, 70), min_size=1, max_size=4),
    groups=st.sampled_from([1, 2, 5, 64, 66]),
    biased=st.booleans(),
    seed=st.integers(0, 99),
)
@settings(deadline=None, max_examples=30)
def test_scans_of_packed_codes_are_exact(sizes, groups, biased, seed):
    """The score of each entry is the sum that NumPy looks up, plus its share of the bias."""
    positions = GROUP * groups
    packed = entries(sizes, positions, seed, biased=biased)
    lists = pack(packed, len(sizes), NARROW)
    rng = np.random.default_rng(seed)
    tables = rng.integers(0, MAX_SUM // (2 * positions) + 1, 16 * positions).clip(0, 255).astype(np.uint8)
    factor = 20_000
    for number, size in enumerate(sizes):
        scores, places = np.zeros((2, size + BLOCK), np.int32)
        first = np.int64(lists.starts[number])
        count = scan_list(
            lists.codes, first, np.int64(size), tables, lists.biases, factor, MAX_SUM, np.int64(7), scores, places, 0
        )
        mine = packed.lists == number
        expected = tables.reshape(positions, 16)[np.arange(positions), packed.codes[mine]].sum(axis=1, dtype=np.int64)
        if biased:
            expected += packed.biases[mine].astype(np.int64) * factor >> 16
        assert count == size
        np.testing.assert_array_equal(scores[:count], expected + 7)
        np.testing.assert_array_equal(lists.rows[places[:count]], packed.rows[mine])


@pytest.mark.parametrize(
    "change",
    [
        {"codes": np.zeros(10, np.uint8)},
        {"sizes": np.array([-5, 40, 9], np.int32)},
        {"sizes": np.array([40, 40, 9], np.int32)},
        {"starts": np.array([0, 5, 2, 3], np.int32)},
        {"starts": np.zeros(3, np.int32)},
        {"rows": np.full(96, 44, np.int32)},
        {"rows": np.zeros(95, np.int32)},
        {"rows": np.zeros(96, np.int64)},
        {"biases": np.zeros(0, np.uint16)},
    ],
    ids=str,
)
def test_leaves_that_cannot_be_are_refused(change):
    """Arrays that a scan would read beyond, or that name rows that there aren't, are told apart."""
    lists = pack(entries([30, 5, 9]), 3, NARROW)
    lists.check(44, 3, 4, NARROW, biased=True)
    with pytest.raises(ValueError, match=r"are|list"):
        lists._replace(**change).check(44, 3, 4, NARROW, biased=True)
