"""The task, the models and the folders that tests of training share."""

from __future__ import annotations

from collections.abc import Callable
from pathlib import Path
from types import ModuleType
from typing import Any

import pytest


@pytest.fixture(scope="session")
def materials(tmp_path_factory: pytest.TempPathFactory, toy: ModuleType) -> Path:
    """Return a folder of data: the task `toy`, and models that a recipe names by their folders."""
    pytest.importorskip("torch")
    pytest.importorskip("transformers")
    folder = tmp_path_factory.mktemp("materials")
    toy.write_beir(folder / "toy")
    toy.save_static(folder / "toy-static")
    toy.save_bert(folder / "toy-bert")
    return folder


@pytest.fixture
def worlds(materials: Path, tmp_path: Path, toy: ModuleType, monkeypatch: pytest.MonkeyPatch) -> Callable[[str], Any]:
    """Return a function that gives a world by name: the same data and models, and results of its own."""
    monkeypatch.chdir(materials)  # where the models' names are folders
    return lambda name: toy.World(tmp_path / name, materials)


@pytest.fixture
def world(worlds: Callable[[str], Any]) -> Any:
    """Return one world."""
    return worlds("world")
