"""The factory of made-up results, as a fixture."""

from __future__ import annotations

import importlib.util
from pathlib import Path
from types import ModuleType

import pytest


@pytest.fixture(scope="session")
def factory() -> ModuleType:
    """Load `tests/report/factory.py`: tests are no package, so it has no import path."""
    spec = importlib.util.spec_from_file_location(
        "annbench_factory", Path(__file__).parents[1] / "report" / "factory.py"
    )
    assert spec is not None
    assert spec.loader is not None
    module = importlib.util.module_from_spec(spec)
    spec.loader.exec_module(module)
    return module
