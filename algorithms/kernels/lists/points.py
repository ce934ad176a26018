"""Rows in the space of codes: less their mean, rotated to fewer dimensions where the scalar quantiser does so."""

from __future__ import annotations

from typing import Any

import numpy as np
from numpy.typing import NDArray

from algorithms.kernels.codes.scalar_quantizer import ScalarQuantizer

Floats = NDArray[np.float32]

# Rows worked on at once.
BLOCK = 16_384


def to_points(quantizer: ScalarQuantizer, rows: Floats, width: int) -> tuple[Floats, Floats]:
    """Return `rows` (n, dim) in the space of the codes, (n, width) float32, zeros behind its dimensions, and the rest.

    The rest (n,) float32 is the squared length of what the rotation leaves out.
    """
    points, rest = np.zeros((len(rows), width), np.float32), np.zeros(len(rows), np.float32)
    for start in range(0, len(rows), BLOCK):
        centred = rows[start : start + BLOCK] - quantizer.mean
        kept = centred @ quantizer.basis.T if len(quantizer.basis) else centred
        points[start : start + BLOCK, : quantizer.dim] = kept
        if len(quantizer.basis):
            whole, part = half_squares(centred), half_squares(kept)
            rest[start : start + BLOCK] = 2.0 * (whole - part)
    return points, np.maximum(rest, 0.0)


def half_squares(rows: NDArray[Any]) -> NDArray[np.float64]:
    """Return half the squared length of each row of (n, dim), (n,) float64."""
    halves: NDArray[np.float64] = np.einsum("ij,ij->i", rows, rows, dtype=np.float64) / 2.0
    return halves
