"""Read a column of vectors from a Parquet file."""

from __future__ import annotations

from pathlib import Path
from typing import Any

import numpy as np
from numpy.typing import NDArray

from harness.errors import DatasetError

SUFFIXES = (".parquet",)


def read_parquet(path: Path, column: str | None) -> NDArray[Any]:
    """Read a column of equally long lists of numbers.

    `column` may be None where the file has one such column. Returns (n, dim), of the stored type. Raises DatasetError
    that lists the columns there are, or names the row that is null or has another length.
    """
    import pyarrow as pa
    import pyarrow.parquet as pq

    try:
        with pq.ParquetFile(path) as file:
            chosen = _choose(path, column, file.schema_arrow)
            blocks: list[NDArray[Any]] = []
            for batch in file.iter_batches(columns=[chosen]):
                _append(path, chosen, blocks, batch.column(0))
    except (pa.ArrowException, OSError) as problem:
        raise DatasetError(f"{path}: can't be read as Parquet ({str(problem).splitlines()[0]})") from None
    if not blocks:
        raise DatasetError(f"{path}: column {chosen!r} has no rows")
    return np.concatenate(blocks)


def _choose(path: Path, column: str | None, schema: Any) -> str:
    candidates: list[str] = [field.name for field in schema if _is_vector(field.type)]
    listed = ", ".join(candidates) if candidates else "none"
    if column is None:
        if len(candidates) == 1:
            return candidates[0]
        raise DatasetError(f"{path}: choose a column of vectors by {path.name}:COLUMN; there are: {listed}")
    if column not in schema.names:
        raise DatasetError(f"{path}: no column is called {column!r}; columns of vectors: {listed}")
    if column not in candidates:
        kind = schema.field(column).type
        raise DatasetError(
            f"{path}: column {column!r} holds {kind}, not lists of numbers; columns of vectors: {listed}"
        )
    return column


def _is_vector(kind: Any) -> bool:
    from pyarrow import types

    is_list: bool = types.is_list(kind) or types.is_large_list(kind) or types.is_fixed_size_list(kind)
    return is_list and bool(types.is_floating(kind.value_type) or types.is_integer(kind.value_type))


def _append(path: Path, column: str, blocks: list[NDArray[Any]], lists: Any) -> None:
    """Add the rows of one batch to `blocks`, which holds arrays of one width."""
    from pyarrow import compute

    first = sum(len(block) for block in blocks)
    if lists.null_count:
        row = first + compute.index(lists.is_null(), value=True).as_py()
        raise DatasetError(f"{path}: column {column!r} is null in row {row}; drop it first")
    if len(lists) == 0:
        return
    lengths = compute.list_value_length(lists).to_numpy(zero_copy_only=False)
    dim = blocks[0].shape[1] if blocks else int(lengths[0])
    odd = np.flatnonzero(lengths != dim)
    if odd.size:
        i = int(odd[0])
        raise DatasetError(f"{path}: column {column!r} has {lengths[i]} numbers in row {first + i}, {dim} in row 0")
    values = lists.flatten()
    if values.null_count:
        row = first + compute.index(values.is_null(), value=True).as_py() // max(dim, 1)
        raise DatasetError(f"{path}: column {column!r} holds a null in row {row}; drop it first")
    blocks.append(values.to_numpy(zero_copy_only=False).reshape(len(lists), dim))
