"""The tidy table for people who work with it: a column for each parameter and version, and rows in natural order."""

from __future__ import annotations

from collections.abc import Mapping
from typing import TYPE_CHECKING, Any

if TYPE_CHECKING:
    import pandas as pd

_KINDS = (("build", "build"), ("search", "search"), ("versions", "version"))


def with_columns(table: pd.DataFrame) -> pd.DataFrame:
    """Add a column for each entry of the dicts in `build`, `search` and `versions`: `build.M`, `version.hnswlib`.

    Columns in which every value is a number are numeric, nan where a row has no such parameter; others hold objects,
    None where it is absent.
    """
    import pandas as pd

    added = {}
    for column, prefix in _KINDS:
        for key in dict.fromkeys(key for entries in table[column] for key in entries):
            values = [entries.get(key) for entries in table[column]]
            numeric = all(_is_number(value) for value in values if value is not None)
            added[f"{prefix}.{key}"] = pd.Series(values, index=table.index, dtype="float64" if numeric else object)
            if numeric and None not in values and all(float(value).is_integer() for value in values):
                added[f"{prefix}.{key}"] = pd.Series(values, index=table.index, dtype="int64")
    return pd.concat([table, pd.DataFrame(added, index=table.index)], axis=1)


def in_order(table: pd.DataFrame) -> pd.DataFrame:
    """Sort rows by dataset, workload, terms, algorithm and parameters, numbers by their size; the index counts anew."""
    rows = table[["dataset", "workload", "terms", "k", "mode", "algorithm", "build", "search"]].to_dict("records")
    order = sorted(range(len(rows)), key=lambda place: _rank(rows[place]))
    return table.iloc[order].reset_index(drop=True)


def _rank(row: Mapping[Any, Any]) -> tuple[Any, ...]:
    plain = (row["dataset"], row["workload"], row["k"], row["terms"], row["mode"], row["algorithm"])
    return (*plain, _parameters(row["build"]), _parameters(row["search"]))


def _parameters(entries: Mapping[str, Any]) -> tuple[Any, ...]:
    return tuple((key, *_value(entries[key])) for key in sorted(entries))


def _value(value: Any) -> tuple[int, float, str]:
    """Return what orders values of any kind: numbers first."""
    return (0, float(value), "") if _is_number(value) else (1, 0.0, str(value))


def _is_number(value: Any) -> bool:
    return isinstance(value, int | float) and not isinstance(value, bool)
