"""The anisotropic loss (Guo et al. 2020): an error along the vector itself weighs more than one across it.

For a vector x and the error e of its code, the loss is |e|^2 + w (e.x)^2 with w = (eta - 1) / |x|^2: eta is the weight
of the parallel part relative to the orthogonal one. Codes and codebooks are those of
`algorithms.kernels.codes.codebooks`.
"""

from __future__ import annotations

from typing import Any

import numpy as np

from algorithms.kernels.codes.codebooks import nearest_word
from algorithms.kernels.jit import kernel

Array = Any


@kernel
def encode(
    points: Array,
    residuals: Array,
    weights: Array,
    codebooks: Array,
    first: int,
    stop: int,
    rounds: int,
    codes: Array,
) -> None:
    """Lower the loss of codes[first:stop] (n, positions) uint8 by coordinate descent, a position at a time.

    `points` and `residuals` (n, positions * block) float32 are the vectors x and what is coded of them, `weights` (n,)
    float32 the w of each. Ends after `rounds`, or when no code changes any more.
    """
    positions, block, words = codebooks.shape
    squares = np.empty((positions, words), np.float32)
    along = np.empty((positions, words), np.float32)
    losses = np.empty(words, np.float32)
    for i in range(first, stop):
        weight = weights[i]
        parallel = np.float32(0.0)
        for m in range(positions):
            # Of a codeword's error e in this position, |e|^2 and e.x.
            squares[m, :] = np.float32(0.0)
            along[m, :] = np.float32(0.0)
            for j in range(block):
                wanted, direction = residuals[i, m * block + j], points[i, m * block + j]
                for c in range(words):
                    error = wanted - codebooks[m, j, c]
                    squares[m, c] += error * error
                    along[m, c] += error * direction
            parallel += along[m, codes[i, m]]
        for _ in range(rounds):
            changed = False
            for m in range(positions):
                others = parallel - along[m, codes[i, m]]
                for c in range(words):
                    total = others + along[m, c]
                    losses[c] = squares[m, c] + weight * total * total
                best = nearest_word(losses)
                if best != codes[i, m]:
                    codes[i, m] = np.uint8(best)
                    changed = True
                parallel = others + along[m, best]
            if not changed:
                break


@kernel
def parallel_errors(points: Array, residuals: Array, codebooks: Array, codes: Array, out: Array) -> None:
    """Fill `out` (n,) float32 with e.x for the codes of all positions."""
    positions, block, _ = codebooks.shape
    for i in range(codes.shape[0]):
        total = np.float32(0.0)
        for m in range(positions):
            for j in range(block):
                error = residuals[i, m * block + j] - codebooks[m, j, codes[i, m]]
                total += error * points[i, m * block + j]
        out[i] = total


@kernel
def move_parallel_errors(
    points: Array, residuals: Array, book: Array, m: int, codes: Array, sign: float, out: Array
) -> None:
    """Add to `out` (n,) what position m contributes to e.x with the codewords `book` (block, words), times `sign`."""
    block = book.shape[0]
    for i in range(codes.shape[0]):
        total = np.float32(0.0)
        for j in range(block):
            total += (residuals[i, m * block + j] - book[j, codes[i, m]]) * points[i, m * block + j]
        out[i] += np.float32(sign) * total


@kernel
def normal_equations(
    points: Array, residuals: Array, weights: Array, others: Array, m: int, codes: Array, left: Array, right: Array
) -> None:
    """Add up the equations whose solutions are the codewords of position m that minimise the loss, codes as they are.

    A codeword b minimises the sum over its vectors of |r - b|^2 + w (o + (r - b).x)^2, r and x in the block's
    dimensions and o the parallel error of all `others` (n,): sum(1 + w x x') b = sum(r + w (o + r.x) x). Fills `left`
    (words, block, block) and `right` (words, block, 1), float64, zeros before.
    """
    block = left.shape[1]
    for i in range(codes.shape[0]):
        c, weight = codes[i, m], weights[i]
        total = np.float64(others[i])
        for j in range(block):
            total += np.float64(residuals[i, m * block + j]) * points[i, m * block + j]
        for j in range(block):
            along = weight * points[i, m * block + j]
            left[c, j, j] += 1.0
            right[c, j, 0] += residuals[i, m * block + j] + along * total
            for h in range(block):
                left[c, j, h] += along * points[i, m * block + h]


@kernel
def spilled_leaves(
    products: Array, squares: Array, norms: Array, gram: Array, own: Array, penalty: float, first: int, out: Array
) -> None:
    """Fill out[first : first + m] (n,) int32 with second leaves of vectors x by the loss of SOAR (Sun et al. 2023).

    The loss of a leaf c' is |x - c'|^2 + penalty ((x - c').u)^2, u the direction of x - c from the centroid c of its
    `own` (n,) leaf: a second residual that points elsewhere is good where the first one is bad. `products` (m, leaves)
    are x.c', `squares` (n,) |x|^2, `norms` (leaves,) |c'|^2 and `gram` (leaves, leaves) c.c', all float32.
    """
    leaves = norms.shape[0]
    for i in range(products.shape[0]):
        mine = own[first + i]
        square, inner = squares[first + i], products[i, mine]
        # No more digits than that are left where a vector lies on its centroid.
        rounding = np.float32(1e-6) * (square + norms[mine]) + np.float32(1e-37)
        length = max(square - np.float32(2.0) * inner + norms[mine], rounding)
        weight = np.sqrt(np.float32(penalty) / length)  # of (x - c').(x - c), whose square may be beyond float32
        start = square - inner  # x.(x - c)
        best, least = mine, np.float32(np.inf)
        for leaf in range(leaves):
            away = square - np.float32(2.0) * products[i, leaf] + norms[leaf]
            along = (start - (products[i, leaf] - gram[mine, leaf])) * weight
            loss = away + along * along
            if loss < least and leaf != mine:
                best, least = leaf, loss
        out[first + i] = best
