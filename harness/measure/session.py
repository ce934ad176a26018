"""A whole run: plan, check each plug-in once, and measure what is missing, dataset by dataset."""

from __future__ import annotations

import contextlib
import datetime as dt
import hashlib
import json
import os
import time
from collections.abc import Iterator, Sequence
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any, Literal

from harness.core.atomic import reason, write_text
from harness.core.cores import usable_cores
from harness.core.errors import ConfigError, HarnessFault, StoreError
from harness.core.library_kernels import kernel_variables
from harness.core.lock import held_alone
from harness.data.dataset import Dataset, Half, open_dataset, read_header
from harness.engines.config import GroupConfig
from harness.engines.registry import Entry, Registry
from harness.measure.cgroups import allowed
from harness.measure.checking import breaches_before_timing, rules_source
from harness.measure.child import Limits, Listener
from harness.measure.job import Job
from harness.measure.limits import beyond, default_build_threads, memory_allowance
from harness.measure.machine import describe_code, describe_machine
from harness.measure.rounds import Turn, passes_so_far, round_ends, shelf, shuffled
from harness.measure.runner import run_build
from harness.plan.expand import Plan, Settings, check_names, chosen, expand_suite
from harness.plan.suites import Suite
from harness.store.failures import FAILURE_SUFFIX, Failure
from harness.store.results import ResultStore
from harness.store.spec import BuildSpec
from harness.workloads.catalogue import find_workload


@dataclass(frozen=True)
class Options:
    """Where things are and how much a run may use; `threads` serve batch searches, `memory` is in bytes."""

    data: Path
    results: Path
    threads: int = 1
    build_threads: int | None = None
    memory: int | None = None
    force: bool = False
    seed: int = 0

    @property
    def limit(self) -> int:
        """Return the most memory that one build may hold, in bytes."""
        return self.memory or memory_allowance()


@dataclass
class Summary:
    """What a run did: settings measured, done before, failed, and algorithms left out with the reason.

    `held` are the algorithms of which there is a result now.
    """

    measured: int = 0
    done: int = 0
    failed: int = 0
    failed_before: int = 0
    skipped: dict[str, str] = field(default_factory=dict)
    held: set[str] = field(default_factory=set)


def settings_for(options: Options, half: Half | None = None) -> Settings:
    """Return how a plan is measured under these options; raise ConfigError for more threads than there are cores."""
    cores = usable_cores()
    for name, value in (("threads", options.threads), ("build threads", options.build_threads or 1)):
        if not 1 <= value <= len(cores):
            raise ConfigError(f"{name}: {value}, but this process may use 1 to {len(cores)} cores")
    return Settings(
        threads=options.threads,
        build_threads=options.build_threads or default_build_threads(),
        machine=str(describe_machine()["key"]),
        kernels=tuple(sorted(kernel_variables(os.environ).items())),
        memory=options.limit,
        seed=options.seed,
        force=options.force,
        half=half,
    )


def plan_run(suite: Suite, registry: Registry, options: Options) -> list[tuple[str, Plan]]:
    """Expand a suite over its datasets, which must be prepared; nothing is measured."""
    settings = settings_for(options)
    entries = chosen(registry, suite.algorithms)
    check_names(suite, registry)
    store = ResultStore(options.results)
    plans = []
    for name in suite.datasets:
        plan = expand_suite(suite, read_header(options.data, name), entries, settings, store)
        if not plan.searches and not plan.done and not plan.failed_before and not plan.damaged:
            reasons = "; ".join(f"{who}: {why}" for who, why in plan.skipped.items())
            raise ConfigError(f"nothing to measure on {name}: {reasons or 'no algorithm was chosen'}")
        plans.append((name, plan))
    return plans


def came_to_nothing(names: Sequence[str], registry: Registry, summary: Summary) -> dict[str, list[str]]:
    """Return those names, or words such as `core`, of which there is no result after a run, with their algorithms."""
    found = {name: [e.name for e in chosen(registry, [name]) if e.config.purpose == "index"] for name in names}
    return {name: meant for name, meant in found.items() if not summary.held & {name, *meant}}


def execute(
    suite: Suite, registry: Registry, plans: Sequence[tuple[str, Plan]], options: Options, listener: Listener
) -> Summary:
    """Measure what the plans hold. Every pass is kept as it ends, so an interrupted run goes on where it stopped."""
    summary = Summary()
    store = ResultStore(options.results)
    limits = Limits(suite.timeout, options.limit)
    settings = settings_for(options)
    for text in beyond(allowed(), threads=options.threads, build_threads=settings.build_threads, memory=options.limit):
        listener("note", {"text": text})
    with alone(options.results):
        _measure(suite, registry, plans, options, limits, store, summary, listener)
    return summary


@contextlib.contextmanager
def alone(results: Path) -> Iterator[None]:
    """Let one run at a time write to a folder of results: two would lose each other's passes and share a core."""
    try:
        results.mkdir(parents=True, exist_ok=True)
        with held_alone(results / ".lock", f"{results} is being written", StoreError):
            for left_by_a_kill in results.rglob(".*.tmp"):
                left_by_a_kill.unlink(missing_ok=True)
            yield
    except OSError as refused:
        raise StoreError(
            f"{results}: could not be written ({reason(refused)}); choose another folder or free space"
        ) from None


def _measure(
    suite: Suite,
    registry: Registry,
    plans: Sequence[tuple[str, Plan]],
    options: Options,
    limits: Limits,
    store: ResultStore,
    summary: Summary,
    listener: Listener,
) -> None:
    for dataset, plan in plans:
        summary.done += plan.done
        summary.failed_before += plan.failed_before
        summary.skipped |= plan.skipped
        summary.held |= plan.held
        _make_truth(suite, plan, options)
        turns = [_turn(registry[build.algorithm], build, suite, options, store) for build in plan.builds]
        _go_round(dataset, turns, registry, suite, options, limits, store, listener)
        for turn in turns:
            summary.failed += len(turn.failed)
            summary.measured += len(turn.passes) - len(turn.failed)
            if len(turn.failed) < len(turn.passes):
                summary.held.add(turn.build.algorithm)


def _make_truth(suite: Suite, plan: Plan, options: Options) -> None:
    """Let the workload make what it needs of the truth, once for all builds of a dataset."""
    for build in plan.builds[:1]:

        def load(build: BuildSpec = build) -> Dataset:
            dataset = open_dataset(options.data, build.dataset)
            return dataset if build.half is None else dataset.half(build.half)

        find_workload(suite.workload).prepare(suite.terms, load, build.queries)


def _turn(entry: Entry, build: BuildSpec, suite: Suite, options: Options, store: ResultStore) -> Turn:
    job = job_for("measure", entry, build, suite, options)
    return Turn(job, passes_so_far(store, job))


def _go_round(
    dataset: str,
    turns: Sequence[Turn],
    registry: Registry,
    suite: Suite,
    options: Options,
    limits: Limits,
    store: ResultStore,
    listener: Listener,
) -> None:
    """Measure builds in rounds; disturbed passes are repeated in one more, when what disturbed them may be over."""
    ends = round_ends(suite.passes, suite.rounds)
    ends = [0] if len(ends) == 1 else [*ends, 0]
    with shelf(options.results) as folder:
        for number, end in enumerate(ends):
            for place in shuffled(len(turns), options.seed, number):
                turn = turns[place]
                settings = turn.needs(end)
                if not settings:
                    continue
                listener(
                    "build",
                    {
                        "spec": turn.build, "dataset": dataset, "number": place + 1, "of": len(turns),
                        "round": number + 1, "passes": list(turn.passes), "first": not turn.begun,
                    },
                )  # fmt: skip
                tell = turn.listening(settings, listener)
                if not turn.begun and (
                    why := _unfit(registry[turn.build.algorithm], turn.build, suite, options, limits, store)
                ):
                    tell("build-failed", {"reason": why, "stage": "check"})
                    continue
                turn.begun = True
                run_build(turn.job_for(settings, end, folder / str(place)), limits, tell)


def job_for(
    kind: Literal["measure", "check", "serve"], entry: Entry, build: BuildSpec, suite: Suite, options: Options
) -> Job:
    """Return the message that has a worker measure, check or serve a build, on the last cores of this process."""
    cores = usable_cores()
    return Job(
        kind=kind,
        build=build,
        plugin=entry.to_json(),
        data=str(options.data.resolve()),
        results=str(options.results.resolve()),
        passes=suite.passes,
        pass_seconds=suite.pass_seconds,
        least_pass_seconds=suite.least_pass_seconds,
        # The last cores: the first one serves most interrupts.
        cores=tuple(cores[-max(build.build_threads, build.threads) :]),
        search_cores=tuple(cores[-build.threads :]),
        since=time.time() if options.force else 0.0,
        parent=os.getpid(),
        machine=describe_machine(),
        environment=describe_code(),
    )


def _unfit(entry: Entry, build: BuildSpec, suite: Suite, options: Options, limits: Limits, store: ResultStore) -> str:
    """Say why a build's plug-in can't be timed, and record its breaches; empty where it can."""
    try:
        breaches = conformance(entry, build, suite, options, limits)
    except HarnessFault as problem:
        return f"{problem}; nothing is recorded of {entry.name}, and the next run tries again"
    if breaches:
        _record_breaches(store, build, breaches)
    return f"not conforming ({breaches[0]})" if breaches else ""


def conformance(entry: Entry, build: BuildSpec, suite: Suite, options: Options, limits: Limits) -> list[str]:
    """Check a plug-in in a child process; the findings are kept for as long as its source and libraries stand.

    It is checked with the grids of its own config: on the few rows of a check, parameters that were chosen for much
    data may find too little, and those that it doesn't take say nothing of others. A check that ended at a limit is
    made again under a larger one. Raises HarnessFault where annbench or its system failed.
    """
    grids = entry.config.groups.get(suite.group, [])
    note = _note_path(entry, build, grids, options)
    if not options.force:
        with contextlib.suppress(OSError, ValueError, KeyError, TypeError):
            kept = json.loads(note.read_text(encoding="utf-8"))
            within = kept.get("within") or {"seconds": limits.seconds, "memory": limits.memory}
            if limits.seconds <= within["seconds"] and limits.memory <= within["memory"]:
                return [str(finding) for finding in kept["findings"]]
    found, end = breaches_before_timing(entry, build.metric, grids, limits)
    if end != "open":
        content: dict[str, Any] = {"algorithm": entry.name, "metric": build.metric, "findings": found}
        if end == "limit":
            content["within"] = {"seconds": limits.seconds, "memory": limits.memory}
        write_text(note, json.dumps(content, indent=1) + "\n")
    return found


def _note_path(entry: Entry, build: BuildSpec, grids: Sequence[GroupConfig], options: Options) -> Path:
    checked = [grid.model_dump_json() for grid in grids]
    key = (entry.config.model_dump_json(), checked, build.metric, build.provenance, rules_source())
    digest = hashlib.sha256(repr(key).encode()).hexdigest()[:12]
    return options.results / ".conformance" / f"{entry.name}-{build.metric}-{digest}.json"


def _record_breaches(store: ResultStore, build: BuildSpec, breaches: list[str]) -> None:
    failure = Failure(
        spec=build.identity(None),
        reason=f"not conforming ({breaches[0]})",
        detail="\n".join(breaches),
        stage="check",
        created=dt.datetime.now(dt.UTC).isoformat(timespec="seconds"),
    )
    store.write_failure(store.path(build.folder, build.stem(None), FAILURE_SUFFIX), failure)
