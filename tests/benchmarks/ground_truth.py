"""Ground truth against faiss's flat index, interleaved in one run: `python tests/benchmarks/ground_truth.py`.

Fashion-MNIST 60,000 x 10,000, k = 100, two threads; `annbench prepare fashion-mnist-784-euclidean` gets the data.
"""

from __future__ import annotations

import statistics
import sys
import time

import faiss
import numpy as np

from harness.core.folders import data_folder
from harness.data.dataset import open_dataset
from harness.data.metric import Metric, neighbour_distances
from harness.data.truth import exact_neighbors

THREADS, K, PAIRS = 2, 100, 5


def main() -> None:
    """Print the ratio pair by pair, its median, and how far the distances are from float64."""
    data = open_dataset(data_folder(), "fashion-mnist-784-euclidean")
    faiss.omp_set_num_threads(THREADS)
    exact_neighbors(Metric.EUCLIDEAN, data.train[:2000], data.test[:600], K, progress=False)  # compiles
    ratios = []
    for _ in range(PAIRS):
        started = time.perf_counter()
        ids, distances = exact_neighbors(data.metric, data.train, data.test, K, threads=THREADS, progress=False)
        ours = time.perf_counter() - started
        started = time.perf_counter()
        index = faiss.IndexFlatL2(data.dimension)
        index.add(data.train)
        index.search(data.test, K)
        theirs = time.perf_counter() - started
        ratios.append(theirs / ours)
        sys.stdout.write(f"exact_neighbors {ours:.2f} s, faiss flat {theirs:.2f} s, ratio {ratios[-1]:.3f}\n")
    wide = neighbour_distances(data.metric, data.test[:500], data.train, ids[:500].astype(np.int64))
    worst = float(np.abs(distances[:500] / wide - 1.0).max())
    sys.stdout.write(f"faiss / ours: median {statistics.median(ratios):.3f}; distances off by at most {worst:.1e}\n")


if __name__ == "__main__":
    main()
