"""The parameters that an algorithm takes, and a check of those that it is given, before anything is built.

Names and types are read off the source of the class and off the grids of the config; nothing is imported, so that a
plan needs no library. A class that takes `**kwargs`, or whose source doesn't tell, is not checked by its signature.
"""

from __future__ import annotations

import ast
import math
from collections.abc import Iterator, Mapping, Sequence
from pathlib import Path
from typing import Any, Literal

from harness.core.errors import ConfigError, UnknownNameError
from harness.engines.config import GroupConfig
from harness.engines.registry import Entry
from harness.plan.expression import VARIABLES, resolve

Kind = Literal["build", "search"]
Types = frozenset[str] | None
"""Names of the types that a value may have ("int", "float", "bool", "str", "None"); None where that isn't known."""

_METHODS = {"build": "__init__", "search": "searcher"}
_NOT_PARAMETERS = {"self", "metric", "threads"}
_WORDS = {"int": "a whole number", "float": "a number", "bool": "true or false", "str": "a word", "None": "null"}
# Any values do: they only tell an expression from a word.
_SAMPLE = dict.fromkeys(VARIABLES, 1000)


def names(entry: Entry, kind: Kind) -> set[str]:
    """Return the parameters of a kind that an algorithm is known to take, by its source and the grids of its config."""
    return set(_in_grids(entry, kind)) | set(signature(entry, kind) or ())


def check_grids(entry: Entry, grids: Sequence[GroupConfig]) -> None:
    """Raise ConfigError, or UnknownNameError with the nearest names, where a grid can't be meant for an algorithm."""
    for grid in grids:
        _check(entry, "build", grid.build)
        _check(entry, "search", grid.search)


def listed(grid: Any) -> list[Mapping[str, Any]]:
    """Return the tables that a grid of a config consists of."""
    return grid if isinstance(grid, list) else [grid]


def _check(entry: Entry, kind: Kind, grid: Any) -> None:
    declared, shown = signature(entry, kind), _in_grids(entry, kind)
    for name, choices in [item for table in listed(grid) for item in table.items()]:
        if declared is not None and name not in declared and name not in shown:
            other: Kind = "search" if kind == "build" else "build"
            if name in names(entry, other):
                raise ConfigError(f"{entry.name}: {name!r} is a parameter of its {other}, not of its {kind}")
            raise UnknownNameError(f"{kind} parameter of {entry.name}", name, {*declared, *shown})
        values = shown.get(name, [])
        types = (declared or {}).get(name)
        if types is None and name in (declared or {}):
            continue  # its source says that it takes anything
        if types is None and not values:
            continue
        allowed = (types or frozenset()) | {_type(value) for value in values}
        for value in choices if isinstance(choices, list) else [choices]:
            _check_value(f"{entry.name}: {name}", value, allowed, values)


def _check_value(what: str, value: Any, allowed: frozenset[str], known: Sequence[Any]) -> None:
    meant = resolve(value, _SAMPLE)
    found = _type(meant)
    if found not in allowed and not (found == "int" and "float" in allowed) and found != "list":
        takes = " or ".join(_WORDS[name] for name in _WORDS if name in allowed)
        raise ConfigError(f"{what} is {value!r}; it takes {takes or 'a list'}{_usual(known)}")
    numbers = [one for one in known if _type(one) in ("int", "float")]
    if found in ("int", "float") and numbers:
        if not math.isfinite(meant):
            raise ConfigError(f"{what} is {value!r}, which is no finite number{_usual(known)}")
        if meant < 0 <= min(numbers):
            raise ConfigError(f"{what} is {value!r}, below zero{_usual(known)}")


def _usual(known: Sequence[Any]) -> str:
    if not known:
        return ""
    shown = list(dict.fromkeys(str(value) for value in known))
    return f", such as {', '.join(shown[:3])}"


def _type(value: Any) -> str:
    value = resolve(value, _SAMPLE)
    if value is None:
        return "None"
    return {tuple: "list"}.get(type(value), type(value).__name__)


def _in_grids(entry: Entry, kind: Kind) -> dict[str, list[Any]]:
    """Return the parameters in the grids of a config, with all their values there."""
    found: dict[str, list[Any]] = {}
    for grid in (grid for grids in entry.config.groups.values() for grid in grids):
        for table in listed(grid.build if kind == "build" else grid.search):
            for name, values in table.items():
                found.setdefault(name, []).extend(values if isinstance(values, list) else [values])
    return found


# --- signatures, read off the source ------------------------------------------------------------------------------


def signature(entry: Entry, kind: Kind) -> dict[str, Types] | None:
    """Return the parameters that the source of a class names, with their types; None where it doesn't tell."""
    if entry.config.adapts is not None:
        return None
    module, _, name = entry.config.constructor.partition(":")
    top = module.partition(".")[0]
    root = next((f.parent for f in (entry.folder, *entry.folder.parents) if f.name == top), entry.folder)
    file = _file(root, module)
    method = None if file is None else _method(root, file, name, _METHODS[kind], set())
    if method is None or method.args.kwarg is not None:
        return None
    arguments = method.args
    positional = [*arguments.posonlyargs, *arguments.args]
    defaults = [None] * (len(positional) - len(arguments.defaults)) + list(arguments.defaults)
    pairs = [*zip(positional, defaults, strict=True), *zip(arguments.kwonlyargs, arguments.kw_defaults, strict=True)]
    return {one.arg: _declared(one.annotation, default) for one, default in pairs if one.arg not in _NOT_PARAMETERS}


def _file(root: Path, module: str) -> Path | None:
    base = root.joinpath(*module.split("."))
    return next((file for file in (base / "__init__.py", base.with_suffix(".py")) if file.is_file()), None)


def _method(root: Path, file: Path, name: str, method: str, seen: set[tuple[Path, str]]) -> ast.FunctionDef | None:
    """Find a method of a class, or of the first of its bases that has it, wherever the source imports them from."""
    if (file, name) in seen:
        return None
    seen.add((file, name))
    try:
        tree = ast.parse(file.read_text(encoding="utf-8"))
    except (OSError, SyntaxError, ValueError):
        return None
    for node in tree.body:
        if isinstance(node, ast.ClassDef) and node.name == name:
            own = [part for part in node.body if isinstance(part, ast.FunctionDef) and part.name == method]
            if own:
                return own[-1]
            bases = [base.id for base in node.bases if isinstance(base, ast.Name)]
            return next((found for base in bases if (found := _method(root, file, base, method, seen))), None)
        if isinstance(node, ast.ImportFrom):
            for alias in node.names:
                if (alias.asname or alias.name) == name:
                    origin = _imported(root, file, node)
                    return None if origin is None else _method(root, origin, alias.name, method, seen)
    return None


def _imported(root: Path, file: Path, node: ast.ImportFrom) -> Path | None:
    if node.level:
        return _file(file.parents[node.level - 1], node.module) if node.module else None
    return _file(root, node.module or "")


def _declared(annotation: ast.expr | None, default: ast.expr | None) -> Types:
    """Return the types that a parameter may have, by its annotation, else by its default."""
    if annotation is not None:
        found = set(_named(annotation))
        return None if "Any" in found else frozenset(found)
    if isinstance(default, ast.Constant) and default.value is not None:
        found = {type(default.value).__name__}
        return frozenset(found | {"float"} if found == {"int"} else found)
    return None


def _named(annotation: ast.expr) -> Iterator[str]:
    """Yield the names of the types in an annotation; a name that isn't a plain type's stands for words, or anything."""
    if isinstance(annotation, ast.BinOp) and isinstance(annotation.op, ast.BitOr):
        yield from _named(annotation.left)
        yield from _named(annotation.right)
    elif isinstance(annotation, ast.Constant) and annotation.value is None:
        yield "None"
    elif isinstance(annotation, ast.Name) and annotation.id in _WORDS:
        yield annotation.id
    elif isinstance(annotation, ast.Name) and annotation.id == "Auto":
        yield "str"
    elif isinstance(annotation, ast.Subscript) and ast.unparse(annotation.value) == "Literal":
        parts = annotation.slice.elts if isinstance(annotation.slice, ast.Tuple) else [annotation.slice]
        yield from (type(part.value).__name__ if isinstance(part, ast.Constant) else "Any" for part in parts)
    else:
        yield "Any"
