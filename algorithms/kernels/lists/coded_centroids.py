"""Centroids in bytes, as `algorithms.kernels.lists.search` compares a query with all of them."""

from __future__ import annotations

from typing import NamedTuple

import numpy as np
from numpy.typing import NDArray

from algorithms.kernels.codes.scalar_quantizer import ScalarQuantizer
from algorithms.kernels.lists.points import half_squares
from algorithms.kernels.simd.aligned import aligned_zeros
from algorithms.kernels.simd.integer_lanes import DOT_BYTES, LANES

Floats = NDArray[np.float32]


class CodedCentroids(NamedTuple):
    """Centroids as `lists.parts.Parts` takes them."""

    codes: NDArray[np.uint8]
    norms: NDArray[np.int32]
    factors: Floats


def code_centroids(centroids: Floats, quantizer: ScalarQuantizer, *, by_direction: bool) -> CodedCentroids:
    """Code `centroids` (lists, width), or their directions, in blocks of 32, dimensions by fours."""
    n_lists = len(centroids)
    centroids = centroids[:, : quantizer.dim]
    lengths = np.ones(n_lists, np.float32)
    if by_direction:
        own = np.sqrt(2.0 * half_squares(centroids))
        # As long as the rows, so that the codes are as fine.
        lengths = np.where(own > 0.0, own / max(float(own.max(initial=0.0)), 1e-30), 1.0).astype(np.float32)
        centroids = centroids / lengths[:, None]
    whole = np.clip(np.rint(centroids * np.float32(quantizer.scale)), -128, 127).astype(np.int32)
    blocks, groups = -(-n_lists // LANES), -(-quantizer.dim // 4)
    padded = np.full((blocks * LANES, groups * 4), 128, np.int32)
    padded[:n_lists, : quantizer.dim] = whole + 128
    codes = aligned_zeros(blocks * groups, DOT_BYTES, np.uint8).reshape(-1)
    codes[:] = padded.reshape(blocks, LANES, groups, 4).transpose(0, 2, 1, 3).astype(np.uint8).reshape(-1)
    norms = np.zeros(blocks * LANES, np.int32)
    if not quantizer.inner:
        norms[:n_lists] = np.einsum("ij,ij->i", whole, whole) // 2
    return CodedCentroids(codes, norms, (lengths.astype(np.float64) / quantizer.scale**2).astype(np.float32))
