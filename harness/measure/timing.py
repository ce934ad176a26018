"""One timed pass over the queries, and the signs by which a pass is called disturbed."""

from __future__ import annotations

import os
import time
from collections.abc import Callable, Mapping
from dataclasses import asdict, dataclass, field
from statistics import median
from time import perf_counter_ns
from typing import Any

import numpy as np
from numpy.typing import NDArray

from harness.measure.cgroups import throttled_ns
from harness.measure.machine import steal_ticks
from harness.store.spec import Mode

LEAST_CPU_SHARE = 0.97
MOST_STEAL = 0.03
MOST_THROTTLED = 0.01
MOST_ROUNDS = 2000
# Calls of one pass. Nothing but the no-op answers so many in a quarter of a second, and every latency is kept.
MOST_CALLS = 500_000
MOST_YARDSTICK_DEVIATION = 0.05
# Time of other threads of this process, as a share of the pass, above which a plug-in exceeds its allowance of one.
MOST_FOREIGN_CPU = 0.05

_TICKS = os.sysconf("SC_CLK_TCK") if hasattr(os, "sysconf") else 100


class Yardstick:
    """A fixed piece of work of about 2 ms, timed before and after each pass.

    It gathers at random from a table of a second-level cache's size, so that it slows down with the clock, with a
    neighbour on the core, and with a neighbour in the cache. The smallest of a few goes is one reading: the first one
    finds the caches as the pass left them.
    """

    _TABLE = 1 << 17  # 512 KiB of float32
    _GOES = 3

    def __init__(self) -> None:
        rng = np.random.default_rng(0)
        self._table = rng.random(self._TABLE, dtype=np.float32)
        order = rng.integers(0, self._TABLE, 1 << 20)
        self._out = np.empty(order.size, np.float32)
        times = []
        for _ in range(4):
            started = perf_counter_ns()
            np.take(self._table, order, out=self._out, mode="clip")
            times.append(perf_counter_ns() - started)
        per_item = min(times) / order.size
        self._order = order[: max(1, min(order.size, int(2e6 / self._GOES / max(per_item, 1e-3))))]
        self._out = self._out[: self._order.size]
        self._readings: list[int] = []
        self.read()  # so that there is a median from the start

    def read(self) -> int:
        """Do the work and return how long it took, in ns."""
        best = 1 << 62
        for _ in range(self._GOES):
            started = perf_counter_ns()
            np.take(self._table, self._order, out=self._out, mode="clip")
            best = min(best, perf_counter_ns() - started)
        self._readings.append(best)
        return best

    def median(self) -> float:
        """Return the median of all readings so far, in ns."""
        return median(self._readings)


@dataclass
class Pass:
    """One pass: its latencies and what the system said of it. Shares are of the wall time, in 0..1."""

    latencies_ns: NDArray[np.int64]  # (rounds, calls)
    answers: list[Any] = field(repr=False)
    wall_ns: int
    cpu_ns: int  # of the thread in single mode, of the whole process in batch mode
    cpu_share: float
    foreign_cpu: float
    steal: float
    throttled: float  # for how long a quota of a container held back its threads
    yardstick_ns: tuple[int, int]
    counters: dict[str, int]

    def record(self) -> dict[str, Any]:
        """Return what is kept of the pass beside its latencies."""
        kept = asdict(self)
        for name in ("latencies_ns", "answers", "counters"):
            del kept[name]
        return {key: round(value, 4) if isinstance(value, float) else value for key, value in kept.items()}


def run_pass(
    ask: Callable[[NDArray[np.int64], list[Any]], None],
    calls: int,
    *,
    mode: Mode,
    least_seconds: float,
    cores: list[int],
    yardstick: Yardstick,
    counters: Callable[[], Any],
) -> Pass:
    """Time one pass: the queries once, or over and over until the calls took `least_seconds` together.

    `ask` makes the `calls` of one round; it writes the time of each in ns, and what it returned.

    Garbage collection is off already; at most MOST_ROUNDS rounds and about MOST_CALLS calls are made.
    """
    max_rounds = min(MOST_ROUNDS, max(1, MOST_CALLS // max(calls, 1)))
    rounds: list[NDArray[np.int64]] = []
    spent = 0
    answers: list[Any] = [None] * calls
    before = yardstick.read()
    counted = dict(counters())
    stolen, held_back = steal_ticks(cores), throttled_ns()
    process, thread, started = time.process_time_ns(), time.thread_time_ns(), perf_counter_ns()
    while not rounds or (spent < least_seconds * 1e9 and len(rounds) < max_rounds):
        latencies = np.zeros(calls, np.int64)
        ask(latencies, answers)
        rounds.append(latencies)
        spent += int(latencies.sum())
    wall = perf_counter_ns() - started
    thread = time.thread_time_ns() - thread
    process = time.process_time_ns() - process
    steal = (steal_ticks(cores) - stolen) / _TICKS / (wall / 1e9)
    return Pass(
        latencies_ns=np.stack(rounds),
        answers=answers,
        wall_ns=wall,
        cpu_ns=thread if mode == "single" else process,
        cpu_share=thread / wall,
        foreign_cpu=max(0, process - thread) / wall,
        steal=steal,
        throttled=(throttled_ns() - held_back) / wall,
        yardstick_ns=(before, yardstick.read()),
        counters={key: int(value) - int(counted.get(key, 0)) for key, value in dict(counters()).items()},
    )


def is_disturbed(record: Mapping[str, Any], mode: Mode, usual_ns: float) -> bool:
    """Say whether a pass was disturbed, from its record and the median of all yardstick readings of its process.

    In single mode the thread must have had its core, and the hypervisor must not have stolen it; in any mode the
    yardstick must have been itself before and after, and no quota may have held threads back.
    """
    if record.get("throttled", 0.0) > MOST_THROTTLED:
        return True
    if mode == "single" and (record["cpu_share"] < LEAST_CPU_SHARE or record["steal"] > MOST_STEAL):
        return True
    return any(abs(reading / usual_ns - 1.0) > MOST_YARDSTICK_DEVIATION for reading in record["yardstick_ns"])
