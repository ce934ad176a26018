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
