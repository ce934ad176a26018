"""Matryoshka: train prefixes of an embedding to be embeddings of their own (Kusupati et al. 2022)."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from typing import Any

import torch
from torch import Tensor

from harness.core.errors import ParameterError
from harness.embedding.losses.batch import Batch, LossFunction


def matryoshka(loss: LossFunction, dims: Sequence[int], weights: Sequence[float] | None = None) -> LossFunction:
    """Return a loss that sums `loss` over prefixes of `dims` columns, each scaled to length 1, times their weights.

    The full width is trained only if `dims` names it. Weights are 1 where None is given, as in the paper. Raises
    ParameterError for dims or weights that make no sense, and, when called, for a prefix wider than the embeddings.
    """
    if not dims or min(dims) < 1:
        raise ParameterError(f"dims must be one or more widths of 1 or above, e.g. [64, 128, 384]: given {list(dims)}")
    if weights is not None and len(weights) != len(dims):
        raise ParameterError(f"{len(dims)} dims need as many weights: given {len(weights)}")
    parts = list(zip(dims, weights or [1.0] * len(dims), strict=True))

    def summed(batch: Batch, settings: Mapping[str, Any]) -> Tensor:
        return torch.stack([weight * loss(batch.prefix(dim), settings) for dim, weight in parts]).sum()

    return summed
