"""Which settings of a side are compared: a quick pass over its grids, and of that those that enclose each recall."""

from __future__ import annotations

import itertools
import time
from collections.abc import Mapping, Sequence
from dataclasses import dataclass, field, replace
from typing import NamedTuple

import numpy as np

from harness.analyse.clock import Clock
from harness.analyse.figures import qps, query_recall
from harness.analyse.frontier import Frontier, qps_at
from harness.compare.sides import LiveSide
from harness.core.errors import ConfigError, PluginError
from harness.data.dataset import Header
from harness.measure.child import Limits, Listener
from harness.measure.runner import run_build
from harness.measure.session import Options, conformance, job_for
from harness.plan.expand import Settings, builds_of, check_terms, unusable
from harness.plan.suites import Suite
from harness.store.failures import FAILURE_SUFFIX
from harness.store.results import RESULT_SUFFIX, ResultStore
from harness.store.spec import BuildSpec, SearchSpec

_PROBE_PASSES = 1
# A setting between those that enclose a recall, if slower by no more, may have had a bad moment: it is measured, too.
_NEAR = 0.8


class Point(NamedTuple):
    """A setting as the quick pass found it."""

    build: BuildSpec
    search: SearchSpec
    recall: float
    qps: float


@dataclass(frozen=True)
class Match:
    """Two builds with the settings that are measured against each other, and the recalls at which they are compared.

    No target says that each has one setting, compared as it is.
    """

    builds: tuple[BuildSpec, BuildSpec]
    targets: tuple[float, ...]


def builds(side: LiveSide, suite: Suite, header: Header, settings: Settings) -> list[BuildSpec]:
    """Expand a side's grids over a dataset; raise ConfigError where it can't be measured there, under such terms."""
    check_terms(suite, header)
    name = side.entry.name
    chosen = suite.model_copy(update={"algorithms": (name,), "grids": {name: list(side.grids)}})
    if why := unusable(side.entry, header, chosen):
        raise ConfigError(f"{side.text}: {why}")
    found = builds_of(chosen, header, side.entry, settings)
    if not found:
        raise ConfigError(f"{side.text}: has no grid for {header.metric}")
    return found


def check(side: LiveSide, build: BuildSpec, suite: Suite, options: Options) -> None:
    """Raise PluginError where a side breaks the contract of plug-ins: then no figure of it would hold."""
    breaches = conformance(side.entry, build, suite, options, Limits(suite.timeout, options.limit))
    if breaches:
        raise PluginError(f"{side.text}: not conforming ({breaches[0]}); see: annbench check")


def probe(
    side: LiveSide,
    found: Sequence[BuildSpec],
    suite: Suite,
    options: Options,
    listener: Listener,
    clock: Clock = "wall",
) -> list[Point]:
    """Measure each setting once, or read what an earlier probe left; settings that fail are left out.

    Speeds of one build come from one child: where a setting is new, the others are measured again beside it.
    """
    quick = suite.model_copy(update={"passes": _PROBE_PASSES, "pass_seconds": min(suite.pass_seconds, 1.0)})
    store = ResultStore(options.results)
    for build in found:
        missing = tuple(s for s in build.searches if not store.path(build.folder, build.stem(s)).exists())
        if missing:
            new = not all(store.path(build.folder, build.stem(s), FAILURE_SUFFIX).exists() for s in missing)
            job = job_for("measure", side.entry, build if new else build.only(missing), quick, options)
            run_build(replace(job, since=time.time() if new else 0.0), Limits(suite.timeout, options.limit), listener)
    points = []
    for build, search in [(one, search) for one in found for search in one.searches]:
        path, failure = (store.path(build.folder, build.stem(search), end) for end in (RESULT_SUFFIX, FAILURE_SUFFIX))
        if path.exists() and not failure.exists():  # one that failed anew leaves what it gave before in its place
            result = store.read(path)
            points.append(Point(build, search, float(query_recall(result).mean()), qps(result, clock)))
    if not points:
        raise PluginError(
            f"{side.text}: no setting of it could be measured; see: annbench results list --results {options.results}"
        )
    return points


def enclosing(points: Sequence[Point], target: float) -> BuildSpec:
    """Return the build that is fastest at a recall, with the two settings that enclose it, and those hardly slower.

    Where none reaches the recall it is the build, and the setting, of the highest one.
    """
    best: tuple[float, float, BuildSpec] | None = None
    for build, mine in itertools.groupby(sorted(points, key=lambda p: repr(p.build)), key=lambda p: p.build):
        own = list(mine)
        line = Frontier.of([p.recall for p in own], [p.qps for p in own])
        at = qps_at(target, line)
        above = int(np.searchsorted(line.recall, target - 1e-9))
        around = [i for i in (above - 1, above) if 0 <= i < len(line)]
        chosen = build.only(tuple(own[i].search for i in (*line.indices[around], *_between(own, line, above, target))))
        reached = at.relation != "not reached"
        rank = (1.0 if reached else float(line.recall[-1]) - 1.0, at.value if reached else 0.0)
        if best is None or rank > best[:2]:
            best = (*rank, chosen)
    assert best is not None  # noqa: S101 - `probe` gives at least one point
    return best[2]


def _between(own: Sequence[Point], line: Frontier, above: int, target: float) -> list[int]:
    """Return the settings next to a recall that the frontier passes by, and that are nearly as fast as it."""
    if above == len(line):
        return []
    least = line.recall[above - 1] if above else -np.inf
    near = [
        i
        for i, point in enumerate(own)
        if least < point.recall < line.recall[above] and point.qps > _NEAR * line.qps[above]
    ]
    below = [i for i in near if own[i].recall < target]
    beyond = [i for i in near if own[i].recall >= target]
    return [
        *sorted(below, key=lambda i: own[i].recall)[-1:],
        *sorted(beyond, key=lambda i: own[i].recall)[:1],
    ]


@dataclass(frozen=True)
class Choice:
    """What is measured of a side at each recall, and what a quick pass found of all settings, by their labels.

    `tried` has the recall of those that could be measured, `failed` names the others.
    """

    builds: Mapping[float, BuildSpec]
    tried: Mapping[str, float] = field(default_factory=dict)
    failed: tuple[str, ...] = ()


def matches(sides: Sequence[Mapping[float, BuildSpec]], targets: Sequence[float]) -> list[Match]:
    """Group the recalls by the builds that are compared there, each with all settings that it needs."""
    found: dict[tuple[BuildSpec, ...], dict[float, None]] = {}
    searches: dict[tuple[tuple[BuildSpec, ...], int], dict[SearchSpec, None]] = {}
    for target in targets:
        chosen = tuple(side[target] for side in sides)
        key = tuple(build.only(()) for build in chosen)
        found.setdefault(key, {})[target] = None
        for i, build in enumerate(chosen):
            searches.setdefault((key, i), {}).update(dict.fromkeys(build.searches))
    return [
        Match((key[0].only(tuple(searches[key, 0])), key[1].only(tuple(searches[key, 1]))), tuple(mine))
        for key, mine in found.items()
    ]
