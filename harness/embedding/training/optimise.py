"""The optimiser and how its rate goes."""

from __future__ import annotations

import math
from collections.abc import Iterable, Mapping

import torch
from torch import Tensor, nn

from harness.core.errors import ConfigError
from harness.embedding.training.parts import OptimiserPart


def make_optimiser(
    modules: Iterable[nn.Module], scalars: Mapping[str, Tensor], part: OptimiserPart
) -> torch.optim.AdamW:
    """Make AdamW over all weights that learn; biases, norms and a loss's own scalars don't decay.

    Raises ConfigError where no weight of the modules learns.
    """
    decaying: dict[int, Tensor] = {}
    others: dict[int, Tensor] = {}
    for module in modules:
        for weight in module.parameters():
            if weight.requires_grad:
                (decaying if weight.ndim > 1 else others)[id(weight)] = weight
    if not decaying and not others:
        raise ConfigError("adapt: no weight is left that learns; freeze fewer layers")
    others.update({id(scalar): scalar for scalar in scalars.values()})
    groups = [
        {"params": list(decaying.values()), "weight_decay": part.decay},
        {"params": list(others.values()), "weight_decay": 0.0},
    ]
    # Fused: one pass over the weights instead of one for each operation, which is what a step of a bag costs.
    return torch.optim.AdamW([group for group in groups if group["params"]], lr=part.rate, fused=True)


def rate_at(step: int, steps: int, part: OptimiserPart) -> float:
    """Return the learning rate of a step, counted from 0, of `steps`."""
    warm = math.ceil(part.warmup * steps)
    if step < warm:
        return part.rate * (step + 1) / warm
    done = (step - warm) / max(1, steps - warm)
    if part.schedule == "cosine":
        return part.rate * (1 + math.cos(math.pi * done)) / 2
    return part.rate * (1 - done) if part.schedule == "linear" else part.rate


def set_rate(optimiser: torch.optim.Optimizer, rate: float) -> None:
    """Set the learning rate of all weights."""
    for group in optimiser.param_groups:
        group["lr"] = rate
