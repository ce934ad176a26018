"""The parent: one child process for each build, watched for time and memory; what does not finish becomes a result."""

from __future__ import annotations

import contextlib
import datetime as dt
import json
import os
import selectors
import signal
import subprocess
import sys
import tempfile
import time
from collections.abc import Callable, Iterator
from dataclasses import dataclass, field, replace
from pathlib import Path
from typing import IO, Any

from harness.errors import StoreError
from harness.measure.job import Job
from harness.measure.limits import adopting_orphans, descendants, end_orphans, group_memory, kill_group, staying_off
from harness.measure.machine import thread_environment
from harness.spec import BuildSpec
from harness.store import FAILURE_SUFFIX, Failure, ResultStore

_POLL_SECONDS = 0.1
_TAIL_BYTES = 4000

Listener = Callable[[str, dict[str, Any]], None]
"""(event, content): told of every event of a child, as it happens."""


@dataclass(frozen=True)
class Limits:
    """How long one stage of a child may take, in seconds, and how much memory its group may hold, in bytes."""

    seconds: float
    memory: int


@dataclass
class Outcome:
    """How a child ended: what it said last, and why it stopped where it didn't finish."""

    finished: bool = False
    stage: str = "start"
    search: int | None = None
    reason: str = ""
    detail: str = ""
    findings: list[str] = field(default_factory=list)


def run_build(job: Job, limits: Limits, listener: Listener) -> int:
    """Measure one build in as many children as it takes; return how many of its settings failed.

    A setting that kills the child, or hangs, is recorded as failed; a new child builds again and goes on with the
    others. Whatever fails before the first search fails the build. Raises StoreError where results can't be written.
    """
    store = ResultStore(Path(job.results))
    failed = 0
    while job.build.searches:
        broken: dict[int, tuple[str, str]] = {}

        def listen(event: str, content: dict[str, Any], *, broken: Any = broken, spec: BuildSpec = job.build) -> None:
            if event == "search-failed":
                broken[content["search"]] = (f"failed ({content['message']})", content["detail"])
                _record(store, spec, content["search"], f"failed ({content['message']})", content["detail"], limits)
            elif event == "built":
                store.path(spec.folder, spec.stem(None), FAILURE_SUFFIX).unlink(missing_ok=True)
            listener(event, content)

        outcome = run_child(job, limits, listen)
        failed += len(broken)
        if outcome.stage == "save" and not outcome.finished:
            listener("note", {"text": f"{job.build.algorithm}: {outcome.reason} while saving; its figures are whole"})
        if outcome.finished or outcome.stage == "save":
            return failed
        if outcome.search is None or outcome.search in broken:
            _record(store, job.build, None, outcome.reason, outcome.detail, limits, outcome.stage)
            listener("build-failed", {"reason": outcome.reason, "stage": outcome.stage})
            return failed + len(job.build.searches) - len(broken)
        _record(store, job.build, outcome.search, outcome.reason, outcome.detail, limits)
        listener("search-failed", {"search": outcome.search, "message": outcome.reason})
        failed += 1
        rest = tuple(s for i, s in enumerate(job.build.searches) if i != outcome.search and i not in broken)
        job = replace(job, build=job.build.only(rest), anew=False)
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
    read_end, write_end = os.pipe()
    threads = max(job.build.build_threads, job.build.threads)
    before = descendants()
    with (
        _storable(job),
        tempfile.TemporaryDirectory(prefix="annbench-", ignore_cleanup_errors=True) as scratch,
        tempfile.TemporaryFile() as printed,
        adopting_orphans(),
        staying_off(list(job.search_cores)),
    ):
        child = subprocess.Popen(
            [sys.executable, "-P", "-m", "harness.measure.worker", str(write_end)],
            stdin=subprocess.PIPE,
            stdout=printed,
            stderr=subprocess.STDOUT,
            pass_fds=[write_end],
            start_new_session=True,
            env=_environment(threads, scratch),
            preexec_fn=_pin(job.cores),  # noqa: PLW1509 - only one thread of ours ever starts children
        )
        os.close(write_end)
        try:
            _hand_over(child, job)
            outcome = _watch(child, read_end, limits, listener)
        finally:
            kill_group(child.pid)
            child.wait()
            end_orphans(before)
            os.close(read_end)
        if not outcome.finished:
            outcome.reason = outcome.reason or _exit_reason(child.returncode)
            outcome.detail = outcome.detail or _tail(printed)
    return outcome


@contextlib.contextmanager
def _storable(job: Job) -> Iterator[None]:
    """Say in one line where the system refuses what a child needs: a temporary folder, a pipe, a process."""
    try:
        yield
    except OSError as refused:
        raise StoreError(f"{job.build.algorithm}: could not be started or watched ({refused})") from None


def _environment(threads: int, scratch: str) -> dict[str, str]:
    """Return the child's environment: thread pools held down, our own code found wherever the child starts.

    Its temporary files go to `scratch`, which the parent removes however the child ends.
    """
    environment = {**os.environ, **thread_environment(threads), "TMPDIR": scratch}
    root = str(Path(__file__).resolve().parents[2])
    paths = [p for p in environment.get("PYTHONPATH", "").split(os.pathsep) if p]
    environment["PYTHONPATH"] = os.pathsep.join(dict.fromkeys([root, *paths]))
    environment.setdefault("TF_CPP_MIN_LOG_LEVEL", "3")
    return environment


def _pin(cores: tuple[int, ...]) -> Callable[[], None] | None:
    if not hasattr(os, "sched_setaffinity"):
        return None
    return lambda: os.sched_setaffinity(0, cores)


def _hand_over(child: subprocess.Popen[bytes], job: Job) -> None:
    assert child.stdin is not None  # noqa: S101 - asked for above
    with contextlib.suppress(BrokenPipeError):
        child.stdin.write(job.to_json().encode())
        child.stdin.close()


def _watch(child: subprocess.Popen[bytes], descriptor: int, limits: Limits, listener: Listener) -> Outcome:
    outcome = Outcome()
    since = time.monotonic()
    quiet = False
    for event in _events(descriptor):
        if event is None:
            if child.poll() is not None and quiet:
                return outcome  # a process that the plug-in left behind holds the pipe open
            quiet = child.poll() is not None
            if time.monotonic() - since > limits.seconds:
                outcome.reason = f"timeout ({limits.seconds:g} s)"
                return outcome
            if (held := group_memory(child.pid)) > limits.memory:
                outcome.reason = f"out of memory ({held / 2**30:.2f} of {limits.memory / 2**30:.2f} GiB)"
                return outcome
            continue
        since = time.monotonic()
        name = event.pop("event")
        if name == "stage":
            outcome.stage, outcome.search = event["name"], event["search"]
        elif name == "failed":
            outcome.reason, outcome.detail = f"failed ({event['message']})", event["detail"]
            # A build that reports its failure fails as a whole, wherever it had got to.
            outcome.search = None
        elif name == "store-failed":
            raise StoreError(event["message"])
        elif name == "finding":
            outcome.findings.append(event["text"])
        listener(name, event)
        if name in ("done", "failed"):
            # Threads or processes that the plug-in leaves running must not keep the run waiting.
            outcome.finished = name == "done"
            return outcome
    return outcome


def _events(descriptor: int) -> Iterator[dict[str, Any] | None]:
    """Yield events as they come, and None whenever the poll interval passes; end when the child closes the pipe."""
    rest = b""
    polled = time.monotonic()
    with selectors.DefaultSelector() as selector:
        selector.register(descriptor, selectors.EVENT_READ)
        while True:
            if selector.select(_POLL_SECONDS):
                chunk = os.read(descriptor, 65_536)
                if not chunk:
                    return
                *lines, rest = (rest + chunk).split(b"\n")
                yield from (json.loads(line) for line in lines)
            if time.monotonic() - polled >= _POLL_SECONDS:
                polled = time.monotonic()
                yield None


def _exit_reason(code: int) -> str:
    if code < 0:
        try:
            name = signal.Signals(-code).name
        except ValueError:
            name = str(-code)
        return f"crashed ({name})"
    return f"exited (code {code}) before it was done"


def _tail(printed: IO[bytes]) -> str:
    """Return the end of what the child printed."""
    size = printed.seek(0, os.SEEK_END)
    printed.seek(max(0, size - _TAIL_BYTES))
    return printed.read().decode(errors="replace")
