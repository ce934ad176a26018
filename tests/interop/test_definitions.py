"""The rules by which the configs of ann-benchmarks expand, against a reading of them that shares no code."""

from __future__ import annotations

import json
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import pytest
import yaml
from hypothesis import HealthCheck, given, settings
from hypothesis import strategies as st

from harness.core.errors import ConfigError
from harness.data.metric import Metric
from harness.engines.adapters.ann_benchmarks.definitions import Definition, read_definitions


def _definition(**changed: Any) -> dict[str, Any]:
    content = {
        "name": "mine",
        "module": "ann_benchmarks.algorithms.mine",
        "constructor": "Mine",
        "docker_tag": "none",
        "disabled": False,
        "base_args": ["@metric"],
        "run_groups": {"base": {"args": [[1, 2]], "query_args": [[10, 20]]}},
        **changed,
    }
    return {key: value for key, value in content.items() if value is not None}


def _read(folder: Path, document: Any) -> list[Definition]:
    path = folder / "config.yml"
    path.write_text(yaml.safe_dump(document, sort_keys=False))
    return read_definitions(path)


def _every(parts: list[list[Any]]) -> Iterator[list[Any]]:
    """Walk through all choices, the last part fastest."""
    if not parts:
        yield []
        return
    for head in parts[0]:
        for tail in _every(parts[1:]):
            yield [head, *tail]


def _either(value: Any) -> list[Any]:
    return value if isinstance(value, list) else [value]


def _tables(table: dict[str, Any]) -> list[Any]:
    return [dict(zip(table, chosen, strict=True)) for chosen in _every([_either(value) for value in table.values()])]


def _expected(group: dict[str, Any], kind: str) -> list[Any]:
    """Read a run group as their documentation of it says: groups go before plain ones."""
    groups = group.get(f"{kind}_groups")
    if groups is not None:
        parts = [_tables(one) if isinstance(one, dict) else _either(one) for one in groups]
        return list(_every(parts))
    plain = group.get(f"{kind}s")
    if plain is None:
        return []
    return _tables(plain) if isinstance(plain, dict) else list(_every([_either(one) for one in plain]))


_words = st.sampled_from(["M", "ef", "@count", "@dimension", "sw-graph", "x"])
_scalars = st.one_of(st.integers(-9, 9), st.floats(-2, 2), st.booleans(), st.none(), _words)
_some = st.lists(_scalars, max_size=3)
_table = st.dictionaries(_words, st.one_of(_scalars, _some), max_size=3)
_args = st.one_of(_table, st.lists(st.one_of(_scalars, _some, _table), max_size=3))
_arg_groups = st.lists(st.one_of(_scalars, _some, _table), max_size=3)
_groups = st.fixed_dictionaries(
    {"args": _args}, optional={"arg_groups": _arg_groups, "query_args": _args, "query_arg_groups": _arg_groups}
)


@settings(max_examples=150, suppress_health_check=[HealthCheck.function_scoped_fixture], deadline=None)
@given(group=_groups, base=_some)
def test_groups_expand_by_the_rules(tmp_path: Path, group: dict[str, Any], base: list[Any]) -> None:
    """Lists and tables give the same arguments, in the same order, as the reference reading."""
    (found,) = _read(tmp_path, {"float": {"angular": [_definition(run_groups={"one": group}, base_args=base)]}})
    expected = [[*base, *_either(chosen)] for chosen in _expected(group, "arg")]
    assert json.dumps(found.groups[0].arguments) == json.dumps(expected)
    queries = [list(chosen) for chosen in _expected(group, "query_arg") if chosen]
    assert json.dumps(found.groups[0].queries) == json.dumps(queries)


def test_point_types_and_metrics(tmp_path: Path) -> None:
    """`any` stands for the metrics of its point type, and a definition for a metric by name goes before it."""
    document = {
        "float": {"angular": [_definition(constructor="Own")], "any": [_definition(), _definition(name="other")]},
        "bit": {"any": [_definition(disabled=True)]},
        "int": {"jaccard": [_definition(constructor="Sets")]},
    }
    found = {(one.name, one.metric): one for one in _read(tmp_path, document)}
    assert {(name, str(metric)): one.constructor for (name, metric), one in found.items()} == {
        ("mine", "euclidean"): "Mine",
        ("mine", "angular"): "Own",
        ("other", "euclidean"): "Mine",
        ("other", "angular"): "Mine",
        ("mine", "hamming"): "Mine",
        ("mine", "jaccard"): "Mine",
    }
    assert found["mine", Metric.JACCARD].disabled
    assert not found["mine", Metric.ANGULAR].disabled


def test_absent_and_empty_arguments(tmp_path: Path) -> None:
    """An empty table is one empty table as argument, an empty list none; without query arguments nothing is set."""
    groups = {"table": {"args": {}}, "list": {"args": [], "query_args": []}}
    (found,) = _read(tmp_path, {"float": {"euclidean": [_definition(run_groups=groups, base_args={})]}})
    assert [group.arguments for group in found.groups] == [([{}],), ([],)]
    assert [group.queries for group in found.groups] == [(), ()]
    assert _read(tmp_path, None) == []


@pytest.mark.parametrize(
    ("document", "complaint"),
    [
        ([1], "the config: should be a table of point types"),
        ({"floats": {}}, "the point type 'floats' is none of"),
        ({"float": [1]}, "float: should be a table of metrics"),
        ({"float": {"any": {"mine": 1}}}, "float: any: should be a list of definitions"),
        ({"float": {"euclidian": []}}, "did you mean euclidean"),
        ({"float": {"hamming": []}}, "float: hamming is no metric of such points"),
        ({"float": {"any": [7]}}, "a definition: should be a table"),
        ({"float": {"any": [_definition(name=None)]}}, "name is missing; it has module, constructor"),
        ({"float": {"any": [_definition(constructor=None)]}}, "mine: constructor is missing"),
        ({"float": {"any": [_definition(base_args=5)]}}, "mine: base_args should be a list, not 5"),
        ({"float": {"any": [_definition(run_groups=[1])]}}, "mine: run_groups: should be a table"),
        ({"float": {"any": [_definition(run_groups={"g": {"query_args": []}})]}}, "mine: g: has neither args nor"),
        ({"float": {"any": [_definition(run_groups={"g": {"args": 5}})]}}, "mine: g: arguments should be a list or a"),
        ({"float": {"any": [_definition(run_groups={"g": {"args": [], "arg_groups": {}}})]}}, "arg_groups should be a"),
    ],
)
def test_what_is_no_config_of_theirs_is_said(tmp_path: Path, document: Any, complaint: str) -> None:
    """Each mistake is one line that names the file, the algorithm and the value."""
    with pytest.raises(ConfigError) as caught:
        _read(tmp_path, document)
    assert str(caught.value).startswith(f"{tmp_path / 'config.yml'}: ")
    assert complaint in str(caught.value)
    assert "\n" not in str(caught.value)


def test_what_is_no_yaml_is_said(tmp_path: Path) -> None:
    """Broken YAML, and unsafe tags, are refused in one line."""
    path = tmp_path / "config.yml"
    for text in ("float: [", "float: !!python/object:os.system {}"):
        path.write_text(text)
        with pytest.raises(ConfigError, match="can't be read as YAML") as caught:
            read_definitions(path)
        assert "\n" not in str(caught.value)
