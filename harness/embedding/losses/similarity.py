"""Similarities and distances that the losses share: in float32 or wider, with finite gradients at zero.

Half precision is widened first and autocast switched off: a cosine in bfloat16 has two digits, and a temperature of
0.01 asks for four.
"""

from __future__ import annotations

from typing import Literal, get_args

import torch
from torch import Tensor

from harness.core.errors import UnknownNameError

Similarity = Literal["cosine", "dot"]
Distance = Literal["euclidean", "squared", "cosine"]

# Shorter vectors have no direction: dividing by their length would only blow up their gradient.
_SHORTEST = 1e-12


def wide(x: Tensor) -> Tensor:
    """Return `x` in float32, or in float64 if it is that already."""
    return x if x.dtype == torch.float64 else x.float()


def normalise(x: Tensor) -> Tensor:
    """Scale the rows of `x` (..., d) to length 1; a row of zeros stays as it is, and passes its gradient unscaled."""
    x = wide(x)
    length = torch.linalg.vector_norm(x, dim=-1, keepdim=True)
    return x / torch.where(length > _SHORTEST, length, 1.0)


def similarities(x: Tensor, y: Tensor, kind: Similarity) -> Tensor:
    """Return the (n, m) similarities of the rows of `x` (n, d) to those of `y` (m, d)."""
    x, y = _prepared(x, y, kind)
    with torch.autocast(x.device.type, enabled=False):
        return x @ y.T


def row_similarities(x: Tensor, y: Tensor, kind: Similarity) -> Tensor:
    """Return the similarities (...) of vectors `x` (..., d) to their partners `y` (..., d); shapes may broadcast."""
    x, y = _prepared(x, y, kind)
    return (x * y).sum(-1)


def distances(x: Tensor, y: Tensor, kind: Distance) -> Tensor:
    """Return the (n, m) distances of the rows of `x` (n, d) to those of `y` (m, d).

    Euclidean ones are sums of squared differences: by |x|^2 + |y|^2 - 2xy, float32 would lose the small ones, and those
    are what mining compares. The gradient of a distance of zero is zero.
    """
    _check("distance", kind, get_args(Distance))
    if kind == "cosine":
        return 1 - similarities(x, y, "cosine")
    # cdist has no squared form; the square of its root has the right gradient, at zero too.
    root = torch.cdist(wide(x), wide(y), compute_mode="donot_use_mm_for_euclid_dist")
    return root if kind == "euclidean" else root.square()


def row_distances(x: Tensor, y: Tensor, kind: Distance) -> Tensor:
    """Return the distances (...) of vectors `x` (..., d) to their partners `y` (..., d), defined as in `distances`."""
    _check("distance", kind, get_args(Distance))
    if kind == "cosine":
        return 1 - row_similarities(x, y, "cosine")
    difference = wide(x) - wide(y)
    if kind == "squared":
        return difference.square().sum(-1)
    length: Tensor = torch.linalg.vector_norm(difference, dim=-1)
    return length


def _prepared(x: Tensor, y: Tensor, kind: Similarity) -> tuple[Tensor, Tensor]:
    _check("similarity", kind, get_args(Similarity))
    return (normalise(x), normalise(y)) if kind == "cosine" else (wide(x), wide(y))


def _check(what: str, kind: str, allowed: tuple[str, ...]) -> None:
    if kind not in allowed:
        raise UnknownNameError(what, kind, allowed)
