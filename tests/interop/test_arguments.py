"""Positional arguments become named parameters, and come back as they were."""

from __future__ import annotations

import datetime as dt
from pathlib import Path
from typing import Any

import pytest
from hypothesis import given
from hypothesis import strategies as st

from harness.core.errors import ConfigError, ParameterError
from harness.engines.adapters.ann_benchmarks.arguments import assembled, leaves, named, signature, written
from harness.plan.grid import expand
from harness.store.spec import thaw

DATA = {"n": 60_000, "dim": 784, "k": 10}

_words = st.one_of(st.text(max_size=6), st.sampled_from(["@dimension", "@count", "sw-graph", "n", "2*k", "threads"]))
_scalars = st.one_of(st.integers(), st.floats(allow_nan=False), st.booleans(), st.none(), _words)
_values = st.recursive(
    _scalars.filter(lambda value: value != "{}"),
    lambda inner: st.one_of(st.lists(inner, max_size=3), st.dictionaries(_words, inner, max_size=3)),
    max_leaves=8,
)


def _substituted(value: Any) -> Any:
    if isinstance(value, dict):
        return {key: _substituted(inner) for key, inner in value.items()}
    if isinstance(value, list):
        return [_substituted(inner) for inner in value]
    return {"@dimension": 784, "@count": 10}.get(value, value) if isinstance(value, str) else value


@given(st.lists(_values, max_size=4), st.lists(st.sampled_from(["metric", "M", "params", "threads"]), max_size=4))
def test_arguments_survive_the_way_through_a_grid(arguments: list[Any], names: list[str]) -> None:
    """What a plug-in is called with is what its config says, whatever that is, with the dataset's figures put in."""
    found = dict(leaves(arguments))
    places = named(found, tuple(names))
    assert "threads" not in places
    grid = {name: written(found[place]) for name, place in places.items()}
    (setting,) = expand(grid, DATA)
    assert all(isinstance(name, str) and name for name, _ in setting)
    for values in (dict(setting), thaw(setting)):
        again = assembled(values, places, "mine")
        assert again == _substituted(arguments)
        assert repr(again) == repr(_substituted(arguments))  # 1 is not True, nor 1.0


def test_names_are_short_where_that_is_clear() -> None:
    """A key of a table is its parameter's name; two of one name, and those that are no names, are written in full."""
    arguments = ["euclidean", {"M": 12, "ef": [1, 2]}, {"ef": 3, "chunk-factor": 0.2}, [{"a": 1}], 5, 6]
    places = named(dict(leaves(arguments)), ("metric", "build", "search", "rest", "threads"))
    assert list(places) == ["metric", "M", "build_ef", "search_ef", "search_chunk_factor", "a", "threads_", "arg5"]
    assert places["build_ef"] == (1, "ef")
    assert places["a"] == (3, 0, "a")


@pytest.mark.parametrize(
    ("values", "complaint"),
    [
        ({"m": 1}, "mine: there is no parameter 'm'; known: M, flag, params, x, xy"),
        ({"x": 1}, "mine: a value is missing for M or params"),
        ({"M": 1, "params": 2, "x": 3}, "mine: 'params' can't go with the other parameters: M, params, x"),
        ({"M": 1, "x": 3, "xy": 3}, "mine: 'xy' can't go with the other parameters: M, x, xy"),
        ({"M": 1, "x": 3, "flag": 1}, r"mine: a list among the arguments has values only at \[1\]"),
    ],
)
def test_parameters_that_make_no_call_are_refused(values: dict[str, Any], complaint: str) -> None:
    """Unknown names, gaps, and values that exclude each other are errors that say which."""
    places = {"M": (0, "M"), "params": (0,), "x": (1,), "xy": (1, "y"), "flag": (2, 1)}
    with pytest.raises(ParameterError, match=complaint):
        assembled(values, places, "mine")


def test_what_json_does_not_hold_is_refused() -> None:
    """An argument that can't cross to another process, such as YAML's date, is an error that names it."""
    with pytest.raises(ConfigError, match="neither number, word, list nor table"):
        list(leaves([{"day": [dt.date(2020, 1, 1)]}]))


def test_signatures_are_read_and_nothing_is_run(tmp_path: Path) -> None:
    """Names come from a class, its bases in other files, or a function; what doesn't tell gives none."""
    for name, text in {
        "first": "raise SystemExit\nclass Base:\n    def __init__(self, metric, n_list, *rest): ...\n"
        "    def set_query_arguments(self, n_probe, k_reorder=0): ...\n",
        "second": "import absent\nfrom ..first.module import Base as Other\nclass Mine(Other):\n"
        "    def __init__(self, metric, /, method_param): ...\nclass Same(Mine): ...\n"
        "class Loop(Loop): ...\ndef make(args, params): ...\n",
        "third": "def (\n",
    }.items():
        (tmp_path / name).mkdir()
        (tmp_path / name / "module.py").write_text(text)
    first, second, third, fourth = (tmp_path / name / "module.py" for name in ("first", "second", "third", "fourth"))
    assert signature(first, "Base") == ("metric", "n_list")
    assert signature(second, "Mine") == signature(second, "Same") == ("metric", "method_param")
    assert signature(second, "Same", "set_query_arguments") == ("n_probe", "k_reorder")
    assert signature(second, "make") == ("args", "params")
    for file, name in ((second, "Loop"), (second, "Absent"), (third, "X"), (fourth, "X")):
        assert signature(file, name) == ()
