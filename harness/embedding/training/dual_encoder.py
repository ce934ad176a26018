"""Two towers, or one for both sides: what is trained, saved and loaded together."""

from __future__ import annotations

import json
from collections.abc import Callable, Mapping, Sequence
from pathlib import Path
from typing import Any

import numpy as np
import torch
from torch import Tensor, nn

from harness.core.atomic import replacing_folder, write_text
from harness.embedding.encoder import TowerEncoder
from harness.embedding.layout import save_tower, write_tower
from harness.embedding.models import DUAL
from harness.embedding.towers.tower import Role, Tower
from harness.embedding.training.objectives import Objective


class DualEncoder(nn.Module):
    """A tower for queries and one for documents; the same one twice is Siamese (Bromley et al. 1993).

    `objective` is what is minimised with the loss of pairs, or instead of it. `origin` tells apart first weights that
    come from models which were trained here.
    """

    def __init__(self, query: Tower, document: Tower, *, objective: Objective | None = None, origin: str = "") -> None:
        super().__init__()
        self.query = query
        self.document = document
        self.objective = objective
        self.origin = origin

    @property
    def siamese(self) -> bool:
        """Whether both sides share one tower."""
        return self.query is self.document

    @property
    def towers(self) -> Mapping[Role, Tower]:
        """The towers by their role."""
        return {"query": self.query, "document": self.document}

    def different(self) -> list[Tower]:
        """Return the towers, a shared one once."""
        return [self.query] if self.siamese else [self.query, self.document]

    def embed(self, prepared: Sequence[Any], role: Role) -> Tensor:
        """Embed prepared items (b) with the tower of a role: (b, dimension)."""
        tower = self.towers[role]
        # Padded to the longest of all, a batch of long and short texts would be padding for the most part.
        pieces = tower.pieces(prepared) if tower.padded else []
        if len(pieces) < 2:
            return _embed(tower, prepared)
        parts = [_embed(tower, [prepared[row] for row in rows]) for rows in pieces]
        back = np.argsort(np.concatenate(pieces))
        return torch.cat(parts)[torch.from_numpy(back).to(parts[0].device)]

    def embed_sides(self, roles: Sequence[Role], sides: Sequence[Sequence[Any]]) -> list[Tensor]:
        """Embed the sides of a batch, each with the tower of its role; a shared tower takes them all at once."""
        if not self.siamese:
            return [self.embed(side, role) for role, side in zip(roles, sides, strict=True)]
        together = self.embed([item for side in sides for item in side], "query")
        return list(torch.split(together, [len(side) for side in sides]))

    def encoder(self, name: str) -> TowerEncoder:
        """Return the model as evaluation takes it."""
        return TowerEncoder(name, self.towers)


def _embed(tower: Tower, prepared: Sequence[Any]) -> Tensor:
    inputs = {key: value.to(tower.device) for key, value in tower.collate(prepared).items()}
    embedded: Tensor = tower(inputs)
    return embedded


def save_dual_encoder(
    model: DualEncoder, folder: Path, manifest: Mapping[str, Any], more: Callable[[Path], None] | None = None
) -> None:
    """Save towers, and last the manifest, whose existence says that the rest is whole; the folder appears at once.

    `more` writes what else belongs to the model into the folder that it is given.
    """
    with replacing_folder(folder) as temporary:
        if model.siamese:
            write_tower(model.query, temporary)
        else:
            save_tower(model.query, temporary / "query")
            save_tower(model.document, temporary / "document")
        if more is not None:
            more(temporary)
        content = {"towers": len(model.different()), **manifest}
        write_text(temporary / DUAL, json.dumps(content, indent=1, default=str) + "\n")
