"""Attributes: columns of one length, whose codes have names."""

from __future__ import annotations

from collections.abc import Callable

import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st

from harness.core.errors import DatasetError
from harness.data.attributes import Attributes, Categories, Floats, Integers, Tags
from harness.data.vectors import Sets

BAGS = st.lists(st.sets(st.integers(0, 9), max_size=4), max_size=8)


@given(BAGS)
def test_the_rows_that_hold_a_tag(bags: list[set[int]]) -> None:
    """They are those whose bag holds it, ascending; a tag that nobody has is held by none."""
    tags = Tags.of([sorted(bag) for bag in bags])
    for tag in range(-1, 12):
        assert tags.holders(tag).tolist() == [i for i, bag in enumerate(bags) if tag in bag]


def test_names_are_kept_with_fewer_rows() -> None:
    """Codes mean the same in every choice of rows, be it a slice, row numbers or a mask."""
    whole = Attributes({
        "colour": Categories.of(["red", None, "blue"]), "words": Tags.of([["b", "a"], [], ["b"]]),
        "size": Floats(np.array([1.0, 2.0, 3.0])), "year": Integers(np.array([1, 2, 3], np.int16)),
    })  # fmt: skip
    for rows in (slice(1, 3), np.array([1, 2]), np.array([False, True, True])):
        part = whole[rows]
        assert len(part) == 2
        colour, words = part.column("colour"), part.column("words")
        assert isinstance(colour, Categories)
        assert isinstance(words, Tags)
        assert [colour.names, words.names] == [("blue", "red"), ("a", "b")]
        assert colour.codes.tolist() == [-1, 0]
        assert [bag.tolist() for bag in words.bags] == [[], [1]]
    assert len(Attributes({})) == 0


@pytest.mark.parametrize(
    ("build", "words"),
    [
        (lambda: Integers(np.array([0.5])), "a column holds whole numbers, (n,); got shape (1,) and dtype float64"),
        (lambda: Integers(np.array([2**63], np.uint64)), "holds 9223372036854775808, which int64 doesn't"),
        (lambda: Floats(np.zeros((2, 2))), "floating-point numbers, (n,); got shape (2, 2)"),
        (lambda: Categories(np.array([0, 2]), ("a", "b")), "codes of categories lie in -1..1; got -1 to 2"),
        (lambda: Categories(np.array([0]), ("a", "a")), "category 'a' is named twice"),
        (lambda: Tags(Sets.of([[3]]), ("a",)), "tag 3 has no name; there are 1 names"),
        (lambda: Tags(Sets.of([[-3]])), "tags are numbers of 0 or more; got -3"),
        (
            lambda: Attributes({"a": Integers(np.zeros(2, int)), "b": Floats(np.zeros(3))}),
            "'b' has 3 rows, but 'a' has",
        ),
        (lambda: Attributes({"a/b": Floats(np.zeros(3))}), "a column can't be called 'a/b'"),
    ],
)
def test_what_is_no_column_is_told_in_a_line(build: Callable[[], object], words: str) -> None:
    """The line says what was given, and what a column holds."""
    with pytest.raises(DatasetError) as told:
        build()
    assert words in str(told.value)
