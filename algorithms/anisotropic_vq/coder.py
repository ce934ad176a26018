"""Codes and codebooks under the anisotropic loss, and the second leaves of SOAR."""

from __future__ import annotations

from collections.abc import Callable
from concurrent.futures import ThreadPoolExecutor

import numpy as np
from numpy.typing import NDArray
from threadpoolctl import threadpool_limits

from algorithms.anisotropic_vq import kernels
from algorithms.kernels.codes import codebooks as plain

Floats = NDArray[np.float32]
Codes = NDArray[np.uint8]

WORDS = 16
# Iterations of k-means that the codebooks start from.
_ITERATIONS = 10
# Rounds of encoding and solving for the codewords, on the sample.
_SWEEPS = 6
# Rounds of coordinate descent: nothing changes after a few.
_ROUNDS = 4
# Rows coded by one thread at a time.
_CHUNK = 2048
# A threshold of a vector's own length asks for an infinite weight.
_HIGHEST = 0.95
# Rows shorter than this share of the typical length matter to no query, but their weights could leave float32.
_SHORTEST = 1e-6


class AnisotropicCoder:
    """Minimises |e|^2 + w (e.x)^2, with the weight eta of the error along x from a threshold; None for |e|^2 alone.

    `threshold` T is the least inner product that matters, between unit queries and rows of the length `scale` (Guo et
    al. 2020, theorem 3.3 and section 4): eta = (d - 1) t^2 / (1 - t^2) with t = T scale / |x|, and `dim` is d.
    """

    def __init__(self, threshold: float | None, dim: int, scale: float, seed: int) -> None:
        self._threshold, self._dim, self._scale, self._seed = threshold, dim, scale, seed

    def weights(self, points: Floats) -> Floats:
        """Return w = (eta - 1) / |x|^2 for each of `points` (n, width), never negative: (n,) float32."""
        squares = np.einsum("ij,ij->i", points, points, dtype=np.float64)
        if self._threshold is None or self._dim < 2:
            return np.zeros(len(points), np.float32)
        some = squares > 0.0
        lengths = np.maximum(np.sqrt(squares), _SHORTEST * self._scale)
        shares = np.minimum(self._threshold * self._scale / lengths, _HIGHEST) ** 2
        eta = (self._dim - 1) * shares / (1.0 - shares)
        return np.where(some, np.maximum(eta - 1.0, 0.0) / lengths**2, 0.0).astype(np.float32)

    def train(self, points: Floats, residuals: Floats, block: int, threads: int) -> Floats:
        """Return codebooks (positions, block, 16) for a sample: k-means, then rounds of coding and closed forms."""
        books = plain.train_codebooks(residuals, block, WORDS, _ITERATIONS, self._seed, threads)
        weights = self.weights(points)
        if not weights.any():
            return books
        codes = plain.encode(residuals, books, threads)
        parallel = np.empty(len(points), np.float32)
        for _ in range(_SWEEPS):
            self._descend(points, residuals, weights, books, codes, threads)
            kernels.parallel_errors(points, residuals, books, codes, parallel)
            for m in range(len(books)):
                self._solve(points, residuals, weights, parallel, books, codes, m)
        return books

    def encode(self, points: Floats, residuals: Floats, codebooks: Floats, threads: int) -> Codes:
        """Return codes (n, positions) uint8 for `residuals` (n, width) of `points`."""
        codes = plain.encode(residuals, codebooks, threads)
        weights = self.weights(points)
        if weights.any():
            self._descend(points, residuals, weights, codebooks, codes, threads)
        return codes

    def _descend(
        self, points: Floats, residuals: Floats, weights: Floats, books: Floats, codes: Codes, threads: int
    ) -> None:
        """Improve codes (n, positions) by coordinate descent, in place."""
        n = len(points)

        def chunk(first: int) -> None:
            stop = min(first + _CHUNK, n)
            kernels.encode(points, residuals, weights, books, first, stop, _ROUNDS, codes)

        with ThreadPoolExecutor(threads) as pool:
            list(pool.map(chunk, range(0, n, _CHUNK)))

    @staticmethod
    def _solve(
        points: Floats, residuals: Floats, weights: Floats, parallel: Floats, books: Floats, codes: Codes, m: int
    ) -> None:
        """Replace the codewords of position m by those of the least loss, and keep `parallel` (n,) up to date."""
        words, block = books.shape[2], books.shape[1]
        kernels.move_parallel_errors(points, residuals, books[m], m, codes, -1.0, parallel)
        left, right = np.zeros((words, block, block)), np.zeros((words, block, 1))
        kernels.normal_equations(points, residuals, weights, parallel, m, codes, left, right)
        used = left.diagonal(axis1=1, axis2=2).all(axis=1)  # a codeword that no vector has stays where it is
        if used.any():
            books[m][:, used] = np.linalg.solve(left[used], right[used])[:, :, 0].T
        kernels.move_parallel_errors(points, residuals, books[m], m, codes, 1.0, parallel)


def soar(penalty: float) -> Callable[[Floats, Floats, NDArray[np.int32], int], NDArray[np.int32]]:
    """Return what chooses second leaves by the loss of SOAR with this weight (lambda) of its parallel part."""

    def spill(points: Floats, centroids: Floats, labels: NDArray[np.int32], threads: int) -> NDArray[np.int32]:
        n, second = len(points), np.empty(len(points), np.int32)
        squares = np.einsum("ij,ij->i", points, points)
        norms, gram = np.einsum("ij,ij->i", centroids, centroids), centroids @ centroids.T

        def chunk(first: int) -> None:
            products = points[first : first + _CHUNK] @ centroids.T
            kernels.spilled_leaves(products, squares, norms, gram, labels, penalty, first, second)

        with threadpool_limits(1), ThreadPoolExecutor(threads) as pool:
            list(pool.map(chunk, range(0, n, _CHUNK)))
        return second

    return spill
