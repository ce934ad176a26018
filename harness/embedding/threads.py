"""As many threads of torch as there are free cores: a thread without a core of its own holds up all others."""

from __future__ import annotations

import os
import time

import torch

from harness.core.cores import FreeCores

FIXED_BY = ("OMP_NUM_THREADS", "MKL_NUM_THREADS")
"""Variables by which a user says how many threads there are; then they stay as they are."""
_EVERY_SECONDS = 10.0


class Threads:
    """The number of torch's threads, which follows what other processes leave free.

    Sums are in the order of the threads, so that results of other numbers of threads differ by rounding.
    """

    def __init__(self, every: float = _EVERY_SECONDS) -> None:
        self._every = every
        self._free = FreeCores()
        self._next = time.monotonic()
        # torch's own choice, or that of the program that we are part of.
        self._most = self._set = torch.get_num_threads()

    def adjust(self) -> int:
        """Look at most every few seconds, and set as many threads as cores are free; return how many there are.

        A number that the environment or the caller set is left as it is.
        """
        now = torch.get_num_threads()
        if time.monotonic() < self._next or now != self._set or any(name in os.environ for name in FIXED_BY):
            return now
        self._set = min(self._most, max(1, int(self._free.look() + 0.5)))
        self._next = time.monotonic() + self._every
        if self._set != now:
            torch.set_num_threads(self._set)
        return self._set


_THREADS = Threads()


def adjust_threads() -> int:
    """Give torch as many threads as cores are free, and return how many. It may be called at every step."""
    return _THREADS.adjust()
