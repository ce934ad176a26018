"""Image towers in folders: `image_tower.json`, the settings, beside `model.safetensors`, the weights.

No layout of others holds towers of these architectures, so this is one of ours.
"""

from __future__ import annotations

import json
from itertools import pairwise
from pathlib import Path

from harness.core.atomic import write_text
from harness.embedding.towers.heads import Dense, Head
from harness.embedding.towers.image import ImageConfig, ImageShape, ImageTower

SETTINGS = "image_tower.json"
_WEIGHTS = "model.safetensors"


def write_image_tower(tower: ImageTower, folder: Path) -> None:
    """Write a tower into a folder that is there."""
    from safetensors.torch import save_file

    save_file({name: value.contiguous() for name, value in tower.state_dict().items()}, folder / _WEIGHTS)
    write_text(folder / SETTINGS, json.dumps(dict(tower.settings()), indent=2) + "\n")


def load_image_tower(folder: Path) -> ImageTower:
    """Load a tower; raises what reading broken JSON or weights raises, which `layout.explained` puts into a line."""
    from safetensors.torch import load_file

    settings = json.loads((folder / SETTINGS).read_text(encoding="utf-8"))
    config, shape = ImageConfig(**settings["config"]), ImageShape(**settings["shape"])
    widths = [config.width, *settings["projections"]]
    projections = [Dense(inputs, outputs, bias=False) for inputs, outputs in pairwise(widths)]
    tower = ImageTower(config, shape, head=Head(projections, normalised=settings["normalised"]))
    tower.load_state_dict(load_file(folder / _WEIGHTS))
    return tower
