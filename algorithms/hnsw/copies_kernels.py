"""What grouping copies and answering with all of them takes."""

from __future__ import annotations

from typing import Any

import numpy as np

from algorithms.kernels.codes.ranking import write_ids
from algorithms.kernels.graph.pool import EMPTY, node_of
from algorithms.kernels.jit import kernel

Array = Any

# Two odd multipliers of 32 bits, near the fractional parts of (1 + sqrt 5) / 2 and sqrt 5: products fit in 64 bits, so
# that nothing wraps around, also without the compiler.
_FIRST, _SECOND = np.uint64(0x9E3779B1), np.uint64(0x3C6EF36B)
_HALF, _LOW = np.uint64(32), np.uint64(0xFFFFFFFF)
_MINUS_ZERO = np.uint32(0x80000000)


@kernel
def hash_rows(bits: Array, hashes: Array) -> None:
    """Fill `hashes` (n,) uint64 from `bits` (n, dim) uint32, the bits of float32 rows: equal rows have equal ones."""
    for i in range(bits.shape[0]):
        high, low = _FIRST, _SECOND
        for j in range(bits.shape[1]):
            value = bits[i, j]
            if value == _MINUS_ZERO:
                value = np.uint32(0)
            # A product's upper half holds what its lower half has lost of the higher bits.
            high = (high ^ np.uint64(value)) * _FIRST
            high = (high ^ (high >> _HALF)) & _LOW
            low = (low ^ np.uint64(value)) * _SECOND
            low = (low ^ (low >> _HALF)) & _LOW
        hashes[i] = (high << _HALF) | low


@kernel
def write_groups(keys: Array, ids: Array, starts: Array, answer: Array) -> None:
    """Fill `answer` (k,) int64 with the ids that the first keys stand for, -1 where there are fewer than k.

    Node i stands for ids[starts[i]:starts[i + 1]], or for ids[i] where `starts` is empty.
    """
    if starts.shape[0] == 0:
        write_ids(keys, ids, answer)
        return
    k, written = answer.shape[0], 0
    for j in range(keys.shape[0]):
        if written == k or keys[j] == EMPTY:
            break
        node = node_of(keys[j])
        for at in range(starts[node], starts[node + 1]):
            if written == k:
                break
            answer[written] = ids[at]
            written += 1
    answer[written:] = -1
