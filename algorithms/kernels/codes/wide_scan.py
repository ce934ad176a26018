"""Sums of table look-ups for codes of 8 bits: tables of 256 words of 16 bits stay in the first cache, not in registers.

A block holds the codes of 32 vectors, one after the other.
"""

from __future__ import annotations

from typing import Any

import numpy as np

from algorithms.kernels.codes.fast_scan import BLOCK
from algorithms.kernels.jit import kernel

Array = Any

WIDE_WORDS = 256
"""Codewords a position."""
MAX_ENTRY = 65535
"""The largest entry of a table."""
# The most that a bias may come to: with the sum of all entries it must stay within int32.
_MAX_BIAS = 1 << 27


@kernel
def make_wide_tables(point: Array, codebooks: Array, radii: Array, max_bias: float, tables: Array) -> Any:
    """Fill `tables` (256 * positions,) uint16 with what each codeword adds to a score; return units a score.

    As `lists.search.make_tables`, but that `codebooks` are (positions * block, 256), entries have 16 bits, and their
    sums 31.
    """
    positions = radii.shape[0]
    block = point.shape[0] // positions
    widest = np.float32(1e-30)
    products = np.empty(WIDE_WORDS, np.float32)
    for m in range(positions):
        square = np.float32(0.0)
        for j in range(m * block, (m + 1) * block):
            square += point[j] * point[j]
        widest = max(widest, np.sqrt(square) * radii[m])
    units = min(
        np.float32(MAX_ENTRY) / (np.float32(2.0) * widest),
        np.float32(_MAX_BIAS) / max(np.float32(max_bias), np.float32(1e-30)),
    )
    for m in range(positions):
        products[:] = np.float32(0.0)
        square = np.float32(0.0)
        for j in range(m * block, (m + 1) * block):
            square += point[j] * point[j]
            for c in range(WIDE_WORDS):
                products[c] += point[j] * codebooks[j, c]
        bound = np.sqrt(square) * radii[m]
        for c in range(WIDE_WORDS):
            tables[WIDE_WORDS * m + c] = np.uint16((bound - products[c]) * units + np.float32(0.49))
    return units


@kernel
def scan_wide_list(
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
    """Add the candidates of a list to `scores` and `places`, and return the new count, as `fast_scan.scan_list` does.

    `tables` (256 * positions,) uint16, and `codes` hold a byte a position; `threshold` is any integer.
    """
    positions = np.uint64(tables.shape[0] // WIDE_WORDS)
    for i in range(size):
        place = np.uint64(first * BLOCK + i)
        # Unsigned, for an index that may be negative costs a comparison.
        code, entry = place * positions, np.uint64(0)
        total = np.uint32(0)
        for _ in range(positions):
            total += np.uint32(tables[entry + np.uint64(codes[code])])
            code += np.uint64(1)
            entry += np.uint64(WIDE_WORDS)
        score = np.int64(total)
        if biases.shape[0] > 0:
            score += (np.int64(biases[place]) * bias_factor) >> 16
        if score < threshold:
            scores[count] = np.int32(score + offset)
            places[count] = np.int32(place)
            count += 1
    return count
