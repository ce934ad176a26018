"""How an inverted file is built: leaves by k-means, codebooks on a sample of the residuals, codes of all."""

from __future__ import annotations

from typing import NamedTuple

import numpy as np
from numpy.typing import NDArray

from algorithms.kernels.inverted_file import MOST_BIAS, Coder, InvertedFile, Spill, homes_of
from algorithms.kernels.kmeans import Clustering, kmeans
from algorithms.kernels.partition import Leaves, pack
from algorithms.kernels.points import half_squares, to_points
from algorithms.kernels.scalar_quantizer import ScalarQuantizer
from algorithms.kernels.storage import Storage

Floats = NDArray[np.float32]
Integers = NDArray[np.int32]

# Room for the biases of vectors added later, as a share of the range of those that are there.
_BIAS_ROOM = 1.25


class Shape(NamedTuple):
    """How many leaves, over how many dimensions a code, and how both are trained.

    `spherical` k-means compares directions; with `by_direction`, leaves are chosen for a query by the directions of
    their centroids. `sample` rows at most train the codebooks.
    """

    n_leaves: int
    block: int
    iterations: int
    sample: int
    spherical: bool
    by_direction: bool
    seed: int


def build(
    rows: Floats,
    storage: Storage,
    quantizer: ScalarQuantizer,
    shape: Shape,
    coder: Coder,
    spill: Spill | None,
    threads: int,
) -> InvertedFile:
    """Partition `rows` (n, dim), train the codebooks on a sample of what the leaves leave over, code and pack all."""
    n = len(rows)
    points, rest = to_points(quantizer, rows, -(-quantizer.dim // shape.block) * shape.block)
    clusters = _clusters(points, shape, threads)
    order = np.argsort(clusters.labels, kind="stable").astype(np.int32)
    points, rest, labels = points[order], rest[order], clusters.labels[order]
    # Of spherical clusters, too, the mean leaves the shortest residuals.
    centroids = _means(points, labels, clusters.centroids) if shape.spherical else clusters.centroids
    sample = np.sort(np.random.default_rng(shape.seed).permutation(n)[: shape.sample])
    residuals = points[sample] - centroids[labels[sample]]
    codebooks = coder.train(points[sample], residuals, shape.block, threads)
    homes = homes_of(points, centroids, labels, spill, threads)
    shifts, step = np.zeros(len(centroids), np.float32), 0.0
    if not quantizer.inner:
        shifts, step = _bias_range(points, rest, homes, centroids)
    index = InvertedFile(
        storage,
        quantizer,
        centroids,
        codebooks,
        Leaves.empty(),
        order,
        shifts,
        step,
        shape.spherical,
        shape.by_direction,
        len(homes),
    )
    entries = index.entries(points, rest, homes, np.arange(n, dtype=np.int32), coder, threads)
    index.leaves = pack(entries, len(centroids))
    coarse = quantizer.encode(rows, packed=not storage.keep_exact) if storage.quantizer is not None else rows
    storage.keep(rows, coarse, order)
    return index


def _clusters(points: Floats, shape: Shape, threads: int) -> Clustering:
    """Return the clusters of points (n, width); without points, one that is empty."""
    if len(points) == 0:
        return Clustering(np.zeros((1, points.shape[1]), np.float32), np.zeros(0, np.int32), ())
    return kmeans(
        points,
        min(shape.n_leaves, len(points)),
        iterations=shape.iterations,
        spherical=shape.spherical,
        seed=shape.seed,
        threads=threads,
    )


def _means(points: Floats, labels: Integers, centroids: Floats) -> Floats:
    """Return the means of the points with each label; where there are none, the centroid."""
    sums, counts = np.zeros(centroids.shape, np.float64), np.bincount(labels, minlength=len(centroids))
    starts = np.cumsum(counts) - counts
    some = counts > 0
    sums[some] = np.add.reduceat(points, starts[some], axis=0, dtype=np.float64) if len(points) else 0.0
    return np.where(some[:, None], sums / np.maximum(counts, 1)[:, None], centroids).astype(np.float32)


def _bias_range(points: Floats, rest: Floats, homes: list[Integers], centroids: Floats) -> tuple[Floats, float]:
    """Return where the biases of each leaf begin, and the step in which 16 bits hold all of them, with some room.

    Judged by what the bias is if a code has no error, (|x|^2 - |c|^2) / 2: with any other it is not far from that.
    """
    if len(points) == 0:
        return np.zeros(len(centroids), np.float32), 0.0
    halves, own = half_squares(points) + rest / 2.0, half_squares(centroids)
    least = np.full(len(centroids), np.inf)
    for labels in homes:
        np.minimum.at(least, labels, halves - own[labels])
    least = np.where(np.isfinite(least), least, 0.0)
    widest = max(float((halves - own[labels] - least[labels]).max()) for labels in homes)
    room = _BIAS_ROOM * widest
    return (least - (room - widest) / 2.0).astype(np.float32), room / MOST_BIAS
