"""The child process: build one index, search it with every setting in turn, and write each pass as it ends.

Started by `harness.measure.child` as `python -P -m harness.measure.worker DESCRIPTOR`, with the job as a line on
standard input. A worker of the kind "serve" takes commands after it, a JSON line each: a pass of a setting, or a new
setting; what it measures, and when, is then for the parent to say.
"""

from __future__ import annotations

import contextlib
import datetime as dt
import faulthandler
import gc
import json
import os
import random
import sys
import time
import traceback
from collections.abc import Iterator
from dataclasses import asdict
from pathlib import Path

import numpy as np

from harness.core.errors import HarnessFault, PluginError, StoreError, refused_by_system
from harness.core.library_kernels import warning
from harness.data.dataset import Dataset, open_dataset
from harness.data.exact_distances import ExactDistances
from harness.data.metric import Metric
from harness.data.vectors import contiguous
from harness.engines.conformance import Check, examine, find_checks, fingerprint
from harness.engines.contract import Algorithm, Saves
from harness.engines.registry import Entry
from harness.measure.blame import Raised, calling, own_fault
from harness.measure.child import WHERE_SIGNAL
from harness.measure.job import Events, Job
from harness.measure.limits import die_with_parent, peak_memory, pin_all_threads, reset_peak_memory, unique_memory
from harness.measure.loaded import loaded_kernels
from harness.measure.recorder import Recorder
from harness.measure.saving import save
from harness.measure.subject import subject_of
from harness.measure.turns import Turns
from harness.store.document import Process
from harness.store.spec import SearchSpec, freeze, thaw
from harness.workloads.catalogue import find_workload

COMPILE_ROWS = 256
# A build that can't be saved and took longer than this, and than its passes, isn't made again for another round.
DEAR_BUILD_SECONDS = 60.0


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
        self._workload = find_workload(job.build.workload)

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
        algorithm, process = self._obtain(entry, dataset, loaded)
        distances = ExactDistances(dataset)
        terms = self._workload.terms.model_validate(thaw(self._spec.terms))
        driver = self._workload.driver(algorithm, dataset, terms, threads=self._spec.threads)

        def record(search: SearchSpec) -> Recorder:
            return Recorder(self._job, entry, search, driver, dataset, distances, process)

        with self._quiet():
            turns = Turns(self._job, self._events, algorithm, driver, process, record)
            for search in self._spec.searches:
                turns.add(search)
        if self._job.kind == "serve":
            with self._quiet():
                self._serve(turns)
            self._rewrite(turns)
            return
        spent = self._measure(turns, self._job.until)
        kept = False
        if isinstance(algorithm, Saves) and process.build_seconds is not None:
            # It comes last, and after all is written: a plug-in that crashes while saving costs no figure.
            kept = self._save(entry, algorithm, process)
            self._rewrite(turns)
        if self._job.until and not kept and (process.build_seconds or 0.0) > max(DEAR_BUILD_SECONDS, spent):
            # Building it again for the next round would take longer than the passes: they are made here.
            self._measure(turns, 0)

    def _measure(self, turns: Turns, until: int) -> float:
        """Measure all settings, write what is known, and say how far they are; return how long it took, in seconds."""
        started = time.perf_counter()
        with self._quiet():
            turns.go(until)
        self._rewrite(turns)
        turns.standing()
        return time.perf_counter() - started

    def _serve(self, turns: Turns) -> None:
        """Do what the parent says until it closes the pipe: `{"pass": i}`, or `{"add": {parameter: value}}`."""
        self._stage("wait")
        self._events.send("ready")
        while line := sys.stdin.readline():
            command = json.loads(line)
            if "add" in command:
                self._events.send("added", search=turns.add(SearchSpec(freeze(command["add"]))))
            else:
                turns.one_pass(command["pass"])
            self._stage("wait")
        turns.judge()

    def _save(self, entry: Entry, algorithm: Saves, process: Process) -> bool:
        """Time saving and loading; return whether the index is kept for later processes."""
        self._stage("save")
        try:
            path = save(
                algorithm,
                lambda: entry.load()(Metric(self._spec.metric), **dict(self._spec.params)),
                process,
                self._job.keep,
            )
        except Raised as problem:  # saving is an extra: its failure is told, and nothing is lost
            self._events.send("note", text=str(problem))
            return False
        if path:
            self._events.send("saved", path=path)
        return bool(path)

    def _obtain(self, entry: Entry, dataset: Dataset, loaded: float) -> tuple[Algorithm, Process]:
        """Load the index that an earlier process saved, or build it: also where it can't be loaded."""
        if self._job.saved:
            algorithm = self._make(entry)
            process = self._restore(algorithm, dataset, loaded)
            if process is not None:
                self._events.send("loaded", seconds=process.loaded_seconds)
                return algorithm, process
        algorithm = self._make(entry)
        process = self._fit(entry, algorithm, dataset, loaded)
        self._events.send("built", seconds=process.build_seconds)
        return algorithm, process

    def _restore(self, algorithm: Algorithm, dataset: Dataset, loaded: float) -> Process | None:
        if not isinstance(algorithm, Saves):
            return None
        compiled = self._compile(algorithm, dataset)
        gc.collect()
        self._stage("restore")
        began = dt.datetime.now(dt.UTC).isoformat(timespec="seconds")
        started = time.perf_counter()
        try:
            with calling("load"):
                algorithm.load(Path(self._job.saved))
                seconds = time.perf_counter() - started
                return Process(
                    pid=os.getpid(),
                    started=began,
                    loaded_seconds=seconds,
                    compile_seconds=compiled,
                    load_seconds=loaded,
                    index_bytes=algorithm.index_bytes(),
                    cores=list(self._job.cores),
                    search_cores=list(self._job.search_cores),
                    effective={str(key): value for key, value in dict(algorithm.effective).items()},
                    kernels=loaded_kernels(),
                )
        except Raised as problem:
            self._events.send("note", text=f"{problem}; it is built again")
            return None

    def _check_provenance(self, entry: Entry, dataset: Dataset) -> None:
        """Refuse to measure something else than was planned: a result must not be filed under another's name."""
        planned = self._spec.provenance
        found = (dataset.sha256, entry.source_hash(), tuple(sorted(entry.versions().items())))
        if found != planned[:3]:
            raise HarnessFault(
                f"{entry.name}, its libraries or {dataset.name} changed since the run was planned; run again"
            )

    @staticmethod
    def _rewrite(turns: Turns) -> None:
        """Write all results once more, with what is known of the process by now."""
        for recorder in turns.recorders:
            recorder.rewrite()

    def _stage(self, name: str, search: int | None = None) -> None:
        self._events.send("stage", name=name, search=search)

    def _make(self, entry: Entry) -> Algorithm:
        self._stage("import")
        make = entry.load()
        self._stage("init")
        needed = self._workload.ability
        if needed is not None and not issubclass(make, needed):
            raise PluginError(
                f"{entry.name} can't serve the workload {self._workload.name}: it is no {needed.__name__}"
            )
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

    def _compile(self, algorithm: Algorithm, dataset: Dataset) -> float:
        """Let a plug-in compile; return how long it took, in seconds."""
        self._stage("compile")
        started = time.perf_counter()
        with self._reporting("compile"):
            algorithm.compile(contiguous(dataset.train[:COMPILE_ROWS]))
        return time.perf_counter() - started

    def _fit(self, entry: Entry, algorithm: Algorithm, dataset: Dataset, loaded: float) -> Process:
        spec, train = self._spec, dataset.train
        compiled = self._compile(algorithm, dataset)
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


if __name__ == "__main__":
    sys.exit(main())
