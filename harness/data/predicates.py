"""Predicates over attributes: what a filtered search admits, in a small algebra that engines translate.

`Equals`, `In`, `Range` and `Contains` ask about one column; `And`, `Or` and `Not` combine them, also written `&`, `|`
and `~`. `mask` is the one definition of which rows match. Numbers compare as real numbers, whatever the type of the
column: no constant is rounded. A missing value matches nothing, so `Not` of a predicate on it does.
"""

from __future__ import annotations

import math
from abc import ABC, abstractmethod
from collections.abc import Callable, Iterator, Mapping
from dataclasses import dataclass
from typing import Any

import numpy as np
from numpy.typing import NDArray

from harness.core.errors import DatasetError
from harness.data.attributes import Attributes, Categories, Column, Floats, Integers, Tags

Number = int | float
Value = int | float | str

BOUNDS = {">=": "at_least", ">": "above", "<=": "at_most", "<": "below"}
"""The bounds of a `Range`, by the sign that each is written with."""

# Nesting beyond which a text is refused rather than read: far from where Python would give up.
MAX_DEPTH = 64


class Predicate(ABC):
    """A condition on the attributes of a row. Equal predicates admit the same rows, and can be keys of a dict."""

    depth: int = 1
    """How deep predicates are nested in it; at most `MAX_DEPTH`."""

    @abstractmethod
    def mask(self, attributes: Attributes) -> NDArray[np.bool_]:
        """Return which rows match, (n,).

        Raises UnknownNameError for a column that isn't there, DatasetError for one that can't be asked in this way.
        """

    @abstractmethod
    def document(self) -> dict[str, Any]:
        """Return the predicate as JSON would have it."""

    @abstractmethod
    def columns(self) -> frozenset[str]:
        """Return the names of the columns that are asked about."""

    def __and__(self, other: Predicate) -> Predicate:
        """Return the predicate that admits what both admit."""
        return And((*_parts(self, And), *_parts(other, And)))

    def __or__(self, other: Predicate) -> Predicate:
        """Return the predicate that admits what either admits."""
        return Or((*_parts(self, Or), *_parts(other, Or)))

    def __invert__(self) -> Predicate:
        """Return the predicate that admits what this one doesn't."""
        return Not(self)


@dataclass(frozen=True)
class _OnColumn(Predicate):
    """A condition on one column."""

    column: str

    def columns(self) -> frozenset[str]:
        """Return the name of the column."""
        return frozenset({self.column})

    def _refused(self, column: Column, why: str) -> DatasetError:
        return DatasetError(f"column {self.column!r} holds {column.kind}: {why}")


@dataclass(frozen=True)
class Equals(_OnColumn):
    """The column has this value: a number, or the name of a category. A name that no row has matches nothing."""

    value: Value

    def __post_init__(self) -> None:
        """Refuse what is no value."""
        object.__setattr__(self, "value", _checked(self.column, self.value))

    def mask(self, attributes: Attributes) -> NDArray[np.bool_]:
        """Return which rows have the value, (n,)."""
        return In(self.column, (self.value,)).mask(attributes)

    def document(self) -> dict[str, Any]:
        """Return the predicate as JSON would have it."""
        return {"column": self.column, "==": self.value}


@dataclass(frozen=True)
class In(_OnColumn):
    """The column has one of these values: numbers, or names of categories."""

    values: tuple[Value, ...]

    def __post_init__(self) -> None:
        """Refuse what is no value."""
        object.__setattr__(self, "values", tuple(_checked(self.column, value) for value in self.values))

    def mask(self, attributes: Attributes) -> NDArray[np.bool_]:
        """Return which rows have one of the values, (n,)."""
        column = attributes.column(self.column)
        if isinstance(column, Tags):
            raise self._refused(column, 'ask for those that contain a tag, by "contains"')
        named = isinstance(column, Categories)
        for value in self.values:
            if isinstance(value, str) != named:
                raise self._refused(column, f"it can't have the value {value!r}")
        if isinstance(column, Categories):
            codes = [column.code_of[str(value)] for value in self.values if str(value) in column.code_of]
            return np.isin(column.codes, np.array(codes, np.int64))
        numbers = [value for value in self.values if not isinstance(value, str)]
        if isinstance(column, Integers):
            limits = np.iinfo(np.int64)
            whole = [int(value) for value in numbers if value == int(value) and limits.min <= value <= limits.max]
            return np.isin(column.values, np.array(whole, np.int64))
        exact = [nearest for value in numbers for nearest in [_nearest_float(value)] if nearest == value]
        return np.isin(column.values, np.array(exact, np.float64))

    def document(self) -> dict[str, Any]:
        """Return the predicate as JSON would have it."""
        return {"column": self.column, "in": list(self.values)}


@dataclass(frozen=True)
class Range(_OnColumn):
    """The column lies within bounds: at least `at_least`, above `above`, at most `at_most`, below `below`.

    A bound that is None isn't there; at least one must be.
    """

    at_least: Number | None = None
    above: Number | None = None
    at_most: Number | None = None
    below: Number | None = None

    def __post_init__(self) -> None:
        """Refuse what is no bound, and a range without any."""
        given = [name for name in BOUNDS.values() if getattr(self, name) is not None]
        if not given:
            raise DatasetError(f"column {self.column!r}: a range needs a bound: one of {', '.join(BOUNDS)}")
        for name in given:
            bound = _checked(self.column, getattr(self, name))
            if isinstance(bound, str):
                raise DatasetError(f"column {self.column!r}: a bound is a number, not {bound!r}")
            object.__setattr__(self, name, bound)

    def mask(self, attributes: Attributes) -> NDArray[np.bool_]:
        """Return which rows lie within all bounds, (n,)."""
        column = attributes.column(self.column)
        if not isinstance(column, Integers | Floats):
            raise self._refused(column, "they have no order, so that there is no range of them")
        inside = np.ones(len(column), np.bool_)
        for sign, bound in self._bounds():
            inside &= _within(column, sign, bound)
        return inside

    def document(self) -> dict[str, Any]:
        """Return the predicate as JSON would have it."""
        return {"column": self.column, **dict(self._bounds())}

    def _bounds(self) -> Iterator[tuple[str, Number]]:
        for sign, name in BOUNDS.items():
            if (bound := getattr(self, name)) is not None:
                yield sign, bound


@dataclass(frozen=True)
class Contains(_OnColumn):
    """The column's bag holds all of these tags: names, or numbers where tags have none. No tags: every row matches."""

    tags: tuple[int | str, ...]

    def __post_init__(self) -> None:
        """Refuse what is no tag."""
        tags = tuple(_checked(self.column, tag) for tag in self.tags)
        for tag in tags:
            if isinstance(tag, float):
                raise DatasetError(f"column {self.column!r}: a tag is a name or a whole number, not {tag!r}")
        object.__setattr__(self, "tags", tags)

    def mask(self, attributes: Attributes) -> NDArray[np.bool_]:
        """Return which rows hold all of the tags, (n,)."""
        column = attributes.column(self.column)
        if not isinstance(column, Tags):
            raise self._refused(column, 'only tags are contained; ask for a value by "==" or "in"')
        inside = np.ones(len(column), np.bool_)
        for tag in self.tags:
            if isinstance(tag, str) == (column.names is None):
                raise self._refused(column, f"its tags are {'numbers' if column.names is None else 'names'}: {tag!r}")
            number = column.number_of.get(tag, -1) if isinstance(tag, str) else tag
            holds = np.zeros(len(column), np.bool_)
            holds[column.holders(number)] = True
            inside &= holds
        return inside

    def document(self) -> dict[str, Any]:
        """Return the predicate as JSON would have it."""
        return {"column": self.column, "contains": list(self.tags)}


@dataclass(frozen=True)
class _Joined(Predicate):
    """Several predicates as one."""

    parts: tuple[Predicate, ...] = ()

    def __post_init__(self) -> None:
        """Refuse what is nested too deep."""
        object.__setattr__(self, "depth", _one_deeper(self.parts))

    def columns(self) -> frozenset[str]:
        """Return the names of the columns that are asked about."""
        return frozenset[str]().union(*(part.columns() for part in self.parts))


@dataclass(frozen=True)
class And(_Joined):
    """All of these match. Of none, every row does."""

    def mask(self, attributes: Attributes) -> NDArray[np.bool_]:
        """Return which rows match all parts, (n,)."""
        inside = np.ones(len(attributes), np.bool_)
        for part in self.parts:
            inside &= part.mask(attributes)
        return inside

    def document(self) -> dict[str, Any]:
        """Return the predicate as JSON would have it."""
        return {"and": [part.document() for part in self.parts]}


@dataclass(frozen=True)
class Or(_Joined):
    """At least one of these matches. Of none, no row does."""

    def mask(self, attributes: Attributes) -> NDArray[np.bool_]:
        """Return which rows match a part, (n,)."""
        inside = np.zeros(len(attributes), np.bool_)
        for part in self.parts:
            inside |= part.mask(attributes)
        return inside

    def document(self) -> dict[str, Any]:
        """Return the predicate as JSON would have it."""
        return {"or": [part.document() for part in self.parts]}


@dataclass(frozen=True)
class Not(Predicate):
    """This one doesn't match."""

    part: Predicate

    def __post_init__(self) -> None:
        """Refuse what is nested too deep."""
        object.__setattr__(self, "depth", _one_deeper((self.part,)))

    def mask(self, attributes: Attributes) -> NDArray[np.bool_]:
        """Return which rows don't match the part, (n,)."""
        return ~self.part.mask(attributes)

    def document(self) -> dict[str, Any]:
        """Return the predicate as JSON would have it."""
        return {"not": self.part.document()}

    def columns(self) -> frozenset[str]:
        """Return the names of the columns that are asked about."""
        return self.part.columns()


def _checked(column: str, value: Any) -> Any:
    """Return a constant as Python's own int, float or str. Raises DatasetError for anything else."""
    plain = value.item() if isinstance(value, np.generic) else value
    if isinstance(plain, bool) or not isinstance(plain, int | float | str):
        raise DatasetError(f"column {column!r}: {value!r:.80} is neither a number nor a name")
    if isinstance(plain, float) and not math.isfinite(plain):
        raise DatasetError(f"column {column!r}: {plain} compares with nothing; leave a bound out for none")
    return plain


def _parts(predicate: Predicate, joined: type[_Joined]) -> tuple[Predicate, ...]:
    """Return the parts of a predicate that is joined in this way already, so that chains of `&` stay flat."""
    return predicate.parts if isinstance(predicate, joined) else (predicate,)


def _one_deeper(parts: tuple[Predicate, ...]) -> int:
    depth = 1 + max((part.depth for part in parts), default=0)
    if depth > MAX_DEPTH:
        raise DatasetError(f"a predicate is nested more than {MAX_DEPTH} deep")
    return depth


def _within(column: Integers | Floats, sign: str, bound: Number) -> NDArray[np.bool_]:
    """Return which values lie on the right side of a bound, as real numbers."""
    if isinstance(column, Integers):
        limit: Number = math.ceil(bound) if sign in {">=", "<"} else math.floor(bound)
        return _COMPARE[sign](column.values, limit)
    limit = _nearest_float(bound)
    # No float lies between the bound and the one nearest to it: rounding up lets that one in from below, and so on.
    rounded = limit > bound if sign in {">=", ">"} else limit < bound
    closed = rounded or (limit == bound and sign in {">=", "<="})
    return _COMPARE[sign[0] + "=" * closed](column.values.astype(np.float64), limit)


def _nearest_float(value: Number) -> float:
    try:
        return float(value)
    except OverflowError:
        return math.inf if value > 0 else -math.inf


_COMPARE: Mapping[str, Callable[[Any, Any], NDArray[np.bool_]]] = {
    ">=": np.greater_equal,
    ">": np.greater,
    "<=": np.less_equal,
    "<": np.less,
}
