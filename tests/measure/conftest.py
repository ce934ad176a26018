"""A small dataset, and a run of the plug-ins in `tests/plugins` over it."""

from __future__ import annotations

from pathlib import Path

import pytest

from support.bench import Bench, write_small


@pytest.fixture
def bench(tmp_path: Path) -> Bench:
    """Return a bench of its own for a test."""
    write_small(tmp_path)
    return Bench(tmp_path)
