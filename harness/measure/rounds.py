"""The order of a run: rounds over all builds of a dataset, far apart in time, each in a random order of its own.

Passes of one build are interleaved, but builds follow each other: a machine that becomes busy halfway slows the second
half of them. So every build is measured in several rounds, each in another process, and what changes in between shows
in the spread of its processes (`harness.analyse.drift`). A random order keeps a change from falling on the same builds
in each round, and on neighbours in the plan.

An index that can be saved is loaded again in later rounds, others are built again. A build that takes much longer than
its passes, and can't be saved, has all its passes in one process instead: the worker decides that, who knows how long
the build took.
"""

from __future__ import annotations

import contextlib
import random
import shutil
from collections.abc import Iterator
from dataclasses import dataclass, field, replace
from pathlib import Path
from typing import Any

from harness.core.errors import StoreError
from harness.measure.child import Listener
from harness.measure.job import Job
from harness.store.results import ResultStore
from harness.store.spec import BuildSpec

SHELF = ".rounds"


def round_ends(passes: int, rounds: int) -> list[int]:
    """Return how many passes each setting should have after each round: [4, 7] for 7 in two rounds."""
    rounds = max(1, min(rounds, passes))
    return [-(-passes * (number + 1) // rounds) for number in range(rounds)]


def shuffled(count: int, seed: int, number: int) -> list[int]:
    """Return the order in which a round goes over `count` builds."""
    order = list(range(count))
    random.Random(f"{seed} {number}").shuffle(order)  # noqa: S311 - an order, and no secret
    return order


@contextlib.contextmanager
def shelf(results: Path) -> Iterator[Path]:
    """Hold a folder for saved indexes of this run, removed at its end, as is what a killed run left behind."""
    folder = results.resolve() / SHELF
    shutil.rmtree(folder, ignore_errors=True)
    folder.mkdir(parents=True)
    try:
        yield folder
    finally:
        shutil.rmtree(folder, ignore_errors=True)


@dataclass
class Turn:
    """One build of a run, and how far it is: `passes` of each of its settings, and which have `enough` or `failed`."""

    job: Job
    passes: list[int]
    begun: bool = False
    enough: set[int] = field(default_factory=set)
    failed: set[int] = field(default_factory=set)
    saved: str = ""

    @property
    def build(self) -> BuildSpec:
        """Return the build with all the settings that were asked for."""
        return self.job.build

    def needs(self, end: int) -> list[int]:
        """Return the settings that lack passes for a round that ends with so many; 0: that lack undisturbed ones."""
        left = [i for i in range(len(self.passes)) if i not in self.failed and i not in self.enough]
        return [i for i in left if not end or self.passes[i] < end]

    def job_for(self, settings: list[int], end: int, keep: Path) -> Job:
        """Return the job of a round for some settings."""
        searches = tuple(self.build.searches[i] for i in settings)
        return replace(self.job, build=self.build.only(searches), until=end, keep=str(keep), saved=self.saved)

    def listening(self, settings: list[int], listener: Listener) -> Listener:
        """Return a listener that keeps count, and passes events on as of the whole build."""

        def listen(event: str, content: dict[str, Any]) -> None:
            if content.get("search") is not None:
                content = {**content, "search": settings[content["search"]]}
            if event == "standing":
                self.passes[content["search"]] = content["passes"]
                if content["enough"]:
                    self.enough.add(content["search"])
            elif event == "search-failed":
                self.failed.add(content["search"])
            elif event == "build-failed":
                self.failed |= set(range(len(self.passes))) - self.enough
            elif event == "saved":
                self.saved = content["path"]
            listener(event, content)

        return listen


def passes_so_far(store: ResultStore, job: Job) -> list[int]:
    """Count the passes that each setting of a job has already, 0 where it will be measured afresh."""
    found = []
    for search in job.build.searches:
        path = store.path(job.build.folder, job.build.stem(search))
        count = 0
        with contextlib.suppress(StoreError, OSError):
            if path.stat().st_mtime >= job.since:
                result = store.read(path)
                count = result.passes if result.thorough(job.pass_seconds) else 0
        found.append(count)
    return found
