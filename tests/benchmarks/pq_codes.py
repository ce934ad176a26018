"""Recall by codes alone against faiss at the same bits: `python tests/benchmarks/pq_codes.py [dataset ...]`.

PQ flat and in lists (residuals, a twentieth of the lists searched), 4 and 8 bits, all rows, 4,000 queries, k = 10,
nothing ranked again; two threads. `annbench prepare` gets the data.
"""

from __future__ import annotations

import sys
import time
from typing import Any

import faiss
import numpy as np

from algorithms.pq import PQ
from harness.core.folders import data_folder
from harness.data.dataset import open_dataset
from harness.data.metric import Metric, normalise

THREADS, QUERIES, K = 2, 4000, 10
# Lists, and subspaces at 4 and at 8 bits.
SHAPES = {
    "glove6b-100-341k-angular": ((1, 575), (50, 25)),
    "fashion-mnist-784-euclidean": ((1, 245), (196, 98)),
}


def own(rows: Any, queries: Any, metric: Metric, lists: int, subspaces: int, bits: int) -> tuple[Any, float]:
    """Return ids by our codes, and seconds to train and encode."""
    index = PQ(metric, n_lists=lists, n_subspaces=subspaces, bits=bits, storage=None, n_components=None)
    started = time.perf_counter()
    index.fit(rows, threads=THREADS)
    seconds = time.perf_counter() - started
    return index.searcher(threads=THREADS, n_probe=max(1, lists // 20))(queries, K), seconds


def theirs(rows: Any, queries: Any, metric: Metric, lists: int, subspaces: int, bits: int) -> tuple[Any, float]:
    """Return ids by faiss's codes, and seconds to train and encode."""
    kind = faiss.METRIC_L2 if metric is Metric.EUCLIDEAN else faiss.METRIC_INNER_PRODUCT
    name = f"PQ{subspaces}x{bits}" if lists == 1 else f"IVF{lists},PQ{subspaces}x{bits}"
    index = faiss.index_factory(rows.shape[1], name, kind)
    started = time.perf_counter()
    index.train(rows)
    index.add(rows)
    seconds = time.perf_counter() - started
    if lists > 1:
        index.nprobe = max(1, lists // 20)
    return index.search(queries, K)[1], seconds


def recall(ids: Any, truth: Any) -> float:
    """Return the share of true neighbours among those found."""
    return float(np.mean([len(set(a.tolist()) & set(b.tolist())) / K for a, b in zip(ids, truth, strict=True)]))


def main() -> None:
    """Print a line for each dataset, number of lists, and bits."""
    faiss.omp_set_num_threads(THREADS)
    for name in sys.argv[1:] or SHAPES:
        data = open_dataset(data_folder(), name)
        angular = data.metric is Metric.ANGULAR
        rows, queries = (
            normalise(part) if angular else np.ascontiguousarray(part, np.float32)
            for part in (data.train, data.test[:QUERIES])
        )
        truth = data.neighbors[:QUERIES, :K]
        PQ(data.metric, storage=None).compile(rows[:256])
        for lists in SHAPES[name][0]:
            for bits, subspaces in zip((4, 8), SHAPES[name][1], strict=True):
                found = [side(rows, queries, data.metric, lists, subspaces, bits) for side in (own, theirs)]
                ours, faisss = (recall(ids, truth) for ids, _ in found)
                sys.stdout.write(
                    f"{name} lists {lists:4} codes {subspaces:3} x {bits}: recall ours {ours:.4f}, faiss {faisss:.4f} "
                    f"({ours - faisss:+.4f}); train and encode ours {found[0][1]:.1f} s, faiss {found[1][1]:.1f} s\n"
                )
                sys.stdout.flush()


if __name__ == "__main__":
    main()
