"""The `config.yml` of an ann-benchmarks plug-in: which algorithms it defines, and the lists of arguments of each.

The file maps point types (`float`, `bit`, `int`) to metrics (or `any`) to lists of definitions. A definition names a
class and its `run_groups`; each expands to lists of positional arguments:

- `args`, a list: each element is a choice where it is a list, else one value; the product of these.
- `args`, a table: one argument, a table for each choice of its values.
- `arg_groups`, in place of `args`: a list whose tables are expanded to lists of tables first.
- `base_args` come before all of them; `query_args` and `query_arg_groups` are expanded the same way, apart.

The old layout, up to 2023, is one `algos.yaml` for all plug-ins: tables by name in place of the lists of definitions,
and `-` in place of `_` in the keys.

The strings `@metric`, `@dimension` and `@count`, wherever they stand among the arguments of the constructor, are the
dataset's metric and dimension, and k.
"""

from __future__ import annotations

from collections.abc import Iterator, Mapping
from dataclasses import dataclass
from itertools import product
from pathlib import Path
from typing import Any

from harness.core.errors import ConfigError, UnknownNameError
from harness.core.validation import read_yaml
from harness.data.metric import Metric

VARIABLES = ("@metric", "@dimension", "@count")

# What a point type's `any` stands for. Later ones win: their data sets for jaccard say that their points are bits.
_POINT_TYPES = {
    "int": (Metric.JACCARD,),
    "float": (Metric.EUCLIDEAN, Metric.ANGULAR),
    "bit": (Metric.HAMMING, Metric.JACCARD),
}


@dataclass(frozen=True)
class RunGroup:
    """Lists of arguments that belong together: each of `arguments` with each of `queries`."""

    name: str
    arguments: tuple[list[Any], ...]  # the constructor's, base arguments first, nothing substituted
    queries: tuple[list[Any], ...]  # those of `set_query_arguments`; empty where it isn't called


@dataclass(frozen=True)
class Definition:
    """An algorithm under one metric."""

    name: str
    metric: Metric
    module: str
    constructor: str
    base: list[Any]
    groups: tuple[RunGroup, ...]
    disabled: bool


def read_definitions(path: Path) -> list[Definition]:
    """Read a config of theirs; a definition for a metric by name replaces one of its name under `any`.

    Raises ConfigError, naming the file, the algorithm and the value, where it can't be read.
    """
    document = read_yaml(path)
    if document is None:
        return []  # as that of the base class
    found: dict[tuple[str, Metric], Definition] = {}
    try:
        for metric, content in _contents(document):
            name = str(_field(content, "name", "a definition"))
            found[name, metric] = _definition(name, metric, content)
    except ConfigError as problem:
        raise ConfigError(f"{path}: {problem}") from None
    return list(found.values())


def _contents(document: Any) -> Iterator[tuple[Metric, Any]]:
    sections = _table(document, "the config", "point types (float, bit, int)")
    unknown = [key for key in sections if key not in _POINT_TYPES]
    if unknown:
        raise ConfigError(f"the point type {unknown[0]!r} is none of {', '.join(_POINT_TYPES)}")
    for point_type, every in _POINT_TYPES.items():
        metrics = dict(_table(sections.get(point_type, {}), point_type, "metrics, or `any`"))
        for key in sorted(metrics, key=lambda metric: metric != "any"):
            if _is_old(metrics[key]):
                metrics[key] = [_renamed(name, content) for name, content in metrics[key].items()]
            if not isinstance(metrics[key], list):
                raise ConfigError(f"{point_type}: {key}: should be a list of definitions, not {metrics[key]!r:.80}")
            for metric in every if key == "any" else (_metric(key, point_type),):
                yield from ((metric, content) for content in metrics[key])


def _is_old(given: Any) -> bool:
    """Say whether definitions are of the old layout: a table of tables, by name."""
    return isinstance(given, dict) and bool(given) and all(isinstance(one, dict) for one in given.values())


def _renamed(name: Any, content: Mapping[Any, Any]) -> dict[str, Any]:
    """Write a definition of the old layout, `base-args` and its like, as the new one has it, `base_args`."""
    keyed = {str(key).replace("-", "_"): value for key, value in content.items()}
    if isinstance(groups := keyed.get("run_groups"), dict):
        keyed["run_groups"] = {
            group: {str(key).replace("-", "_"): value for key, value in given.items()}
            if isinstance(given, dict)
            else given
            for group, given in groups.items()
        }
    return {"name": name, **keyed}


def _metric(key: Any, point_type: str) -> Metric:
    try:
        metric = Metric(key)
    except UnknownNameError as problem:
        raise ConfigError(f"{point_type}: {problem}") from None
    if metric.is_dense != (point_type == "float"):
        raise ConfigError(f"{point_type}: {metric} is no metric of such points")
    return metric


def _definition(name: str, metric: Metric, content: Any) -> Definition:
    # An empty table, as some configs have it, stands for no arguments.
    base = content.get("base_args") or []
    if not isinstance(base, list):
        raise ConfigError(f"{name}: base_args should be a list, not {base!r:.80}")
    groups = _table(_field(content, "run_groups", name), f"{name}: run_groups", "groups of arguments")
    return Definition(
        name=name,
        metric=metric,
        module=str(_field(content, "module", name)),
        constructor=str(_field(content, "constructor", name)),
        base=base,
        groups=tuple(_group(f"{name}: {key}", base, group) for key, group in groups.items()),
        disabled=bool(content.get("disabled", False)),
    )


def _group(name: str, base: list[Any], group: Any) -> RunGroup:
    _table(group, name, "arguments")
    if "args" not in group and "arg_groups" not in group:
        raise ConfigError(f"{name}: has neither args nor arg_groups, only {', '.join(map(str, group)) or 'nothing'}")
    arguments = tuple([*base, *_as_list(choice)] for choice in _choices(group, "arg", name))
    # A table among their query arguments is spread to its keys, as `set_query_arguments(*choice)` does.
    return RunGroup(name, arguments, tuple(list(choice) for choice in _choices(group, "query_arg", name) if choice))


def _as_list(choice: Any) -> list[Any]:
    return choice if isinstance(choice, list) else [choice]


def _choices(group: Mapping[str, Any], kind: str, name: str) -> list[Any]:
    """Expand `<kind>_groups` where it is there, else `<kind>s`; nothing where neither is."""
    if f"{kind}_groups" in group:
        given = group[f"{kind}_groups"]
        if not isinstance(given, list):
            raise ConfigError(f"{name}: {kind}_groups should be a list, not {given!r:.80}")
        return _combinations([_combinations(one, name) if isinstance(one, dict) else one for one in given], name)
    return _combinations(group[f"{kind}s"], name) if f"{kind}s" in group else []


def _combinations(given: Any, name: str) -> list[Any]:
    if isinstance(given, dict):
        return [dict(zip(given, values, strict=True)) for values in product(*map(_as_list, given.values()))]
    if isinstance(given, list):
        return [list(values) for values in product(*map(_as_list, given))]
    raise ConfigError(f"{name}: arguments should be a list or a table, not {given!r:.80}")


def _table(given: Any, name: str, what: str) -> Mapping[str, Any]:
    if not isinstance(given, dict):
        raise ConfigError(f"{name}: should be a table of {what}, not {given!r:.80}")
    return given


def _field(content: Any, key: str, name: str) -> Any:
    if key not in _table(content, name, "its module, constructor and run_groups"):
        raise ConfigError(f"{name}: {key} is missing; it has {', '.join(map(str, content)) or 'nothing'}")
    return content[key]
