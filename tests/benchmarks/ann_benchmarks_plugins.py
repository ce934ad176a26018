"""Plug-ins of ann-benchmarks against our wrappers of the same libraries, at the same parameters, in turns.

`taskset -c 0 python tests/benchmarks/ann_benchmarks_plugins.py ALGORITHMS [DATA]`, where ALGORITHMS is the folder
ann_benchmarks/algorithms of a checkout, and DATA the folder of datasets. A ratio is theirs to ours in queries a second:
1 says that the way through the adapter costs nothing that can be seen. Each ratio is of PAIRS pairs of children.
"""

from __future__ import annotations

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

DATASET, PAIRS = "fashion-mnist-784-euclidean", 3

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


def measured(theirs: str, ours: str, registry: Registry, data: Path, results: Path) -> Report:
    """Measure one pair of sides, each of a single setting."""
    sides = tuple(read_side(text, registry, "full") for text in (theirs, ours))
    request = Request(sides, compare_suite(DATASET), Options(data, results, build_threads=1), pairs=PAIRS)
    return compare(request, lambda *_: None)


def main() -> None:
    """Print a line for each pair of plug-ins."""
    registry = load_registry([], plugin_entries(Path(sys.argv[1])))
    data = data_folder(Path(sys.argv[2]) if len(sys.argv) > 2 else None)
    sys.stdout.write(f"{'theirs':60} {'QPS':>9} {'ours':>9}  ratio  95% interval   recalls\n")
    with tempfile.TemporaryDirectory() as results:
        for theirs, ours in SIDES:
            (row,) = measured(theirs, ours, registry, data, Path(results)).rows
            a, b, verdict = row.comparison.a, row.comparison.b, row.comparison.verdict
            assert verdict is not None
            low, high = verdict.interval
            sys.stdout.write(
                f"{theirs[:60]:60} {a.qps:9,.0f} {b.qps:9,.0f}  {verdict.ratio:.3f}  {low:.3f} - {high:.3f}  "
                f"{a.recall[0]:.4f} / {b.recall[0]:.4f}  {sentence(row)}\n"
            )
            sys.stdout.flush()


if __name__ == "__main__":
    main()
