"""On what is tuned, what came of it, and the suite that it is written as."""

from __future__ import annotations

import json
from collections.abc import Sequence
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any

import yaml

from harness.analyse.frontier import Frontier, fastest_at
from harness.analyse.measures import MEASURES
from harness.analyse.statistics import interval
from harness.core.atomic import reason, write_text
from harness.core.errors import StoreError
from harness.data.dataset import Header
from harness.engines.config import GroupConfig
from harness.measure.session import Options
from harness.plan.expand import Settings
from harness.plan.suites import Suite
from harness.store.result import Result
from harness.store.spec import FIRST_WORKLOAD
from harness.tune.trials import Trial


@dataclass(frozen=True)
class Terms:
    """On what is tuned: the recalls, the time for each algorithm in seconds, how passes are made, and where."""

    header: Header
    suite: Suite
    settings: Settings
    options: Options
    targets: tuple[float, ...]
    seconds: float


@dataclass
class Tuned:
    """What came of an algorithm: its trials, the settings chosen for each recall, and what these gave afterwards."""

    name: str
    trials: list[Trial]
    chosen: dict[float, tuple[dict[str, Any], dict[str, Any]]]
    missed: tuple[float, ...]
    results: dict[float, Result] = field(default_factory=dict)


def choose(name: str, trials: Sequence[Trial], targets: Sequence[float]) -> Tuned:
    """Choose for each recall the fastest setting, of all builds, that reaches it."""
    flat = [(trial.build, point) for trial in trials for point in trial.points]
    line = Frontier.of([point.recall for _, point in flat], [point.qps for _, point in flat])
    found = Tuned(name, list(trials), {}, ())
    for target in targets:
        index = fastest_at(target, line)
        if index is None:
            found.missed = (*found.missed, target)
        else:
            build, point = flat[index]
            found.chosen[target] = build, point.params
    return found


def group_of(found: Tuned) -> list[GroupConfig]:
    """Return the settings that were chosen as grids: a build each, with its searches."""
    return [GroupConfig(build=build, search=searches) for build, searches in builds_chosen(found)]


def builds_chosen(found: Tuned) -> list[tuple[dict[str, Any], list[dict[str, Any]]]]:
    """Return the builds that were chosen, each once, with the searches that were chosen on it."""
    searches: dict[str, list[dict[str, Any]]] = {}
    builds: dict[str, dict[str, Any]] = {}
    for build, search in found.chosen.values():
        key = json.dumps(build, sort_keys=True)
        builds[key] = build
        if search not in searches.setdefault(key, []):
            searches[key].append(search)
    return [(builds[key], searches[key]) for key in builds]


def write_suite(path: Path, tuned: Sequence[Tuned], terms: Terms) -> None:
    """Write what was chosen as a suite, which `annbench run FILE` measures; whole, in place of an older one."""
    content = {
        "tuned": {
            "about": f"tuned for recall {', '.join(f'{t:g}' for t in terms.targets)} on every other query of "
            f"{terms.header.name}, {terms.seconds / 60:g} minutes an algorithm",
            "datasets": [terms.header.name],
            "algorithms": [found.name for found in tuned],
            **({} if terms.suite.workload == FIRST_WORKLOAD else {"workload": terms.suite.workload}),
            **terms.suite.terms.model_dump(),
            "grids": {
                found.name: [grid.model_dump(exclude_none=True, exclude_defaults=True) for grid in group_of(found)]
                for found in tuned
            },
        }
    }
    try:
        write_text(path, yaml.safe_dump(content, sort_keys=False, allow_unicode=True))
    except OSError as refused:
        raise StoreError(f"{path}: could not be written ({reason(refused)})") from None


def told_of(result: Result) -> tuple[float, float, float, float]:
    """Return recall, QPS and its interval of what was measured again."""
    bounds = interval(result).qps
    return MEASURES["recall"](result), MEASURES["qps"](result), bounds.low, bounds.high
