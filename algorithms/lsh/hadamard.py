"""Pseudo-random rotations: three rounds of random signs and a Hadamard transform (Ailon and Chazelle 2006).

They stand for a matrix of Gaussian projections at a cost of D log D instead of D^2 (Andoni et al. 2015, section 5.1).
"""

from __future__ import annotations

from typing import Any

import numpy as np
from numpy.typing import NDArray

from algorithms.kernels.jit import kernel

Array = Any

# One round of signs and Hadamard leaves a sparse vector sparse in a sense; after three, projections look Gaussian.
ROUNDS = 3
# Even a vector of one dimension is spread over as many coordinates as make a sum look Gaussian.
LEAST_SIZE = 64


def rotation_size(dim: int) -> int:
    """Return the power of two, `LEAST_SIZE` at least, to which vectors of `dim` dimensions are padded."""
    return max(LEAST_SIZE, 1 << (dim - 1).bit_length())


def random_signs(rng: np.random.Generator, blocks: int, dim: int) -> NDArray[np.float32]:
    """Draw the signs of `blocks` independent rotations, (blocks, ROUNDS, size) float32.

    The last round carries the scale at which each coordinate of a rotated v has variance |v|^2, as a Gaussian
    projection has.
    """
    size = rotation_size(dim)
    signs = rng.choice(np.array([-1.0, 1.0], np.float32), (blocks, ROUNDS, size))
    # Each transform multiplies lengths by sqrt(size), and the length of what comes out is to be sqrt(size) |v|.
    signs[:, -1] /= np.float32(size)
    return signs


@kernel
def butterflies(x: Array, smallest: int) -> None:
    """Apply the stages of the fast Hadamard transform whose span is `smallest` or more, in place."""
    span = x.shape[0] >> 1
    while span >= smallest:
        for start in range(0, x.shape[0], 2 * span):
            upper = x[start : start + span]
            lower = x[start + span : start + 2 * span]
            for j in range(span):
                a = upper[j]
                b = lower[j]
                upper[j] = a + b
                lower[j] = a - b
        span >>= 1


@kernel
def hadamard(x: Array, out: Array) -> None:
    """Fill `out` (size,) with the Hadamard transform of x, transposed; destroys `x` (size,), a power of two.

    Short spans fill no vector register. So x is taken as a matrix of height and width near sqrt(size), whose columns
    are transformed, which has long spans only; then those of its transpose, since H(h w) = H(h) (x) H(w). The order
    that this leaves is of no interest to a random rotation.
    """
    height = 1
    while height * height * 4 <= x.shape[0]:
        height *= 2
    width = x.shape[0] // height
    butterflies(x, width)
    for i in range(height):
        for j in range(width):
            out[j * height + i] = x[i * width + j]
    butterflies(out, height)


@kernel
def rotate(vector: Array, centre: Array, signs: Array, work: Array, out: Array) -> None:
    """Fill `out` (blocks * size,) with the rotations of vector - centre, all (dim,) float32.

    `signs` (blocks, ROUNDS, size) are those of `random_signs`; `work` (size,) float32 is scratch.
    """
    blocks, _, size = signs.shape
    dim = vector.shape[0]
    for block in range(blocks):
        result = out[block * size : (block + 1) * size]
        first = signs[block, 0]
        second = signs[block, 1]
        third = signs[block, 2]
        for j in range(dim):
            work[j] = (vector[j] - centre[j]) * first[j]
        work[dim:] = 0.0
        hadamard(work, result)
        for j in range(size):
            result[j] *= second[j]
        hadamard(result, work)
        for j in range(size):
            work[j] *= third[j]
        hadamard(work, result)
