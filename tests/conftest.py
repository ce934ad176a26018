"""Settings of all tests, and the fixture that several folders of them share."""

from __future__ import annotations

import importlib.util
import os
from pathlib import Path
from types import ModuleType

import pytest

# Two tests at a time share the cores: OpenMP threads that spin while they wait would take them from each other.
os.environ.setdefault("OMP_WAIT_POLICY", "passive")


@pytest.fixture(scope="session")
def factory() -> ModuleType:
    """Load `tests/report/factory.py`: tests are no package, so it has no import path."""
    spec = importlib.util.spec_from_file_location("annbench_factory", Path(__file__).parent / "report" / "factory.py")
    assert spec is not None
    assert spec.loader is not None
    module = importlib.util.module_from_spec(spec)
    spec.loader.exec_module(module)
    return module
