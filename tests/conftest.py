"""Settings of all tests, and the fixtures that several folders of them share."""

from __future__ import annotations

import importlib.util
import os
from pathlib import Path
from types import ModuleType

import pytest

# Two tests at a time share the cores: OpenMP threads that spin while they wait would take them from each other.
os.environ.setdefault("OMP_WAIT_POLICY", "passive")


def _load(path: Path) -> ModuleType:
    """Load a file of what several tests share: tests are no package, so it has no import path."""
    spec = importlib.util.spec_from_file_location(f"annbench_{path.stem}", path)
    assert spec is not None
    assert spec.loader is not None
    module = importlib.util.module_from_spec(spec)
    spec.loader.exec_module(module)
    return module


@pytest.fixture(scope="session")
def factory() -> ModuleType:
    """Load `tests/report/factory.py`, which makes results."""
    return _load(Path(__file__).parent / "report" / "factory.py")


@pytest.fixture(scope="session")
def toy() -> ModuleType:
    """Load `tests/embedding/toy.py`, which makes small models and a task that they can learn."""
    return _load(Path(__file__).parent / "embedding" / "toy.py")


@pytest.fixture(scope="session")
def browser_tool() -> ModuleType:
    """Load `tests/report/browser.py`, which starts a headless browser."""
    return _load(Path(__file__).parent / "report" / "browser.py")
