"""Parameters that are expressions over n, dim and k."""

from __future__ import annotations

import math

import pytest
from hypothesis import given
from hypothesis import strategies as st

from harness.core.errors import ConfigError
from harness.plan.expression import resolve

DATA = {"n": 60_000, "dim": 784, "k": 10}


@pytest.mark.parametrize(
    ("text", "value"),
    [
        ("4*sqrt(n)", 980),
        ("n", 60_000),
        ("dim/2", 392),
        ("min(n, 100) + k", 110),
        ("max(1, dim // 100) % 4", 3),
        ("-k", -10),
        ("2**10", 1024),
        ("ceil(log2(n))", 16),
    ],
)
def test_computes(text, value):
    """Expressions give rounded integers."""
    assert resolve(text, DATA) == value
    assert type(resolve(text, DATA)) is int


@pytest.mark.parametrize("text", ["sq8", "auto", "IVF1024,PQ32x4fs", "l2", "", "not an expression", "a.b"])
def test_words_stay_words(text):
    """A plain word or phrase is a parameter like any other."""
    assert resolve(text, DATA) == text


@pytest.mark.parametrize("text", ["n", "sw-graph", "2*n", "it's", 'a "b"', "", "auto"])
def test_quotes_make_a_word_of_anything(text):
    """A string in quotes of its own is the word between them, even where that would be an expression."""
    assert resolve(repr(text), DATA) == text


@pytest.mark.parametrize("value", [3, 0.5, None, True, [1, 2]])
def test_other_values_stay(value):
    """Only strings are looked at."""
    assert resolve(value, DATA) is value


@pytest.mark.parametrize(
    "text",
    ["n*rows", "4*sqr(n)", "__import__('os').system('x')", "n + 'a'", "n/0", "sqrt(-n)", "2**n", "sqrt(n, n)", "n*'a'"],
)
def test_anything_else_is_an_error_that_names_it(text):
    """A slip in an expression is not taken for a word, and nothing is ever evaluated."""
    with pytest.raises(ConfigError, match="expression"):
        resolve(text, DATA)


@given(st.integers(1, 10**9), st.integers(1, 10**4), st.floats(0.1, 8))
def test_agrees_with_python(n, dim, factor):
    """The computed value is Python's own, rounded."""
    assert resolve(f"{factor}*sqrt(n) + dim", {"n": n, "dim": dim, "k": 1}) == round(factor * math.sqrt(n) + dim)


def test_long_expressions_are_refused():
    """A hostile config can't make the parser work for hours."""
    with pytest.raises(ConfigError, match="characters"):
        resolve("+".join(["n"] * 500), DATA)
