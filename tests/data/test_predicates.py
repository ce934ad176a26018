"""Predicates: which rows match is what plain Python says, JSON brings them back, and errors name the column."""

from __future__ import annotations

import json
import math
import operator
from typing import Any

import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from harness.core.errors import DatasetError, UnknownNameError
from harness.data.attributes import Attributes, Categories, Floats, Integers, Tags
from harness.data.predicate_json import from_json, to_json
from harness.data.predicates import BOUNDS, MAX_DEPTH, And, Contains, Equals, In, Not, Or, Predicate, Range

# Numbers at which types differ: float32 holds 16777216 but not 16777217, float64 2^53 but not 2^53 + 1.
ODD = (
    0,
    -0.0,
    0.1,
    float(np.float32(0.1)),
    2.5,
    2**24,
    2**24 + 1,
    2**53,
    2**53 + 1,
    2**63 - 1,
    2**63,
    -(2**63),
    10**400,
)
NUMBERS = st.sampled_from((*ODD, *(-value for value in ODD))) | st.integers(-3, 3) | st.floats(-3, 3)
NAMES = st.sampled_from(["red", "blue", "green", ""])
SIGNS = {">=": operator.ge, ">": operator.gt, "<=": operator.le, "<": operator.lt}


def _fits(value: Any, dtype: Any) -> bool:
    if np.dtype(dtype).kind == "f":
        return abs(value) < 10**30
    return value == int(value) and np.iinfo(dtype).min <= value <= np.iinfo(dtype).max


@st.composite
def _rows(draw: Any) -> tuple[Attributes, list[dict[str, Any]]]:
    """Draw attributes, and the same as a dict of Python values a row."""
    n = draw(st.integers(0, 6))
    whole_type = draw(st.sampled_from([np.int8, np.uint16, np.int64, np.uint64]))
    float_type = draw(st.sampled_from([np.float32, np.float64]))
    at_most_int64 = NUMBERS.filter(lambda value: _fits(value, whole_type) and value < 2**63)
    whole = np.array(draw(st.lists(at_most_int64.map(int), min_size=n, max_size=n)), whole_type)
    edges = st.sampled_from([math.nan, math.inf, -math.inf])
    real = draw(st.lists(NUMBERS.filter(lambda value: _fits(value, float_type)) | edges, min_size=n, max_size=n))
    floats = np.array([float(value) for value in real], float_type)
    colours = draw(st.lists(NAMES | st.none(), min_size=n, max_size=n))
    words = draw(st.lists(st.sets(NAMES, max_size=3), min_size=n, max_size=n))
    bags = draw(st.lists(st.sets(st.integers(0, 4)), min_size=n, max_size=n))
    named = Tags.of([sorted(row) for row in words])
    columns = {
        "whole": Integers(whole), "real": Floats(floats), "colour": Categories.of(colours),
        "words": Tags(named.bags, named.names or ()), "bag": Tags.of([sorted(row) for row in bags]),
    }  # fmt: skip
    rows = [
        {"whole": int(whole[i]), "real": float(floats[i]), "colour": colours[i], "words": words[i], "bag": bags[i]}
        for i in range(n)
    ]
    return Attributes(columns), rows


def _leaves() -> st.SearchStrategy[Predicate]:
    numeric = st.sampled_from(["whole", "real"])
    bounds = st.tuples(*[st.none() | NUMBERS] * 4).filter(lambda four: any(bound is not None for bound in four))
    return st.one_of(
        st.builds(Equals, numeric, NUMBERS),
        st.builds(Equals, st.just("colour"), NAMES),
        st.builds(In, numeric, st.lists(NUMBERS, max_size=3).map(tuple)),
        st.builds(In, st.just("colour"), st.lists(NAMES, max_size=3).map(tuple)),
        st.builds(lambda column, four: Range(column, *four), numeric, bounds),
        st.builds(Contains, st.just("words"), st.lists(NAMES, max_size=2).map(tuple)),
        st.builds(Contains, st.just("bag"), st.lists(st.integers(-1, 5), max_size=2).map(tuple)),
    )


PREDICATES = st.recursive(
    _leaves(),
    lambda inner: (
        st.builds(And, st.lists(inner, max_size=3).map(tuple))
        | st.builds(Or, st.lists(inner, max_size=3).map(tuple))
        | st.builds(Not, inner)
    ),
    max_leaves=6,
)


def _matches(asked: dict[str, Any], row: dict[str, Any]) -> bool:
    """Say whether a row matches a predicate, given as JSON would have it."""
    if "and" in asked:
        return all(_matches(part, row) for part in asked["and"])
    if "or" in asked:
        return any(_matches(part, row) for part in asked["or"])
    if "not" in asked:
        return not _matches(asked["not"], row)
    return _has(asked, row[asked["column"]])


def _has(asked: dict[str, Any], value: Any) -> bool:
    """Say whether a value is what is asked of its column."""
    if "==" in asked:
        return bool(value == asked["=="])
    if "in" in asked:
        return any(value == one for one in asked["in"])
    if "contains" in asked:
        return set(asked["contains"]) <= value
    return all(SIGNS[sign](value, bound) for sign, bound in asked.items() if sign in SIGNS)


@settings(max_examples=100, deadline=None)
@given(_rows(), PREDICATES)
def test_the_mask_is_what_plain_python_says(
    rows: tuple[Attributes, list[dict[str, Any]]], predicate: Predicate
) -> None:
    """Numbers compare as real numbers, as Python's do, and missing values match nothing."""
    attributes, plain = rows
    mask = predicate.mask(attributes)
    assert mask.dtype == np.bool_
    assert mask.tolist() == [_matches(predicate.document(), row) for row in plain]
    kept = np.flatnonzero(np.arange(len(plain)) % 2)
    assert predicate.mask(attributes[kept]).tolist() == mask[kept].tolist()


@pytest.mark.parametrize("dtype", [np.int8, np.uint32, np.int64, np.uint64, np.float32, np.float64])
def test_no_constant_is_rounded(dtype: type[np.generic]) -> None:
    """Where types differ, or a constant lies between two floats, all comparisons are those of real numbers."""
    edges = [*ODD, *(-value for value in ODD), 10**20 + 1, -(10**20) - 1, 2**53 + 3, -0.5]
    held = [value for value in edges if _fits(value, dtype) and (np.dtype(dtype).kind == "f" or value < 2**63)]
    values = np.array([float(value) if np.dtype(dtype).kind == "f" else int(value) for value in held], dtype)
    column = Floats(values) if np.dtype(dtype).kind == "f" else Integers(values)
    attributes, plain = Attributes({"x": column}), values.tolist()
    for constant in edges:
        assert Equals("x", constant).mask(attributes).tolist() == [value == constant for value in plain], constant
        for sign, name in BOUNDS.items():
            found = Range("x", **{name: constant}).mask(attributes).tolist()
            assert found == [SIGNS[sign](value, constant) for value in plain], (sign, constant)


@settings(max_examples=100, deadline=None)
@given(PREDICATES)
def test_json_brings_a_predicate_back(predicate: Predicate) -> None:
    """What is read is equal to what was written, and stands in its place in a dict."""
    text = to_json(predicate)
    assert "\n" not in text
    assert {predicate: 1}[from_json(text)] == 1
    assert to_json(from_json(text)) == text
    assert from_json(text).columns() == predicate.columns()


def test_signs_join_predicates() -> None:
    """`&`, `|` and `~` are And, Or and Not; long chains stay flat."""
    a, b, c = (Equals("year", year) for year in (1, 2, 3))
    assert a & b & c == And((a, b, c))
    assert a | (b | c) == Or((a, b, c))
    assert ~a == Not(a)
    assert ((a | b) & ~c).columns() == {"year"}
    chain: Predicate = And()
    for _ in range(2 * MAX_DEPTH):
        chain &= a
    assert from_json(to_json(chain)) == chain


def test_values_of_numpy_are_taken_as_pythons() -> None:
    """What was read off a column can be asked for, and written."""
    assert to_json(In("year", tuple(np.array([1, 2])))) == '{"column": "year", "in": [1, 2]}'
    assert to_json(Range("size", at_least=np.float32(0.5))) == '{"column": "size", ">=": 0.5}'


ATTRIBUTES = Attributes(
    {
        "year": Integers(np.array([1999, 2000])),
        "size": Floats(np.array([0.5, np.nan])),
        "colour": Categories.of(["red", None]),
        "tags": Tags.of([["cat"], []]),
        "marks": Tags.of([[3], [1, 3]]),
    }
)


@pytest.mark.parametrize(
    ("predicate", "words"),
    [
        (Equals("yeer", 1999), "no column is called 'yeer'; did you mean year?"),
        (Equals("year", "red"), "column 'year' holds integers: it can't have the value 'red'"),
        (In("colour", ("red", 3)), "column 'colour' holds categories: it can't have the value 3"),
        (Range("colour", at_least=1), "column 'colour' holds categories: they have no order"),
        (Equals("tags", "cat"), "column 'tags' holds tags: ask for those that contain a tag"),
        (Contains("year", (1999,)), "column 'year' holds integers: only tags are contained"),
        (Contains("tags", (1,)), "column 'tags' holds tags: its tags are names: 1"),
        (Contains("marks", ("cat",)), "column 'marks' holds tags: its tags are numbers: 'cat'"),
    ],
)
def test_a_question_that_a_column_cannot_be_asked(predicate: Predicate, words: str) -> None:
    """The line names the column, what it holds, and what was asked."""
    with pytest.raises((DatasetError, UnknownNameError)) as told:
        (Not(predicate) | And()).mask(ATTRIBUTES)
    assert words in str(told.value)
    assert "\n" not in str(told.value)


@pytest.mark.parametrize(
    ("text", "words"),
    [
        ("", "can't be read as JSON"),
        ("[" * 100_000, "can't be read as JSON"),
        ('{"not": ' * 500 + "{}" + "}" * 500, f"nested more than {MAX_DEPTH} deep"),
        ("[]", "an object in JSON, not []"),
        ("{}", "got nothing"),
        ('{"nor": []}', "got 'nor'"),
        ('{"and": [], "or": []}', "one of 'and', 'or' and 'not' alone"),
        ('{"and": {}}', "'and' takes a list, not {}"),
        ('{"not": 3}', "an object in JSON, not 3"),
        ('{"column": 3, "==": 3}', "a column is called by a text, not 3"),
        ('{"column": "year"}', "column 'year': ask by '==', 'in' or 'contains' alone"),
        ('{"column": "year", "==": 1, "<": 2}', "got '==', '<'"),
        ('{"column": "year", "~": 1}', "got '~'"),
        ('{"column": "year", "==": null}', "column 'year': None is neither a number nor a name"),
        ('{"column": "year", "==": true}', "column 'year': True is neither"),
        ('{"column": "year", "==": NaN}', "column 'year': nan compares with nothing"),
        ('{"column": "year", "<": 1e999}', "column 'year': inf compares with nothing"),
        ('{"column": "year", "<": "x"}', "column 'year': a bound is a number, not 'x'"),
        ('{"column": "year", "<": null}', "column 'year': null is no bound"),
        ('{"column": "year", "in": 3}', "column 'year': 'in' takes a list, not 3"),
        ('{"column": "year", "in": [[3]]}', "column 'year': [3] is neither a number nor a name"),
        ('{"column": "tags", "contains": [0.5]}', "column 'tags': a tag is a name or a whole number, not 0.5"),
        ('{"column": "a", "column": "b", "==": 1}', "'column' comes twice"),
        (json.dumps({"column": "year", "==": 1})[:-3], "can't be read as JSON"),
        ('{"column": "year", "==": ' + "9" * 5000 + "}", "can't be read as JSON"),
    ],
)
def test_what_is_no_predicate_is_told_in_a_line(text: str, words: str) -> None:
    """A text from a file or a command line ends in one line that says what is wrong with it."""
    with pytest.raises(DatasetError) as told:
        from_json(text)
    assert words in str(told.value)
    assert "\n" not in str(told.value)
    assert len(str(told.value)) < 400


def test_a_range_needs_a_bound_and_nesting_an_end() -> None:
    """What JSON couldn't carry can't be built either."""
    with pytest.raises(DatasetError, match=r"column 'year': a range needs a bound: one of >=, >, <=, <"):
        Range("year")
    nested: Predicate = And()
    for _ in range(MAX_DEPTH - 1):
        nested = Not(nested)
    with pytest.raises(DatasetError, match="nested more than 64 deep"):
        Not(nested)
