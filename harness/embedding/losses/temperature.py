"""A temperature: fixed, or learnt as the logarithm of its inverse (Radford et al. 2021, "CLIP", 2.4)."""

from __future__ import annotations

import math

import torch
from torch import Tensor

from harness.core.errors import ParameterError

# CLIP's bound: similarities are never multiplied by more than 100, i.e. the temperature stays at 0.01 or above.
HIGHEST_LOG_SCALE = math.log(100)


def scale_of(temperature: float | Tensor) -> float | Tensor:
    """Return what similarities are multiplied by: 1 / temperature, or exp of a tensor, which is a log scale.

    A log scale outside 0 .. log 100 counts as the bound, but keeps its gradient, so that it can come back. Raises
    ParameterError for a temperature of 0 or below.
    """
    if isinstance(temperature, Tensor):
        excess = temperature - temperature.clamp(0, HIGHEST_LOG_SCALE)
        return (temperature - excess.detach()).exp()
    if not temperature > 0:
        raise ParameterError(f"a temperature must be above 0, e.g. 0.05: given {temperature}")
    return 1 / temperature


@torch.no_grad()
def clamp_log_scale(parameter: Tensor) -> None:
    """Bring a learnt log scale back to 0 .. log 100 in place; called after each step of the optimiser, as CLIP does."""
    parameter.clamp_(0, HIGHEST_LOG_SCALE)
