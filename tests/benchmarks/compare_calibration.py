"""How often `annbench compare` is right: `python tests/benchmarks/compare_calibration.py`.

The same index against itself must not be called faster or slower in more than 5% of comparisons, and must be tied in
80% or more. Against a copy that is slowed by a known 5% (it waits for a twentieth of the time that each call took)
it must be called faster in 80% or more. Every comparison is a whole one, with the default budget, in a folder of its
own; both kinds take turns. Finished ones are kept in the file that is named, so an interrupted run goes on.

`--clock cpu` compares by CPU time. `--load` keeps the other cores busy, as on a shared machine: a process on each core
that no child is timed on, and on the very core for `--load=same`, where wall time is worth little.
"""

from __future__ import annotations

import argparse
import contextlib
import json
import math
import shutil
import subprocess
import sys
import tempfile
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import numpy as np
from scipy.stats import beta

from harness.analyse.clock import Clock, time_factors
from harness.analyse.measures import MEASURES
from harness.analyse.statistics import interval
from harness.compare.join import join
from harness.compare.request import DEFAULT_PAIRS, Request, compare_suite
from harness.compare.session import compare
from harness.compare.sides import read_side
from harness.core.cores import usable_cores
from harness.core.folders import data_folder
from harness.data.sources.prepare import prepare
from harness.engines.registry import load_registry
from harness.measure.session import Options
from harness.store.result import Result
from harness.store.results import ResultStore

KINDS = {"itself": 0.0, "slowed by 5%": 0.05}

_PLUGIN = '''
"""An algorithm of the registry that waits, after each call, for a share of the time that the call took."""

from time import perf_counter_ns

from harness.engines.contract import Algorithm
from harness.engines.registry import load_registry


class Slowed(Algorithm):
    def __init__(self, metric, *, of, share=0.0, **params):
        self._inner = load_registry()[of].load()(metric, **params)
        self._share = share

    def compile(self, sample):
        self._inner.compile(sample)

    def fit(self, train, *, threads=1):
        self._inner.fit(train, threads=threads)

    def searcher(self, *, threads=1, **params):
        search, share = self._inner.searcher(threads=threads, **params), self._share

        usual = 0.0

        def slowed(queries, k):
            nonlocal usual
            started = perf_counter_ns()
            found = search(queries, k)
            # A call that was preempted took no longer by itself: a share of all its time would be too long a wait.
            took = perf_counter_ns() - started
            took = min(took, 3 * usual) if usual else took
            usual += (took - usual) / 64 if usual else took
            wait = share * min(perf_counter_ns() - started, 3 * usual)
            # The clock is read once more, last: what stands above takes as long in the copy that doesn't wait.
            until = perf_counter_ns() + wait
            while perf_counter_ns() < until:
                pass
            return found

        return slowed
'''

_CONFIG = """
slowed:
  constructor: slowed:Slowed
  origin: library
  metrics: [euclidean, angular]
  groups: {quick: {build: {of: hnswlib, share: 0.0}, search: {}}}
"""


def main() -> int:
    """Compare as often as asked, and say how often each verdict was given."""
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("--repetitions", type=int, default=100)
    parser.add_argument("--dataset", default="digits-64-euclidean")
    parser.add_argument("--index", default="of=hnswlib, M=16, ef_construction=200")
    parser.add_argument("--search", default="ef=40")
    parser.add_argument("--clock", choices=["wall", "cpu"], default="wall")
    parser.add_argument("--load", choices=["none", "other", "same"], nargs="?", const="other", default="none")
    parser.add_argument("--kept", type=Path, default=Path(tempfile.gettempdir()) / "annbench-calibration.jsonl")
    arguments = parser.parse_args()
    prepare(arguments.dataset, folder=data_folder(), progress=False)
    terms = {"dataset": arguments.dataset, "index": arguments.index, "search": arguments.search}
    # What was kept before there was a choice was measured by the wall clock, without a load.
    terms |= {"clock": arguments.clock, "load": arguments.load}
    with busy(arguments.load):
        calibrate(terms, arguments)
    return 0


def calibrate(terms: dict[str, str], arguments: argparse.Namespace) -> None:
    """Make the comparisons that are missing, both kinds in turns, and report after each."""
    for repetition in range(arguments.repetitions):
        for kind in KINDS:
            mark = {**terms, "kind": kind, "repetition": repetition}
            if mark in [{key: row[key] for key in mark} for row in kept(arguments.kept)]:
                continue
            with arguments.kept.open("a", encoding="utf-8") as file:
                file.write(json.dumps(mark | once(kind, arguments)) + "\n")
        report([row for row in kept(arguments.kept) if {key: row[key] for key in terms} == terms])


@contextlib.contextmanager
def busy(load: str) -> Iterator[None]:
    """Run a loop that never ends on each core of the load: those that no child is timed on, or the one that is."""
    cores = usable_cores()
    loaded = {"none": [], "other": cores[:-1], "same": cores[-1:]}[load]
    loops = [
        subprocess.Popen([sys.executable, "-c", f"import os\nos.sched_setaffinity(0, [{core}])\nwhile True: pass"])
        for core in loaded
    ]
    try:
        yield
    finally:
        for loop in loops:
            loop.kill()
            loop.wait()


def kept(path: Path) -> list[dict[str, Any]]:
    """Read the comparisons that are done."""
    if not path.exists():
        return []
    before = {"clock": "wall", "load": "none"}
    return [before | json.loads(line) for line in path.read_text(encoding="utf-8").splitlines()]


def once(kind: str, arguments: argparse.Namespace) -> dict[str, Any]:
    """Make one comparison from nothing; return its verdict, and what one child and five say of A's QPS."""
    folder = Path(tempfile.mkdtemp(prefix="annbench-calibration-"))
    try:
        plugin = folder / "slowed"
        plugin.mkdir()
        (plugin / "__init__.py").write_text(_PLUGIN, encoding="utf-8")
        (plugin / "config.yml").write_text(_CONFIG, encoding="utf-8")
        registry = load_registry()
        sides = tuple(
            read_side(f"{plugin}::slowed({arguments.index}, share={share}; {arguments.search})", registry, "quick")
            for share in (0.0, KINDS[kind])
        )
        suite = compare_suite(arguments.dataset)
        request = Request(
            sides, suite, Options(data_folder(), folder / "results"), pairs=DEFAULT_PAIRS, clock=arguments.clock
        )
        (row,) = compare(request, lambda *_: None).rows
        verdict = row.comparison.verdict
        assert verdict is not None
        ours, theirs = (
            [result for one in sorted((folder / "results").rglob(side)) for result in ResultStore(one).results()]
            for side in ("A", "B")
        )
        alone, together = interval(ours[0]), interval(join(ours))
        return {
            "verdict": verdict.kind,
            "ratio": verdict.ratio,
            "low": verdict.interval.low,
            "high": verdict.interval.high,
            "qps": row.comparison.a.qps,
            "qps_of_one": MEASURES["qps"](ours[0]),
            "qps_cpu_of_one": MEASURES["qps_cpu"](ours[0]),
            "rounds": [logs(a, b, arguments.clock) for a, b in zip(ours, theirs, strict=True)],
            "interval_of_one": list(alone.qps),
            "interval_of_five": list(together.qps),
            "disturbed": row.comparison.disturbed / row.comparison.passes,
        }
    finally:
        shutil.rmtree(folder, ignore_errors=True)


def logs(a: Result, b: Result, clock: Clock) -> list[float]:
    """Return the log ratio of each round of a pair, as it was measured."""
    time_a, time_b = (
        [
            float(side.latencies_ns[side.repetition_pass == i].mean()) * f
            for i, f in enumerate(time_factors(side, clock))
        ]
        for side in (a, b)
    )
    return [round(math.log(y / x), 5) for x, y in zip(time_a, time_b, strict=True)]


def report(rows: list[dict[str, Any]]) -> None:
    """Print the share of each verdict, with the 95% interval of that share (Clopper and Pearson)."""
    for kind, share in KINDS.items():
        mine = [row for row in rows if row["kind"] == kind]
        if not mine:
            continue
        truth = 1 + share
        parts = []
        for verdict in ("faster", "slower", "tied", "unsure"):
            hits, n = sum(row["verdict"] == verdict for row in mine), len(mine)
            low = beta.ppf(0.025, hits, n - hits + 1) if hits else 0.0
            high = beta.ppf(0.975, hits + 1, n - hits) if hits < n else 1.0
            parts.append(f"{verdict} {hits / n:.0%} ({low:.0%}-{high:.0%})")
        held = np.mean([row["low"] <= truth <= row["high"] for row in mine])
        pairs = np.mean([len(row["rounds"]) for row in mine])
        ratios = [row["ratio"] for row in mine]
        say(
            f"{kind}: {len(mine)} comparisons: {', '.join(parts)}; ratio {np.median(ratios):.3f}, spread "
            f"{np.std(np.log(ratios)):.3f}; {held:.0%} of intervals hold {truth:g}; {pairs:.1f} pairs; "
            f"{np.mean([row['disturbed'] for row in mine]):.0%} of rounds disturbed"
        )
    middle = np.median([row["qps"] for row in rows])
    for name in ("one", "five"):
        held = np.mean([low <= middle <= high for low, high in (row[f"interval_of_{name}"] for row in rows)])
        say(f"intervals of QPS from {name}: {held:.0%} hold the median of all, {middle:,.0f}")


def say(text: str) -> None:
    """Write a line at once, so that a log shows how far it is."""
    sys.stdout.write(text + "\n")
    sys.stdout.flush()


if __name__ == "__main__":
    sys.exit(main())
