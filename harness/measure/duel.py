"""Two children that take turns on one core: pass by pass, so that a slow minute falls on both alike."""

from __future__ import annotations

import contextlib
from collections.abc import Callable, Iterator
from typing import Any

from harness.core.errors import PluginError
from harness.measure.child import Child, Limits, started, watched
from harness.measure.job import Job

# On a noisy machine what a pair says is vague by the noise of its rounds, and a round takes less time than a build.
_MOST_ROUNDS = 3

SIDES = ("A", "B")

Told = Callable[[str, str, dict[str, Any]], None]
"""(side, event, content): told of every event of both children, as it happens."""


def duel(jobs: tuple[Job, Job], rounds: int, limits: Limits, told: Told, *, first: int = 0) -> None:
    """Measure two builds in two children at once: `rounds` rounds, in each one pass of every setting of both.

    The settings of a round alternate between the sides, and which side begins alternates between rounds, from `first`
    on. Rounds in which a pass was disturbed are repeated, until three times as many were made. Each side's results are
    written where its job says; the n-th passes of all settings are of the same round. Raises PluginError that names the
    side where a child fails.
    """
    with watched(jobs[0].search_cores), contextlib.ExitStack() as stack:
        children = []
        for side, job in zip(SIDES, jobs, strict=True):
            child = stack.enter_context(started(job, limits, talking=True))
            # The second one builds when the first waits: a build may use all cores.
            _follow(child, side, job, "ready", told)
            children.append(child)
        clean = done = 0
        while clean < rounds and done < _MOST_ROUNDS * rounds:
            disturbed = False
            for number, turn in enumerate(_turns(jobs, (done + first) % 2)):
                disturbed |= _pass(children[turn[0]], turn, jobs[turn[0]], told)
                told("", "turn", {"round": done, "number": number})
            done += 1
            clean += not disturbed
        for side, job, child in zip(SIDES, jobs, children, strict=True):
            child.close()
            _follow(child, side, job, "done", told)


def _turns(jobs: tuple[Job, Job], first: int) -> Iterator[tuple[int, int]]:
    """Yield (side, setting) of one round."""
    counts = [len(job.build.searches) for job in jobs]
    for setting in range(max(counts)):
        for side in (first, 1 - first):
            if setting < counts[side]:
                yield side, setting


def _pass(child: Child, turn: tuple[int, int], job: Job, told: Told) -> bool:
    """Have one pass made; return whether it was disturbed."""
    disturbed = False

    def listen(side: str, event: str, content: dict[str, Any]) -> None:
        nonlocal disturbed
        disturbed |= event == "pass" and bool(content["disturbed"])
        told(side, event, content)

    child.ask({"pass": turn[1]})
    _follow(child, SIDES[turn[0]], job, "pass", listen)
    return disturbed


def _follow(child: Child, side: str, job: Job, until: str, told: Told) -> None:
    """Follow a child until an event; raise PluginError where it fails before."""
    broken = ""

    def listen(event: str, content: dict[str, Any]) -> None:
        nonlocal broken
        if event == "search-failed":
            setting = job.build.searches[content["search"]].slug
            broken = f"its setting {setting} failed: {content['message']}"
        told(side, event, content)

    # A setting that failed sends no pass: the event that follows any command is waited for instead.
    reached = child.follow(listen, (until, "search-failed"))
    if broken:
        raise PluginError(f"{side} ({job.build.algorithm}): {broken}")
    if not reached:
        raise child.failure(f"{side} ({job.build.algorithm})")
