"""What ann-benchmarks' own scripts read of a result: their arrays and attributes, beside ours."""

from __future__ import annotations

import numpy as np
from numpy.typing import NDArray

from harness.store.envelope import Companion
from harness.store.result import Result


def companion(result: Result) -> Companion:
    """Return the layout of ann-benchmarks. Its `best_search_time` is the smallest mean over repetitions, in seconds."""
    spec, document = result.spec, result.document
    times = best_times(result)
    built = [one.build_seconds for one in document.processes if one.build_seconds is not None]
    process = document.processes[-1] if document.processes else None
    attributes = {
        "batch_mode": spec["mode"] == "batch",
        "best_search_time": float(times.mean()),
        "candidates": float((result.arrays["neighbors"] >= 0).sum(axis=1).mean()),
        "name": result.name,
        "run_count": len(result.latencies_ns),
        "distance": spec["metric"],
        "count": int(spec["k"]),
        "build_time": built[-1] if built else 0.0,
        "index_size": (process.index_bytes or 0) / 1024 if process else 0.0,
        "algo": spec["algorithm"],
        "dataset": spec["dataset"],
        "expect_extra": False,
        "dist_comps": int(document.counters.get("distance_computations", 0)) * len(result.latencies_ns),
    }
    return Companion({"times": times}, attributes)


def best_times(result: Result) -> NDArray[np.float64]:
    """Return the seconds of each query, (q,), in the fastest repetition: what ann-benchmarks keeps of all.

    In batch mode, where one call answers all, each query has its share of it.
    """
    q = result.queries
    best = result.latencies_ns[int(np.argmin(result.latencies_ns.sum(axis=1)))] / 1e9
    return best if len(best) == q and result.spec["mode"] == "single" else np.full(q, best.sum() / q)
