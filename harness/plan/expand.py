"""From a suite to frozen BuildSpecs, less what the store already holds."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass, field, replace

from harness.core.errors import ConfigError
from harness.data.dataset import Half, Header
from harness.engines.registry import Entry, Registry
from harness.plan.grid import expand
from harness.plan.parameters import check_grids
from harness.plan.suites import Suite
from harness.store.failures import FAILURE_SUFFIX, read_failure
from harness.store.results import ResultStore, skipping_damage
from harness.store.spec import BuildSpec, Provenance, SearchSpec, freeze
from harness.workloads.catalogue import find_workload

WORDS = ("all", "from-scratch", "core", "ann-benchmarks")


@dataclass(frozen=True)
class Settings:
    """How a plan is measured, whatever the algorithm: the options of `annbench run` that a suite doesn't hold."""

    threads: int = 1
    build_threads: int = 1
    machine: str = ""
    kernels: tuple[tuple[str, str], ...] = ()
    memory: int = 0
    seed: int = 0
    force: bool = False
    half: Half | None = None


@dataclass
class Plan:
    """What there is to do: `builds` with their missing `searches`, what is done, and what was left out and why.

    `held` are the algorithms of which there is a result already.
    """

    builds: list[BuildSpec] = field(default_factory=list)
    done: int = 0
    damaged: int = 0
    failed_before: int = 0
    skipped: dict[str, str] = field(default_factory=dict)
    held: set[str] = field(default_factory=set)

    @property
    def searches(self) -> int:
        """Count the search settings that are still to be measured."""
        return sum(len(build.searches) for build in self.builds)


def chosen(registry: Registry, names: Sequence[str]) -> list[Entry]:
    """Resolve algorithm names and the words in WORDS; the floor comes first, and always."""
    found: dict[str, Entry] = {}
    for name in names:
        for entry in _matching(registry, name):
            found[entry.name] = entry
    floors = {entry.name: entry for entry in registry.values() if entry.config.purpose == "floor"}
    return list((floors | found).values())


def check_names(suite: Suite, registry: Registry) -> None:
    """Raise UnknownNameError where a grid of the suite is for an algorithm, or has a parameter, that there isn't.

    Raises ConfigError for a value that a parameter can't have.
    """
    for name, grids in suite.grids.items():
        check_grids(registry[name], grids)
    for name in suite.environment:
        registry[name]


def _matching(registry: Registry, name: str) -> list[Entry]:
    if name not in WORDS:
        return [registry[name]]
    entries = [entry for entry in registry.values() if entry.config.purpose == "index"]
    if name in ("from-scratch", "ann-benchmarks"):
        return [entry for entry in entries if entry.config.origin == name]
    core = [e for e in entries if e.config.extra is None and e.config.origin != "ann-benchmarks"]
    return entries if name == "all" else core


def expand_suite(
    suite: Suite, dataset: Header, entries: Sequence[Entry], settings: Settings, store: ResultStore
) -> Plan:
    """Expand a suite over one dataset, and drop what `store` holds with enough passes or as a failure.

    Raises ConfigError where the dataset can't serve the terms, or no chosen algorithm can run.
    """
    check_terms(suite, dataset)
    plan = Plan()
    for entry in entries:
        why = unusable(entry, dataset, suite)
        found = [] if why else builds_of(suite, dataset, entry, settings)
        if not found and entry.config.purpose == "index":
            plan.skipped[entry.name] = why or f"has no grid for {dataset.metric}"
        for build in found:
            _add(plan, build, suite, settings, store)
    return plan


def check_terms(suite: Suite, dataset: Header) -> None:
    """Raise ConfigError where a dataset can't serve what a suite asks for, such as k beyond its ground truth."""
    find_workload(suite.workload).check(suite.terms, dataset)


def unusable(entry: Entry, dataset: Header, suite: Suite) -> str:
    """Say why an algorithm can't be measured on a dataset; empty where it can."""
    if why := entry.why_not():
        return why
    if suite.workload not in entry.config.workloads:
        return f"serves {', '.join(entry.config.workloads)}, not {suite.workload}"
    if dataset.metric not in entry.config.metrics:
        return f"knows {', '.join(entry.config.metrics)}, not {dataset.metric}"
    if entry.name not in suite.grids and suite.group not in entry.config.groups:
        return f"has no group {suite.group!r}"
    if dataset.metric in entry.config.disabled and entry.name not in suite.algorithms:
        return f"disabled in its config; to run it all the same: -a {entry.name}"
    return ""


def builds_of(suite: Suite, dataset: Header, entry: Entry, settings: Settings) -> list[BuildSpec]:
    """Expand the grids of one algorithm over a dataset: those of the suite for its name, else those of its group."""
    workload = find_workload(suite.workload)
    variables = {"n": dataset.n, "dim": dataset.dimension, **workload.variables(suite.terms)}
    provenance = Provenance(
        dataset.sha256, entry.source_hash(), tuple(sorted(entry.versions().items())), settings.machine, settings.kernels
    )
    there = queries_of(dataset, settings.half)
    queries = min(suite.queries or there, there)
    merged: dict[BuildSpec, dict[SearchSpec, None]] = {}
    for grid in suite.grids.get(entry.name) or entry.config.groups[suite.group]:
        if grid.metrics is not None and dataset.metric not in grid.metrics:
            continue
        searches = [SearchSpec(params) for params in expand(grid.search, variables)]
        for params in expand(grid.build, variables):
            build = BuildSpec(
                dataset=dataset.name,
                metric=str(dataset.metric),
                workload=suite.workload,
                terms=freeze(suite.terms.model_dump()),
                folder=workload.folder(dataset.name, entry.name, suite.terms),
                threads=settings.threads if suite.mode == "batch" else 1,
                build_threads=settings.build_threads,
                queries=queries,
                algorithm=entry.name,
                params=params,
                provenance=provenance,
                seed=settings.seed,
                half=settings.half,
                environment=_environment(suite, entry, settings),
            )
            merged.setdefault(build, {}).update(dict.fromkeys(searches))
    return [build.only(tuple(searches)) for build, searches in merged.items()]


def _environment(suite: Suite, entry: Entry, settings: Settings) -> tuple[tuple[str, str], ...]:
    """Return an algorithm's own variables: those of its config that the shell doesn't set; the suite's come first."""
    set_for_all = dict(settings.kernels)
    config = {name: value for name, value in entry.config.environment.items() if name not in set_for_all}
    return tuple(sorted((config | suite.environment.get(entry.name, {})).items()))


def on_half(build: BuildSpec, dataset: Header, half: Half | None) -> BuildSpec:
    """Return the same build on other queries, no more than there are: of an odd number the halves differ by one."""
    return replace(build, half=half, queries=min(build.queries, queries_of(dataset, half)))


def queries_of(dataset: Header, half: Half | None) -> int:
    """Count the queries of a half, as `Dataset.half` takes them; raise ConfigError where one would be empty."""
    if half is None:
        return dataset.queries
    if dataset.queries < 2:
        raise ConfigError(
            f"{dataset.name} has 1 query, which can't be halved to choose settings on one part and measure them on the "
            "other; use a dataset with more queries, or compare without --holdout"
        )
    return (dataset.queries + (half == "even")) // 2


def _add(plan: Plan, build: BuildSpec, suite: Suite, settings: Settings, store: ResultStore) -> None:
    if settings.force:
        plan.builds.append(build)
        return
    missing = []
    for search in build.searches:
        path = store.path(build.folder, build.stem(search))
        found = None
        if path.exists():
            with skipping_damage():
                found = store.read(path)
            if found is None:  # it is not ours to replace: its message says what to do
                plan.damaged += 1
                continue
        if found is not None and found.enough(suite.passes) and found.thorough(suite.pass_seconds):
            plan.done += 1
            plan.held.add(build.algorithm)
        elif _failed_for_good(store, build, search, suite, settings):
            plan.failed_before += 1
        else:
            missing.append(search)
    if missing:
        plan.builds.append(build.only(tuple(missing)))


def _failed_for_good(
    store: ResultStore, build: BuildSpec, search: SearchSpec, suite: Suite, settings: Settings
) -> bool:
    """Say whether a setting or its build failed before, and not at a limit that has been raised since."""
    for stem in (build.stem(None), build.stem(search)):
        failure = read_failure(store.path(build.folder, stem, FAILURE_SUFFIX))
        if failure is None or not failure.lasts:
            continue
        limits = failure.limits or {}
        slower = failure.reason.startswith("timeout") and suite.timeout > limits.get("seconds", suite.timeout)
        larger = failure.reason.startswith("out of memory") and settings.memory > limits.get("memory", settings.memory)
        if not (slower or larger):
            return True
    return False
