"""How embeddings lie in their space: spread or collapsed, in how many dimensions, with or without hubs.

All figures are of directions: rows are scaled to unit length first, since embeddings are compared by their cosine.
"""

from __future__ import annotations

import math
from collections.abc import Iterator
from dataclasses import dataclass

import numpy as np
from numpy.typing import NDArray

from harness.analyse.dimension import levina_bickel, two_nn
from harness.core.errors import AnnbenchError
from harness.embedding.measures.neighbourhood import Neighbourhood, hubness, nearest, relative_contrast
from harness.embedding.measures.vectors import Matrix, directions

SAMPLE = 30_000  # rows described: their neighbours of 384 dimensions take ten seconds on one core
HUB_NEIGHBOURS = 10
DIMENSION_NEIGHBOURS = 20
# Unit vectors nearer than this are copies: a text encoded in another batch is off by as much in float32. Taken for
# real, such distances would drown what the others say of the dimension.
_COPY = 1e-5
_PAIR_SAMPLE = 5_000  # rows whose pairs, 12.5 million, are looked at one by one
_BLOCK = 1024  # rows whose products with all others are held at once


@dataclass(frozen=True)
class Geometry:
    """How a set of embeddings lies in its space; see the function of each name.

    `rows` of the `of` given are described, drawn by `seed`. nan where a figure needs another row or, for `alignment`,
    pairs that belong together. Alignment and uniformity are better the lower; the others have no better direction by
    themselves, but an effective rank near 1 or an anisotropy near 1 is a collapse.
    """

    of: int
    rows: int
    dim: int
    seed: int
    alignment: float
    uniformity: float
    effective_rank: float
    anisotropy: float
    iso_score: float
    local_intrinsic_dimension: float
    two_nn: float
    hubness: float
    relative_contrast: float


def describe_geometry(
    vectors: Matrix,
    *,
    positives: tuple[Matrix, Matrix] | None = None,
    sample: int = SAMPLE,
    seed: int = 0,
    threads: int | None = None,
) -> Geometry:
    """Describe `vectors` (n, dim), at most `sample` rows of them, drawn without replacement by `seed`.

    `positives` are two (m, dim) arrays whose rows belong together, for the alignment, which takes all of them.
    Uniformity and the mean distance of the relative contrast are over all pairs of the first 5,000 drawn rows, hubness
    over lists of 10 neighbours, the local intrinsic dimension (Levina and Bickel) over 20. A sample is sparser than the
    whole: hubness and contrast compare only between equal numbers of rows. Rows within 1e-5 of each other are copies:
    the dimensions are those of distinct rows. `threads` are those of the exact search, by
    default all cores. Deterministic by `seed`. Raises DatasetError for vectors that aren't finite or are all zeros, and
    AnnbenchError for fewer than one row.
    """
    if sample < 1:
        raise AnnbenchError(f"the geometry needs a row or more: given a sample of {sample}")
    units = directions(vectors)
    drawn = np.random.default_rng(seed).permutation(len(units))[:sample]
    units = units[drawn]
    lists = nearest(units, DIMENSION_NEIGHBOURS, threads=threads)
    distances = _distances_of_distinct(units, lists, threads)
    pairs = units[:_PAIR_SAMPLE]
    return Geometry(
        of=len(vectors),
        rows=len(units),
        dim=units.shape[1],
        seed=seed,
        alignment=math.nan if positives is None else alignment(*positives),
        uniformity=uniformity(pairs),
        effective_rank=effective_rank(units),
        anisotropy=anisotropy(units),
        iso_score=iso_score(units),
        local_intrinsic_dimension=levina_bickel(distances),
        two_nn=two_nn(distances),
        hubness=hubness(lists.ids[:, :HUB_NEIGHBOURS]),
        relative_contrast=relative_contrast(mean_distance(pairs), lists.distances[:, :1].ravel()),
    )


def _distances_of_distinct(
    units: NDArray[np.float32], lists: Neighbourhood, threads: int | None
) -> NDArray[np.float64]:
    """Return the distances of `lists` (n, k), or of new ones without the rows that copy an earlier row."""
    copies = ((lists.distances < _COPY) & (lists.ids < np.arange(len(units))[:, None])).any(axis=1)
    if copies.any():
        lists = nearest(units[~copies], lists.ids.shape[1], threads=threads)
    # Where a row has more copies than its list has places, some of them remain.
    return np.where(lists.distances < _COPY, 0.0, lists.distances)


# --- pairs ---------------------------------------------------------------------------------------------------------


def alignment(first: Matrix, second: Matrix) -> float:
    """Return the mean squared distance between unit vectors that belong together, row by row, 0..4.

    Both (m, dim). Wang and Isola (2020), "Understanding Contrastive Representation Learning through Alignment and
    Uniformity on the Hypersphere", with their exponent of 2. Raises AnnbenchError for shapes that differ.
    """
    if first.shape != second.shape:
        raise AnnbenchError(f"pairs need two arrays of one shape: given {first.shape} and {second.shape}")
    apart = directions(first, "first").astype(np.float64) - directions(second, "second")
    return float(np.einsum("ij,ij->i", apart, apart).mean())


def uniformity(vectors: Matrix) -> float:
    """Return the log of the mean of exp(-2 d^2) over all pairs of unit vectors at distance d, -8..0.

    `vectors` (n, dim); takes n^2 dim steps. 0 where all are one point, about -4 for a sphere of many dimensions that is
    filled evenly. Wang and Isola (2020), with their t of 2. nan for a single row.
    """
    units = directions(vectors)
    if len(units) < 2:
        return math.nan
    total = sum(float(np.exp(-2.0 * squares).sum()) for squares in _squared_distances(units))
    return math.log(total / (len(units) * (len(units) - 1) / 2))


def mean_distance(vectors: Matrix) -> float:
    """Return the mean distance over all pairs of unit vectors, 0..2; `vectors` (n, dim), nan for a single row."""
    units = directions(vectors)
    if len(units) < 2:
        return math.nan
    total = sum(float(np.sqrt(squares).sum()) for squares in _squared_distances(units))
    return total / (len(units) * (len(units) - 1) / 2)


def _squared_distances(units: NDArray[np.float32]) -> Iterator[NDArray[np.float64]]:
    """Yield the squared distances of all pairs i < j of unit vectors (n, dim), those of some rows i at a time, flat."""
    rows = units.astype(np.float64)
    squares = np.einsum("ij,ij->i", rows, rows)
    for start in range(0, len(rows), _BLOCK):
        block = slice(start, start + _BLOCK)
        # |a - b|^2 = |a|^2 + |b|^2 - 2ab, which rounding may bring below 0
        found = squares[block, None] + squares[start:] - 2.0 * (rows[block] @ rows[start:].T)
        yield found[np.triu(np.ones(found.shape, np.bool_), 1)].clip(min=0.0)


def anisotropy(vectors: Matrix) -> float:
    """Return the mean cosine of two different rows of `vectors` (n, dim); nan for a single row.

    Near 0 where directions are spread, 1 where all are one. Ethayarajh (2019) estimates it from random pairs; the mean
    over all pairs is exact and needs but the sum s of the unit vectors: s s = n + n (n - 1) mean.
    """
    units = directions(vectors).astype(np.float64)
    n = len(units)
    if n < 2:
        return math.nan
    total = units.sum(axis=0)
    return float(total @ total - np.einsum("ij,ij->", units, units)) / (n * (n - 1))


# --- spectrum ------------------------------------------------------------------------------------------------------


def effective_rank(vectors: Matrix) -> float:
    """Return the exponential of the entropy of the singular values of the unit vectors, 1..min(n, dim).

    `vectors` (n, dim). The singular values, not their squares, are scaled to sum to 1, and nothing is centred: Roy and
    Vetterli (2007), "The effective rank: a measure of effective dimensionality".
    """
    values = np.linalg.svd(directions(vectors).astype(np.float64), compute_uv=False)
    shares = values / values.sum()
    shares = shares[shares > 0]
    return math.exp(-float(shares @ np.log(shares)))


def iso_score(vectors: Matrix) -> float:
    """Return how evenly the variance of the unit vectors spreads over directions, 0..1 (Rudman et al. 2022, IsoScore).

    `vectors` (n, dim). About the share of the dimensions that are used evenly: variance in k of them alone gives
    (k - 1) / (dim - 1). nan where all are copies or there is one dimension only.
    """
    units = directions(vectors).astype(np.float64)
    dim = units.shape[1]
    if dim < 2 or np.ptp(units, axis=0).max() < _COPY:
        return math.nan
    centred = units - units.mean(axis=0)
    variances = np.linalg.eigvalsh(centred.T @ centred).clip(min=0.0)
    scaled = math.sqrt(dim) * variances / np.linalg.norm(variances)
    defect = np.linalg.norm(scaled - 1.0) / math.sqrt(2.0 * (dim - math.sqrt(dim)))
    share = (dim - defect**2 * (dim - math.sqrt(dim))) ** 2 / dim**2
    return float((dim * share - 1.0) / (dim - 1.0))
