"""k-means against faiss's, interleaved in one run: `python tests/benchmarks/kmeans.py [dataset ...]`.

All rows of GloVe (normalised) and Fashion-MNIST, ten iterations, two threads; `annbench prepare` gets the data. The
OpenBLAS in faiss's wheel may not know the processor, and take kernels for one of 2004: `threadpoolctl` tells which.
With OPENBLAS_CORETYPE=SkylakeX in the environment, or what else fits, faiss is as fast as it can be.
"""

from __future__ import annotations

import statistics
import sys
import time
from collections.abc import Callable
from typing import Any

import faiss
import numpy as np
from threadpoolctl import threadpool_info

from algorithms.kernels.codes.kmeans import assign, kmeans
from harness.core.folders import data_folder
from harness.data.dataset import open_dataset
from harness.data.metric import Metric, normalise

THREADS, ITERATIONS, ROUNDS = 2, 10, 3
SIZES = {"glove6b-100-341k-angular": (575, 1150), "fashion-mnist-784-euclidean": (245, 980)}


def own(rows: Any, k: int, *, spherical: bool) -> Any:
    """Return the centroids of ours."""
    return kmeans(rows, k, iterations=ITERATIONS, spherical=spherical, seed=1, threads=THREADS).centroids


def theirs(rows: Any, k: int, *, spherical: bool) -> Any:
    """Return faiss's centroids, of all rows."""
    trained = faiss.Kmeans(
        rows.shape[1], k, niter=ITERATIONS, seed=1, max_points_per_centroid=10**9, spherical=spherical
    )
    trained.train(rows)
    return trained.centroids


def measure(rows: Any, k: int, *, spherical: bool) -> str:
    """Return a line: median seconds of both, the median ratio, and the objectives of the centroids in the end."""
    sides: tuple[Callable[..., Any], ...] = (own, theirs)
    seconds: list[list[float]] = [[], []]
    objectives = [0.0, 0.0]
    for _ in range(ROUNDS):
        for side, train in enumerate(sides):
            started = time.perf_counter()
            centroids = train(rows, k, spherical=spherical)
            seconds[side].append(time.perf_counter() - started)
            distances = assign(rows, centroids, spherical=spherical, threads=THREADS)[1]
            objectives[side] = float(distances.mean(dtype=np.float64))
    ratio = statistics.median(b / a for a, b in zip(*seconds, strict=True))
    medians = [statistics.median(side) for side in seconds]
    return (
        f"k = {k:4}{' spherical' if spherical else '':10}  ours {medians[0]:6.2f} s, faiss {medians[1]:6.2f} s, "
        f"faiss / ours {ratio:.2f}; objective {objectives[0]:.6g} against {objectives[1]:.6g} "
        f"({objectives[0] / objectives[1] - 1.0:+.2%})\n"
    )


def main() -> None:
    """Print a line for each dataset, number of centroids, and kind of k-means."""
    faiss.omp_set_num_threads(THREADS)
    for library in threadpool_info():
        if library["user_api"] == "blas":
            sys.stdout.write(f"{library['filepath'].rsplit('/', 2)[-2]}: OpenBLAS for {library.get('architecture')}\n")
    for name in sys.argv[1:] or SIZES:
        data = open_dataset(data_folder(), name)
        angular = data.metric is Metric.ANGULAR
        rows = normalise(data.train) if angular else np.ascontiguousarray(data.train, np.float32)
        own(rows[:2000], 5, spherical=angular)  # compiles
        sys.stdout.write(f"{name}, {len(rows):,} rows\n")
        for k in SIZES[name]:
            for spherical in (False, True) if angular else (False,):
                sys.stdout.write(measure(rows, k, spherical=spherical))
                sys.stdout.flush()


if __name__ == "__main__":
    main()
