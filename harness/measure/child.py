"""A child process under watch: started pinned and in a group of its own, held to its limits, and ended whole."""

from __future__ import annotations

import contextlib
import json
import math
import os
import selectors
import signal
import subprocess
import sys
import tempfile
import time
import warnings
from collections.abc import Callable, Container, Iterator, Mapping
from dataclasses import dataclass, field
from pathlib import Path
from typing import IO, Any

from harness.core.errors import AnnbenchError, HarnessFault, PluginError, StoreError
from harness.core.folders import cache_folder, writable_cache
from harness.core.programs import import_path
from harness.core.waiting import waiting_environment
from harness.measure.job import Job
from harness.measure.limits import adopting_orphans, descendants, end_orphans, group_memory, kill_group, staying_off
from harness.measure.machine import thread_environment

_POLL_SECONDS = 0.1
_TAIL_BYTES = 4000
# A worker that gets this signal prints where it is.
WHERE_SIGNAL = signal.SIGUSR1
_PRINT_SECONDS = 0.3

Listener = Callable[[str, dict[str, Any]], None]
"""(event, content): told of every event of a child, as it happens."""


@dataclass(frozen=True)
class Limits:
    """How long one stage of a child may take, in seconds, and how much memory its group may hold, in bytes.

    `build` bounds the stage `fit` further.
    """

    seconds: float
    memory: int
    build: float = math.inf

    def of(self, stage: str) -> float:
        """Return the seconds that a stage may take."""
        return min(self.seconds, self.build) if stage == "fit" else self.seconds


@dataclass
class Outcome:
    """How a child ended: what it said last, and why it stopped where it didn't finish."""

    finished: bool = False
    stage: str = "start"
    search: int | None = None
    reason: str = ""
    detail: str = ""
    blameless: bool = False  # annbench or its system failed, not the plug-in
    findings: list[str] = field(default_factory=list)


class Child:
    """A worker at its job; made by `started`."""

    def __init__(self, process: subprocess.Popen[bytes], descriptor: int, limits: Limits) -> None:
        self.outcome = Outcome()
        self._process = process
        self._events = _events(descriptor)
        self._limits = limits

    def ask(self, command: Mapping[str, Any]) -> None:
        """Send one command to a worker that takes them; one that is gone is noticed by `follow`."""
        assert self._process.stdin is not None  # noqa: S101 - asked for in `started`
        with contextlib.suppress(BrokenPipeError):
            self._process.stdin.write(json.dumps(command).encode() + b"\n")
            self._process.stdin.flush()

    def close(self) -> None:
        """Tell a worker that takes commands that there are no more."""
        assert self._process.stdin is not None  # noqa: S101 - asked for in `started`
        with contextlib.suppress(BrokenPipeError):
            self._process.stdin.close()

    def end(self) -> str:
        """Kill the worker's group, and return in words how it had ended."""
        kill_group(self._process.pid)
        return _exit_reason(self._process.wait())

    def failure(self, name: str) -> AnnbenchError:
        """Return the error that says how a child that is gone failed, in a sentence that begins with `name`."""
        outcome = self.outcome
        why = f"{name}: {outcome.reason or self.end()} during {outcome.stage}"
        return HarnessFault(why) if outcome.blameless else PluginError(why)

    def _ask_where(self) -> None:
        """Let a worker print where it hangs, if it can: it is killed anyway."""
        with contextlib.suppress(ProcessLookupError):
            os.kill(self._process.pid, WHERE_SIGNAL)
            time.sleep(_PRINT_SECONDS)

    def follow(self, listener: Listener, until: Container[str] = ()) -> bool:
        """Pass events on until one of `until` came: True; or until the child ended or broke a limit: False."""
        outcome, limits = self.outcome, self._limits
        since = time.monotonic()
        quiet = False
        for event in self._events:
            if event is None:
                ended = self._process.poll() is not None
                if ended and quiet:
                    return False  # a process that the plug-in left behind holds the pipe open
                quiet = ended
                if time.monotonic() - since > limits.of(outcome.stage):
                    outcome.reason = f"timeout ({limits.of(outcome.stage):.3g} s)"
                    self._ask_where()
                    return False
                if (held := group_memory(self._process.pid)) > limits.memory:
                    outcome.reason = f"out of memory ({held / 2**30:.2f} of {limits.memory / 2**30:.2f} GiB)"
                    return False
                continue
            since = time.monotonic()
            name = event.pop("event")
            self._note(name, event)
            listener(name, event)
            if name in ("done", "failed", "fault"):
                # Threads or processes that the plug-in leaves running must not keep the run waiting.
                outcome.finished = name == "done"
                return name in until
            if name in until:
                return True
        return False

    def _note(self, name: str, event: dict[str, Any]) -> None:
        outcome = self.outcome
        if name == "stage":
            outcome.stage, outcome.search = event["name"], event["search"]
        elif name == "failed":
            outcome.reason, outcome.detail = f"failed ({event['message']})", event["detail"]
            # A build that reports its failure fails as a whole, wherever it had got to.
            outcome.search = None
        elif name == "fault":
            outcome.reason, outcome.detail = event["message"], event["detail"]
            outcome.search, outcome.blameless = None, True
        elif name == "store-failed":
            raise StoreError(event["message"])
        elif name == "finding":
            outcome.findings.append(event["text"])


@contextlib.contextmanager
def watched(cores: tuple[int, ...]) -> Iterator[None]:
    """Stay off the `cores` where children are timed, and leave no process of theirs behind."""
    before = descendants()
    with adopting_orphans(), staying_off(list(cores)):
        try:
            yield
        finally:
            end_orphans(before)


@contextlib.contextmanager
def started(job: Job, limits: Limits, *, talking: bool = False) -> Iterator[Child]:
    """Start a worker on `job`; kill its group at the end, and say there how it ended where it said nothing itself.

    With `talking` its standard input stays open for commands. Use it within `watched`.
    """
    read_end, write_end = os.pipe()
    threads = max(job.build.build_threads, job.build.threads)
    with (
        _storable(job),
        tempfile.TemporaryDirectory(prefix="annbench-", ignore_cleanup_errors=True) as scratch,
        tempfile.TemporaryFile() as printed,
    ):
        process = subprocess.Popen(
            [sys.executable, "-P", "-m", "harness.measure.worker", str(write_end)],
            stdin=subprocess.PIPE,
            stdout=printed,
            stderr=subprocess.STDOUT,
            pass_fds=[write_end],
            start_new_session=True,
            env=_environment(threads, scratch, dict(job.build.environment)),
            preexec_fn=_pin(job.cores),  # noqa: PLW1509 - only one thread of ours ever starts children
        )
        os.close(write_end)
        child = Child(process, read_end, limits)
        try:
            _hand_over(process, job, talking=talking)
            yield child
        finally:
            ended = child.end()
            os.close(read_end)
            child.close()
            if not child.outcome.finished:
                child.outcome.reason = child.outcome.reason or ended
                child.outcome.detail = child.outcome.detail or _tail(printed)


@contextlib.contextmanager
def _storable(job: Job) -> Iterator[None]:
    """Say in one line where the system refuses what a child needs: a temporary folder, a pipe, a process."""
    try:
        yield
    except OSError as refused:
        raise StoreError(f"{job.build.algorithm}: could not be started or watched ({refused})") from None


def _environment(threads: int, scratch: str, own: Mapping[str, str]) -> dict[str, str]:
    """Return the child's environment: thread pools held down, our own code found wherever the child starts.

    `own` are variables for this child alone. Its temporary files go to `scratch`, which the parent removes however the
    child ends.
    """
    waiting = waiting_environment(os.environ)
    environment = {**waiting, **os.environ, **own, **thread_environment(threads), "TMPDIR": scratch}
    environment["PYTHONPATH"] = import_path(environment)
    environment.setdefault("TF_CPP_MIN_LOG_LEVEL", "3")
    if caches := _cache_elsewhere():
        environment["NUMBA_CACHE_DIR"] = caches
    return environment


def _cache_elsewhere() -> str:
    """Return where children keep compiled kernels if not where they belong, which can't be written; say so once."""
    wanted = Path(os.environ.get("NUMBA_CACHE_DIR") or cache_folder())
    usable = writable_cache(wanted)
    if usable is None or usable == wanted:
        return ""
    warnings.warn(f"{wanted} can't be written: compiled kernels are kept in {usable}", RuntimeWarning, stacklevel=1)
    return str(usable)


def _pin(cores: tuple[int, ...]) -> Callable[[], None] | None:
    if not hasattr(os, "sched_setaffinity"):
        return None
    return lambda: os.sched_setaffinity(0, cores)


def _hand_over(process: subprocess.Popen[bytes], job: Job, *, talking: bool) -> None:
    assert process.stdin is not None  # noqa: S101 - asked for above
    with contextlib.suppress(BrokenPipeError):
        process.stdin.write(job.to_json().encode() + b"\n")
        process.stdin.flush()
        if not talking:
            process.stdin.close()


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
