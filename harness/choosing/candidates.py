"""The engines to choose from, each with its builds and the search settings that may be tried on them."""

from __future__ import annotations

import hashlib
import importlib.metadata
import json
from collections.abc import Iterator
from dataclasses import dataclass, field
from typing import Any

from harness.choosing.request import Request
from harness.engines.registry import Entry
from harness.plan.estimate import estimate
from harness.plan.expand import Plan, builds_of, unusable
from harness.store.results import ResultStore
from harness.store.spec import BuildSpec, thaw

_GROUPS = ("quick", "default")


@dataclass
class Build:
    """One build: `grid` is the search grid of its first group, in its author's order; `pool` all settings to try."""

    spec: BuildSpec
    grid: list[dict[str, Any]]
    pool: list[dict[str, Any]]

    @property
    def params(self) -> dict[str, Any]:
        """Return its build parameters."""
        return thaw(self.spec.params)


@dataclass
class Candidate:
    """An engine with its builds, those of the quick group first."""

    entry: Entry
    stamp: str
    builds: list[Build] = field(default_factory=list)


def candidates(request: Request) -> tuple[list[Candidate], dict[str, str]]:
    """Return the engines that can be measured on the dataset, and why others can't."""
    found, left_out = [], {}
    for entry in request.entries:
        if entry.config.purpose != "index":
            continue
        groups = [name for name in _GROUPS if name in entry.config.groups]
        suites = [request.suite.model_copy(update={"group": name}) for name in groups]
        if not suites:
            left_out[entry.name] = f"has no group {' or '.join(map(repr, _GROUPS))}"
        elif why := unusable(entry, request.header, suites[0]):
            left_out[entry.name] = why
        else:
            builds = list(_builds(request, entry, suites))
            if builds:
                found.append(Candidate(entry, _stamp(entry), builds))
    return _quickest_first(request, found), left_out


def _quickest_first(request: Request, found: list[Candidate]) -> list[Candidate]:
    """Order engines by how long their first build should take: the more are known, the sooner others drop out.

    Engines that compile come last, as their first build may take a minute longer than any estimate says.
    """
    plan = Plan([candidate.builds[0].spec for candidate in found])
    expected = estimate(plan, request.header, request.suite, ResultStore(request.options.results)).builds
    order = sorted(range(len(found)), key=lambda place: (_compiles(found[place].entry), expected[place]))
    return [found[place] for place in order]


def _compiles(entry: Entry) -> int:
    """Return 1 for an engine whose kernels are compiled and cached when first used, 2 for a library that compiles."""
    if entry.config.origin == "from-scratch":
        return 1
    needed = [line for name in entry.config.requires for line in importlib.metadata.requires(name) or ()]
    return 2 if any(line.startswith("numba") for line in needed) else 0


def _builds(request: Request, entry: Entry, suites: list[Any]) -> Iterator[Build]:
    """Yield the builds of all groups once each; a build of two groups may try the settings of both."""
    merged: dict[BuildSpec, Build] = {}
    for suite in suites:
        for spec in builds_of(suite, request.header, entry, request.settings):
            searches = [thaw(search.params) for search in spec.searches]
            bare = spec.only(())
            known = merged.setdefault(bare, Build(bare, searches, []))
            known.pool += [search for search in searches if search not in known.pool]
    yield from merged.values()


def _stamp(entry: Entry) -> str:
    text = json.dumps([entry.source_hash(), sorted(entry.versions().items())])
    return hashlib.sha256(text.encode()).hexdigest()[:12]
