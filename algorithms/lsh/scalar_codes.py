"""Scalar quantisation: coordinates in 4 bits, and tables of the distances to them.

They are summed by `algorithms.kernels.codes.fast_scan` to choose candidates, where the bytes of
`algorithms.kernels.codes.scalar_quantizer` give a distance each.
"""

from __future__ import annotations

from typing import Any

import numpy as np

from algorithms.kernels.jit import kernel

Array = Any

LEVELS = 16
"""Levels of a coordinate in a sketch: 4 bits."""


@kernel
def sketch(projections: Array, step: float, levels: Array) -> None:
    """Fill `levels` (positions,) uint8 with the first coordinates, each rounded to one of 16 levels.

    They are p-stable hash values of a small width, cut off at the ends: what two vectors' differ by tells their
    distance.
    """
    for j in range(levels.shape[0]):
        level = np.floor(projections[j] / step) + np.float32(LEVELS // 2)
        levels[j] = np.uint8(min(max(level, np.float32(0.0)), np.float32(LEVELS - 1)))


@kernel
def look_up_tables(projections: Array, step: float, tables: Array) -> Any:
    """Fill `tables` (16 * positions,) uint8 with the squared distances from a query's coordinates to the 16 levels.

    All are scaled alike, by the factor that is returned, so that the largest is 255: sums of them rank as distances do
    (Dong, Charikar and Li 2008).
    """
    positions = tables.shape[0] // LEVELS
    half = np.float32(0.5 * (LEVELS - 1) * step)
    largest = half  # which is not 0, whatever the projections are
    for j in range(positions):
        largest = max(largest, abs(projections[j]) + half)
    scale = np.float32(255.0) / (largest * largest)
    for j in range(positions):
        table = tables[LEVELS * j : LEVELS * (j + 1)]
        lowest = -half - projections[j]
        for level in range(LEVELS):
            distance = lowest + np.float32(level) * np.float32(step)
            table[level] = np.uint8(distance * distance * scale + np.float32(0.5))
    return scale
