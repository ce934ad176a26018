"""Collect the passes of one search setting, and keep its result file up to date after each."""

from __future__ import annotations

import datetime as dt
from collections.abc import Mapping
from pathlib import Path
from typing import Any

import numpy as np
from numpy.typing import NDArray

from harness.data.dataset import Dataset
from harness.data.exact_distances import ExactDistances
from harness.engines.registry import Entry
from harness.measure.blame import calling
from harness.measure.job import Job
from harness.measure.machine import describe_libraries
from harness.measure.timing import MOST_FOREIGN_CPU, Pass, is_disturbed
from harness.store.document import SCHEMA_VERSION, Document, Process
from harness.store.failures import FAILURE_SUFFIX
from harness.store.result import Result
from harness.store.results import ResultStore
from harness.store.spec import SearchSpec
from harness.workloads.catalogue import find_workload
from harness.workloads.workload import Arrays, Driver


class Recorder:
    """One search setting: the passes so far, from this process and earlier ones, and where they are kept."""

    def __init__(
        self,
        job: Job,
        entry: Entry,
        search: SearchSpec,
        driver: Driver,
        dataset: Dataset,
        distances: ExactDistances,
        process: Process,
    ) -> None:
        self.search = search
        self.failed = False
        self.quick = False  # done with its queries before a pass has lasted long enough
        self._job, self._entry, self._driver = job, entry, driver
        self._dataset, self._distances = dataset, distances
        self._workload = find_workload(job.build.workload)
        self._store = ResultStore(Path(job.results))
        self._path = self._store.path(job.build.folder, job.build.stem(search))
        self._result: Result | None = None
        if self._path.exists() and self._path.stat().st_mtime >= job.since:
            found = self._store.read(self._path)
            # What a shorter bound cut to fewer queries is measured afresh under a longer one.
            self._result = found if found.thorough(job.pass_seconds) else None
        if self._result is not None:
            self._result.document.processes.append(process)
        self._process = process

    @property
    def queries(self) -> int | None:
        """Return how many queries earlier passes answered: later ones must answer the same."""
        return None if self._result is None else self._result.queries

    @property
    def passes(self) -> int:
        """Count the passes so far."""
        return 0 if self._result is None else self._result.passes

    @property
    def disturbed(self) -> bool:
        """Say whether the last pass was disturbed, as far as is known by now."""
        return self._result is not None and bool(self._result.pass_disturbed[-1])

    def needs(self, passes: int) -> bool:
        """Say whether more passes are needed for `passes` undisturbed ones."""
        return not self.failed and not (self._result is not None and self._result.enough(passes))

    def first_round(self, passes: int) -> int:
        """Return how many of `passes` are still missing before any repetition of disturbed ones."""
        return max(0, passes - self.passes)

    @calling("search")
    def answers(self, given: list[Any], count: int) -> Arrays:
        """Turn the answers of one round into arrays; raise Raised where they break the contract."""
        return self._driver.answers(given, count)

    def add(self, timed: Pass, queries: int, usual_ns: float) -> None:
        """Add a pass and write the result file whole; `usual_ns` is the yardstick's median so far."""
        answers = self.answers(timed.answers, queries)
        if self._result is None:
            self._result = self._start(answers, queries)
        result = self._result
        document = result.document
        number, process = result.passes, len(document.processes) - 1
        record = {**timed.record(), "pass": number, "process": process}
        document.passes.append(record)
        if self._entry.config.purpose == "index" and _differ(answers, result.arrays):
            _note(document, "answers differ between passes; recall is that of the first")
        if self._job.build.mode == "single" and timed.foreign_cpu > MOST_FOREIGN_CPU:
            _note(document, f"used {1 + timed.foreign_cpu:.1f} threads in single mode, where one is allowed")
        per_round = {key: value // len(timed.latencies_ns) for key, value in timed.counters.items()}
        document.counters.update(per_round)
        self._result = Result(
            document=document,
            latencies_ns=np.concatenate([result.latencies_ns, timed.latencies_ns]),
            repetition_pass=np.append(result.repetition_pass, np.full(len(timed.latencies_ns), number, np.int32)),
            pass_disturbed=np.append(result.pass_disturbed, is_disturbed(record, self._job.build.mode, usual_ns)),
            pass_process=np.append(result.pass_process, np.int32(process)),
            arrays=result.arrays,
        )
        self.rewrite()
        # It works by now: what an earlier run said of it no longer holds.
        self._path.with_suffix(FAILURE_SUFFIX).unlink(missing_ok=True)

    def judge(self, usual_ns: float) -> None:
        """Mark the passes of this process anew: the yardstick's median is known better than when they ended."""
        if self._result is not None:
            own = len(self._result.document.processes) - 1
            for record in self._result.document.passes:
                if record["process"] == own:
                    marked = is_disturbed(record, self._job.build.mode, usual_ns)
                    self._result.pass_disturbed[record["pass"]] = marked

    def rewrite(self) -> None:
        """Write the file again, with what became known of the process after its last pass."""
        if self._result is not None:
            self._store.write(self._path, self._result, self._workload.companion(self._result))

    def _start(self, answers: Arrays, q: int) -> Result:
        job, data = self._job, self._dataset
        document = Document(
            schema_version=SCHEMA_VERSION,
            workload=job.build.workload,
            queries=q,
            spec=job.build.identity(self.search),
            origin=self._entry.config.origin,
            purpose=self._entry.config.purpose,
            machine=dict(job.machine),
            environment={
                **job.environment,
                **describe_libraries(),
                "train_rows": len(data.train),
                "dimension": data.dimension,
                "queries_asked": job.build.queries,
                "queries_measured": q,
                "pass_seconds": job.pass_seconds,
            },
            versions=dict(job.build.provenance.versions),
            processes=[self._process],
            created=dt.datetime.now(dt.UTC).isoformat(timespec="seconds"),
        )
        if q < job.build.queries:
            document.notes.append(f"slow: {q} of {job.build.queries} queries, to keep a pass within the suite's bound")
        return Result(
            document=document,
            latencies_ns=np.empty((0, self._driver.calls(q)), np.int64),
            repetition_pass=np.empty(0, np.int32),
            pass_disturbed=np.empty(0, np.bool_),
            pass_process=np.empty(0, np.int32),
            arrays=self._driver.recorded(answers, self._distances),
        )


def _differ(answers: Arrays, before: Mapping[str, NDArray[Any]]) -> bool:
    return any(not np.array_equal(values, before[name]) for name, values in answers.items())


def _note(document: Document, text: str) -> None:
    subject = text.split(" ", 1)[0]
    if not any(note.startswith(subject) for note in document.notes):
        document.notes.append(text)
