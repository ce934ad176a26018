"""The main road under every metric and in both modes, and what a result says of how it was made."""

from __future__ import annotations

import numpy as np
import pytest

import harness
from harness.analyse.measures import MEASURES
from harness.store.results import ResultStore

FAST = {"group": "quick", "queries": 20, "passes": 1, "rounds": 1, "pass_seconds": 1.0, "least_pass_seconds": 0.01}


@pytest.mark.parametrize(
    ("dataset", "algorithms"),
    [
        ("synthetic-clusters-900-12-euclidean", ["hnswlib"]),
        ("synthetic-uniform-900-12-angular", ["annoy"]),
        ("synthetic-clusters-900-12-ip", ["faiss-flat"]),
        ("synthetic-bits-900-64-hamming", ["faiss-flat"]),
        ("synthetic-sets-900-60-jaccard", []),
    ],
)
def test_every_metric_end_to_end(tmp_path, dataset, algorithms):
    """Data of each metric is generated, indexed, searched and measured; exact search has recall 1."""
    data, results = tmp_path / "datasets", tmp_path / "results"
    table = harness.run(
        "smoke", dataset=dataset, algorithm=["brute_force", *algorithms], data=data, results=results, **FAST
    )
    recall = table.groupby("algorithm")["recall"].max()
    assert recall["brute_force"] == 1.0
    assert {*recall.index} == {"brute_force", *algorithms}
    for name in algorithms:
        assert recall[name] > 0.9


@pytest.mark.several_cores
def test_batch_mode(bench):
    """In batch mode one call answers all queries: one latency a repetition, no percentiles, its own folder."""
    bench.run("exact", mode="batch", threads=2)
    results = [r for r in bench.store.results() if r.spec["algorithm"] == "exact"]
    assert len(results) == 3
    for result in results:
        assert result.path.parent.name == "exact-batch"
        assert result.latencies_ns.shape[1] == 1
        assert (result.arrays["distances"] <= result.arrays["kth_distance"][:, None] + 1e-9).all()
        assert np.isnan(MEASURES["p99"](result))
        assert MEASURES["qps"](result) > 0
        assert result.spec["threads"] == 2


def test_a_slow_setting_gets_fewer_queries_and_says_so(bench):
    """A pass is bounded; the queries are a prefix, and the result names both counts."""
    bench.run("slow", pass_seconds=0.1, passes=1)
    (result,) = [r for r in bench.store.results() if r.spec["algorithm"] == "slow"]
    assert result.queries < 20
    assert f"{result.queries} of 20 queries" in " ".join(result.document.notes)
    bench.run("slow", pass_seconds=0.1, passes=3)
    (again,) = [r for r in bench.store.results() if r.spec["algorithm"] == "slow"]
    assert again.queries == result.queries
    assert again.enough(3)


def test_provenance(bench):
    """A result says on what, with what and how it was measured."""
    bench.run("exact", passes=1)
    document = next(bench.store.results()).document
    assert {
        "cpu",
        "cores",
        "caches",
        "governor",
        "transparent_huge_pages",
        "kernel",
        "flags",
    } <= document.machine.keys()
    assert {"python", "numpy", "thread_pools", "annbench", "train_rows", "dimension"} <= document.environment.keys()
    assert all(pool["threads"] == 1 for pool in document.environment["thread_pools"])
    (process,) = document.processes
    assert process.uss_before_fit > 0
    assert process.peak_build >= process.uss_before_fit // 2
    assert process.peak_search > 0
    assert {"dataset_sha256", "plugin_hash", "versions", "machine", "seed"} <= document.spec.keys()
    for made in document.passes:
        assert {"cpu_share", "steal", "yardstick_ns", "foreign_cpu", "wall_ns", "process"} <= made.keys()


def test_saving_and_loading_are_timed(tmp_path):
    """For a plug-in that can save, the result says how long that and loading took, and how large it was."""
    data, results = tmp_path / "datasets", tmp_path / "results"
    harness.run(
        "smoke", dataset="synthetic-clusters-900-12-euclidean", algorithm="hnswlib", data=data, results=results, **FAST
    )
    found = [r for r in ResultStore(results).results() if r.spec["algorithm"] == "hnswlib"]
    for result in found:
        process = result.document.processes[0]
        assert process.save_seconds > 0
        assert process.restore_seconds > 0
        assert process.saved_bytes > 900 * 12 * 4


def test_disturbed_passes_are_repeated_up_to_a_bound(bench):
    """However noisy the machine, passes end: enough quiet ones, or the allowance used up."""
    bench.run("exact", passes=3)
    for result in bench.store.results():
        assert result.undisturbed >= 3 or result.passes == 5
        assert [p["pass"] for p in result.document.passes] == list(range(result.passes))
