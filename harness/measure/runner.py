"""The parent: one child process for each build, watched for time and memory; what does not finish becomes a result."""

from __future__ import annotations

import datetime as dt
from dataclasses import replace
from pathlib import Path
from typing import Any

from harness.measure.child import Limits, Listener, Outcome, started, watched
from harness.measure.job import Job
from harness.store.failures import FAILURE_SUFFIX, Failure
from harness.store.results import ResultStore
from harness.store.spec import BuildSpec

_BEFORE_THE_PLUGIN = ("start", "load")


def run_build(job: Job, limits: Limits, listener: Listener) -> int:
    """Measure one build in as many children as it takes; return how many of its settings failed.

    A setting that kills the child, or hangs, is recorded as failed; a new child builds again and goes on with the
    others. A child that breaks at loading a saved index is followed by one that builds. Whatever else fails before the
    first search fails the build. Where annbench or its system failed, the listener is told and nothing is recorded, so
    that the next run tries again. Raises StoreError where results can't be written.
    """
    store = ResultStore(Path(job.results))
    failed = 0
    left = list(range(len(job.build.searches)))  # events name a setting by its place in the job as it was given
    while job.build.searches:
        broken: set[int] = set()

        def listen(
            event: str,
            content: dict[str, Any],
            *,
            broken: set[int] = broken,
            spec: BuildSpec = job.build,
            left: list[int] = left,
        ) -> None:
            if event == "search-failed":
                broken.add(content["search"])
                if not content["refused"]:
                    _record(store, spec, content["search"], f"failed ({content['message']})", content["detail"], limits)
            elif event == "built":
                store.path(spec.folder, spec.stem(None), FAILURE_SUFFIX).unlink(missing_ok=True)
            known = content.get("search")
            listener(event, content if known is None else {**content, "search": left[known]})

        outcome = run_child(job, limits, listen)
        failed += len(broken)
        if outcome.stage == "save" and not outcome.finished:
            listener("note", {"text": f"{job.build.algorithm}: {outcome.reason} while saving; its figures are whole"})
        if outcome.finished or outcome.stage == "save":
            return failed
        if outcome.stage == "restore":
            listener("note", {"text": f"{job.build.algorithm}: {outcome.reason} while loading; it is built again"})
            job = replace(job, saved="")
            continue
        if outcome.search is None:
            reason = outcome.reason
            if outcome.blameless or outcome.stage in _BEFORE_THE_PLUGIN:
                reason += f"; nothing is recorded of {job.build.algorithm}, and the next run tries again"
            else:
                _record(store, job.build, None, reason, outcome.detail, limits, outcome.stage)
            listener("build-failed", {"reason": reason, "stage": outcome.stage})
            return failed + len(job.build.searches) - len(broken)
        if outcome.search not in broken:
            _record(store, job.build, outcome.search, outcome.reason, outcome.detail, limits)
            listener("search-failed", {"search": left[outcome.search], "message": outcome.reason})
            failed += 1
        rest = [i for i in range(len(left)) if i != outcome.search and i not in broken]
        job = replace(job, build=job.build.only(tuple(job.build.searches[i] for i in rest)))
        left = [left[i] for i in rest]
    return failed


def _record(
    store: ResultStore,
    spec: BuildSpec,
    search: int | None,
    reason: str,
    detail: str,
    limits: Limits,
    stage: str = "search",
) -> None:
    setting = None if search is None else spec.searches[search]
    failure = Failure(
        spec=spec.identity(setting),
        reason=reason,
        detail=detail,
        stage=stage,
        created=dt.datetime.now(dt.UTC).isoformat(timespec="seconds"),
        limits={"seconds": limits.seconds, "memory": limits.memory},
    )
    store.write_failure(store.path(spec.folder, spec.stem(setting), FAILURE_SUFFIX), failure)


def run_child(job: Job, limits: Limits, listener: Listener) -> Outcome:
    """Run one job in a child process of its own group, and watch it to its end."""
    with watched(job.search_cores), started(job, limits) as child:
        child.follow(listener)
    return child.outcome
