"""One vector of the vectors of all tokens."""

from __future__ import annotations

from typing import Literal, get_args

import torch
from torch import Tensor

from harness.core.errors import ConfigError, UnknownNameError

Pooling = Literal["cls", "mean", "max", "lasttoken", "mean_sqrt_len_tokens", "weightedmean"]
POOLINGS: tuple[Pooling, ...] = get_args(Pooling)


def check_pooling(name: object) -> Pooling:
    """Return the pooling called `name`; raises ConfigError or UnknownNameError."""
    if not isinstance(name, str):
        raise ConfigError(f"pooling {name!r} joins several, which isn't supported; use one of {', '.join(POOLINGS)}")
    for known in POOLINGS:
        if name == known:
            return known
    raise UnknownNameError("pooling", name, POOLINGS)


def pool(states: Tensor, mask: Tensor, pooling: Pooling) -> Tensor:
    """Pool token states (b, t, dim) where `mask` (b, t) is 1; padding stands on the right. Returns (b, dim).

    `weightedmean` weighs a token by its position from 1 on (Muennighoff 2022, SGPT); `lasttoken` suits decoders, where
    only the last one has seen all.
    """
    if pooling == "cls":
        return states[:, 0]
    if pooling == "lasttoken":
        last = mask.sum(dim=1) - 1
        return states[torch.arange(len(states), device=states.device), last.clamp_min(0)]
    seen = mask.unsqueeze(-1).to(states.dtype)
    if pooling == "max":
        return states.masked_fill(seen == 0, float("-inf")).amax(dim=1)
    if pooling == "weightedmean":
        seen = seen * torch.arange(1, states.shape[1] + 1, device=states.device, dtype=states.dtype)[None, :, None]
    total = seen.sum(dim=1).clamp_min(1e-9)
    return (states * seen).sum(dim=1) / (total.sqrt() if pooling == "mean_sqrt_len_tokens" else total)
