"""How an inverted file is built: lists by k-means, codebooks on a sample of the residuals, codes of all."""

from __future__ import annotations

from typing import NamedTuple

import numpy as np
from numpy.typing import NDArray

from algorithms.kernels.codes.kmeans import Clustering, kmeans
from algorithms.kernels.codes.scalar_quantizer import ScalarQuantizer
from algorithms.kernels.codes.storage import Storage
from algorithms.kernels.lists.inverted_file import Coder, InvertedFile, Spill, assignments_of
from algorithms.kernels.lists.partition import Lists
from algorithms.kernels.lists.points import to_points

Floats = NDArray[np.float32]
Integers = NDArray[np.int32]


class Shape(NamedTuple):
    """How many lists, over how many dimensions a code, and how both are trained.

    `spherical` k-means compares directions; with `by_direction`, lists are chosen for a query by the directions of
    their centroids. `sample` rows at most train the codebooks.
    """

    n_lists: int
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
    """Partition `rows` (n, dim), train the codebooks on a sample of what the lists leave over, code and pack all."""
    n = len(rows)
    points, rest = to_points(quantizer, rows, -(-quantizer.dim // shape.block) * shape.block)
    clusters = _clusters(points, shape, threads)
    order = np.argsort(clusters.labels, kind="stable").astype(np.int32)
    if len(clusters.centroids) > 1:
        points, rest = points[order], rest[order]
    labels = clusters.labels[order]
    # Of spherical clusters, too, the mean lists the shortest residuals.
    centroids = _means(points, labels, clusters.centroids) if shape.spherical else clusters.centroids
    sample = np.sort(np.random.default_rng(shape.seed).permutation(n)[: shape.sample])
    assignments = assignments_of(points, centroids, labels, spill, threads)
    # Of lists in turn: what is left over of a second one is longer.
    lists = np.choose(np.arange(len(sample)) % len(assignments), [assignment[sample] for assignment in assignments])
    codebooks = coder.train(points[sample], points[sample] - centroids[lists], shape.block, threads)
    index = InvertedFile(
        storage,
        quantizer,
        centroids,
        codebooks,
        Lists.empty(),
        order,
        np.zeros(len(centroids), np.float32),
        0.0,
        shape.spherical,
        shape.by_direction,
        len(assignments),
    )
    index.keep(*index.entries(points, rest, assignments, np.arange(n, dtype=np.int32), coder, threads))
    coarse = quantizer.encode(rows, packed=not storage.keep_exact) if storage.quantizer is not None else rows
    storage.keep(rows, coarse, order)
    return index


def _clusters(points: Floats, shape: Shape, threads: int) -> Clustering:
    """Return the clusters of points (n, width); without points, one that is empty."""
    if len(points) == 0:
        return Clustering(np.zeros((1, points.shape[1]), np.float32), np.zeros(0, np.int32), ())
    return kmeans(
        points,
        min(shape.n_lists, len(points)),
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
