"""The clock that speeds are read by: wall time, or CPU time, which a neighbour on the machine cannot take away.

Latencies are wall time, one a call. The kernel's count of CPU time is too coarse and too costly to be read around each
call, so it is read around each pass. The CPU time of a pass over its wall time is the share by which its latencies are
scaled: relative to each other they stay as they were measured, and together they last as long as the pass was on a
core. What the harness does between the calls is left out in the same proportion.
"""

from __future__ import annotations

import math
from typing import Any, Literal

import numpy as np
from numpy.typing import NDArray

from harness.store.result import Result

Clock = Literal["wall", "cpu"]


def time_factors(result: Result, clock: Clock) -> NDArray[np.float64]:
    """Return what the latencies of each pass are multiplied with, (passes,): 1 by the wall clock.

    By the CPU clock it is the CPU time of the pass over its wall time: the thread's in single mode, the whole process's
    in batch mode, so up to the number of threads there. nan where the file doesn't say.
    """
    if clock == "wall":
        return np.ones(result.passes)
    factors = np.full(result.passes, math.nan)
    for record in result.document.passes:
        number = record.get("pass")
        if isinstance(number, int) and 0 <= number < len(factors):
            factors[number] = _cpu_share(record, str(result.spec.get("mode", "single")))
    return factors


def _cpu_share(record: dict[str, Any], mode: str) -> float:
    try:
        if "cpu_ns" in record:
            share = record["cpu_ns"] / record["wall_ns"]
        else:  # files written before CPU time was kept have the shares, to four decimals
            share = record["cpu_share"] + (record["foreign_cpu"] if mode == "batch" else 0.0)
    except (KeyError, TypeError, ZeroDivisionError):
        return math.nan
    return float(share) if share > 0 else math.nan
