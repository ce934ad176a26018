"""Read a column of vectors from a Parquet file, or from a folder that holds one in parts, as VectorDBBench keeps it."""

from __future__ import annotations

import re
from collections import defaultdict
from pathlib import Path
from typing import Any

import numpy as np
from numpy.typing import NDArray

from harness.core.errors import DatasetError
from harness.core.extras import extra

SUFFIXES = (".parquet",)
QUERIES = "test.parquet"
_PART = re.compile(r"(?P<stem>.+)-(?P<number>\d+)-of-(?P<count>\d+)(-[0-9a-f]+)?\.parquet")
_TRAIN = ("train", "shuffle_train")


def other_parts(path: Path) -> int:
    """Return how many files there should be beside this one, by its name: 9 for `train-00-of-10.parquet`."""
    match = _PART.fullmatch(path.name)
    return int(match["count"]) - 1 if match else 0


def parts_of(folder: Path) -> list[Path]:
    """Return the files of a folder that together hold the vectors to index, in order; empty where there are none.

    Those are `train.parquet`, or `train-00-of-10.parquet` and so on, by another name where only one is used. Raises
    DatasetError where a part is missing, or the names don't tell which files are meant.
    """
    found: dict[str, list[tuple[int, int, Path]]] = defaultdict(list)
    for path in sorted(folder.glob("*.parquet")):
        match = _PART.fullmatch(path.name)
        if match:
            found[match["stem"]].append((int(match["number"]), int(match["count"]), path))
        else:
            found[path.stem].append((0, 1, path))
    chosen = next((stem for stem in _TRAIN if stem in found), None)
    others = [stem for stem in found if stem not in {"test", "neighbors", "scalar_labels"}]
    if chosen is None and len(others) > 1:
        raise DatasetError(f"{folder}: holds Parquet files of several names ({', '.join(others)}); name one of them")
    if chosen is None and not others:
        return []
    parts = sorted(found[chosen or others[0]])
    counts = {count for _, count, _ in parts}
    missing = sorted(set(range(max(counts))) - {number for number, _, _ in parts})
    if len(counts) > 1 or len(parts) > max(counts) or missing:
        what = f"part {missing[0]} of {max(counts)} is missing" if missing else "parts of several sets are mixed"
        raise DatasetError(f"{folder}: {parts[0][2].name} and its like: {what}; fetch them again")
    return [path for _, _, path in parts]


def read_parts(folder: Path, column: str | None) -> NDArray[Any]:
    """Read all parts of a folder, one after the other; errors as in `read_parquet`."""
    blocks = [read_parquet(path, column) for path in parts_of(folder)]
    if len({block.shape[1] for block in blocks}) > 1:
        widths = ", ".join(str(width) for width in sorted({block.shape[1] for block in blocks}))
        raise DatasetError(f"{folder}: its parts hold vectors of {widths} dimensions; they should be of one")
    return np.concatenate(blocks)


def read_parquet(path: Path, column: str | None) -> NDArray[Any]:
    """Read a column of equally long lists of numbers.

    `column` may be None where the file has one such column. Returns (n, dim), of the stored type. Raises DatasetError
    that lists the columns there are, or names the row that is null or has another length.
    """
    with extra("parquet", f"{path}: reading Parquet"):
        import pyarrow as pa
        import pyarrow.parquet as pq

    try:
        with pq.ParquetFile(path) as file:
            chosen = _choose(path, column, file.schema_arrow)
            blocks: list[NDArray[Any]] = []
            for batch in file.iter_batches(columns=[chosen]):
                _append(path, chosen, blocks, batch.column(0))
    # What a damaged file makes pyarrow raise depends on which byte is damaged.
    except (pa.ArrowException, OSError, ValueError, KeyError, TypeError, MemoryError) as problem:
        raise DatasetError(
            f"{path}: can't be read as Parquet ({(str(problem).splitlines() or [type(problem).__name__])[0]})"
        ) from None
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
