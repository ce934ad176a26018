"""Read vectors written as text: a row a line, numbers separated by commas, semicolons, tabs or spaces."""

from __future__ import annotations

import csv
from pathlib import Path
from typing import Any

import numpy as np
from numpy.typing import NDArray

from harness.core.errors import DatasetError

SUFFIXES = (".csv", ".tsv")
_SEPARATORS = (",", ";", "\t", " ")


def read_text(path: Path) -> NDArray[Any]:
    """Read a table of numbers, (n, dim) float64, with or without a line of names above it.

    Raises DatasetError in one line for a column of text, one that merely counts the rows, and lines of unequal length.
    """
    import pandas as pd

    try:
        first = _first_line(path)
        separator = max(_SEPARATORS, key=first.count)
        names = next(csv.reader([first], delimiter=separator), [])
        has_names = not all(_is_number(name) for name in names)
        table = pd.read_csv(
            path, sep=separator, header=0 if has_names else None, low_memory=False, encoding="utf-8-sig"
        )
    except (pd.errors.ParserError, pd.errors.EmptyDataError, UnicodeDecodeError, csv.Error, ValueError) as problem:
        said = str(problem).strip().splitlines()[-1].removeprefix("Error tokenizing data. C error: ")
        raise DatasetError(f"{path}: not a table of numbers ({said})") from None
    for place, kind in enumerate(table.dtypes):
        if kind.kind not in "fiub":
            name = f" ({names[place]!r})" if has_names and place < len(names) else ""
            raise DatasetError(
                f"{path}: column {place + 1}{name} holds text, and each column should be a dimension: drop it, or save "
                'the vectors by numpy.save("x.npy", array)'
            )
    values = table.to_numpy()
    if len(values) > 2 and values.shape[1] > 1 and _counts_rows(values[:, 0]):
        raise DatasetError(f"{path}: column 1 counts the rows, and each column should be a dimension: drop it")
    return np.asarray(values)


def _first_line(path: Path) -> str:
    with path.open(encoding="utf-8-sig", newline="") as stream:
        return stream.readline(1 << 24).strip()


def _is_number(text: str) -> bool:
    try:
        float(text)
    except ValueError:
        return False
    return True


def _counts_rows(column: NDArray[Any]) -> bool:
    return any(np.array_equal(column, np.arange(start, start + len(column))) for start in (0, 1))
