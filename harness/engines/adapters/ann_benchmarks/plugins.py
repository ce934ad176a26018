"""The plug-ins of ann-benchmarks as entries of our registry, read from their folders; nothing of them is imported.

`annbench run --ann-benchmarks PATH` takes the folder of all their plug-ins, or that of a single one. An algorithm is
called `annb-<name>`, or `annb-<folder>-<name>` where its name doesn't start with the folder's. Their Docker files are
ignored: libraries must be installed. `quick` is a few settings of the first build of each, `default` and `full` are all
of theirs.
"""

from __future__ import annotations

import ast
import importlib.metadata
import importlib.util
import re
import sys
from collections import Counter
from collections.abc import Iterator, Sequence
from dataclasses import replace
from pathlib import Path
from typing import Any, Literal

from harness.core.errors import ConfigError
from harness.data.metric import Metric
from harness.engines.adapters.ann_benchmarks import adapter, shim
from harness.engines.adapters.ann_benchmarks.arguments import (
    Place,
    leaves,
    named,
    parsed,
    relative,
    signature,
    source_of,
    written,
)
from harness.engines.adapters.ann_benchmarks.definitions import VARIABLES, Definition, read_definitions
from harness.engines.config import AlgorithmConfig, GroupConfig
from harness.engines.registry import CONFIG_NAME, Entry

PREFIX = "annb-"
ORIGIN: Literal["ann-benchmarks"] = "ann-benchmarks"

_QUICK_SEARCHES = 6
_OLD_CONFIG = "algos.yaml"
_PASSED_OVER = {"base", "__pycache__"}


def plugin_entries(path: Path) -> list[Entry]:
    """Read all plug-ins below `path`, or the one whose folder it is.

    A plug-in whose library isn't installed, or whose config can't be read, is an entry that says why. Raises
    ConfigError where there is none at all.
    """
    root = path.resolve()
    if old := _old_config(root):
        found = _old_entries(old)
    elif (root / CONFIG_NAME).is_file():
        found = _folder_entries(root)
    else:
        configs = sorted(root.glob(f"*/{CONFIG_NAME}")) if root.is_dir() else []
        found = [entry for config in configs if config.parent.name not in _PASSED_OVER for entry in _safely(config)]
    if not found:
        raise ConfigError(
            f"{path}: holds no plug-in of ann-benchmarks; give its folder ann_benchmarks/algorithms, or one folder in "
            f"it, with a {CONFIG_NAME} and a module.py"
        )
    return _with_distinct_names(found)


def _old_config(root: Path) -> Path | None:
    """Return the `algos.yaml` of a checkout from before 2023, given it, its folder, or its folder of plug-ins."""
    if root.name == _OLD_CONFIG and root.is_file():
        return root
    places = (root, *root.parents[:2]) if root.name == "algorithms" else (root,)
    return next((place / _OLD_CONFIG for place in places if (place / _OLD_CONFIG).is_file()), None)


def _old_entries(config: Path) -> list[Entry]:
    """Read all plug-ins of the old layout: files beside each other, and one config."""
    beside = config.parent / Path(*shim.ALGORITHMS.split("."))
    root = beside if beside.is_dir() else config.parent
    by_name: dict[str, list[Definition]] = {}
    for definition in read_definitions(config):
        by_name.setdefault(definition.name, []).append(definition)
    entries = []
    for name, definitions in by_name.items():
        source = source_of(root, _module(definitions[0]))
        entries.append(_entry(source if source.parent == root else source.parent, name, definitions, config))
    return entries


def _safely(config: Path) -> list[Entry]:
    """Read one folder among many: a config that can't be read must not spoil the others."""
    try:
        return _folder_entries(config.parent)
    except ConfigError as problem:
        return [_broken(config, str(problem))]


def _broken(config: Path, why: str) -> Entry:
    content = {"constructor": f"{adapter.__name__}:{adapter.adapted.__name__}", "origin": ORIGIN, "groups": {}}
    said = AlgorithmConfig.model_validate({**content, "metrics": list(Metric)})
    return Entry(_name(config.parent.name, config.parent.name), said, config.parent, config, unusable=why)


def _folder_entries(folder: Path) -> list[Entry]:
    by_name: dict[str, list[Definition]] = {}
    for definition in read_definitions(folder / CONFIG_NAME):
        by_name.setdefault(definition.name, []).append(definition)
    try:
        return [_entry(folder, name, definitions) for name, definitions in by_name.items()]
    except ConfigError as problem:
        raise ConfigError(f"{folder / CONFIG_NAME}: {problem}") from None


def _name(folder: str, name: str) -> str:
    whole = name if name.startswith(folder) else f"{folder}-{name}"
    return PREFIX + re.sub(r"[^\w.+-]+", "-", whole, flags=re.ASCII).strip("-")


def _with_distinct_names(entries: list[Entry]) -> list[Entry]:
    often = Counter(entry.name for entry in entries)
    return [
        entry if often[entry.name] == 1 else replace(entry, name=_name("", f"{entry.folder.name}-{entry.name}"))
        for entry in entries
    ]


def _module(definition: Definition) -> str:
    """Return the last part of a module's name: their modules are beside each other, whatever comes before it."""
    return definition.module.rpartition(".")[2]


def _entry(folder: Path, name: str, definitions: Sequence[Definition], config_file: Path | None = None) -> Entry:
    grids: dict[str, list[GroupConfig]] = {"quick": [], "full": []}
    adapts: dict[str, Any] = {}
    for definition in definitions:
        adapts[definition.metric], full = _translated(folder, definition)
        grids["full"] += full
        grids["quick"] += _few(full)
    modules = {source_of(folder.parent, definition["module"]) for definition in adapts.values()}
    files = {file for module in modules for file in _sources(module, folder.parent)}
    imports = {top for file in files for top in _imports(file)}
    config = AlgorithmConfig(
        constructor=f"{adapter.__name__}:{adapter.adapted.__name__}",
        origin=ORIGIN,
        metrics=tuple(definition.metric for definition in definitions),
        requires=tuple(sorted({name for top in imports for name in _distributions().get(top, ())})),
        ordered=False,  # their contract says nothing of an order
        about=f"{definitions[0].constructor} of ann-benchmarks' {folder.stem}",
        groups={"quick": grids["quick"], "default": grids["full"], "full": grids["full"]},
        adapts={"definitions": adapts},
        edges=False,
        disabled=tuple(definition.metric for definition in definitions if definition.disabled),
    )
    own = (Path(module.__file__) for module in (adapter, shim) if module.__file__)
    return Entry(
        _name(folder.stem, name),
        config,
        folder,
        config_file or folder / CONFIG_NAME,
        beside=(*sorted(file for file in files if not file.is_relative_to(folder)), *own),
        unusable=_why_not(folder.parent, adapts, imports),
    )


def _why_not(root: Path, adapts: dict[str, Any], imports: set[str]) -> str:
    for definition in adapts.values():
        if not source_of(root, definition["module"]).is_file():
            return f"no module.py in {root / definition['module']}"
    absent = sorted(top for top in imports if not _can_be_found(top))
    return (
        f"not installed (no module named {', '.join(absent)}); its Dockerfile says where it is from" if absent else ""
    )


def _can_be_found(top: str) -> bool:
    return top in sys.builtin_module_names or importlib.util.find_spec(top) is not None


def _translated(folder: Path, definition: Definition) -> tuple[dict[str, Any], list[GroupConfig]]:
    """Return what the adapter must know of a definition, and its run groups as grids of ours."""
    module = _module(definition)
    base = dict(leaves(definition.base))
    by_metric = [place for place, value in base.items() if value == "@metric"]
    lists = [
        (
            [_parameters(list_, by_metric, str(definition.metric)) for list_ in group.arguments],
            [dict(leaves(list_)) for list_ in group.queries],
        )
        for group in definition.groups
    ]
    builds = [list_ for group, _ in lists for list_ in group]
    searches = [list_ for _, group in lists for list_ in group]
    sources = source_of(folder.parent, module)
    build_names = _names(builds, signature(sources, definition.constructor))
    search_names = _names(searches, signature(sources, definition.constructor, "set_query_arguments"))
    known = {place: value for place, value in base.items() if value not in VARIABLES and place in build_names}
    grids = [
        GroupConfig(
            build=[{build_names[place]: written(value) for place, value in list_.items()} for list_ in group],
            search=_rising([{search_names[place]: written(v) for place, v in list_.items()} for list_ in queries]),
            metrics=(definition.metric,),
        )
        for group, queries in lists
    ]
    return {
        "module": module,
        "constructor": definition.constructor,
        "build": {name: list(place) for place, name in build_names.items()},
        "search": {name: list(place) for place, name in search_names.items()},
        "fixed": {build_names[place]: value for place, value in known.items()},
        "metric": [list(place) for place in by_metric],
    }, grids


def _parameters(arguments: list[Any], by_metric: list[Place], metric: str) -> dict[Place, Any]:
    """Return the values of a list of arguments by their places, but for the metric among its base arguments."""
    found = {place: value for place, value in leaves(arguments) if place not in by_metric}
    return {place: metric if value == "@metric" else value for place, value in found.items()}


def _names(lists: list[dict[Place, Any]], arguments: tuple[str, ...]) -> dict[Place, str]:
    return {place: name for name, place in named((place for list_ in lists for place in list_), arguments).items()}


def _rising(searches: list[dict[str, Any]]) -> list[dict[str, Any]]:
    """Turn a list of settings that falls from the most thorough one: ours end with it, as the check expects."""
    if not searches:
        return [{}]
    ends = [list(setting.values()) for setting in (searches[0], searches[-1])]
    numbers = all(isinstance(value, int | float) for end in ends for value in end)
    return searches[::-1] if numbers and ends[0] > ends[1] else searches


def _few(grids: list[GroupConfig]) -> list[GroupConfig]:
    """Return the first build of the first group with a few of its settings, the ends among them."""
    first = next((grid for grid in grids if grid.build), None)
    if first is None:
        return []
    build: Any = first.build
    searches: Any = first.search
    last = len(searches) - 1
    chosen = sorted({round(i * last / (_QUICK_SEARCHES - 1)) for i in range(_QUICK_SEARCHES)})
    return [first.model_copy(update={"build": build[:1], "search": [searches[i] for i in chosen]})]


def _sources(file: Path, root: Path) -> Iterator[Path]:
    """Yield the file of a plug-in's module, and those of other plug-ins that it imports relatively, and so on."""
    seen: list[Path] = []
    waiting = [file]
    while waiting:
        one = waiting.pop().resolve()
        tree = parsed(one)
        if tree is None or one in seen:
            continue
        seen.append(one)
        found = (relative(node, one) for node in ast.walk(tree) if isinstance(node, ast.ImportFrom))
        waiting += [other for other in found if other is not None]
    # For their base class, and what is above their plug-ins, the shim stands in.
    yield from (one for one in seen if one.parent != root / "base" and one.is_relative_to(root))


def _imports(file: Path) -> Iterator[str]:
    """Yield the top names of the modules without which a file can't be imported, those of Python itself apart."""
    tree = parsed(file)
    for node in tree.body if tree else ():
        names = [alias.name for alias in node.names] if isinstance(node, ast.Import) else []
        if isinstance(node, ast.ImportFrom) and not node.level and node.module:
            names = [node.module]
        tops = {name.partition(".")[0] for name in names}
        yield from tops - sys.stdlib_module_names - {shim.PACKAGE}


def _distributions() -> dict[str, list[str]]:
    """Return the installed distributions by the modules that they bring."""
    global _known  # noqa: PLW0603 - it takes a second to find out
    if _known is None:
        _known = {top: list(names) for top, names in importlib.metadata.packages_distributions().items()}
    return _known


_known: dict[str, list[str]] | None = None
