"""Plug-ins of ann-benchmarks against our wrappers of the same libraries, at the same parameters.

`taskset -c 0 python tests/benchmarks/ann_benchmarks_plugins.py ALGORITHMS`, where ALGORITHMS is the folder
ann_benchmarks/algorithms of a checkout. Both indexes stand in one process and answer each query in turns, ROUNDS times
over; the least time of a query counts, so that neighbours on the machine matter little. A ratio is theirs to ours in
queries a second: 1 says that the way through the adapter costs nothing that can be seen. For a verdict with an interval
from children of their own: `annbench compare 'annb-...' '...' --ann-benchmarks ALGORITHMS`.
"""

from __future__ import annotations

import argparse
import sys
from pathlib import Path
from time import perf_counter_ns

import numpy as np
from threadpoolctl import threadpool_limits

from harness.compare.sides import LiveSide, read_side
from harness.core.folders import data_folder
from harness.data.dataset import Dataset, open_dataset
from harness.engines.adapters.ann_benchmarks.plugins import plugin_entries
from harness.engines.contract import Algorithm, Search, as_neighbors
from harness.engines.registry import Registry, load_registry
from harness.plan.grid import expand

DATASET, K, QUERIES, ROUNDS = "fashion-mnist-784-euclidean", 10, 1000, 15

# Theirs, then ours: build parameters before the semicolon, search parameters after it.
SIDES = (
    ("annb-hnswlib(M=16, efConstruction=200; ef=40)", "hnswlib(M=16, ef_construction=200; ef=40)"),
    (
        "annb-faiss_hnsw-hnsw-faiss(M=16, efConstruction=200; ef=40)",
        "faiss-hnsw(M=16, ef_construction=200; ef=40)",
    ),
    ("annb-faiss-ivf(n_list=256; n_probe=5)", "faiss-ivf-flat(n_lists=256; nprobe=5)"),
    (
        "annb-faiss-ivfpqfs(n_list=512; n_probe=10, k_reorder=10)",
        "faiss-ivf-pq-fs(n_lists=512, n_subspaces=392; nprobe=10, k_factor=10)",
    ),
    ("annb-annoy(n_trees=100; search_k=2000)", "annoy(n_trees=100; search_k=2000)"),
    (
        "annb-scann(n_leaves=600, avq_threshold=.nan, dims_per_block=2, dist=squared_l2; leaves_reorder=[[10, 82]])",
        (
            "scann(num_leaves=600, anisotropic_quantization_threshold=null, quantize_centroids=true; "
            "leaves_to_search=10, reorder=82)"
        ),
    ),
)


def built(text: str, registry: Registry, data: Dataset) -> tuple[Algorithm, Search]:
    """Build the index of a side on one thread, and bind its one search setting; the index must be kept with it."""
    side = read_side(text, registry, "full")
    assert isinstance(side, LiveSide)
    grid = next(grid for grid in side.grids if grid.metrics is None or data.metric in grid.metrics)
    variables = {"n": len(data.train), "dim": data.dimension, "k": K}
    algorithm = side.entry.load()(data.metric, **dict(expand(grid.build, variables)[0]))
    algorithm.fit(data.train, threads=1)
    search = dict(expand(grid.search, variables)[0])
    algorithm.searcher(**search)(data.test[:1], K)  # an adapter looks at a first answer
    return algorithm, algorithm.searcher(**search)


def least(searches: tuple[Search, Search], data: Dataset) -> np.ndarray:
    """Return the least ns of each query on each side, (2, QUERIES); which side begins alternates."""
    out = np.full((2, QUERIES), np.iinfo(np.int64).max)
    for turn in range(ROUNDS):
        for i in range(QUERIES):
            query = data.test[i : i + 1]
            for side in (turn % 2, 1 - turn % 2):
                started = perf_counter_ns()
                searches[side](query, K)
                out[side, i] = min(out[side, i], perf_counter_ns() - started)
    return out


def recall(search: Search, data: Dataset) -> float:
    """Return the share of answers that are no farther than the true k-th neighbour."""
    rows = [as_neighbors(search(data.test[i : i + 1], K), 1, K, len(data.train))[0] for i in range(QUERIES)]
    found = data.distances_to(np.stack(rows))
    kth = data.distances_to(data.neighbors[:QUERIES, K - 1 : K].astype(np.int64))
    return float((found <= kth * (1 + 1e-6)).mean())


def main() -> None:
    """Print a line for each pair of plug-ins."""
    reader = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    reader.add_argument("algorithms", type=Path)
    reader.add_argument("--only", default="", help="sides whose text holds this")
    reader.add_argument("--data", type=Path)
    given = reader.parse_args()
    registry = load_registry([], plugin_entries(given.algorithms))
    data = open_dataset(data_folder(given.data), DATASET)
    sys.stdout.write(f"{'theirs':64} {'us':>9} {'ours':>9}  ratio  recalls\n")
    for pair in (pair for pair in SIDES if given.only in pair[0]):
        with threadpool_limits(limits=1):
            (theirs, ours), searches = zip(*(built(text, registry, data) for text in pair), strict=True)
            times = least(searches, data).mean(axis=1) / 1e3
        recalls = " / ".join(f"{recall(search, data):.4f}" for search in searches)
        sys.stdout.write(f"{pair[0][:64]:64} {times[0]:9.1f} {times[1]:9.1f}  {times[1] / times[0]:.3f}  {recalls}\n")
        sys.stdout.flush()
        del theirs, ours


if __name__ == "__main__":
    main()
