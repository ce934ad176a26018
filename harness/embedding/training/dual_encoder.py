"""Two towers, or one for both sides: what is trained, saved and loaded together."""

from __future__ import annotations

import json
from collections.abc import Callable, Mapping, Sequence
from pathlib import Path
from typing import Any

from torch import Tensor, nn

from harness.atomic import replacing_folder, write_text
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
        inputs = {key: value.to(tower.device) for key, value in tower.collate(prepared).items()}
        embedded: Tensor = tower(inputs)
        return embedded

    def encoder(self, name: str) -> TowerEncoder:
        """Return the model as evaluation takes it."""
        return TowerEncoder(name, self.towers)


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
