"""One build in a child that stays, and search settings tried on it one after the other."""

from __future__ import annotations

import time
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from dataclasses import dataclass
from pathlib import Path
from typing import Any, NamedTuple

from harness.analyse.figures import qps, query_recall
from harness.measure.child import Child, Limits, started, watched
from harness.measure.job import Job
from harness.store.document import Process
from harness.store.results import ResultStore
from harness.store.spec import SearchSpec, freeze

Told = Callable[[str, dict[str, Any]], None]


class Point(NamedTuple):
    """A search setting with the recall and the QPS of one pass."""

    params: dict[str, Any]
    recall: float
    qps: float


@dataclass
class Prober:
    """A build that is there, and what was tried on it."""

    job: Job
    child: Child
    told: Told
    build_seconds: float = 0.0
    tried: int = 0
    process: Process | None = None
    """What the child said of its build, once a setting was measured."""

    def measure(self, params: dict[str, Any]) -> Point | None:
        """Measure one setting; None where it fails. Raises PluginError where the child is gone."""
        failed = False

        def listen(event: str, content: dict[str, Any]) -> None:
            nonlocal failed
            failed |= event == "search-failed"
            self.told(event, content)

        number, self.tried = self.tried, self.tried + 1
        self.child.ask({"add": params})
        self.wait(self.child.follow(listen, ("added",)))
        if failed:
            return None
        self.child.ask({"pass": number})
        self.wait(self.child.follow(listen, ("pass", "search-failed")))
        if failed:
            return None
        build = self.job.build
        store = ResultStore(Path(self.job.results))
        result = store.read(store.path(build.folder, build.stem(SearchSpec(freeze(params)))))
        self.process = result.document.processes[-1]
        return Point(params, float(query_recall(result).mean()), qps(result))

    def wait(self, reached: bool) -> None:
        """Raise PluginError, with how the child ended, where it did not reach what was waited for."""
        if not reached:
            raise self.child.failure(self.job.build.algorithm)


@contextmanager
def prober(job: Job, limits: Limits, told: Told) -> Iterator[Prober]:
    """Build in a child of its own (its job is to serve) and hand it over; raise PluginError where that fails."""
    began = time.monotonic()
    with watched(job.search_cores), started(job, limits, talking=True) as child:
        made = Prober(job, child, told)
        made.wait(child.follow(told, ("ready",)))
        made.build_seconds = time.monotonic() - began
        yield made
