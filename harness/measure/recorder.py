"""Collect the passes of one search setting, and keep its result file up to date after each."""

from __future__ import annotations

import datetime as dt
from pathlib import Path
from typing import Any

import numpy as np
from numpy.typing import NDArray

from harness.core.errors import PluginError
from harness.data.dataset import Dataset
from harness.data.metric import pair_distances
from harness.engines.contract import Sets, as_neighbors
from harness.engines.registry import Entry
from harness.measure.blame import calling
from harness.measure.job import Job
from harness.measure.machine import describe_libraries
from harness.measure.timing import MOST_FOREIGN_CPU, Pass, is_disturbed
from harness.store.document import Document, Process
from harness.store.results import FAILURE_SUFFIX, SCHEMA_VERSION, Result, ResultStore
from harness.store.spec import SearchSpec

# Bits of mantissa that a recorded distance keeps. Recall allows for 1e-6 of a distance; 2^-33 is 1e-10, and the twenty
# bits below it are noise that fills a third of a result file.
_DISTANCE_BITS = 32


def rounded(distances: NDArray[np.float64]) -> NDArray[np.float64]:
    """Round distances to 32 bits of mantissa: equal ones stay equal, no two change their order, inf and nan stay."""
    mantissa, exponent = np.frexp(distances)
    kept = np.ldexp(np.round(np.ldexp(mantissa, _DISTANCE_BITS)), -_DISTANCE_BITS)
    out: NDArray[np.float64] = np.ldexp(kept, exponent)
    return out


class ExactDistances:
    """Distances of (query, id) pairs, computed once in float64: the settings of a build find mostly the same ones."""

    def __init__(self, dataset: Dataset) -> None:
        self._dataset = dataset
        # Known pairs, as query * n + id, ascending; and their distances.
        self._pairs = np.empty(0, np.int64)
        self._known = np.empty(0, np.float64)

    def of(self, ids: NDArray[np.int64]) -> NDArray[np.float64]:
        """Return the distances of neighbours (q, k), inf where the id is -1; row i is query i."""
        n = len(self._dataset.train)
        rows, columns = np.nonzero(ids >= 0)
        pairs = rows * n + ids[rows, columns]
        new = np.setdiff1d(pairs, self._pairs)
        if new.size:
            away = pair_distances(self._dataset.metric, self._dataset.test, self._dataset.train, new // n, new % n)
            order = np.argsort(merged := np.concatenate([self._pairs, new]), kind="stable")
            self._pairs = merged[order]
            self._known = np.concatenate([self._known, rounded(away * self._dataset.bit_scale)])[order]
        out = np.full(ids.shape, np.inf)
        out[rows, columns] = self._known[np.searchsorted(self._pairs, pairs)]
        return out


class Recorder:
    """One search setting: the passes so far, from this process and earlier ones, and where they are kept."""

    def __init__(
        self, job: Job, entry: Entry, search: SearchSpec, dataset: Dataset, distances: ExactDistances, process: Process
    ) -> None:
        self.search = search
        self.failed = False
        self.quick = False  # done with its queries before a pass has lasted long enough
        self._job, self._entry, self._dataset, self._distances = job, entry, dataset, distances
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
    def neighbors(self, answers: list[Any], queries: int) -> NDArray[np.int64]:
        """Turn the answers of one round into (q, k) ids; raise Raised where they break the contract."""
        k, n = self._job.build.k, len(self._dataset.train)
        if self._job.build.mode == "batch":
            return as_neighbors(answers[0], queries, k, n)
        if all(isinstance(a, np.ndarray) and a.shape in ((1, k), (k,)) and a.dtype.kind in "iu" for a in answers):
            return as_neighbors(np.concatenate([a.reshape(1, k) for a in answers]), queries, k, n)
        rows = []
        for i, answer in enumerate(answers):
            try:
                rows.append(as_neighbors(answer, 1, k, n))
            except PluginError as problem:
                raise PluginError(f"query {i}: {problem}") from None
        return np.concatenate(rows)

    def add(self, timed: Pass, queries: int, usual_ns: float) -> None:
        """Add a pass and write the result file whole; `usual_ns` is the yardstick's median so far."""
        ids = self.neighbors(timed.answers, queries)
        if self._result is None:
            self._result = self._start(ids)
        result = self._result
        document = result.document
        number, process = result.passes, len(document.processes) - 1
        record = {**timed.record(), "pass": number, "process": process}
        document.passes.append(record)
        if self._entry.config.purpose == "index" and (ids != result.neighbors).any():
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
            neighbors=result.neighbors,
            distances=result.distances,
            kth_distance=result.kth_distance,
            kth_distance_file=result.kth_distance_file,
        )
        self._store.write(self._path, self._result)
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
            self._store.write(self._path, self._result)

    def _start(self, ids: NDArray[np.int64]) -> Result:
        job, data, q = self._job, self._dataset, len(ids)
        k = job.build.k
        document = Document(
            schema_version=SCHEMA_VERSION,
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
        calls = 1 if job.build.mode == "batch" else q
        return Result(
            document=document,
            latencies_ns=np.empty((0, calls), np.int64),
            repetition_pass=np.empty(0, np.int32),
            pass_disturbed=np.empty(0, np.bool_),
            pass_process=np.empty(0, np.int32),
            neighbors=ids,
            distances=self._distances.of(ids),
            kth_distance=self._distances.of(data.neighbors[:q, k - 1 : k].astype(np.int64))[:, 0],
            kth_distance_file=data.distances[:q, k - 1],
        )


def _note(document: Document, text: str) -> None:
    subject = text.split(" ", 1)[0]
    if not any(note.startswith(subject) for note in document.notes):
        document.notes.append(text)


def prefix(data: Any, count: int) -> Any:
    """Return the first `count` rows of vectors or sets."""
    part = data[:count]
    return part if isinstance(part, Sets) else np.ascontiguousarray(part)
