"""The settings of a build, pass by pass in turns, so that a slow minute falls on all alike."""

from __future__ import annotations

import functools
from collections.abc import Callable
from typing import Any

import numpy as np
from numpy.typing import NDArray

from harness.engines.contract import Algorithm
from harness.measure.blame import Raised, calling
from harness.measure.job import Events, Job
from harness.measure.limits import peak_memory, reset_peak_memory
from harness.measure.recorder import Recorder
from harness.measure.timing import Yardstick, run_pass
from harness.store.document import Process
from harness.store.spec import SearchSpec
from harness.workloads.workload import Driver

# Queries answered, untimed, after each bind: the passes of other settings came in between.
REBIND_QUERIES = 20
LEAST_QUERIES = 10

Record = Callable[[SearchSpec], Recorder]
"""Makes the recorder of a setting."""


class Turns:
    """The search settings of one index; each is warmed up once, when it is added."""

    def __init__(
        self,
        job: Job,
        events: Events,
        algorithm: Algorithm,
        driver: Driver,
        process: Process,
        record: Record,
    ) -> None:
        self.recorders: list[Recorder] = []
        self._job, self._events, self._record = job, events, record
        self._algorithm, self._driver, self._process = algorithm, driver, process
        self._yardstick = Yardstick()
        self._counts: list[int] = []

    def add(self, search: SearchSpec) -> int:
        """Add a setting and warm it up; return its number."""
        self.recorders.append(self._record(search))
        number = len(self._counts)
        self._counts.append(self._warm_up(number))
        return number

    def go(self, until: int) -> None:
        """Make passes until each setting has so many; 0: as many undisturbed ones as the job asks for."""
        end = until or self._job.passes
        for _ in range(max((recorder.first_round(end) for recorder in self.recorders), default=0)):
            for number, recorder in enumerate(self.recorders):
                if recorder.needs(self._job.passes) and recorder.first_round(end):
                    self.one_pass(number)
        needy = self.judge()
        # Disturbed passes are repeated, again interleaved, until enough are clean or the allowance is used up.
        while needy and not until:
            for number in needy:
                self.one_pass(number)
            needy = self.judge()

    def judge(self) -> list[int]:
        """Mark all passes by what is known of the yardstick by now; return which settings need another one."""
        for recorder in self.recorders:
            recorder.judge(self._yardstick.median())
        return [number for number, recorder in enumerate(self.recorders) if recorder.needs(self._job.passes)]

    def standing(self) -> None:
        """Tell the parent how many passes each setting has, and whether they are enough."""
        for number, recorder in enumerate(self.recorders):
            if not recorder.failed:
                enough = not recorder.needs(self._job.passes)
                self._events.send("standing", search=number, passes=recorder.passes, enough=enough)

    def one_pass(self, number: int) -> None:
        """Make one pass of a setting, and have it written."""
        spec, yardstick = self._job.build, self._yardstick
        recorder, count = self.recorders[number], self._counts[number]
        self._events.send("stage", name="search", search=number)
        try:
            search = self._bind(recorder.search)
            self._ask(search, 0, min(count, REBIND_QUERIES if recorder.quick else 1))
            reset_peak_memory()
            timed = run_pass(
                calling("search")(functools.partial(self._driver.ask, search, 0, count)),
                self._driver.calls(count),
                mode=spec.mode,
                least_seconds=self._job.least_pass_seconds,
                cores=list(self._job.search_cores),
                yardstick=yardstick,
                counters=functools.partial(_counters, self._algorithm),
            )
            # The peak is that of the search: what follows computes distances for the result file.
            self._process.peak_search = max(self._process.peak_search or 0, peak_memory() or 0) or None
            recorder.add(timed, count, yardstick.median())
        except Raised as problem:
            self._failed(recorder, number, problem)
            return
        seconds = float(timed.latencies_ns.sum()) / 1e9
        qps = count * len(timed.latencies_ns) / max(seconds, 1e-9)
        self._events.send("pass", search=number, qps=qps, disturbed=recorder.disturbed)

    def _warm_up(self, number: int) -> int:
        """Run a setting untimed; from how long that took, return how many queries its passes have. 0: it failed."""
        recorder, spec = self.recorders[number], self._job.build
        self._events.send("stage", name="search", search=number)
        asked = recorder.queries or spec.queries
        try:
            search = self._bind(recorder.search)
            if spec.mode == "batch":  # the first call of many threads starts them
                self._ask(search, 0, min(asked, REBIND_QUERIES))
            count, spent = self._answer_within(search, recorder, asked)
            self._yardstick.read()  # so that its median is known by the first pass
        except Raised as problem:
            self._failed(recorder, number, problem)
            return 0
        recorder.quick = spent < self._job.least_pass_seconds
        return count if recorder.queries is None else recorder.queries

    def _answer_within(self, search: Any, recorder: Recorder, asked: int) -> tuple[int, float]:
        """Answer up to `asked` queries within the time of a pass; return how many, and the seconds that it took."""
        limit = self._job.pass_seconds
        count, spent, step = 0, 0.0, 1
        while count < asked and (spent < limit or count < LEAST_QUERIES):
            step = min(asked - count, max(1, step))
            answers, latencies = self._ask(search, count, count + step)
            recorder.answers(answers, step)
            count += step
            spent += latencies.sum() / 1e9
            # The next step takes what the time left allows, at the speed so far, and at most twice this one.
            left = max(0.0, limit - spent) * count / max(spent, 1e-9)
            step = int(min(2 * step + 16, max(left, LEAST_QUERIES - count)))
        return count, spent

    @calling("search")
    def _bind(self, search: SearchSpec) -> Any:
        return self._driver.bind(dict(search.params))

    @calling("search")
    def _ask(self, search: Any, start: int, stop: int) -> tuple[list[Any], NDArray[np.int64]]:
        """Answer queries untimed; return the answers and the latencies all the same."""
        calls = self._driver.calls(stop - start)
        answers: list[Any] = [None] * calls
        latencies = np.zeros(calls, np.int64)
        self._driver.ask(search, start, stop, latencies, answers)
        return answers, latencies

    def _failed(self, recorder: Recorder, number: int, problem: Raised) -> None:
        recorder.failed = True
        self._events.send(
            "search-failed", search=number, message=str(problem), detail=problem.detail, refused=problem.refused
        )


@calling("counters")
def _counters(algorithm: Algorithm) -> dict[str, int]:
    return {str(key): int(value) for key, value in dict(algorithm.counters()).items()}
