"""Time the interactive report on a store of 12,000 results: 20 algorithms, 10 datasets, 60 settings each.

python tests/benchmarks/report.py FOLDER [--datasets 10] [--algorithms 20] [--settings 60] [--workers 2]

The store is made below FOLDER where it isn't there yet (2 GB, some minutes), with 1,000 queries and 7 passes a result.
The page is then built twice, first with an empty cache (cold; the files may still be in the system's own), then with
what that left (warm).
"""

from __future__ import annotations

import argparse
import os
import resource
import sys
import time
from pathlib import Path
from typing import Any

HERE = Path(__file__).resolve().parent
sys.path.insert(0, str(HERE.parent))

from support import factory  # noqa: E402 - its folder is on the path only now

QUERIES, PASSES = 1000, 7


def make_store(folder: Path, datasets: int, algorithms: int, settings: int) -> None:
    """Write the results that are missing: curves in which recall rises in nines as QPS falls."""
    from harness.store.results import ResultStore

    store = ResultStore(folder)
    for dataset in range(datasets):
        name = f"made-up-{dataset}-euclidean"
        for number in range(algorithms):
            algorithm = "brute_force" if number == 0 else f"algorithm-{number:02d}"
            for step in range(settings):
                path = store.path(f"{name}/10/{algorithm}", f"{step:03d}")
                if not path.exists():
                    store.write(path, make_result(name, algorithm, number, step, settings))
        store.write(store.path(f"{name}/10/null", "0"), floor(name))


def make_result(dataset: str, algorithm: str, number: int, step: int, settings: int) -> Any:
    build, search = divmod(step, 15)
    share = search / 14
    missing = 10 ** -(0.3 + (2.5 + 0.08 * number) * share)
    return factory.make_result(
        algorithm,
        {"M": 8 * (build + 1), "ef_construction": 100 * (build + 1)},
        {"ef": 10 * (search + 1)},
        recall=1 - missing if number else 1.0,
        qps=50_000 / (1 + 0.3 * number) / 30**share * (1 - 0.06 * build),
        queries=QUERIES,
        passes=PASSES,
        dataset=dataset,
        origin="library" if number % 2 else "from-scratch",
        build_seconds=3.0 * (build + 1) * (1 + number / 5),
        index_bytes=10_000_000 * (build + number + 1),
        pass_spread=0.02,
        seed=step + settings * number,
        repetitions=1,
    )


def floor(dataset: str) -> Any:
    return factory.make_result(
        "null", recall=0.0, qps=400_000, queries=QUERIES, passes=PASSES, dataset=dataset, purpose="floor"
    )


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("folder", type=Path)
    for name, usual in (("datasets", 10), ("algorithms", 20), ("settings", 60)):
        parser.add_argument(f"--{name}", type=int, default=usual)
    parser.add_argument("--workers", type=int, default=None, help="processes that read [default: the cores]")
    given = parser.parse_args()
    results = given.folder / f"results-{given.datasets}-{given.algorithms}-{given.settings}"
    started = time.perf_counter()
    make_store(results, given.datasets, given.algorithms, given.settings)
    sys.stdout.write(f"store: {time.perf_counter() - started:.1f} s\n")
    for what in ("cold", "warm"):
        cache = given.folder / f"cache-{os.getpid()}"
        seconds = build(results, given.folder / "plots", cache, given.workers)
        sys.stdout.write(f"{what}: {', '.join(f'{name} {value:.1f} s' for name, value in seconds.items())}\n")
    used = resource.getrusage(resource.RUSAGE_CHILDREN)
    sys.stdout.write(f"CPU of the processes that read: {used.ru_utime + used.ru_stime:.1f} s\n")
    size = (given.folder / "plots" / "report.html").stat().st_size
    sys.stdout.write(f"page: {size / 1e6:.2f} MB\n")


def build(results: Path, plots: Path, cache: Path, workers: int | None) -> dict[str, float]:
    """Build the page; return the seconds of its parts, in wall time and, for this process, in CPU."""
    from harness.report.derived import derive
    from harness.report.html.page import Content, write_page
    from harness.store.results import ResultStore

    marks = [(time.perf_counter(), time.process_time())]
    derived = derive(ResultStore(results), cache=cache, workers=workers)
    marks.append((time.perf_counter(), time.process_time()))
    write_page(Content(derived.table, derived.details), plots)
    marks.append((time.perf_counter(), time.process_time()))
    out = {}
    for name, before, after in (("read", 0, 1), ("write", 1, 2), ("all", 0, 2)):
        out[name] = marks[after][0] - marks[before][0]
        out[f"{name} (CPU here)"] = marks[after][1] - marks[before][1]
    return out


if __name__ == "__main__":
    main()
