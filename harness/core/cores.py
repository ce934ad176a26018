"""The cores that this process may use, and how many of them others leave to it."""

from __future__ import annotations

import os
import time
from collections.abc import Sequence

# Ticks of the system's accounts are 10 ms: over less than this they say little.
_MIN_SECONDS = 0.2


def usable_cores() -> list[int]:
    """List the cores that this process may use; on systems without pinning, all of them by number."""
    if hasattr(os, "sched_getaffinity"):
        return sorted(os.sched_getaffinity(0))
    return list(range(os.cpu_count() or 1))


class FreeCores:
    """The share of some cores that others left free, from one look to the next."""

    def __init__(self, cores: Sequence[int] | None = None) -> None:
        self.cores = usable_cores() if cores is None else list(cores)
        self._before = self._accounts()

    @property
    def seconds(self) -> float:
        """The time since the last look."""
        return time.monotonic() - self._before[0]

    def look(self) -> float:
        """Return the cores, between 0 and all, that others didn't use since the last look; 0.2 s at least."""
        time.sleep(max(0.0, _MIN_SECONDS - self.seconds))
        now, before = self._accounts(), self._before
        self._before = now
        wall, busy, own = (late - early for late, early in zip(now, before, strict=True))
        others = max(0.0, busy - own) / wall
        return max(0.0, len(self.cores) - others)

    def _accounts(self) -> tuple[float, float, float]:
        """Return the wall time, the time that the cores were busy, and that of this process, in seconds."""
        import psutil

        known = psutil.cpu_times(percpu=True)
        busy = 0.0
        for core in self.cores:
            if core < len(known):
                times = known[core]
                busy += times.user + times.nice + times.system + getattr(times, "steal", 0.0)
        return time.monotonic(), busy, time.process_time()
