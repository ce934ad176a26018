"""How threads of a pool wait for each other: they sleep, where the pools' own defaults let them spin.

A thread that spins at a barrier uses up the core that the thread it waits for needs. On a busy machine a step of
training with two threads then takes several times as long as with one.
"""

from __future__ import annotations

import os
from collections.abc import Mapping

_POLICY = "OMP_WAIT_POLICY"
# Some 1,000 turns, about 40 us, bridge the gap between two loops on a quiet machine; GNU's default is 300,000.
_OPENMP = {_POLICY: "passive", "GOMP_SPINCOUNT": "1000", "KMP_BLOCKTIME": "0"}
# The binary logarithm of the ticks for which a thread of OpenBLAS spins: 2^16 are about 25 us; its default is 2^26.
_OPENBLAS = {"OPENBLAS_THREAD_TIMEOUT": "16"}


def waiting_environment(environment: Mapping[str, str]) -> dict[str, str]:
    """Return the variables that keep waits short, but for those that an environment has already."""
    wanted = _OPENBLAS if _POLICY in environment else {**_OPENMP, **_OPENBLAS}
    return {name: value for name, value in wanted.items() if name not in environment}


def wait_briefly() -> None:
    """Keep the waits of this process's thread pools short; it holds for libraries that are loaded afterwards."""
    os.environ.update(waiting_environment(os.environ))
