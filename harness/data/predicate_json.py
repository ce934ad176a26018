"""Predicates as JSON, a line each: how they are kept in files and given on a command line.

{"column": "year", ">=": 1990, "<": 2000}, {"column": "colour", "==": "red"}, {"column": "colour", "in": ["red"]},
{"column": "tags", "contains": ["cat", "garden"]}, and of these {"and": [...]}, {"or": [...]} and {"not": ...}.
"""

from __future__ import annotations

import json
from typing import Any

from harness.core.errors import DatasetError
from harness.data.predicates import BOUNDS, MAX_DEPTH, And, Contains, Equals, In, Not, Or, Predicate, Range


def to_json(predicate: Predicate) -> str:
    """Return a predicate as one line of JSON."""
    return json.dumps(predicate.document(), ensure_ascii=False, allow_nan=False)


def from_json(text: str) -> Predicate:
    """Read what `to_json` wrote; nothing in it is run. Raises DatasetError that says what can't be read, and where."""
    try:
        document = json.loads(text, object_pairs_hook=_keys_once)
    except (ValueError, RecursionError) as problem:
        what = "is nested too deep" if isinstance(problem, RecursionError) else str(problem)
        raise DatasetError(f"a predicate can't be read as JSON ({what}): {text[:80]}") from None
    return _read(document, MAX_DEPTH)


def _keys_once(pairs: list[tuple[str, Any]]) -> dict[str, Any]:
    keys = [key for key, _ in pairs]
    if len(set(keys)) < len(keys):
        raise ValueError(f"{next(key for key in keys if keys.count(key) > 1)!r} comes twice")
    return dict(pairs)


def _read(document: Any, depth: int) -> Predicate:
    if depth == 0:
        raise DatasetError(f"a predicate is nested more than {MAX_DEPTH} deep")
    if not isinstance(document, dict):
        raise DatasetError(f"a predicate is an object in JSON, not {json.dumps(document)[:80]}")
    if "column" in document:
        return _read_column(document)
    if len(document) == 1:
        ((key, inner),) = document.items()
        if key == "not":
            return Not(_read(inner, depth - 1))
        if key in {"and", "or"}:
            parts = tuple(_read(part, depth - 1) for part in _list(f"{key!r}", inner))
            return And(parts) if key == "and" else Or(parts)
    shown = ", ".join(repr(key) for key in document) or "nothing"
    raise DatasetError(f"a predicate has a 'column', or one of 'and', 'or' and 'not' alone; got {shown:.200}")


def _read_column(document: dict[str, Any]) -> Predicate:
    column, asked = document["column"], {key: value for key, value in document.items() if key != "column"}
    if not isinstance(column, str):
        raise DatasetError(f"a column is called by a text, not {json.dumps(column)[:80]}")
    if asked and set(asked) <= set(BOUNDS):
        if None in asked.values():
            raise DatasetError(f"column {column!r}: null is no bound; leave it out")
        return Range(column, **{BOUNDS[sign]: bound for sign, bound in asked.items()})
    if len(asked) == 1:
        ((key, value),) = asked.items()
        if key == "==":
            return Equals(column, value)
        if key == "in":
            return In(column, tuple(_list(f"column {column!r}: 'in'", value)))
        if key == "contains":
            return Contains(column, tuple(_list(f"column {column!r}: 'contains'", value)))
    shown = ", ".join(repr(key) for key in asked) or "nothing"
    raise DatasetError(
        f"column {column!r}: ask by '==', 'in' or 'contains' alone, or by bounds of {', '.join(BOUNDS)}; "
        f"got {shown:.200}"
    )


def _list(where: str, found: Any) -> list[Any]:
    if not isinstance(found, list):
        raise DatasetError(f"{where} takes a list, not {json.dumps(found)[:80]}")
    return found
