"""Sums of table look-ups for codes of 4 bits, 32 vectors at a time in registers (Andre, Kermarrec, Le Scouarnec 2015).

A block holds the codes of 32 vectors: for each group of 4 code positions 64 bytes, of which 16 belong to each position.
Byte i of the 16 has the code of vector i in its lower half and that of vector i + 16 in its upper half. The tables of a
query, 16 bytes a position, lie in the same order, so that one shuffle of 64 bytes looks up 64 codes.
"""

from __future__ import annotations

from typing import Any

import numpy as np
from numba import config

from algorithms.kernels.jit import kernel
from algorithms.kernels.simd.byte_lanes import (
    SHUFFLE,
    add_odd,
    add_pairs,
    add_words,
    high_halves,
    load_bytes,
    load_words,
    look_up,
    low_halves,
    no_words,
    scale_words,
    store_words,
    totals,
    words_below,
)
from algorithms.kernels.simd.instructions import popcount, prefetch
from algorithms.kernels.simd.integer_lanes import append, numbered, widen

Array = Any

BLOCK = 32
"""Vectors a block."""
GROUP = 4
"""Code positions come in groups of so many."""
SEGMENT = 32
"""Code positions come in segments of so many where a block may be abandoned after each."""
LARGEST_CODE = 256
"""Code positions whose bytes can be summed in 16 bits."""
MAX_SUM = 65535
"""The largest sum of look-ups, and the largest threshold: what reaches it is no candidate."""

_GROUP_BYTES = 16 * GROUP
# Bytes ahead of the present ones whose memory is asked for: about as far as the processor's own stream of a new list
# takes to get going.
_AHEAD = 1024


@kernel
def _sum_one(codes: Array, at: int, tables: Array, i: int) -> Any:
    """Add up the table entries of vector i of a block."""
    total = np.int64(0)
    for j in range(tables.shape[0] >> 4):
        byte = np.int64(codes[at + 16 * j + (i & 15)])
        total += np.int64(tables[16 * j + ((byte >> 4) if i >= 16 else (byte & 15))])
    return total


@kernel
def _scan_block_loop(codes: Array, at: int, tables: Array, threshold: int, sums: Array) -> Any:
    """Add up the looked-up bytes of one block by a loop, for processors without a byte shuffle: see `scan_block`."""
    mask = np.int64(0)
    for i in range(BLOCK):
        sums[i] = _sum_one(codes, at, tables, i)
        if sums[i] < threshold:
            mask |= np.int64(1) << i
    return mask


@kernel
def _scan_block_lanes(codes: Array, at: int, tables: Array, threshold: int, sums: Array) -> Any:
    """Add up the looked-up bytes of one block in registers: see `scan_block`."""
    pairs_low, odd_low, pairs_high, odd_high = no_words(), no_words(), no_words(), no_words()
    mask = 0
    for segment in range(0, tables.shape[0], 16 * SEGMENT):
        for group in range(segment, segment + 16 * SEGMENT, _GROUP_BYTES):
            packed, entries = load_bytes(codes, at + group), load_bytes(tables, group)
            found = look_up(entries, low_halves(packed))
            pairs_low, odd_low = add_pairs(pairs_low, found), add_odd(odd_low, found)
            found = look_up(entries, high_halves(packed))
            pairs_high, odd_high = add_pairs(pairs_high, found), add_odd(odd_high, found)
        so_far = totals(pairs_low, odd_low, pairs_high, odd_high)
        mask = words_below(so_far, threshold)
        if mask == 0:
            break
        store_words(sums, 0, so_far)
    return mask


@kernel
def _scan_list_loop(
    codes: Array,
    first: Any,
    size: Any,
    tables: Array,
    biases: Array,
    bias_factor: Any,
    threshold: Any,
    offset: Any,
    scores: Array,
    places: Array,
    count: Any,
) -> Any:
    """Scan the blocks of a list by a loop, for processors without a byte shuffle: see `scan_list`."""
    for start in range(0, size, BLOCK):
        block = first + start // BLOCK
        for i in range(min(BLOCK, size - start)):
            total = _sum_one(codes, block * tables.shape[0], tables, i)
            if biases.shape[0] > 0:
                total = min(total + ((np.int64(biases[block * BLOCK + i]) * bias_factor) >> 16), np.int64(MAX_SUM))
            if total < threshold:
                scores[count] = total + offset
                places[count] = block * BLOCK + i
                count += 1
    return count


@kernel
def _scan_list_lanes(
    codes: Array,
    first: Any,
    size: Any,
    tables: Array,
    biases: Array,
    bias_factor: Any,
    threshold: Any,
    offset: Any,
    scores: Array,
    places: Array,
    count: Any,
) -> Any:
    """Scan the blocks of a list in registers: see `scan_list`."""
    for start in range(0, size, BLOCK):
        block = first + start // BLOCK
        at = block * tables.shape[0]
        pairs_low, odd_low, pairs_high, odd_high = no_words(), no_words(), no_words(), no_words()
        for group in range(0, tables.shape[0], _GROUP_BYTES):
            prefetch(codes, at, group + _AHEAD)
            packed, entries = load_bytes(codes, at + group), load_bytes(tables, group)
            found = look_up(entries, low_halves(packed))
            pairs_low, odd_low = add_pairs(pairs_low, found), add_odd(odd_low, found)
            found = look_up(entries, high_halves(packed))
            pairs_high, odd_high = add_pairs(pairs_high, found), add_odd(odd_high, found)
        sums_here = totals(pairs_low, odd_low, pairs_high, odd_high)
        if biases.shape[0] > 0:
            sums_here = add_words(sums_here, scale_words(load_words(biases, block * BLOCK), bias_factor))
        mask = words_below(sums_here, threshold)
        if size - start < BLOCK:
            mask &= (np.int64(1) << (size - start)) - 1
        if mask != 0:
            append(scores, count, widen(sums_here, offset), mask)
            append(places, count, numbered(block * BLOCK), mask)
            count += popcount(np.uint64(mask))
    return count


_IN_REGISTERS = SHUFFLE is not None or config.DISABLE_JIT

scan_block = _scan_block_lanes if _IN_REGISTERS else _scan_block_loop
"""scan_block(codes (bytes,) uint8, at, tables (16 * positions,) uint8, threshold, sums (32,) uint16) -> int64.

Sums, for each of the 32 vectors of the block that begins at byte `at`, the table entries that its codes select, into
`sums`. Bit i of the mask says whether sums[i] < threshold, which is below 2^16. The number of positions is a multiple
of `SEGMENT`, `LARGEST_CODE` at most. Sums only grow, so a block may be left after a segment that puts all of them above
the threshold: `sums` mean something only where the mask isn't 0.
"""

scan_list = _scan_list_lanes if _IN_REGISTERS else _scan_list_loop
"""scan_list(codes, first, size, tables, biases, bias_factor, threshold, offset, scores, places, count) -> int64.

Adds, to the `count` candidates in `scores` and `places` (capacity,) int32, those of the `size` vectors in the blocks
from number `first` on whose sum is below `threshold`, 65535 at most; returns the new count. The capacity is count +
size + 32 or more. A sum is that of the table entries that the codes select, plus biases[place] * bias_factor >> 16,
where `biases` (32 * blocks,) uint16 isn't empty; it stops at 65535. A score is the sum + `offset`, a place 32 * block +
lane. `tables` (16 * positions,) uint8, positions a multiple of `GROUP` with entries that add up to 65535 at most;
`bias_factor` < 2^16.
"""


@kernel
def pack_block(sketches: Array, ids: Array, first: int, codes: Array, at: int) -> None:
    """Write the codes of sketches[ids[first : first + 32]] as the block at byte `at` of `codes`.

    `sketches` (n, positions) uint8, each below 16. Vectors beyond the end of `ids` get codes of 0.
    """
    positions = sketches.shape[1]
    for i in range(min(BLOCK, ids.shape[0] - first)):
        sketch = sketches[ids[first + i]]
        shift = np.uint8(4 * (i >> 4))
        place = at + (i & 15)
        for j in range(positions):
            codes[place + 16 * j] |= sketch[j] << shift
