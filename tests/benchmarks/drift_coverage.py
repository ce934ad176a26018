"""How often intervals cover where processes drift, by simulation: `python tests/benchmarks/drift_coverage.py`.

Each build has two processes, of 4 and 3 passes, and settings that share their effects; the truth is 0 in logs. Pooled
intervals are those of the tidy table, the others come from the two processes of a result alone. A build that was hit
was slower in its first process.
"""

from __future__ import annotations

import math
import sys
from typing import NamedTuple

import numpy as np

from harness.analyse.drift import Drift, Spread, leverage, own_drift, pooled_drift

SIZES = (4, 3)


class World(NamedTuple):
    """Standard deviations of a process effect and of a pass, and how many builds were slower by how much."""

    drift: float
    noise: float
    hit: int = 0
    by: float = 0.0


def main() -> int:
    """Print a line for each kind of world."""
    for builds, settings in ((2, 1), (3, 3), (6, 2), (20, 5)):
        for world in (World(0, 0.01), World(0.01, 0.01), World(0.02, 0.005), World(0.05, 0.005)):
            _say(world, builds, settings)
    for hit, by in ((1, 0.3), (3, 0.3), (3, 0.1)):
        _say(World(0.01, 0.01, hit, by), 20, 4)
    return 0


def _say(world: World, builds: int, settings: int) -> None:
    rng = np.random.default_rng(1)
    found = np.array(
        [row for _ in range(max(30, 1000 // (builds * settings))) for row in _once(rng, world, builds, settings)]
    )
    pooled, alone = (found[:, column] for column in (2, 4))
    text = f"{builds:3d} builds x {settings}, drift {world.drift:.1%}, noise {world.noise:.1%}: "
    text += f"pooled {found[:, 1].mean():.1%} (half width {np.median(pooled):.1%}), "
    text += f"alone {found[:, 3].mean():.1%} ({np.median(alone):.1%})"
    if world.hit:
        hit = found[:, 0] < world.hit
        text += (
            f"; {world.hit} hit by {world.by:.0%}: {found[hit, 1].mean():.1%}, the others {found[~hit, 1].mean():.1%}"
        )
    sys.stdout.write(text + "\n")
    sys.stdout.flush()


def _once(rng: np.random.Generator, world: World, builds: int, settings: int) -> list[tuple[float, ...]]:
    """Return of each setting: its build, whether the pooled interval covers and its half width, and the same alone."""
    spreads, names = [], []
    for build in range(builds):
        effects = rng.normal(0, world.drift, len(SIZES))
        effects[0] -= world.by * (build < world.hit)
        for _ in range(settings):
            passes = [effect + rng.normal(0, world.noise, size) for effect, size in zip(effects, SIZES, strict=True)]
            spreads.append(_spread(passes))
            names.append(build)
    rows = []
    for spread, name, drift in zip(spreads, names, pooled_drift(spreads, names), strict=True):
        both = [_half_width(spread, one) for one in (drift, own_drift(spread))]
        rows.append((float(name), *(value for half in both for value in (abs(spread.centre) <= half, half))))
    return rows


def _spread(passes: list[np.ndarray]) -> Spread:
    together = np.concatenate(passes)
    freedom = len(together) - len(passes)
    within = float(sum(((one - one.mean()) ** 2).sum() for one in passes)) / freedom
    between = float(np.var([one.mean() for one in passes], ddof=1))
    # The variance of the median of seven normal values is 1.45 times that of their mean.
    return Spread(float(np.median(together)), SIZES, within, between, 1.45 * within / len(together), 0.0, 1000)


def _half_width(spread: Spread, drift: Drift) -> float:
    """Return that of the interval at 95%: as `with_drift` makes it, without the error of a bootstrap."""
    from scipy.special import stdtrit

    parts = [(leverage(spread, drift) * drift.variance, drift.freedom), (spread.passes, spread.freedom)]
    total, squares = sum(v for v, _ in parts), sum(v**2 / df for v, df in parts)
    return float(stdtrit(max(total**2 / squares, 1.0), 0.975)) * math.sqrt(total)


if __name__ == "__main__":
    sys.exit(main())
