"""The child process: build one index, search it with every setting in turn, and write each pass as it ends.

Started by `harness.measure.child` as `python -P -m harness.measure.worker DESCRIPTOR`, with the job as a line on
standard input. A worker of the kind "serve" takes commands after it, a JSON line each: a pass of a setting, or a new
setting; what it measures, and when, is then for the parent to say.
"""

from __future__ import annotations

import contextlib
import datetime as dt
import faulthandler
import functools
import gc
import json
import os
import random
import shutil
import sys
import tempfile
import time
import traceback
from collections.abc import Callable, Iterator
from dataclasses import asdict
from pathlib import Path
from typing import Any

import numpy as np

from harness.conformance import Check, examine, find_checks, fingerprint
from harness.contract import Algorithm, Saves, Search
from harness.dataset import Dataset, open_dataset
from harness.document import Process
from harness.errors import HarnessFault, PluginError, StoreError, refused_by_system
from harness.kernels import warning
from harness.measure.blame import Raised, calling, own_fault
from harness.measure.child import WHERE_SIGNAL
from harness.measure.job import Events, Job
from harness.measure.limits import die_with_parent, peak_memory, pin_all_threads, reset_peak_memory, unique_memory
from harness.measure.loaded import loaded_kernels
from harness.measure.recorder import ExactDistances, Recorder, prefix
from harness.measure.subject import subject_of
from harness.measure.timing import Yardstick, call_once, run_pass
from harness.metric import Metric
from harness.registry import Entry
from harness.spec import SearchSpec, freeze

# Queries answered, untimed, after each bind: the passes of other settings came in between.
REBIND_QUERIES = 20
LEAST_QUERIES = 10
COMPILE_ROWS = 256


class Stop(Exception):  # noqa: N818 - not an error: the end of a build that was reported already
    """The build can't go on; what happened was sent."""


def main() -> int:
    """Run the job on standard input; report on the descriptor that the first argument names."""
    os.set_inheritable(int(sys.argv[1]), False)  # noqa: FBT003 - the call takes it by position only
    events = Events(int(sys.argv[1]))
    job = Job.from_json(sys.stdin.readline())
    die_with_parent(job.parent)
    if job.kind == "check":
        # So that a crash, and a hang, can be placed in the plug-in's source.
        faulthandler.enable(all_threads=False)
        faulthandler.register(WHERE_SIGNAL, all_threads=False)
    try:
        if job.kind == "check":
            _check(job, events)
        else:
            _Build(job, events).run()
    except Stop:
        return 0
    except StoreError as problem:
        events.send("store-failed", message=str(problem))
        return 0
    except PluginError as problem:
        events.send("fault" if refused_by_system(problem) else "failed", message=str(problem), detail="")
        return 0
    except Exception as problem:  # noqa: BLE001 - whatever isn't the plug-in's is said to be ours
        events.send("fault", message=own_fault(problem), detail=traceback.format_exc())
        return 0
    events.send("done")
    return 0


def _check(job: Job, events: Events) -> None:
    def before(check: Check) -> None:
        events.send("stage", name=check.name, search=None)

    for verdict in examine(subject_of(job), find_checks(job.checks), before):
        for breach in verdict.breaches:
            events.send("finding", text=breach)
        events.send("verdict", **asdict(verdict))


class _Build:
    """One build and its search settings."""

    def __init__(self, job: Job, events: Events) -> None:
        self._job = job
        self._events = events
        self._spec = job.build

    def run(self) -> None:
        """Do the stages one after the other; each is announced before it starts, so that a crash can be placed."""
        np.random.seed(self._spec.seed)  # noqa: NPY002 - for the plug-ins that use the global generators
        random.seed(self._spec.seed)
        self._stage("load")
        started = time.perf_counter()
        dataset = open_dataset(Path(self._job.data), self._spec.dataset)
        if self._spec.half is not None:
            dataset = dataset.half(self._spec.half)
        loaded = time.perf_counter() - started
        entry = self._job.entry()
        self._check_provenance(entry, dataset)
        algorithm = self._make(entry)
        process = self._fit(entry, algorithm, dataset, loaded)
        self._events.send("built", seconds=process.build_seconds)
        distances = ExactDistances(dataset)

        def record(search: SearchSpec) -> Recorder:
            return Recorder(self._job, entry, search, dataset, distances, process)

        recorders = [record(search) for search in self._spec.searches]
        self._process = process
        with self._quiet():
            if self._job.kind == "serve":
                self._serve(algorithm, dataset, recorders, record)
            else:
                self._measure(algorithm, dataset, recorders)
        self._rewrite(recorders)
        if self._job.kind == "measure" and isinstance(algorithm, Saves):
            # It comes last, and after all is written: a plug-in that crashes while saving costs no figure.
            self._save(entry, algorithm, process)
            self._rewrite(recorders)

    def _check_provenance(self, entry: Entry, dataset: Dataset) -> None:
        """Refuse to measure something else than was planned: a result must not be filed under another's name."""
        planned = self._spec.provenance
        found = (dataset.sha256, entry.source_hash(), tuple(sorted(entry.versions().items())))
        if found != planned[:3]:
            raise HarnessFault(
                f"{entry.name}, its libraries or {dataset.name} changed since the run was planned; run again"
            )

    @staticmethod
    def _rewrite(recorders: list[Recorder]) -> None:
        """Write all results once more, with what is known of the process by now."""
        for recorder in recorders:
            recorder.rewrite()

    def _stage(self, name: str, search: int | None = None) -> None:
        self._events.send("stage", name=name, search=search)

    def _make(self, entry: Entry) -> Algorithm:
        self._stage("import")
        make = entry.load()
        self._stage("init")
        with self._reporting("constructing it"):
            return make(Metric(self._spec.metric), **dict(self._spec.params))

    @contextlib.contextmanager
    def _reporting(self, what: str) -> Iterator[None]:
        """Turn whatever a plug-in raises into one event, and end the build."""
        try:
            with calling(what):
                yield
        except Raised as problem:
            self._events.send("fault" if problem.refused else "failed", message=str(problem), detail=problem.detail)
            raise Stop from None

    def _fit(self, entry: Entry, algorithm: Algorithm, dataset: Dataset, loaded: float) -> Process:
        spec, train = self._spec, dataset.train
        self._stage("compile")
        started = time.perf_counter()
        with self._reporting("compile"):
            algorithm.compile(prefix(train, COMPILE_ROWS))
        compiled = time.perf_counter() - started
        before = fingerprint(train)
        gc.collect()
        reset_peak_memory()
        held = unique_memory()
        self._stage("fit")
        began = dt.datetime.now(dt.UTC).isoformat(timespec="seconds")
        gc.disable()
        started = time.perf_counter()
        with self._reporting("fit"):
            algorithm.fit(train, threads=spec.build_threads)
        seconds = time.perf_counter() - started
        gc.enable()
        held_after, peak = unique_memory(), peak_memory()
        self._stage("after fit")
        if fingerprint(train) != before:
            raise PluginError(f"{entry.name}: fit changed the vectors that it was given, so no figure of it would hold")
        with self._reporting("index_bytes"):
            size = algorithm.index_bytes()
        with self._reporting("effective"):
            effective = {str(key): value for key, value in dict(algorithm.effective).items()}
        kernels = loaded_kernels()
        for text in filter(None, (warning(one, self._job.machine.get("flags", ())) for one in kernels)):
            self._events.send("note", text=text)
        return Process(
            pid=os.getpid(),
            started=began,
            build_seconds=seconds,
            compile_seconds=compiled,
            load_seconds=loaded,
            index_bytes=size,
            uss_before_fit=held,
            uss_after_fit=held_after,
            peak_build=peak,
            cores=list(self._job.cores),
            search_cores=list(self._job.search_cores),
            effective=effective,
            kernels=kernels,
        )

    @contextlib.contextmanager
    def _quiet(self) -> Iterator[None]:
        """Make this process fit for timing: no collection of garbage, its threads held down and on their cores."""
        from threadpoolctl import threadpool_limits

        gc.collect()
        gc.freeze()
        gc.disable()
        with threadpool_limits(limits=self._spec.threads):
            pin_all_threads(list(self._job.search_cores))
            yield
            pin_all_threads(list(self._job.cores))
        gc.enable()

    def _measure(self, algorithm: Algorithm, dataset: Dataset, recorders: list[Recorder]) -> None:
        job, yardstick = self._job, Yardstick()
        counts = [self._warm_up(algorithm, dataset, recorder, i, yardstick) for i, recorder in enumerate(recorders)]
        for _ in range(max((r.first_round(job.passes) for r in recorders), default=0)):
            for i, recorder in enumerate(recorders):
                if recorder.needs(job.passes) and recorder.first_round(job.passes):
                    self._pass(algorithm, dataset, recorder, i, counts[i], yardstick)
        # Disturbed passes are repeated, again interleaved, until enough are clean or the allowance is used up.
        while needy := self._judged(recorders, yardstick):
            for i in needy:
                self._pass(algorithm, dataset, recorders[i], i, counts[i], yardstick)

    def _serve(
        self,
        algorithm: Algorithm,
        dataset: Dataset,
        recorders: list[Recorder],
        record: Callable[[SearchSpec], Recorder],
    ) -> None:
        """Do what the parent says until it closes the pipe: `{"pass": i}`, or `{"add": {parameter: value}}`."""
        yardstick, counts = Yardstick(), []
        for i, recorder in enumerate(recorders):
            counts.append(self._warm_up(algorithm, dataset, recorder, i, yardstick))
        self._stage("wait")
        self._events.send("ready")
        while line := sys.stdin.readline():
            command = json.loads(line)
            if "add" in command:
                recorders.append(record(SearchSpec(freeze(command["add"]))))
                number = len(counts)
                counts.append(self._warm_up(algorithm, dataset, recorders[-1], number, yardstick))
                self._events.send("added", search=number)
            else:
                number = command["pass"]
                self._pass(algorithm, dataset, recorders[number], number, counts[number], yardstick)
            self._stage("wait")
        for recorder in recorders:
            recorder.judge(yardstick.median())

    def _judged(self, recorders: list[Recorder], yardstick: Yardstick) -> list[int]:
        """Mark all passes by what is known of the yardstick by now; return which settings need another one."""
        for recorder in recorders:
            recorder.judge(yardstick.median())
        return [i for i, recorder in enumerate(recorders) if recorder.needs(self._job.passes)]

    def _failed(self, recorder: Recorder, number: int, problem: Raised) -> None:
        recorder.failed = True
        self._events.send(
            "search-failed", search=number, message=str(problem), detail=problem.detail, refused=problem.refused
        )

    @calling("search")
    def _bind(self, algorithm: Algorithm, search: SearchSpec, queries: Any = None) -> Any:
        """Bind a setting, and answer `queries`, where there are any, in one call."""
        bound = algorithm.searcher(threads=self._spec.threads, **dict(search.params))
        if queries is not None:
            bound(queries, self._spec.k)
        return bound

    def _call_once(self, search: Search, queries: Any) -> tuple[list[Any], Any]:
        """Answer queries untimed; return the answers and the latencies all the same."""
        calls = 1 if self._spec.mode == "batch" else len(queries)
        answers, latencies = [None] * calls, np.zeros(calls, np.int64)
        call_once(search, queries, self._spec.k, self._spec.mode, latencies, answers)
        return answers, latencies

    def _warm_up(
        self, algorithm: Algorithm, dataset: Dataset, recorder: Recorder, number: int, yardstick: Yardstick
    ) -> int:
        """Run a setting untimed, and from that choose how many queries and rounds its passes have."""
        job, spec, limit = self._job, self._spec, self._job.pass_seconds
        self._stage("search", number)
        try:
            asked = recorder.queries or spec.queries
            first = min(asked, REBIND_QUERIES) if spec.mode == "batch" else 1
            search = self._bind(algorithm, recorder.search, prefix(dataset.test, first))
            count, spent, step = 0, 0.0, 1
            while count < asked and (spent < limit or count < LEAST_QUERIES):
                step = min(asked - count, max(1, step))
                part = dataset.test[count : count + step]
                answers, latencies = self._call_once(search, part)
                recorder.neighbors(answers, step)
                count += step
                spent += latencies.sum() / 1e9
                # The next step takes what the time left allows, at the speed so far, and at most twice this one.
                left = max(0.0, limit - spent) * count / max(spent, 1e-9)
                step = int(min(2 * step + 16, max(left, LEAST_QUERIES - count)))
            if recorder.queries is not None:
                count = recorder.queries
            yardstick.read()  # so that its median is known by the first pass
        except Raised as problem:
            self._failed(recorder, number, problem)
            return 0
        recorder.quick = spent < job.least_pass_seconds
        return count

    def _pass(
        self, algorithm: Algorithm, dataset: Dataset, recorder: Recorder, number: int, count: int, yardstick: Yardstick
    ) -> None:
        spec = self._spec
        self._stage("search", number)
        queries = prefix(dataset.test, count)
        try:
            search = self._bind(algorithm, recorder.search)
            warm = prefix(queries, min(count, REBIND_QUERIES if recorder.quick else 1))
            self._call_once(search, warm)
            reset_peak_memory()
            timed = run_pass(
                search,
                queries,
                spec.k,
                mode=spec.mode,
                least_seconds=self._job.least_pass_seconds,
                cores=list(self._job.search_cores),
                yardstick=yardstick,
                counters=functools.partial(_counters, algorithm),
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

    def _save(self, entry: Entry, algorithm: Saves, process: Process) -> None:
        """Time saving and loading."""
        self._stage("save")
        folder = Path(tempfile.mkdtemp(prefix="annbench-save-"))
        try:
            with calling("save or load"):
                target = folder / "index"
                started = time.perf_counter()
                algorithm.save(target)
                process.save_seconds = time.perf_counter() - started
                files = [target] if target.is_file() else [f for f in target.rglob("*") if f.is_file()]
                process.saved_bytes = sum(file.stat().st_size for file in files)
                fresh = entry.load()(Metric(self._spec.metric), **dict(self._spec.params))
                if isinstance(fresh, Saves):
                    started = time.perf_counter()
                    fresh.load(target)
                    process.restore_seconds = time.perf_counter() - started
        except Raised as problem:  # saving is an extra: its failure is told, and nothing is lost
            self._events.send("note", text=str(problem))
        finally:
            shutil.rmtree(folder, ignore_errors=True)


@calling("counters")
def _counters(algorithm: Algorithm) -> dict[str, int]:
    return {str(key): int(value) for key, value in dict(algorithm.counters()).items()}


if __name__ == "__main__":
    sys.exit(main())
