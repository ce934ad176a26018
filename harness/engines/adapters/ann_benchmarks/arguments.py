"""Positional arguments as named parameters, and back.

An argument is a parameter by the name it has in its function's signature; a table as argument is spread, so that
`HnswLib("euclidean", {"M": 12, "efConstruction": 500})` has the parameters `M` and `efConstruction`. A *place*
says where a parameter belongs: the position of an argument, then keys and indexes within it.
"""

from __future__ import annotations

import ast
from collections import Counter
from collections.abc import Iterable, Iterator, Mapping, Sequence
from pathlib import Path
from typing import Any

from harness.core.errors import ConfigError, ParameterError
from harness.engines.adapters.ann_benchmarks.definitions import VARIABLES

Step = int | str
Place = tuple[Step, ...]
Signature = tuple[str, ...]

# An empty table as it is written among parameters, which hold numbers, words and lists of them.
EMPTY_TABLE = "{}"
# What a substituted argument is in our grids: expressions over the dataset's dimension and k.
_EXPRESSIONS = {"@dimension": "dim", "@count": "k"}
_PLAIN = (str, int, float, bool, type(None))
# `searcher(threads=...)` has an argument of this name already.
_RESERVED = "threads"


def leaves(arguments: Sequence[Any]) -> Iterator[tuple[Place, Any]]:
    """Yield each (place, value) among arguments: numbers, words, flat lists of them, and empty tables."""
    for position, argument in enumerate(arguments):
        yield from _leaves((position,), argument)


def _leaves(place: Place, value: Any) -> Iterator[tuple[Place, Any]]:
    if isinstance(value, dict) and value:
        for key, inner in value.items():
            yield from _leaves((*place, str(key)), inner)
    elif isinstance(value, list) and not _stands(value):
        for index, inner in enumerate(value):
            yield from _leaves((*place, index), inner)
    elif value == {} or isinstance(value, (list, *_PLAIN)):
        yield place, value
    else:
        raise ConfigError(f"the argument {value!r:.80} is neither number, word, list nor table")


def _stands(given: list[Any]) -> bool:
    """Say whether a list is a value as it is: no table in it, and nothing to substitute."""
    return all(_stands(v) if isinstance(v, list) else isinstance(v, _PLAIN) and v not in VARIABLES for v in given)


def named(places: Iterable[Place], signature: Signature) -> dict[str, Place]:
    """Give each place a name of its own: the key at its end, or the argument's; all steps where that isn't unique."""
    distinct = list(dict.fromkeys(places))
    short = [_short(place, signature) for place in distinct]
    often = Counter(short)
    good = [often[name] == 1 and name.isidentifier() and name != _RESERVED for name in short]
    names = {place: name for name, place, fits in zip(short, distinct, good, strict=True) if fits}
    taken = {_RESERVED, *names.values()}
    for place in distinct:
        if place not in names:
            name = _long(place, signature)
            while name in taken:
                name += "_"
            taken.add(name)
            names[place] = name
    return {names[place]: place for place in distinct}


def _argument(position: Step, signature: Signature) -> str:
    return signature[position] if isinstance(position, int) and position < len(signature) else f"arg{position}"


def _short(place: Place, signature: Signature) -> str:
    last = place[-1]
    return last if isinstance(last, str) else _long(place, signature)


def _long(place: Place, signature: Signature) -> str:
    steps = "_".join([_argument(place[0], signature), *map(str, place[1:])])
    return "".join(letter if letter.isalnum() else "_" for letter in steps)


def written(value: Any) -> Any:
    """Write a value for a grid of ours, in which a list is a choice and a string may be an expression."""
    if isinstance(value, str):
        return _EXPRESSIONS.get(value, repr(value))
    if isinstance(value, dict):
        return repr(EMPTY_TABLE)
    return [value] if isinstance(value, list) else value


def assembled(values: Mapping[str, Any], places: Mapping[str, Place], what: str) -> list[Any]:
    """Put values back where `places` says; return the list of arguments.

    Raises ParameterError for a name that isn't among `places`, for values that exclude each other, and where an
    argument before one that is given has no value.
    """
    for name in values:
        if name not in places:
            known = ", ".join(sorted(known for known in places if not known.startswith("@"))) or "none"
            raise ParameterError(f"{what}: there is no parameter {name!r}; known: {known}")
    tree: dict[Step, Any] = {}
    for name in (name for name in places if name in values):  # tables get their keys in the config's order
        *inner, last = places[name]
        node = tree
        for step in inner:
            node = node.setdefault(step, _Node())
            if not isinstance(node, _Node):
                raise ParameterError(f"{what}: {name!r} can't go with the other parameters: {', '.join(values)}")
        if last in node:
            raise ParameterError(f"{what}: {name!r} can't go with the other parameters: {', '.join(values)}")
        node[last] = _read(values[name])
    missing = [position for position in range(max(map(int, tree), default=-1) + 1) if position not in tree]
    if missing:
        lacking = sorted(name for name, place in places.items() if place[0] == missing[0]) or [f"arg{missing[0]}"]
        raise ParameterError(f"{what}: a value is missing for {' or '.join(lacking)}")
    return [_built(tree[position], what) for position in sorted(tree, key=int)]


class _Node(dict[Step, Any]):
    """A table or list of an argument while it is put together: told from an empty table that is a value."""


def _read(value: Any) -> Any:
    if value == EMPTY_TABLE:
        return {}
    return [_read(v) for v in value] if isinstance(value, tuple) else value


def _built(node: Any, what: str) -> Any:
    if not isinstance(node, _Node):
        return node
    if not all(isinstance(step, int) for step in node):
        return {step: _built(inner, what) for step, inner in node.items()}
    if sorted(node, key=int) != list(range(len(node))):
        raise ParameterError(f"{what}: a list among the arguments has values only at {sorted(node, key=int)}")
    return [_built(node[step], what) for step in sorted(node, key=int)]


def source_of(root: Path, module: str) -> Path:
    """Return the file of a plug-in below the folder of all: `<module>/module.py`, in the old layout `<module>.py`."""
    flat = root / f"{module}.py"
    return flat if flat.is_file() else root / module / "module.py"


def signature(file: Path, constructor: str, method: str = "__init__") -> Signature:
    """Read the positional arguments' names of a constructor, or of another method, off a plug-in's source.

    Nothing is imported: the names must be known where the library isn't installed. A class's bases are followed into
    the modules that it imports relatively. Returns () where the source doesn't tell.
    """
    return _signature(file, constructor, method, set())


def _signature(file: Path, name: str, method: str, seen: set[tuple[Path, str]]) -> Signature:
    tree = parsed(file)
    if tree is None or (file, name) in seen:
        return ()
    seen.add((file, name))
    for node in tree.body:
        if isinstance(node, ast.FunctionDef) and node.name == name and method == "__init__":
            return _names(node.args)
        if isinstance(node, ast.ClassDef) and node.name == name:
            for part in node.body:
                if isinstance(part, ast.FunctionDef) and part.name == method:
                    return _names(part.args)[1:]
            inherited = (
                _signature(*origin, method, seen) for base in node.bases for origin in _origins(base, file, tree)
            )
            return next((names for names in inherited if names), ())
    return ()


def _names(arguments: ast.arguments) -> Signature:
    return tuple(argument.arg for argument in [*arguments.posonlyargs, *arguments.args])


def _origins(base: ast.expr, file: Path, tree: ast.Module) -> Iterator[tuple[Path, str]]:
    """Yield where a base class may be defined: in the same file, or in a module that it imports relatively."""
    if isinstance(base, ast.Name):
        yield file, base.id
        for node in tree.body:
            if isinstance(node, ast.ImportFrom):
                found = relative(node, file)
                for alias in node.names:
                    if found is not None and (alias.asname or alias.name) == base.id:
                        yield found, alias.name


def parsed(file: Path) -> ast.Module | None:
    """Parse a module's source; None where there is none, or none that can be read."""
    try:
        return ast.parse(file.read_text(encoding="utf-8"))
    except (OSError, SyntaxError, ValueError, UnicodeDecodeError):
        return None


def relative(node: ast.ImportFrom, file: Path) -> Path | None:
    """Return the file of a module that another imports relatively; None where it is absolute, or isn't there."""
    if not node.level:
        return None
    folder = file.parents[node.level - 1]
    found = folder.joinpath(*(node.module or "").split(".")).with_suffix(".py")
    return found if found.is_file() else None
