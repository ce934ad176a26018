"""The finals: the best settings built anew and measured in turns, so that a slow second falls on all alike."""

from __future__ import annotations

import contextlib
from collections.abc import Callable, Sequence
from dataclasses import dataclass, field, replace
from typing import Any

from harness.choosing.request import Request, finals_folder
from harness.engines.registry import Entry
from harness.measure.child import Child, Limits, started, watched
from harness.measure.job import Job
from harness.measure.session import job_for
from harness.store.spec import BuildSpec, SearchSpec, freeze
from harness.tune.probe import Told

_MIN_ROUNDS, _MAX_ROUNDS = 5, 25
# The decision and the page are written in what is left then.
_RESERVED = 0.04


@dataclass(frozen=True)
class Finalist:
    """A build and the settings that it is measured with."""

    entry: Entry
    build: BuildSpec
    settings: Sequence[dict[str, Any]]

    @property
    def spec(self) -> BuildSpec:
        """Return the build with its settings."""
        return self.build.only(tuple(SearchSpec(freeze(setting)) for setting in self.settings))


def hold_finals(
    request: Request, finalists: Sequence[Finalist], limits: Limits, left: Callable[[float], float], told: Told
) -> None:
    """Build all finalists, one after the other, and measure them in turns until the time is up.

    At least five rounds are made, and no more than 25. Results are written to the request's folder. One that fails is
    told of, and the others go on.
    """
    folder = finals_folder(request)
    options = replace(request.options, results=folder)
    jobs = [job_for("serve", one.entry, one.spec, request.suite, options) for one in finalists]
    cores = jobs[0].search_cores
    with watched(cores), contextlib.ExitStack() as stack:
        running: list[_Running] = []
        for job in jobs:
            told("final", {"algorithm": job.build.algorithm})
            one = _Running(job, stack.enter_context(started(job, limits, talking=True)), told)
            if one.follow("ready"):
                running.append(one)
            else:
                one.tell_end()
        for number in range(_MAX_ROUNDS):
            if number >= _MIN_ROUNDS and left(1 - _RESERVED) <= 0:
                break
            told("round", {"number": number, "left": left(1 - _RESERVED)})
            # Each round begins with another one: who follows whom matters to the caches.
            shift = number % max(len(running), 1)
            running = [one for one in [*running[shift:], *running[:shift]] if one.passes()]
        for one in running:
            one.child.close()
            one.follow()


@dataclass
class _Running:
    """A finalist in its child. `failed` are the settings that failed; no further pass is made of them."""

    job: Job
    child: Child
    told: Told
    failed: set[int] = field(default_factory=set)

    def follow(self, *until: str) -> bool:
        """Pass events on until one of `until` comes; return whether one did."""

        def listen(event: str, content: dict[str, Any]) -> None:
            if event == "search-failed":
                self.failed.add(content["search"])
            self.told(event, content)

        return self.child.follow(listen, until)

    def passes(self) -> bool:
        """Have one pass made of each setting; return whether the child is still there."""
        for number in range(len(self.job.build.searches)):
            if number in self.failed:
                continue
            self.child.ask({"pass": number})
            if not self.follow("pass", "search-failed"):
                self.tell_end()
                return False
        return True

    def tell_end(self) -> None:
        """Say how the child ended."""
        reason = self.child.outcome.reason or self.child.end()
        self.told("note", {"text": f"{self.job.build.algorithm}: {reason} in the finals"})
