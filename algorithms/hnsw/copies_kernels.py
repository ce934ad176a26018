"""What grouping copies and answering with all of them takes."""

from __future__ import annotations

from typing import Any

import numpy as np

from algorithms.kernels.jit import kernel
from algorithms.kernels.pool import EMPTY, node_of
from algorithms.kernels.ranking import write_ids

Array = Any

_ODD = np.uint64(0x9E3779B97F4A7C15)
_MIX = np.uint64(0xBF58476D1CE4E5B9)
_HALF = np.uint64(32)
_MINUS_ZERO = np.uint32(0x80000000)


@kernel
def hash_rows(bits: Array, hashes: Array) -> None:
    """Fill `hashes` (n,) uint64 from `bits` (n, dim) uint32, the bits of float32 rows: equal rows have equal ones."""
    for i in range(bits.shape[0]):
        state = _ODD
        for j in range(bits.shape[1]):
            value = bits[i, j]
            if value == _MINUS_ZERO:
                value = np.uint32(0)
            state = (state ^ np.uint64(value)) * _MIX
            state ^= state >> _HALF
        hashes[i] = state


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
