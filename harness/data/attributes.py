"""Attributes of vectors: named columns with one value a row, which predicates (`harness.data.predicates`) ask about.

A column is one of four kinds. In HDF5 a column is a dataset, or a group with one dataset for each of its arrays:

- `Integers` and `Floats`: a value a row;
- `Categories`: a code a row, and the names that the codes stand for;
- `Tags`: a bag of tags a row, as `indptr` and `indices`, and the names of the tags where they have any.
"""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from functools import cached_property
from typing import Any

import numpy as np
from numpy.typing import NDArray

from harness.core.errors import DatasetError, UnknownNameError
from harness.data.vectors import Sets

Rows = slice | NDArray[np.integer[Any]] | NDArray[np.bool_]
"""Which rows to take: a slice, row numbers, or a mask."""


@dataclass(frozen=True, eq=False)
class Integers:
    """A whole number a row: `values` (n,) of any integer type whose values fit into int64."""

    values: NDArray[np.integer[Any]]

    kind = "integers"

    def __post_init__(self) -> None:
        """Refuse what are no whole numbers of 64 bits."""
        _one_value_a_row(self.values, "iu", "whole numbers")
        if self.values.dtype == np.uint64:
            if self.values.max(initial=0) > np.iinfo(np.int64).max:
                raise DatasetError(f"a column of integers holds {self.values.max()}, which int64 doesn't")
            object.__setattr__(self, "values", self.values.astype(np.int64))

    def __len__(self) -> int:
        """Count the rows."""
        return len(self.values)

    def __getitem__(self, rows: Rows) -> Integers:
        """Return the chosen rows."""
        return Integers(self.values[rows])


@dataclass(frozen=True, eq=False)
class Floats:
    """A number a row: `values` (n,) float32 or float64. NaN stands for a missing value, and matches nothing."""

    values: NDArray[np.floating[Any]]

    kind = "floats"

    def __post_init__(self) -> None:
        """Refuse what are no numbers."""
        _one_value_a_row(self.values, "f", "floating-point numbers")

    def __len__(self) -> int:
        """Count the rows."""
        return len(self.values)

    def __getitem__(self, rows: Rows) -> Floats:
        """Return the chosen rows."""
        return Floats(self.values[rows])


@dataclass(frozen=True, eq=False)
class Categories:
    """One of a few names a row: `codes` (n,) are places in `names`; -1 stands for a missing value, and matches nothing.

    Raises DatasetError for a code without a name, and for a name that comes twice.
    """

    codes: NDArray[np.integer[Any]]
    names: tuple[str, ...]

    kind = "categories"

    def __post_init__(self) -> None:
        """Refuse codes without a name."""
        _one_value_a_row(self.codes, "iu", "codes")
        _names_once(self.names, "category")
        low, high = int(self.codes.min(initial=-1)), int(self.codes.max(initial=-1))
        if low < -1 or high >= len(self.names):
            raise DatasetError(f"codes of categories lie in -1..{len(self.names) - 1}; got {low} to {high}")

    @classmethod
    def of(cls, values: Sequence[str | None]) -> Categories:
        """Build from a name a row, None where it is missing; the names are sorted."""
        names = sorted({value for value in values if value is not None})
        codes = {name: code for code, name in enumerate(names)}
        return cls(np.array([-1 if value is None else codes[value] for value in values], np.int32), tuple(names))

    @cached_property
    def code_of(self) -> Mapping[str, int]:
        """The code of each name."""
        return {name: code for code, name in enumerate(self.names)}

    def __len__(self) -> int:
        """Count the rows."""
        return len(self.codes)

    def __getitem__(self, rows: Rows) -> Categories:
        """Return the chosen rows; all names are kept."""
        return Categories(self.codes[rows], self.names)


@dataclass(frozen=True, eq=False)
class Tags:
    """Any number of tags a row: `bags.indices[bags.indptr[i]:bags.indptr[i + 1]]` are those of row i, ascending.

    `names` holds a name for each tag; None where tags are just numbers, of 0 or more. Raises DatasetError for a tag
    without a name, and for a name that comes twice.
    """

    bags: Sets
    names: tuple[str, ...] | None = None

    kind = "tags"

    def __post_init__(self) -> None:
        """Refuse tags without a name."""
        _names_once(self.names or (), "tag")
        low, high = int(self.bags.indices.min(initial=0)), int(self.bags.indices.max(initial=-1))
        if low < 0:
            raise DatasetError(f"tags are numbers of 0 or more; got {low}")
        if self.names is not None and high >= len(self.names):
            raise DatasetError(f"tag {high} has no name; there are {len(self.names)} names, for 0 and up")

    @classmethod
    def of(cls, rows: Sequence[Sequence[int]] | Sequence[Sequence[str]]) -> Tags:
        """Build from the tags of each row, all of them names or all of them numbers; names are sorted."""
        every = {tag for row in rows for tag in row}
        if not any(isinstance(tag, str) for tag in every):
            return cls(Sets.of([[int(tag) for tag in row] for row in rows]))
        names = sorted(str(tag) for tag in every)
        numbers = {name: number for number, name in enumerate(names)}
        return cls(Sets.of([[numbers[str(tag)] for tag in row] for row in rows]), tuple(names))

    @cached_property
    def number_of(self) -> Mapping[str, int]:
        """The number of each name; empty where tags are just numbers."""
        return {name: number for number, name in enumerate(self.names or ())}

    def holders(self, tag: int) -> NDArray[np.int64]:
        """Return the rows whose bag holds a tag, ascending."""
        indptr, rows = self._inverted
        return rows[indptr[tag] : indptr[tag + 1]] if 0 <= tag < len(indptr) - 1 else rows[:0]

    @cached_property
    def _inverted(self) -> tuple[NDArray[np.int64], NDArray[np.int64]]:
        """The rows of each tag, one tag after the other: `rows[indptr[t]:indptr[t + 1]]` are those of tag t."""
        tags = self.bags.indices
        rows = np.repeat(np.arange(len(self.bags)), np.diff(self.bags.indptr))
        indptr = np.zeros(int(tags.max(initial=-1)) + 2, np.int64)
        np.cumsum(np.bincount(tags, minlength=len(indptr) - 1), out=indptr[1:])
        return indptr, rows[np.argsort(tags, kind="stable")]

    def __len__(self) -> int:
        """Count the rows."""
        return len(self.bags)

    def __getitem__(self, rows: Rows) -> Tags:
        """Return the chosen rows; all names are kept."""
        return Tags(self.bags[rows], self.names)


Column = Integers | Floats | Categories | Tags


@dataclass(frozen=True, eq=False)
class Attributes:
    """Columns by name, all of one length: row i of each belongs to vector i.

    Raises DatasetError for columns of different lengths, and for a name that HDF5 can't have.
    """

    columns: Mapping[str, Column]

    def __post_init__(self) -> None:
        """Refuse columns that don't belong together."""
        lengths = {name: len(column) for name, column in self.columns.items()}
        for name, length in lengths.items():
            if not name or name == "." or "/" in name or not name.isprintable():
                raise DatasetError(f"a column can't be called {name!r}: use printable characters without '/'")
            if length != len(self):
                first = next(iter(lengths))
                raise DatasetError(f"column {name!r} has {length} rows, but {first!r} has {lengths[first]}")

    def __len__(self) -> int:
        """Count the rows."""
        return next((len(column) for column in self.columns.values()), 0)

    def column(self, name: str) -> Column:
        """Return a column. Raises UnknownNameError for one that isn't there."""
        if name not in self.columns:
            raise UnknownNameError("column", name, self.columns)
        return self.columns[name]

    def __getitem__(self, rows: Rows) -> Attributes:
        """Return the chosen rows of every column."""
        return Attributes({name: column[rows] for name, column in self.columns.items()})


def _one_value_a_row(values: NDArray[Any], kinds: str, what: str) -> None:
    if values.ndim != 1 or values.dtype.kind not in kinds:
        raise DatasetError(f"a column holds {what}, (n,); got shape {values.shape} and dtype {values.dtype}")


def _names_once(names: Sequence[str], what: str) -> None:
    if len(set(names)) < len(names):
        twice = next(name for name in names if names.count(name) > 1)
        raise DatasetError(f"{what} {twice!r} is named twice")
