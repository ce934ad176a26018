"""Codes of the nearest codewords, and rotations under which they lose less (OPQ; Ge, He, Ke and Sun 2013)."""

from __future__ import annotations

import numpy as np
from numpy.typing import NDArray

from algorithms.kernels.codes.codebooks import decode, encode, train_codebooks
from algorithms.kernels.codes.kmeans import kmeans

Floats = NDArray[np.float32]
Codes = NDArray[np.uint8]

# Iterations of k-means for codebooks, and within each round of OPQ; rounds of OPQ.
_ITERATIONS = 16
_BRIEFLY = 3
_ROUNDS = 12
# Rows that a centroid needs in the sample that a rotation is found on.
_ROWS_A_LIST = 20


class PlainCoder:
    """Codes each block of dimensions by the nearest of `words` codewords."""

    def __init__(self, words: int, seed: int) -> None:
        self._words, self._seed = words, seed

    def train(self, points: Floats, residuals: Floats, block: int, threads: int) -> Floats:
        """Return codebooks (positions, block, words) for a sample of `residuals` (n, positions * block)."""
        del points
        return train_codebooks(residuals, block, self._words, _ITERATIONS, self._seed, threads)

    def encode(self, points: Floats, residuals: Floats, codebooks: Floats, threads: int) -> Codes:
        """Return the codes (n, positions) uint8 of `residuals` (n, positions * block)."""
        del points
        return encode(residuals, codebooks, threads)


def train_rotation(points: Floats, n_lists: int, block: int, words: int, seed: int, threads: int) -> Floats:
    """Return the rotation (dim, dim) after which codes of blocks of dimensions lose least, for a sample (n, dim).

    What is coded is what a partition into `n_lists` leaves over. Begins with principal components dealt out to the
    blocks so that the products of their variances are alike, which is best for Gaussian data, and goes on by turns:
    code what is rotated, then rotate to what the codes say (the orthogonal Procrustes problem).
    """
    n, dim = points.shape
    lists = max(1, min(n_lists, n // _ROWS_A_LIST))
    clusters = kmeans(points, lists, iterations=_BRIEFLY, seed=seed, threads=threads)
    residuals = points - clusters.centroids[clusters.labels]
    rotation = _balanced_components(residuals, block)
    padded = np.zeros((n, -(-dim // block) * block), np.float32)
    decoded = np.empty_like(padded)
    for _ in range(_ROUNDS):
        padded[:, :dim] = residuals @ rotation.T
        books = train_codebooks(padded, block, words, _BRIEFLY, seed, threads)
        decode(encode(padded, books, threads), books, decoded)
        left, _, right = np.linalg.svd(decoded[:, :dim].T.astype(np.float64) @ residuals)
        rotation = (left @ right).astype(np.float32)
    return _mixed(rotation, block, seed)


def _balanced_components(residuals: Floats, block: int) -> Floats:
    """Return the principal components (dim, dim), each dealt to the block of the least product of variances so far."""
    dim = residuals.shape[1]
    variances, vectors = np.linalg.eigh((residuals.T @ residuals).astype(np.float64))
    blocks = -(-dim // block)
    room = np.full(blocks, block)
    room[-1] = dim - (blocks - 1) * block
    products = np.zeros(blocks)
    members: list[list[int]] = [[] for _ in range(blocks)]
    for i in np.argsort(-variances):
        open_ones = np.flatnonzero(room)
        chosen = int(open_ones[np.argmin(products[open_ones])])
        members[chosen].append(int(i))
        # Relative to the largest, so that the logarithms are all negative, and fuller blocks are not chosen for it.
        products[chosen] += np.log(max(float(variances[i] / max(variances[-1], 1e-30)), 1e-12)) + 30.0
        room[chosen] -= 1
    order = [i for block_members in members for i in block_members]
    return np.ascontiguousarray(vectors[:, order].T, np.float32)


def _mixed(rotation: Floats, block: int, seed: int) -> Floats:
    """Rotate (dim, dim) once more within each block, at random: its codewords don't mind.

    But codes of 8 bits have one step for all dimensions, and lose less when these have variances that are alike.
    """
    mixed, rng = rotation.copy(), np.random.default_rng(seed)
    for start in range(0, len(rotation), block):
        part = rotation[start : start + block]
        turn, _ = np.linalg.qr(rng.standard_normal((len(part), len(part))))
        mixed[start : start + block] = turn @ part
    return mixed
