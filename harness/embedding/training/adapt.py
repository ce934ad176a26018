"""Which weights learn: all, the upper layers, the head alone, or low-rank additions (LoRA)."""

from __future__ import annotations

import copy
import re
import warnings
from typing import Any

from torch import nn

from harness.core.errors import ConfigError
from harness.embedding.towers.tower import Tower
from harness.embedding.towers.transformer import TransformerTower
from harness.embedding.training.dual_encoder import DualEncoder
from harness.embedding.training.parts import AdaptPart

_LAYER = re.compile(r"(?:^|\.)(?:layers?|h|block)\.(\d+)\.")


def adapt(model: DualEncoder, part: AdaptPart) -> None:
    """Freeze what shall not learn, or put LoRA in, in place. Raises ConfigError for what the towers don't have."""
    if part.kind == "full":
        return
    for tower in model.different():
        if not isinstance(tower, TransformerTower):
            raise ConfigError(f"adapt: {part.kind} needs a transformer, not a {type(tower).__name__}")
        if part.kind == "lora":
            tower.model = _with_lora(tower.model, part)
        else:
            _freeze(tower, part)


def _freeze(tower: TransformerTower, part: AdaptPart) -> None:
    body: Any = tower.model
    if part.kind == "head":
        if not len(tower.head.projections):
            raise ConfigError("adapt: head needs a tower with a projection; add `projection` to the tower")
        body.requires_grad_(requires_grad=False)
        return
    numbers = {int(found[1]) for name, _ in body.named_parameters() if (found := _LAYER.search(name))}
    if part.layers >= len(numbers):
        raise ConfigError(f"adapt: upper freezes {part.layers} layers of {len(numbers)}; leave one or more to learn")
    below = True
    for name, weight in body.named_parameters():
        found = _LAYER.search(name)
        # What stands before the first layer embeds tokens; what follows the last one is a norm or a pooler.
        below = below and found is None
        weight.requires_grad_(not below and (found is None or int(found[1]) >= part.layers))


def _with_lora(body: nn.Module, part: AdaptPart) -> nn.Module:
    import peft

    settings = peft.LoraConfig(
        r=part.rank,
        lora_alpha=part.alpha,
        lora_dropout=part.dropout,
        target_modules=list(part.targets) or "all-linear",
    )
    try:
        with warnings.catch_warnings():
            # peft asks transformers by a name that is on its way out: nothing that a user could change.
            warnings.simplefilter("ignore", FutureWarning)
            adapted: nn.Module = peft.get_peft_model(body, settings)
    except ValueError as problem:
        raise ConfigError(f"adapt: lora can't be put in: {str(problem).splitlines()[0]}") from None
    return adapted


def merged(model: DualEncoder, part: AdaptPart) -> DualEncoder:
    """Return the model as it is saved: LoRA added into the weights of a copy, which is loaded without peft."""
    if part.kind != "lora":
        return model
    tower: Tower = copy.deepcopy(model.query)
    assert isinstance(tower, TransformerTower)  # noqa: S101 - for the type checker: `adapt` put LoRA in no other
    body: Any = tower.model
    tower.model = body.merge_and_unload()
    return DualEncoder(tower, tower)
