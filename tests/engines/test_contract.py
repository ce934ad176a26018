"""What a searcher may answer, what it may not, and how sets are sliced."""

from __future__ import annotations

from typing import Any

import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st

from harness.core.errors import PluginError
from harness.engines.contract import Sets, as_neighbors

NONE64 = 2**64 - 1


def _objects(*rows: Any) -> np.ndarray:
    out = np.empty(len(rows), object)
    for i, row in enumerate(rows):
        out[i] = row
    return out


@pytest.mark.parametrize(
    ("answer", "expected"),
    [
        (np.array([[1, 2, 3], [4, 5, 6]]), [[1, 2, 3], [4, 5, 6]]),
        (np.array([[1, 2, 3], [4, 5, 6]], np.uint32).T.copy().T, [[1, 2, 3], [4, 5, 6]]),
        (np.array([[1, 2], [4, 5]], np.int32), [[1, 2, -1], [4, 5, -1]]),
        (np.array([[7, NONE64, NONE64], [0, 1, NONE64]], np.uint64), [[7, -1, -1], [0, 1, -1]]),
        ([[1, 2, 3], [4, 5, 6]], [[1, 2, 3], [4, 5, 6]]),
        ([[1], [4, 5, 6]], [[1, -1, -1], [4, 5, 6]]),
        ([[], [4]], [[-1, -1, -1], [4, -1, -1]]),
        ([[7, NONE64], []], [[7, -1, -1], [-1, -1, -1]]),
        ([np.array([1, 2], np.uint64), (3,)], [[1, 2, -1], [3, -1, -1]]),
        (_objects(np.array([1, 2]), np.array([3])), [[1, 2, -1], [3, -1, -1]]),
        (np.array([[1, 2], [3, NONE64]], object), [[1, 2, -1], [3, -1, -1]]),
        (iter([[1], [2]]), [[1, -1, -1], [2, -1, -1]]),
        (np.empty((2, 0)), [[-1, -1, -1], [-1, -1, -1]]),
        (
            np.ma.masked_array(np.array([[1, 99, 3], [4, 5, 6]]), mask=[[0, 1, 0], [0, 0, 0]]),
            [[1, -1, 3], [4, 5, 6]],
        ),
        (
            np.ma.masked_array(np.array([[1, 2, 3], [4, 5, 6]], np.uint64), mask=[[0, 0, 1], [1, 1, 1]]),
            [[1, 2, -1], [-1, -1, -1]],
        ),
    ],
)
def test_every_shape_that_libraries_give_is_taken(answer: Any, expected: list[list[int]]) -> None:
    """Arrays of any integer type, ragged lists, empty rows, "none" marks and masks become int64 padded with -1."""
    got = as_neighbors(answer, 2, 3, 10)
    assert got.dtype == np.int64
    assert type(got) is np.ndarray
    np.testing.assert_array_equal(got, expected)


@pytest.mark.parametrize(
    ("answer", "expected"),
    [
        (np.array([5, 6]), [5, 6, -1]),
        (np.array([]), [-1, -1, -1]),
        ([5, 6], [5, 6, -1]),
        ([[5, 6]], [5, 6, -1]),
        ([5], [5, -1, -1]),
        ([np.int32(5)], [5, -1, -1]),
        ([], [-1, -1, -1]),
        ([[]], [-1, -1, -1]),
        ((5, 6, 7), [5, 6, 7]),
        ([np.array([5, 6])], [5, 6, -1]),
    ],
)
def test_one_query_may_be_answered_by_a_flat_list(answer: Any, expected: list[int]) -> None:
    """For one query, a 1-D array or a flat list is the answer itself."""
    np.testing.assert_array_equal(as_neighbors(answer, 1, 3, 10), [expected])


@pytest.mark.parametrize(
    ("answer", "complaint"),
    [
        (None, "got NoneType"),
        (7, "got int"),
        (np.array(7), "got shape"),
        ("ab", "dtype <U"),
        (np.array([[1.0, 2.0], [3.0, 4.0]]), "dtype float64"),
        ([[1.0], [2.0]], "dtype float64"),
        ([[True], [False]], "dtype bool"),
        (np.array([[True, False], [True, False]]), "dtype bool"),
        ([[None, 1], [2]], "dtype object"),
        ([[2**70], [2]], "dtype object"),
        (np.array([1, 2]), "got shape"),
        (np.zeros((3, 2), int), "got shape"),
        (np.zeros((2, 4), int), "k = 3"),
        (np.zeros((2, 1, 1), int), "got shape"),
        ([[0, 1, 2, 3], [1]], "more than k = 3"),
        ([[1], [2], [3]], "got 3 rows for 2 queries"),
        ([[1]], "got 1 rows for 2 queries"),
        ([[[1], [2, 3]], [1]], "not a flat list"),
        ([[[1, 2]], [1]], "shape"),
        ((np.zeros((2, 3), int), np.zeros((2, 3))), "shape"),
        ([[10], [1]], "outside 0..9"),
        ([[-2], [1]], "outside 0..9"),
        (np.array([[1, 2], [3, 4_294_967_295]], np.uint32), "outside 0..9"),
        ([[1, 2, 1], [3]], "query 0 got id 1 twice"),
        ([[3], [0, -1, 0]], "query 1 got id 0 twice"),
    ],
)
def test_a_wrong_answer_is_refused_in_one_line(answer: Any, complaint: str) -> None:
    """Floats, wrong shapes, ids out of range and repeats raise PluginError that says what was found."""
    with pytest.raises(PluginError) as caught:
        as_neighbors(answer, 2, 3, 10)
    assert complaint in str(caught.value)
    assert "\n" not in str(caught.value)


@pytest.mark.parametrize("answer", [[[1], [2, 3]], [[1], [2]], [[1, 2], [1.5]]])
def test_several_rows_for_one_query_are_refused(answer: Any) -> None:
    """A nested, even ragged, answer to one query is a PluginError, not a traceback out of NumPy."""
    with pytest.raises(PluginError, match="must return"):
        as_neighbors(answer, 1, 3, 10)


def test_the_answer_is_a_copy() -> None:
    """A library that reuses its buffer can't change what was answered before."""
    buffer = np.array([[1, 2], [3, 4]])
    kept = as_neighbors(buffer, 2, 2, 10)
    buffer[:] = 0
    np.testing.assert_array_equal(kept, [[1, 2], [3, 4]])


def test_no_queries_give_no_rows() -> None:
    """Zero queries are answered by zero rows."""
    assert as_neighbors(np.empty((0, 3), np.int64), 0, 3, 10).shape == (0, 3)
    assert as_neighbors([], 0, 3, 10).shape == (0, 3)


@given(st.lists(st.lists(st.integers(0, 99), max_size=5, unique=True), min_size=1, max_size=6))
def test_ragged_lists_round_trip(rows: list[list[int]]) -> None:
    """Taking away the padding gives back the very lists that were answered."""
    got = as_neighbors(rows, len(rows), 5, 100)
    assert [[int(i) for i in row if i >= 0] for row in got] == rows


SETS = st.lists(st.sets(st.integers(-(2**31), 2**31 - 1), max_size=6), max_size=7)


@given(SETS, st.integers(-9, 9) | st.none(), st.integers(-9, 9) | st.none(), st.sampled_from([None, 1, 2, -1, -3]))
def test_sets_slice_as_lists_do(sets: list[set[int]], start: int | None, stop: int | None, step: int | None) -> None:
    """Any slice of Sets holds the sets that the same slice of a list holds."""
    cut = Sets.of([list(s) for s in sets])[start:stop:step]
    assert [row.tolist() for row in cut] == [sorted(s) for s in sets[start:stop:step]]
    assert len(cut) == len(sets[start:stop:step])
    assert cut.indptr[0] == 0
    assert cut.indptr[-1] == len(cut.indices)


@given(st.data(), SETS.filter(bool))
def test_sets_are_chosen_by_rows_and_masks_as_arrays_are(data: st.DataObject, sets: list[set[int]]) -> None:
    """Row numbers, negative ones too, and boolean masks choose what NumPy's indexing would."""
    whole = Sets.of([list(s) for s in sets])
    rows = np.array(data.draw(st.lists(st.integers(-len(sets), len(sets) - 1), max_size=8)), np.int64)
    assert [row.tolist() for row in whole[rows]] == [sorted(sets[i]) for i in rows]
    mask = np.array(data.draw(st.lists(st.booleans(), min_size=len(sets), max_size=len(sets))))
    assert [row.tolist() for row in whole[mask]] == [sorted(s) for s, chosen in zip(sets, mask, strict=True) if chosen]


def test_a_plain_slice_of_sets_copies_no_members() -> None:
    """A block of consecutive sets shares its members with the whole."""
    whole = Sets.of([[1, 2], [3], [], [4, 5]])
    assert np.shares_memory(whole[1:4].indices, whole.indices)


def test_sets_outside_raise_index_error() -> None:
    """A row that isn't there is an error, never an empty set."""
    whole = Sets.of([[1], [2]])
    for row in (2, -3):
        with pytest.raises(IndexError, match="outside"):
            whole.row(row)
    with pytest.raises(IndexError, match="mask"):
        whole[np.array([True])]


@pytest.mark.parametrize("members", [[2**31], np.array([2**40, 1]), [-(2**31) - 1], [1.5], ["a"], [[1, 2]]])
def test_members_that_int32_cannot_hold_are_refused(members: Any) -> None:
    """A 64-bit hash as a set member is refused, since wrapping it would merge members in silence."""
    with pytest.raises(ValueError, match="int32"):
        Sets.of([members])


def test_sets_of_nothing() -> None:
    """No sets, and sets without members, are both fine."""
    assert len(Sets.of([])) == 0
    assert [len(row) for row in Sets.of([[], [3, 3, 1], []])] == [0, 2, 0]
