"""What codes of so many bits lose at least, and what those of uniform steps do.

The bounds are those of Gaussian data (Cover and Thomas 2006, theorems 10.3.2 and 10.3.3).
"""

from __future__ import annotations

import numpy as np
from numpy.typing import NDArray

from harness.engines.contract import Vectors

# Scalar codes may leave values out that lie beyond so many standard deviations.
_LIMITS = np.geomspace(0.4, 12.0, 40)
_STEP_ROWS = 1000


def spectrum(rows: Vectors) -> NDArray[np.float64]:
    """Return the variances of `rows` (n, dim) along their principal components, (dim,), the least first."""
    centred = rows.astype(np.float64) - rows.mean(axis=0, dtype=np.float64)
    variances: NDArray[np.float64] = np.linalg.eigvalsh(centred.T @ centred / len(rows))
    return np.maximum(variances, 0.0)


def white_bound(bits: float, dim: int) -> float:
    """Return the least distortion, relative to the variance, of a Gaussian whose `dim` variances are all alike."""
    return float(2.0 ** (-2.0 * bits / dim))


def water_filling(variances: NDArray[np.float64], bits: float) -> float:
    """Return the least distortion, relative to the variance, of a Gaussian with these variances (dim,) at `bits`.

    All components with a variance above the level t are coded down to it, and the others not at all:
    R = sum max(0, log2(v / t) / 2), D = sum min(v, t).
    """
    v = np.sort(variances[variances > 0])[::-1]
    if not len(v):
        return 0.0
    # With the m largest coded, log2 t = (their sum of log2 v - 2 R) / m: right where t lies between neighbours.
    counts = np.arange(1, len(v) + 1)
    levels = np.exp2((np.cumsum(np.log2(v)) - 2.0 * bits) / counts)
    coded = int(np.flatnonzero(levels >= np.append(v[1:], 0.0))[0])
    return float(np.minimum(v, levels[coded]).sum() / v.sum())


def scalar_codes(rows: Vectors, unseen: Vectors, bits: int) -> tuple[Vectors, Vectors]:
    """Return (n, dim) and (q, dim) as codes of `bits` a dimension say: the middles of 2^bits uniform steps.

    Steps lie about the mean of a dimension of `rows`, in proportion to its standard deviation, in that which loses
    least over all.
    """
    mean, spread = rows.mean(axis=0), rows.std(axis=0)
    unit = np.where(spread > 0, spread, np.float32(1.0))
    half = 1 << (bits - 1)

    def coded(limit: float, values: Vectors) -> Vectors:
        step = np.float32(limit / half)
        middles: Vectors = (np.clip(np.floor(values / step), -half, half - 1) + np.float32(0.5)) * step
        return middles

    some = (rows[:_STEP_ROWS] - mean) / unit
    weights = np.square(spread, dtype=np.float64)
    losses = [float(np.square(coded(limit, some) - some).mean(axis=0) @ weights) for limit in _LIMITS]
    best = float(_LIMITS[int(np.argmin(losses))])
    decoded = [coded(best, (part - mean) / unit) * spread + mean for part in (rows, unseen)]
    return decoded[0].astype(np.float32), decoded[1].astype(np.float32)
