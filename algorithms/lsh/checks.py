"""What must hold of the arrays of a loaded index: the search checks no bounds."""

from __future__ import annotations

import numpy as np

from algorithms.kernels.codes.fast_scan import BLOCK, LARGEST_CODE, SEGMENT
from algorithms.kernels.saved import check_array, check_permutation
from algorithms.lsh.byte_rows import Rows
from algorithms.lsh.hadamard import ROUNDS, rotation_size
from algorithms.lsh.hash_kernels import Hashes
from algorithms.lsh.kernels import Tables
from algorithms.lsh.scalar_codes import LEVELS

MAX_FUNCTIONS = 64
"""Hash functions of a table: a set of them is an integer of 64 bits."""


def check_parts(hashes: Hashes, tables: Tables, rows: Rows, dim: int, *, lifted: bool) -> None:
    """Raise ValueError where these can't be the parts of one index of `dim` dimensions, with one more if `lifted`."""
    n, n_tables, hashed = len(rows.bytes), len(tables.ids), dim + lifted
    check_array("bytes", rows.bytes, np.uint8, (n, dim))
    check_array("exact", rows.exact, np.float32, (n if rows.error else 0, dim))
    size, n_functions = rotation_size(hashed), hashes.multipliers.shape[1]
    blocks = len(hashes.signs)
    check_array("centre", hashes.centre, np.float32, (hashed,))
    check_array("signs", hashes.signs, np.float32, (blocks, ROUNDS, size))
    check_array("multipliers", hashes.multipliers, np.uint64, (n_tables, n_functions))
    check_array("offsets", hashes.offsets, np.float32, (n_tables, n_functions))
    positions = _positions(tables, n)
    if not 1 <= n_functions <= MAX_FUNCTIONS or positions + n_tables * n_functions > blocks * size:
        raise ValueError(f"{blocks} rotations are too few for {n_tables} tables of {n_functions} functions")
    slots = 1 << (64 - int(hashes.shift))
    check_array("directory", tables.directory, np.int32, (n_tables, slots + 1))
    directory = tables.directory
    if (directory[:, 0] != 0).any() or (directory[:, -1] != n).any() or (np.diff(directory, axis=1) < 0).any():
        raise ValueError(f"buckets are not those of {n} rows")
    for ids in tables.ids:
        check_permutation("ids", ids, n)


def _positions(tables: Tables, n: int) -> int:
    """Return the positions of a sketch, which follow from the length of the codes."""
    blocks = -(-n // BLOCK)
    positions = tables.codes.shape[1] // (LEVELS * blocks) if blocks else 0
    check_array("codes", tables.codes, np.uint8, (len(tables.ids), blocks * LEVELS * positions))
    if positions % SEGMENT or positions > LARGEST_CODE or (n and not positions):
        raise ValueError(f"sketches of {positions} positions are none of whole segments")
    return positions
