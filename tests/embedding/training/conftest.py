"""The task, the models and the folders that tests of training share."""

from __future__ import annotations

from collections.abc import Callable
from pathlib import Path
from typing import Any

import pytest

from support import toy


@pytest.fixture(scope="session")
def materials(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """Return a folder of data: the task `toy`, and models that a recipe names by their folders."""
    pytest.importorskip("torch")
    pytest.importorskip("transformers")
    folder = tmp_path_factory.mktemp("materials")
    toy.write_beir(folder / "toy")
    toy.save_static(folder / "toy-static")
    toy.save_bert(folder / "toy-bert")
    return folder


@pytest.fixture(scope="session")
def labels(materials: Path) -> Path:
    """Return a folder of labelled texts, `labelled` among the materials."""
    found: Path = toy.write_pairs(materials / "labelled", toy.labelled(60))
    return found


@pytest.fixture
def trainer(materials: Path, tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Callable[..., Any]:
    """Return a function that makes a trainer of a recipe, without dropout, on the task or on other examples."""
    import torch

    from harness.embedding.training.adapt import adapt
    from harness.embedding.training.build import build
    from harness.embedding.training.examples import read_examples
    from harness.embedding.training.loop import Trainer

    monkeypatch.chdir(materials)

    def make(recipe: Any, examples: Any = None) -> Trainer:
        model = build(recipe, tmp_path, None)
        adapt(model, recipe.adapt)
        for module in model.modules():
            if isinstance(module, torch.nn.Dropout):
                module.p = 0.0
        return Trainer(recipe, model, examples or read_examples([materials / "toy"]), tmp_path, tmp_path)

    return make


@pytest.fixture
def worlds(materials: Path, tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Callable[[str], Any]:
    """Return a function that gives a world by name: the same data and models, and results of its own."""
    monkeypatch.chdir(materials)  # where the models' names are folders
    return lambda name: toy.World(tmp_path / name, materials)


@pytest.fixture
def world(worlds: Callable[[str], Any]) -> Any:
    """Return one world."""
    return worlds("world")
