"""Plug-ins of ann-benchmarks against our wrappers of the same libraries, at the same parameters, in turns.

`taskset -c 0 python tests/benchmarks/ann_benchmarks_plugins.py ALGORITHMS`, where ALGORITHMS is the folder
ann_benchmarks/algorithms of a checkout. A ratio is theirs to ours in queries a second: 1 says that the way through the
adapter costs nothing that can be seen. With --results, a run that was interrupted goes on where it stopped.
"""

from __future__ import annotations

import argparse
import sys
import tempfile
from pathlib import Path

from harness.compare.request import Report, Request, compare_suite
from harness.compare.session import compare
from harness.compare.sides import read_side
from harness.folders import data_folder
from harness.interop.plugins import plugin_entries
from harness.measure.session import Options
from harness.registry import Registry, load_registry
from harness.report.comparison import sentence

DATASET = "fashion-mnist-784-euclidean"

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
    ("annb-balltree-ball(leaf_size=40)", "sklearn-ball-tree(leaf_size=40)"),
)


def measured(theirs: str, ours: str, registry: Registry, options: Options, pairs: int) -> Report:
    """Measure one pair of sides, each of a single setting."""
    sides = tuple(read_side(text, registry, "full") for text in (theirs, ours))
    return compare(Request(sides, compare_suite(DATASET), options, pairs=pairs), lambda *_: None)


def line(report: Report) -> str:
    """Write the verdict on a pair of sides."""
    (row,) = report.rows
    a, b, verdict = row.comparison.a, row.comparison.b, row.comparison.verdict
    assert verdict is not None
    low, high = verdict.interval
    return (
        f"{report.names[0][:60]:60} {a.qps:9,.0f} {b.qps:9,.0f}  {verdict.ratio:.3f}  {low:.3f} - {high:.3f}  "
        f"{a.recall[0]:.4f} / {b.recall[0]:.4f}  {sentence(row)}\n"
    )


def main() -> None:
    """Print a line for each pair of plug-ins."""
    reader = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    reader.add_argument("algorithms", type=Path)
    reader.add_argument("--only", default="", help="sides whose text holds this")
    reader.add_argument("--pairs", type=int, default=3, help="pairs of child processes, each with builds of its own")
    reader.add_argument("--data", type=Path)
    reader.add_argument("--results", type=Path)
    given = reader.parse_args()
    registry = load_registry([], plugin_entries(given.algorithms))
    sys.stdout.write(f"{'theirs':60} {'QPS':>9} {'ours':>9}  ratio  95% interval   recalls\n")
    with tempfile.TemporaryDirectory() as scratch:
        options = Options(data_folder(given.data), given.results or Path(scratch), build_threads=1)
        for theirs, ours in SIDES:
            if given.only in theirs:
                sys.stdout.write(line(measured(theirs, ours, registry, options, given.pairs)))
                sys.stdout.flush()


if __name__ == "__main__":
    main()
