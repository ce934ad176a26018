"""Product quantisation: each stretch of a vector's dimensions is one of a few codewords (Jegou, Douze, Schmid 2011).

Codebooks are (positions, block, words) float32: the codewords of a position lie side by side, so that a vector is
compared with all of them at once. Vectors are padded with zeros to positions * block dimensions.
"""

from __future__ import annotations

from concurrent.futures import ThreadPoolExecutor
from typing import Any

import numpy as np
from numpy.typing import NDArray

from algorithms.kernels.codes.kmeans import plus_plus
from algorithms.kernels.jit import kernel
from algorithms.kernels.simd.instructions import float_bits

Array = Any
Floats = NDArray[np.float32]
Codes = NDArray[np.uint8]

# Rows a codeword that the first codewords are drawn from: each costs a pass over all of them.
_CANDIDATES = 16
# Rows coded by one thread at a time.
_CHUNK = 4096


@kernel
def nearest_word(distances: Array) -> Any:
    """Return the place of the least of (words,) float32, none negative; words is a power of two.

    Places stand in the lowest bits of the distances, so that one minimum finds both: distances that differ by a share
    of words / 2^23 are taken for equal.
    """
    words = distances.shape[0]
    least = np.int32(0x7FFFFFFF)
    for c in range(words):
        least = min(least, (float_bits(distances[c]) & np.int32(-words)) | np.int32(c))
    return least & np.int32(words - 1)


@kernel
def word_distances(row: Array, start: int, book: Array, distances: Array) -> None:
    """Fill `distances` (words,) with those of row[start : start + block] to the codewords `book` (block, words)."""
    distances[:] = np.float32(0.0)
    for j in range(book.shape[0]):
        value = row[start + j]
        for c in range(distances.shape[0]):
            gap = value - book[j, c]
            distances[c] += gap * gap


@kernel
def nearest_codes(rows: Array, first: int, stop: int, codebooks: Array, codes: Array) -> None:
    """Fill codes[first:stop], (n, positions) uint8, with the nearest codewords of `rows` (n, positions * block)."""
    positions, block, words = codebooks.shape
    distances = np.empty(words, np.float32)
    for i in range(first, stop):
        for m in range(positions):
            word_distances(rows[i], m * block, codebooks[m], distances)
            codes[i, m] = np.uint8(nearest_word(distances))


@kernel
def _lloyd(stretch: Array, book: Array, iterations: int) -> None:
    """Improve the codewords `book` (block, words) for a `stretch` (n, block) of the dimensions of a sample.

    A codeword that no row is nearest to moves to the row that is farthest from its own, one in each iteration.
    """
    block, words = book.shape
    distances = np.empty(words, np.float32)
    for _ in range(iterations):
        sums = np.zeros((words, block))
        counts = np.zeros(words, np.int64)
        farthest, distance = 0, np.float32(0.0)
        for i in range(stretch.shape[0]):
            word_distances(stretch[i], 0, book, distances)
            c = nearest_word(distances)
            counts[c] += 1
            for j in range(block):
                sums[c, j] += stretch[i, j]
            if distances[c] > distance:
                farthest, distance = i, distances[c]
        for c in range(words):
            if counts[c] > 0:
                for j in range(block):
                    book[j, c] = np.float32(sums[c, j] / counts[c])
            elif distance > 0.0:
                book[:, c] = stretch[farthest]
                distance = np.float32(0.0)


@kernel
def decode(codes: Array, codebooks: Array, rows: Array) -> None:
    """Fill `rows` (n, positions * block) float32 with the codewords that `codes` (n, positions) uint8 name."""
    positions, block, _ = codebooks.shape
    for i in range(codes.shape[0]):
        for m in range(positions):
            for j in range(block):
                rows[i, m * block + j] = codebooks[m, j, codes[i, m]]


def train_codebooks(sample: Floats, block: int, words: int, iterations: int, seed: int, threads: int) -> Floats:
    """Train the codebooks of `sample` (n, positions * block) by k-means, each position for itself.

    The same for any number of threads. Codewords beyond the number of rows are copies.
    """
    n, width = sample.shape
    positions = width // block
    rng = np.random.default_rng(seed)
    few = rng.permutation(n)[: _CANDIDATES * words]
    own = rng.spawn(positions)
    codebooks = np.zeros((positions, block, words), np.float32)

    def train(m: int) -> None:
        stretch = np.ascontiguousarray(sample[:, m * block : (m + 1) * block])
        codebooks[m] = plus_plus(stretch[few], words, own[m]).T
        _lloyd(stretch, codebooks[m], iterations)

    if n:
        with ThreadPoolExecutor(threads) as pool:
            list(pool.map(train, range(positions)))
    return codebooks


def encode(rows: Floats, codebooks: Floats, threads: int) -> Codes:
    """Return the nearest codewords of `rows` (n, positions * block), (n, positions) uint8."""
    codes = np.empty((len(rows), len(codebooks)), np.uint8)

    def chunk(first: int) -> None:
        nearest_codes(rows, first, min(first + _CHUNK, len(rows)), codebooks, codes)

    with ThreadPoolExecutor(threads) as pool:
        list(pool.map(chunk, range(0, len(rows), _CHUNK)))
    return codes
