"""Measure the harness's own cost: `python -m harness.measure.cost [--pairs 9]`."""

from __future__ import annotations

import argparse
import gc
import os
import statistics
import subprocess
import sys
import tempfile
from pathlib import Path
from time import perf_counter_ns

import numpy as np

from harness.core.cores import usable_cores
from harness.core.errors import PluginError
from harness.data.dataset import write_dataset
from harness.data.metric import Metric
from harness.data.truth import exact_neighbors
from harness.engines.registry import Registry, read_config
from harness.measure.cost import FiveMicroseconds
from harness.measure.session import Options, execute, plan_run
from harness.plan.suites import Suite
from harness.store.results import ResultStore

_NAME = "cost-16-euclidean"
_QUERIES = 2000
_K = 10


def bare_loop(seconds: float) -> float:
    """Call the plug-in on each query in turn, and nothing else; return the median ns a call over passes."""
    rng = np.random.default_rng(1)
    queries = rng.random((_QUERIES, 16), dtype=np.float32)
    plugin = FiveMicroseconds(Metric.EUCLIDEAN)
    plugin.fit(queries)
    search = plugin.searcher()
    rows = [queries[i : i + 1] for i in range(_QUERIES)]
    gc.collect()
    gc.freeze()
    gc.disable()
    passes: list[float] = []
    while sum(passes) * _QUERIES < seconds * 1e9:
        started = perf_counter_ns()
        for query in rows:
            search(query, _K)
        passes.append((perf_counter_ns() - started) / _QUERIES)
    return statistics.median(passes[1:])


def measured(folder: Path) -> float:
    """Measure the plug-in as any other; return the median ns a call over passes."""
    asked = {"datasets": (_NAME,), "algorithms": ("five-microseconds",), "group": "quick", "queries": _QUERIES}
    suite = Suite.model_validate(asked)
    options = Options(folder, folder / "results", build_threads=1, force=True)
    registry = Registry(read_config(Path(__file__).with_name("config.yml")))
    execute(suite, registry, plan_run(suite, registry, options), options, lambda *_: None)
    store = ResultStore(options.results)
    for failure in store.failures():
        raise PluginError(f"the plug-in could not be measured: {failure.reason}")
    (result,) = store.results()
    passes = [result.latencies_ns[result.repetition_pass == p].mean() for p in range(result.passes)]
    return float(np.median(passes))


def main() -> None:
    """Print the ratio of both, pair by pair, and its median."""
    parser = argparse.ArgumentParser(prog="python -m harness.measure.cost", description=__doc__)
    parser.add_argument("--pairs", type=int, default=9, help="pairs of processes")
    parser.add_argument("--bare", action="store_true", help=argparse.SUPPRESS)
    options = parser.parse_args()
    if options.bare:
        if hasattr(os, "sched_setaffinity"):
            os.sched_setaffinity(0, usable_cores()[-1:])
        sys.stdout.write(f"{bare_loop(2.0)}\n")
        return
    ratios = []
    with tempfile.TemporaryDirectory() as name:
        folder = Path(name)
        rows = np.random.default_rng(0).random((1000 + _QUERIES, 16), dtype=np.float32)
        train, test = rows[:1000], rows[1000:]
        ids, distances = exact_neighbors(Metric.EUCLIDEAN, train, test, _K, progress=False)
        write_dataset(
            folder / f"{_NAME}.hdf5",
            metric=Metric.EUCLIDEAN,
            train=train,
            test=test,
            neighbors=ids,
            distances=distances,
            dimension=16,
            source="random",
        )
        command = [sys.executable, "-m", "harness.measure.cost", "--bare"]
        for pair in range(options.pairs):
            bare = float(subprocess.run(command, capture_output=True, text=True, check=True).stdout)
            ours = measured(folder)
            ratios.append(ours / bare)
            sys.stdout.write(f"pair {pair + 1}: bare loop {bare:.0f} ns, measured {ours:.0f} ns, {ratios[-1]:.4f}\n")
            sys.stdout.flush()
    low, high = min(ratios), max(ratios)
    sys.stdout.write(f"measured / bare: median {statistics.median(ratios):.4f}, from {low:.4f} to {high:.4f}\n")


if __name__ == "__main__":
    main()
