"""Keep a child process within its limits, and see that none outlives its parent."""

from __future__ import annotations

import contextlib
import ctypes
import os
import signal
import sys
from collections.abc import Iterator
from pathlib import Path

import psutil

from harness.core.cores import usable_cores
from harness.measure.cgroups import Allowed, allowed

# What a child may hold of the machine's memory; the operating system and the parent need the rest.
MEMORY_SHARE = 0.9

_PR_SET_PDEATHSIG = 1
_PR_SET_CHILD_SUBREAPER = 36


def die_with_parent(parent: int) -> None:
    """Ask the kernel to kill this process when its parent ends; where that can't be asked, do nothing.

    `parent` is the pid that started this process: if that one is gone already, exit at once.
    """
    if sys.platform.startswith("linux"):
        ctypes.CDLL(None).prctl(_PR_SET_PDEATHSIG, signal.SIGKILL)
    if os.getppid() != parent:
        os._exit(1)


def memory_allowance() -> int:
    """Return the most memory that a child may hold unless told otherwise, in bytes: a share of what there is for us.

    That is the machine's, or in a container the container's: beyond it the kernel kills, and may kill the parent.
    """
    limit = allowed().memory
    total = int(psutil.virtual_memory().total)
    return int(MEMORY_SHARE * (total if limit is None else min(total, limit)))


def default_build_threads() -> int:
    """Return how many threads a build gets unless told otherwise: one a core, and none that a quota would throttle."""
    cpus = allowed().cpus
    cores = len(usable_cores())
    return cores if cpus is None else min(cores, max(1, int(cpus)))


def beyond(allowance: Allowed, *, threads: int, build_threads: int, memory: int) -> list[str]:
    """Say in sentences what was asked for beyond what a container allows; empty where nothing was."""
    said, cpus = [], allowance.cpus
    for what, count in (("searches", threads), ("builds", build_threads)):
        if cpus is not None and count > cpus:
            said.append(
                f"this container may use {cpus:g} cores, so {what} with {count} thread{'s' if count > 1 else ''} are "
                "throttled; what they take says more of the quota than of the index"
            )
    if allowance.memory is not None and memory > allowance.memory:
        said.append(
            f"this container may hold {allowance.memory / 2**30:.2f} GiB, less than the {memory / 2**30:.2f} GiB of "
            "--memory: the kernel kills what exceeds it"
        )
    return said


def group_memory(pid: int) -> int:
    """Return the anonymous and shared resident bytes of a process and its descendants; mapped files don't count."""
    total = 0
    try:
        process = psutil.Process(pid)
        members = [process, *process.children(recursive=True)]
    except psutil.Error:
        return 0
    for member in members:
        total += _held(member)
    return total


def _held(process: psutil.Process) -> int:
    try:
        status = Path(f"/proc/{process.pid}/status").read_text(encoding="ascii", errors="replace")
    except OSError:
        with contextlib.suppress(psutil.Error):
            return int(process.memory_info().rss)  # no /proc: the resident size has to do
        return 0
    fields = dict(line.split(":", 1) for line in status.splitlines() if ":" in line)
    return sum(int(fields.get(key, "0 kB").split()[0]) * 1024 for key in ("RssAnon", "RssShmem"))


def peak_memory() -> int | None:
    """Return this process's highest resident size since the last reset, in bytes."""
    try:
        status = Path("/proc/self/status").read_text(encoding="ascii", errors="replace")
    except OSError:
        return None
    for line in status.splitlines():
        if line.startswith("VmHWM:"):
            return int(line.split()[1]) * 1024
    return None


def reset_peak_memory() -> None:
    """Start a new count for `peak_memory`."""
    with contextlib.suppress(OSError):
        Path("/proc/self/clear_refs").write_text("5", encoding="ascii")


def unique_memory() -> int:
    """Return this process's unique set size: what would be freed if it ended now, in bytes."""
    try:
        return int(psutil.Process().memory_full_info().uss)
    except (psutil.Error, AttributeError):
        return 0


def kill_group(pid: int) -> None:
    """Kill a process, its group (it leads one of its own) and every descendant."""
    members: list[psutil.Process] = []
    with contextlib.suppress(psutil.Error):
        members = psutil.Process(pid).children(recursive=True)
    with contextlib.suppress(ProcessLookupError, PermissionError):
        os.killpg(pid, signal.SIGKILL)
    for member in members:
        with contextlib.suppress(psutil.Error):
            member.kill()


def descendants() -> set[int]:
    """Return the pids of all processes below this one."""
    return {process.pid for process in psutil.Process().children(recursive=True)}


@contextlib.contextmanager
def adopting_orphans() -> Iterator[None]:
    """Have the kernel hand orphans of our children to us for a while, so that `end_orphans` finds them."""
    if not sys.platform.startswith("linux"):
        yield
        return
    prctl = ctypes.CDLL(None).prctl
    prctl(_PR_SET_CHILD_SUBREAPER, 1)
    try:
        yield
    finally:
        prctl(_PR_SET_CHILD_SUBREAPER, 0)


def end_orphans(before: set[int]) -> None:
    """Kill every process below this one that isn't among those `before`: what a child left behind."""
    for pid in descendants() - before:
        with contextlib.suppress(psutil.Error):
            psutil.Process(pid).kill()
        with contextlib.suppress(ChildProcessError):
            os.waitpid(pid, 0)


def pin_all_threads(cores: list[int]) -> None:
    """Hold every thread of this process to `cores`; threads started later inherit it. No-op without pinning."""
    if not hasattr(os, "sched_setaffinity"):
        return
    for task in [int(entry.name) for entry in Path("/proc/self/task").iterdir()]:
        with contextlib.suppress(OSError):
            os.sched_setaffinity(task, cores)


@contextlib.contextmanager
def staying_off(cores: list[int]) -> Iterator[None]:
    """Keep the calling thread off `cores` for a while, where it has others to run on."""
    if not hasattr(os, "sched_setaffinity"):
        yield
        return
    before = os.sched_getaffinity(0)
    rest = before - set(cores)
    if rest:
        os.sched_setaffinity(0, rest)
    try:
        yield
    finally:
        os.sched_setaffinity(0, before)
