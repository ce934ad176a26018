"""How long a plan will take: from what a store holds of the same algorithms, else from the size of the data.

An estimate is right within a factor of two or three where an algorithm was never measured here, and better where it
was. `Countdown` replaces it step by step by what the run itself shows.
"""

from __future__ import annotations

import time
from collections.abc import Callable, Iterable, Sequence
from dataclasses import dataclass, field
from statistics import median

import numpy as np

from harness.core.errors import StoreError
from harness.data.dataset import Header
from harness.plan.expand import Plan
from harness.plan.suites import Suite
from harness.store.result import Result
from harness.store.results import RESULT_SUFFIX, ResultStore
from harness.store.spec import BuildSpec, Params, SearchSpec, freeze

# A child process starts, imports and opens the data; before that each algorithm is checked in a child of its own.
_START_SECONDS = 2.0
_CHECK_SECONDS = 4.0
# What a pass costs beside its queries: binding, readings of the yardstick, exact distances, writing the file.
_PASS_OVERHEAD = 0.1
# Passes that are repeated because something disturbed them.
_REPEATED = 1.15
# Where nothing was measured: seconds of a build per component of the vectors, and queries a second at 100 dimensions.
_BUILD_RATE = 6e-7
_USUAL_QPS = 3000.0
_USUAL_DIM = 100
# Files that are read of one algorithm: enough for medians, and few enough for a store of thousands.
_FILES = 60
# So many seconds of an estimate stand against what a run shows: its first minute says little.
_PRIOR = 20.0


@dataclass(frozen=True)
class Estimate:
    """Seconds that a plan will take in all, and those of each of its builds with their settings, in order.

    `known` says for how many of the builds the same algorithm was measured before, on any data.
    """

    seconds: float
    builds: tuple[float, ...] = ()
    known: int = 0


@dataclass(frozen=True)
class _Seen:
    """One result as an example: what was built and searched, how fast, and on data of which size."""

    dataset: str
    size: int  # rows times dimension
    build: Params
    search: Params
    mode: str
    threads: int
    build_seconds: float | None
    qps: float


def estimate(plan: Plan, header: Header, suite: Suite, store: ResultStore, *, rounds: int = 1) -> Estimate:
    """Estimate how long the builds of a plan will take on a dataset, with all passes that a suite asks for.

    `rounds` is how often each index is built. Files that can't be read are passed over.
    """
    examples = {name: _examples(store, header.name, name) for name in {build.algorithm for build in plan.builds}}
    checked: set[str] = set()
    found, known = [], 0
    for build in plan.builds:
        seen = examples[build.algorithm]
        known += bool(seen)
        seconds = rounds * (_START_SECONDS + _build_seconds(build, header, seen))
        seconds += sum(_setting_seconds(build, search, header, suite, seen) for search in build.searches)
        if build.algorithm not in checked:
            checked.add(build.algorithm)
            seconds += _CHECK_SECONDS
        found.append(seconds)
    return Estimate(sum(found), tuple(found), known)


def together(estimates: Iterable[Estimate]) -> Estimate:
    """Return the estimate of several plans, one after the other."""
    every = list(estimates)
    return Estimate(
        sum(one.seconds for one in every),
        tuple(seconds for one in every for seconds in one.builds),
        sum(one.known for one in every),
    )


def in_words(seconds: float) -> str:
    """Write a time as roughly as it is known: `less than a minute`, `about 6 minutes`, `about 3.5 hours`."""
    minutes = seconds / 60
    if minutes < 1:
        return "less than a minute"
    if minutes < 1.5:
        return "about a minute"
    if minutes < 90:
        return f"about {minutes if minutes < 10 else 5 * round(minutes / 5):.0f} minutes"
    hours = round(minutes / 30) / 2
    return f"about {hours:g} hours"


def _build_seconds(build: BuildSpec, header: Header, seen: Sequence[_Seen]) -> float:
    size = header.n * header.dimension
    timed = [one for one in seen if one.build_seconds is not None]
    closest = _first(
        [one for one in timed if one.dataset == header.name and one.build == build.params],
        [one for one in timed if one.dataset == header.name],
        [one for one in timed if one.build == build.params],
        timed,
    )
    if not closest:
        return _BUILD_RATE * size
    return float(median((one.build_seconds or 0.0) * size / max(1, one.size) for one in closest))


def _setting_seconds(
    build: BuildSpec, search: SearchSpec, header: Header, suite: Suite, seen: Sequence[_Seen]
) -> float:
    queries, mine = build.queries, [one for one in seen if (one.mode, one.threads) == (build.mode, build.threads)]
    here = [one for one in mine if one.dataset == header.name]
    exact = [one for one in here if (one.build, one.search) == (build.params, search.params)]
    closest = _first(exact, [one for one in here if one.search == search.params], here, mine)
    if closest:
        # A search touches a share of the data that shrinks as they grow: by the square root of their size.
        size = header.n * header.dimension
        qps: float = median(one.qps * (max(1, one.size) / size) ** 0.5 for one in closest)
    else:
        qps = _USUAL_QPS * (_USUAL_DIM / max(1, header.dimension)) ** 0.5 * build.threads
    once = min(queries / max(qps, 1e-9), suite.pass_seconds)
    # The warm-up is a pass, too, but the queries are answered only once.
    return once + suite.passes * _REPEATED * (max(once, suite.least_pass_seconds) + _PASS_OVERHEAD)


def _first(*groups: list[_Seen]) -> list[_Seen]:
    return next((group for group in groups if group), [])


def _examples(store: ResultStore, dataset: str, algorithm: str) -> list[_Seen]:
    """Read results of an algorithm, those on the same dataset first."""
    names = (algorithm, f"{algorithm}-batch")
    if not store.folder.is_dir():
        return []
    folders = [folder for name in names for folder in store.folder.glob(f"*/*/{name}")]
    folders.sort(key=lambda folder: (folder.parts[-3] != dataset, folder))
    files = [file for folder in folders for file in sorted(folder.glob(f"*{RESULT_SUFFIX}"))]
    found = []
    for file in files[:_FILES]:
        try:
            found.append(_seen(store.read(file)))
        except StoreError:
            continue
    return found


def _seen(result: Result) -> _Seen:
    spec, environment, processes = result.spec, result.document.environment, result.document.processes
    seconds = float(np.median(result.latencies_ns.sum(axis=1))) / 1e9
    built = [one.build_seconds for one in processes if one.build_seconds is not None]
    return _Seen(
        dataset=str(spec["dataset"]),
        size=int(environment.get("train_rows") or 1) * int(environment.get("dimension") or 1),
        build=freeze(spec["build"]),
        search=freeze(spec["search"] or {}),
        mode=str(spec.get("mode", "single")),
        threads=int(spec["threads"]),
        build_seconds=median(built) if built else None,
        qps=result.queries / max(seconds, 1e-9),
    )


@dataclass
class Countdown:
    """What is left of a run: its estimate, corrected by how the part that is done compares with its own.

    `estimated` are the seconds of its parts, such as builds with their settings; `advance` counts shares of them.
    """

    estimated: Sequence[float]
    clock: Callable[[], float] = time.monotonic
    _done: dict[int, float] = field(default_factory=dict)
    _started: float | None = None

    def start(self) -> None:
        """Start the clock."""
        self._started = self.clock()

    def advance(self, part: int, share: float) -> None:
        """Count another `share` of a part as done, at most all of it."""
        self._done[part] = min(1.0, self._done.get(part, 0.0) + share)

    def left(self) -> float:
        """Return the seconds that are left."""
        total = sum(self.estimated)
        done = sum(self.estimated[part] * share for part, share in self._done.items())
        spent = 0.0 if self._started is None else self.clock() - self._started
        return (total - done) * (spent + _PRIOR) / (done + _PRIOR)
