"""How many dimensions points fill near each other, estimated from the distances to their nearest neighbours."""

from __future__ import annotations

import math

import numpy as np
from numpy.typing import NDArray

# Of the two-NN ratios the largest tenth is left out, as its authors advise: there the density varies most.
_DISCARDED = 0.1


def levina_bickel(distances: NDArray[np.float64]) -> float:
    """Estimate the intrinsic dimension by maximum likelihood (Levina and Bickel 2004).

    `distances` (q, k) float64, from q points to their k nearest, ascending; of a true distance, such as the chord
    between unit vectors rather than 1 - cos. As MacKay and Ghahramani (2005) correct it, points are averaged by the
    inverses of their estimates. A point with a copy says nothing and is left out; nan where none is left or k < 2.
    """
    if distances.shape[1] < 2:
        return math.nan
    usable = distances[distances[:, 0] > 0]
    if not len(usable):
        return math.nan
    inverse = np.log(usable[:, -1:] / usable[:, :-1]).mean()
    return float(1.0 / inverse) if inverse > 0 else math.nan


def two_nn(distances: NDArray[np.float64]) -> float:
    """Estimate the intrinsic dimension from the ratio of the second to the first distance (Facco et al. 2017).

    `distances` (q, k) float64, from q points to their k nearest, ascending. The ratios follow a Pareto law whose
    exponent is the dimension: the slope of the line through 0 of -log(1 - F) against the log of the ratio, where F is
    the share of ratios that are no larger. A point with a copy is left out; nan where fewer than two ratios remain, all
    are 1 or k < 2.
    """
    if distances.shape[1] < 2:
        return math.nan
    usable = distances[distances[:, 0] > 0]
    count = len(usable)
    kept = int(count * (1 - _DISCARDED))
    x = np.sort(np.log(usable[:, 1] / usable[:, 0]))[:kept]
    if kept < 2 or not x.any():
        return math.nan
    y = -np.log1p(-np.arange(1, kept + 1) / count)
    return float(x @ y / (x @ x))
