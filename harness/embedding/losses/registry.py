"""The losses by name, with what each needs of a batch: one training loop can call any of them."""

from __future__ import annotations

import inspect
import math
from collections.abc import Callable, Mapping
from dataclasses import dataclass, field
from types import MappingProxyType
from typing import Any

from torch import Tensor

from harness.core.errors import AnnbenchError, UnknownNameError
from harness.embedding.losses.batch import Batch
from harness.embedding.losses.distil import embedding_cosine, embedding_mse, list_kl, margin_mse
from harness.embedding.losses.info_nce import info_nce
from harness.embedding.losses.pairwise import contrastive
from harness.embedding.losses.siglip import INITIAL_BIAS, INITIAL_LOG_SCALE, siglip
from harness.embedding.losses.sup_con import sup_con
from harness.embedding.losses.triplet import batch_all, batch_hard, semi_hard, triplet


@dataclass(frozen=True)
class Loss:
    """A loss and the fields of a Batch that it reads: `needs` in the order of its arguments, `takes` where given.

    `learnable` names the settings that may be scalar tensors with a gradient, and where each starts.
    """

    function: Callable[..., Tensor]
    needs: tuple[str, ...]
    takes: tuple[str, ...] = ()
    learnable: Mapping[str, float] = field(default_factory=dict)

    @property
    def name(self) -> str:
        """What the loss is called in LOSSES."""
        return self.function.__name__

    @property
    def settings(self) -> tuple[str, ...]:
        """The names of its settings: the keyword-only arguments of its function."""
        arguments = inspect.signature(self.function).parameters.values()
        return tuple(a.name for a in arguments if a.kind is a.KEYWORD_ONLY)

    def __call__(self, batch: Batch, settings: Mapping[str, Any] = MappingProxyType({})) -> Tensor:
        """Return the loss of a batch, a scalar.

        Raises AnnbenchError for a batch without a field that the loss needs, UnknownNameError for a setting that it
        doesn't have, and what the function itself raises.
        """
        missing = [name for name in self.needs if getattr(batch, name) is None]
        if missing:
            raise AnnbenchError(f"{self.name} needs {', '.join(self.needs)} in a batch: {', '.join(missing)} missing")
        for name in settings:
            if name not in self.settings:
                raise UnknownNameError(f"setting of {self.name}", name, self.settings)
        needed = [getattr(batch, name) for name in self.needs]
        return self.function(*needed, **{name: getattr(batch, name) for name in self.takes}, **settings)


_PAIRS = ("queries", "positives")
_TRIPLETS = (*_PAIRS, "negatives")
_LABELLED = ("queries", "labels")
_EXTRAS = ("negatives", "false_negatives")

LOSSES: Mapping[str, Loss] = {
    loss.name: loss
    for loss in (
        Loss(contrastive, needs=(*_PAIRS, "labels")),
        Loss(triplet, needs=_TRIPLETS),
        Loss(batch_all, needs=_LABELLED),
        Loss(semi_hard, needs=_LABELLED),
        Loss(batch_hard, needs=_LABELLED),
        Loss(info_nce, needs=_PAIRS, takes=_EXTRAS, learnable={"temperature": math.log(1 / 0.07)}),  # CLIP's start
        Loss(siglip, needs=_PAIRS, takes=_EXTRAS, learnable={"log_scale": INITIAL_LOG_SCALE, "bias": INITIAL_BIAS}),
        Loss(sup_con, needs=_LABELLED, learnable={"temperature": math.log(10)}),
        Loss(margin_mse, needs=(*_TRIPLETS, "teacher_scores")),
        Loss(list_kl, needs=(*_TRIPLETS, "teacher_scores")),
        Loss(embedding_mse, needs=("queries", "teacher_embeddings")),
        Loss(embedding_cosine, needs=("queries", "teacher_embeddings")),
    )
}


def find_loss(name: str) -> Loss:
    """Return the loss of that name; raises UnknownNameError, which suggests the nearest."""
    if name not in LOSSES:
        raise UnknownNameError("loss", name, LOSSES)
    return LOSSES[name]
