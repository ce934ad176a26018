"""The trees against scikit-learn's and SciPy's, interleaved in one run: `python tests/benchmarks/trees.py [dim ...]`.

1,000,000 uniform points in 3 and 8 dimensions, k = 10, one thread; every figure is the median of ROUNDS rounds.
"""

from __future__ import annotations

import statistics
import sys
import time
from collections.abc import Callable
from functools import partial
from typing import Any

import numpy as np
from scipy.spatial import cKDTree
from sklearn import neighbors

from algorithms.ball_tree import BallTree
from algorithms.kd_tree import KDTree
from harness.data.metric import Metric

N, K, ROUNDS = 1_000_000, 10, 5
# Queries a round. scikit-learn's ball tree takes milliseconds for each, whatever the batch, and gets a tenth.
SINGLE, BATCH = 200, 10_000

Search = Callable[[Any], Any]
# Ours, then the peers that it is to be compared with; a single-thread build is compared with single-thread builds.
RIVALS = {"kd_tree": ("sklearn KDTree", "scipy cKDTree"), "ball_tree": ("sklearn BallTree",)}


def own(tree: Any, train: Any, threads: int = 1) -> Search:
    """Build one of ours."""
    index = tree(Metric.EUCLIDEAN)
    index.fit(train, threads=threads)
    search = index.searcher()
    return lambda queries: search(queries, K)


def library(tree: Any, train: Any) -> Search:
    """Build one of scikit-learn's, with the leaves that it chooses."""
    built = tree(train)
    return lambda queries: built.query(queries, K, return_distance=False)


def scipy_tree(train: Any) -> Search:
    """Build SciPy's, with the leaves that it chooses."""
    built = cKDTree(train)
    return lambda queries: built.query(queries, K)


SIDES: dict[str, Callable[[Any], Search]] = {
    "kd_tree": partial(own, KDTree),
    "ball_tree": partial(own, BallTree),
    "kd_tree, 2 threads": partial(own, KDTree, threads=2),
    "ball_tree, 2 threads": partial(own, BallTree, threads=2),
    "sklearn KDTree": partial(library, neighbors.KDTree),
    "sklearn BallTree": partial(library, neighbors.BallTree),
    "scipy cKDTree": scipy_tree,
}


def clocked(work: Callable[[], Any]) -> tuple[float, Any]:
    """Return the seconds that `work` takes, and what it gives."""
    started = time.perf_counter()
    result = work()
    return time.perf_counter() - started, result


def measure(dim: int) -> dict[str, dict[str, list[float]]]:
    """Return, for each measure and side, the figure of each round: seconds a build, and microseconds a query."""
    rng = np.random.default_rng(dim)
    train, queries = rng.random((N, dim), dtype=np.float32), rng.random((BATCH, dim), dtype=np.float32)
    for tree in (KDTree, BallTree):
        tree(Metric.EUCLIDEAN).compile(train[:256])
    figures: dict[str, dict[str, list[float]]] = {
        measure: {name: [] for name in SIDES} for measure in ("build", "single", "batch")
    }
    for turn in range(ROUNDS):
        for name, build in SIDES.items():
            seconds, search = clocked(partial(build, train))
            figures["build"][name].append(seconds)
            if "threads" in name:
                continue
            slow = 10 if name == "sklearn BallTree" else 1
            few, many = queries[turn * SINGLE :][: SINGLE // slow], queries[: BATCH // slow]
            search(few[:2])
            singly, _ = clocked(lambda search=search, few=few: [search(few[i : i + 1]) for i in range(len(few))])
            together, _ = clocked(partial(search, many))
            figures["single"][name].append(1e6 * singly / len(few))
            figures["batch"][name].append(1e6 * together / len(many))
    return figures


def main() -> None:
    """Print the medians, then how many times as fast as its peers each of ours is: medians of the rounds' ratios."""
    for dim in [int(word) for word in sys.argv[1:]] or [3, 8]:
        figures = measure(dim)
        sys.stdout.write(f"\n{N:,} uniform points in {dim} dimensions, k = {K}\n")
        sys.stdout.write(f"{'':22}{'build, s':>10}{'single, us':>12}{'batch, us':>12}\n")
        for name in SIDES:
            cells = [statistics.median(figures[m][name]) if figures[m][name] else None for m in figures]
            texts = ["" if cell is None else f"{cell:.2f}" for cell in cells]
            sys.stdout.write(f"{name:22}{texts[0]:>10}{texts[1]:>12}{texts[2]:>12}\n")
        for mine, peers in RIVALS.items():
            for peer in peers:
                ratios = [
                    statistics.median(b / a for a, b in zip(figures[m][mine], figures[m][peer], strict=True))
                    for m in figures
                ]
                sys.stdout.write(
                    f"{mine} against {peer}: build {ratios[0]:.1f}x, single {ratios[1]:.1f}x, batch {ratios[2]:.1f}x\n"
                )
        sys.stdout.flush()


if __name__ == "__main__":
    main()
