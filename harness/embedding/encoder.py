"""Embed many items with a tower: those of like length at once, so that little padding is computed on."""

from __future__ import annotations

import hashlib
from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass, field
from typing import Any, Protocol

import numpy as np
import torch
from numpy.typing import NDArray

from harness.core.errors import PluginError
from harness.embedding.threads import adjust_threads
from harness.embedding.towers.tower import Role, Tower

Vectors = NDArray[np.float32]
Progress = Callable[[int], None]


class Encoder(Protocol):
    """What evaluation needs of a model."""

    @property
    def name(self) -> str:
        """What it is called."""

    @property
    def dimension(self) -> int:
        """Of the embeddings."""

    @property
    def parameter_count(self) -> int:
        """How many weights there are, shared ones once."""

    @property
    def fingerprint(self) -> str:
        """Tell models apart that embed differently."""

    def encode(self, items: Sequence[Any], role: Role = "document", *, progress: Progress | None = None) -> Vectors:
        """Embed items: (n, dimension) float32. `progress` is told how many more are done."""


@dataclass(eq=False)
class TowerEncoder:
    """A model of one tower for queries and documents (Siamese), or of one for each."""

    name: str
    towers: Mapping[Role, Tower]
    batch: int | None = None
    """How many items are embedded at once; as many as the tower likes best where None."""
    minutes: float | None = None
    """What training it took, where that is known."""
    _fingerprint: str = field(default="", init=False)

    def __post_init__(self) -> None:
        """Check that the towers embed in one space."""
        dimensions = {tower.dimension for tower in self.towers.values()}
        if len(dimensions) > 1:
            raise PluginError(f"{self.name}: its towers embed in {sorted(dimensions)} dimensions; they must agree")
        self.dimension = dimensions.pop()

    @property
    def parameter_count(self) -> int:
        """How many weights there are, a shared tower's once."""
        return sum(tower.parameter_count for tower in self._different())

    @property
    def fingerprint(self) -> str:
        """Tell models apart that embed differently."""
        if not self._fingerprint:
            prints = {role: tower.fingerprint() for role, tower in self.towers.items()}
            joined = "\n".join(f"{role} {prints[role]}" for role in sorted(prints))
            self._fingerprint = hashlib.sha256(joined.encode()).hexdigest()
        return self._fingerprint

    def encode(self, items: Sequence[Any], role: Role = "document", *, progress: Progress | None = None) -> Vectors:
        """Embed items: (n, dimension) float32. Raises PluginError where an embedding isn't finite."""
        return encode(self.towers[role], items, role, batch=self.batch, progress=progress)

    def _different(self) -> list[Tower]:
        return list({id(tower): tower for tower in self.towers.values()}.values())


def encode(
    tower: Tower,
    items: Sequence[Any],
    role: Role = "document",
    *,
    batch: int | None = None,
    progress: Progress | None = None,
) -> Vectors:
    """Embed items with a tower, which is left in the mode, training or not, that it was in.

    Returns (n, dimension) float32 in the order of the items. Raises PluginError where an embedding isn't finite.
    """
    vectors = embed_prepared(tower, tower.prepare(items, role), batch=batch, progress=progress)
    wrong = np.flatnonzero(~np.isfinite(vectors).all(axis=1))
    if len(wrong):
        raise PluginError(f"the embedding of item {wrong[0]} holds NaN or infinity: {str(items[wrong[0]])[:80]!r}")
    return vectors


def embed_prepared(
    tower: Tower, prepared: Sequence[Any], *, batch: int | None = None, progress: Progress | None = None
) -> Vectors:
    """Embed what the tower has prepared: (n, dimension) float32; the tower's mode stays as it was."""
    vectors = np.empty((len(prepared), tower.dimension), np.float32)
    training = tower.training
    tower.eval()
    try:
        with torch.inference_mode():
            # The longest first: what needs too much memory then fails at once.
            for chosen in tower.pieces(prepared, batch):
                adjust_threads()
                inputs = tower.collate([prepared[row] for row in chosen])
                moved = {key: value.to(tower.device) for key, value in inputs.items()}
                vectors[chosen] = tower(moved).cpu().numpy()
                if progress is not None:
                    progress(len(chosen))
    finally:
        tower.train(training)
    return vectors
