"""How often a drift of the machine makes a winner of equals: `python tests/benchmarks/drift.py`.

One index under two names is measured by a whole run, as `annbench run` makes it, while something else keeps the machine
busy during the first half of the passes: a loop on the core that is measured on (`core`), or one on the other core that
empties the shared cache (`cache`); or nothing does (`quiet`). Neither name is faster, so the page and the tables must
not name a winner in 95% of runs or more. Each kind takes its turn; finished runs are kept in the file that is named, so
that an interrupted series goes on.

Beside that it says what a correction by the reference workload would do: the time of each pass divided by that of the
readings before and after it, as a share of their median. It helps where the intervals become narrower and still as
many of them hold the truth, which is a ratio of 1.
"""

from __future__ import annotations

import argparse
import json
import math
import os
import shutil
import statistics
import subprocess
import sys
import tempfile
from collections.abc import Mapping
from dataclasses import replace
from pathlib import Path
from typing import TYPE_CHECKING, Any, Self

import numpy as np
from scipy.stats import beta

from harness.analyse.statistics import Range, ratio_range
from harness.analyse.table import tidy
from harness.analyse.targets import DEFAULT_TARGETS, targets_table
from harness.analyse.winners import telling, winner
from harness.api import suite_for
from harness.core.cores import usable_cores
from harness.core.folders import data_folder
from harness.data.sources.prepare import prepare
from harness.engines.registry import load_registry
from harness.measure.session import Options, execute, plan_run
from harness.store.result import Result
from harness.store.results import ResultStore

if TYPE_CHECKING:
    import pandas as pd

KINDS = ("core", "cache", "quiet")
TWINS = ("twin-a", "twin-b")

_CONFIG = """
  constructor: algorithms.libraries.hnswlib:HNSWLib
  origin: library
  metrics: [euclidean, angular]
  requires: [hnswlib]
  ordered: true
  groups: {quick: {build: {M: 16, ef_construction: 200}, search: {ef: [20, 40, 80]}}}
"""
_BUSY = "while True: pass"
_CACHE = """
import numpy as np
rows = np.ones(1 << 24, np.float32)
places = np.random.default_rng(0).integers(0, len(rows), 1 << 20)
while True:
    rows.take(places).sum()
"""


def main() -> int:
    """Make runs as often as asked, and say how often a winner was named."""
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("--repetitions", type=int, default=40)
    parser.add_argument("--dataset", default="digits-64-euclidean")
    parser.add_argument("--kinds", nargs="+", choices=KINDS, default=list(KINDS))
    parser.add_argument("--kept", type=Path, default=Path(tempfile.gettempdir()) / "annbench-drift.jsonl")
    arguments = parser.parse_args()
    prepare(arguments.dataset, folder=data_folder(), progress=False)
    for repetition in range(arguments.repetitions):
        for kind in arguments.kinds:
            mark = {"dataset": arguments.dataset, "kind": kind, "repetition": repetition}
            if mark in [{key: row[key] for key in mark} for row in kept(arguments.kept)]:
                continue
            with arguments.kept.open("a", encoding="utf-8") as file:
                file.write(json.dumps(mark | once(kind, arguments.dataset, seed=repetition)) + "\n")
            report([row for row in kept(arguments.kept) if row["dataset"] == arguments.dataset])
    return 0


def kept(path: Path) -> list[dict[str, Any]]:
    """Read the runs that are done."""
    if not path.exists():
        return []
    return [json.loads(line) for line in path.read_text(encoding="utf-8").splitlines()]


def once(kind: str, dataset: str, *, seed: int = 0, data: Path | None = None) -> dict[str, Any]:
    """Make one run from nothing; return what is told of each recall, and what the figures were."""
    folder = Path(tempfile.mkdtemp(prefix="annbench-drift-"))
    try:
        plugin = folder / "twins"
        plugin.mkdir()
        (plugin / "__init__.py").write_text('"""One index under two names."""\n', encoding="utf-8")
        (plugin / "config.yml").write_text("".join(f"{name}:{_CONFIG}" for name in TWINS), encoding="utf-8")
        suite = suite_for("quick", dataset=dataset, algorithm=TWINS, least_pass_seconds=0.1, pass_seconds=5.0)
        registry = load_registry((plugin,))
        options = Options(data=data or data_folder(), results=folder / "results", seed=seed)
        plans = plan_run(suite, registry, options)
        half = sum(plan.searches for _, plan in plans) * suite.passes // 2
        with _Neighbour(kind) as neighbour:
            made = 0

            def listen(event: str, _: Mapping[str, Any]) -> None:
                nonlocal made
                made += event == "pass"
                if made >= half:
                    neighbour.leave()

            execute(suite, registry, plans, options, listen)
        results = list(ResultStore(options.results).results())
        return {**_told(results), "corrected": _told(_corrected(results)), "passes": _passes(results)}
    finally:
        shutil.rmtree(folder, ignore_errors=True)


class _Neighbour:
    """Something that keeps a core busy until it is told to leave."""

    def __init__(self, kind: str) -> None:
        cores = usable_cores()
        core = cores[-1] if kind == "core" else cores[0]
        self._process: subprocess.Popen[bytes] | None = None
        if kind != "quiet":
            code = f"import os; os.sched_setaffinity(0, [{core}])\n{_BUSY if kind == 'core' else _CACHE}"
            self._process = subprocess.Popen([sys.executable, "-c", code], env={**os.environ, "OMP_NUM_THREADS": "1"})

    def __enter__(self) -> Self:
        return self

    def __exit__(self, *_: object) -> None:
        self.leave()

    def leave(self) -> None:
        """End it; more than once is no error."""
        if self._process is not None:
            self._process.kill()
            self._process.wait()
            self._process = None


def _told(results: list[Result]) -> dict[str, Any]:
    """Return of each recall what is told, whether it names a winner, and the interval of the ratio of the twins."""
    table = tidy(results)
    targets = targets_table(table)
    found = [winner(targets, target) for target in DEFAULT_TARGETS]
    return {
        "told": [telling(one) for one in found],
        "named": any(one is not None and one.alone for one in found),
        "ratios": [_ratio(targets, target) for target in DEFAULT_TARGETS],
        "disturbed": int(table["disturbed"].sum()) / max(int(table["passes"].sum()), 1),
    }


def _ratio(targets: pd.DataFrame, target: float) -> list[float]:
    """Return the ratio of the twins at a recall with its interval: the first name over the second."""
    both = targets.set_index("algorithm")
    (a, low_a, high_a), (b, low_b, high_b) = (
        (float(both[f"{figure}@{target:g}"][name]) for figure in ("qps", "low", "high")) for name in TWINS
    )
    return [a / b, *ratio_range(a, Range(low_a, high_a), b, Range(low_b, high_b))]


def _corrected(results: list[Result]) -> list[Result]:
    """Return the results with the time of each pass divided by how slow the reference workload was beside it."""
    readings = [made["yardstick_ns"] for one in results for made in one.document.passes]
    usual = statistics.median(reading for both in readings for reading in both)
    out = []
    for one in results:
        slow = np.array([statistics.mean(made["yardstick_ns"]) / usual for made in one.document.passes])
        times = one.latencies_ns / slow[one.repetition_pass][:, None]
        out.append(replace(one, latencies_ns=np.maximum(times.round(), 1).astype(np.int64)))
    return out


def _passes(results: list[Result]) -> list[dict[str, Any]]:
    """Return of each setting what its passes were like."""
    return [
        {
            "algorithm": one.spec["algorithm"],
            "search": one.spec["search"],
            "process": one.pass_process.tolist(),
            "disturbed": one.pass_disturbed.tolist(),
            "seconds": [float(one.latencies_ns[one.repetition_pass == n].mean()) / 1e9 for n in range(one.passes)],
            "yardstick": [made["yardstick_ns"] for made in one.document.passes],
        }
        for one in results
    ]


def report(rows: list[dict[str, Any]]) -> None:
    """Print for each kind how often a winner was named, and how wide the intervals were."""
    for kind in KINDS:
        mine = [row for row in rows if row["kind"] == kind]
        if not mine:
            continue
        named = sum(row["named"] for row in mine)
        low, high = (
            0.0 if named == 0 else float(beta.ppf(0.025, named, len(mine) - named + 1)),
            1.0 if named == len(mine) else float(beta.ppf(0.975, named + 1, len(mine) - named)),
        )
        shares = statistics.median(row["disturbed"] for row in mine)
        sys.stdout.write(
            f"{kind:6s} {len(mine)} runs: a winner in {named} ({named / len(mine):.0%}, {low:.0%} to {high:.0%}); "
            f"disturbed passes {shares:.0%}; {_quality(mine)}; "
            f"corrected: {_quality([row['corrected'] for row in mine])}\n"
        )
    sys.stdout.flush()


def _quality(rows: list[dict[str, Any]]) -> str:
    """Say how many intervals of the ratio hold 1, and how wide they are."""
    known = [ratio for row in rows for ratio in row["ratios"] if not any(map(math.isnan, ratio))]
    if not known:
        return "no ratio known"
    held = sum(low <= 1 <= high for _, low, high in known) / len(known)
    width = statistics.median(math.log(max(high, 1e-9) / max(low, 1e-9)) / 2 for _, low, high in known)
    return f"intervals hold 1 in {held:.0%}, median half width {width:.1%}"


if __name__ == "__main__":
    sys.exit(main())
