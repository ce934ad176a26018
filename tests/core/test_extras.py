"""Extras: a library that is missing is one line that says how to get it."""

from __future__ import annotations

import sys
from pathlib import Path

import pytest

from harness.core.errors import ConfigError
from harness.core.extras import extra
from harness.data.sources.parquet import read_parquet


def test_what_is_installed_is_imported() -> None:
    """Nothing is said where nothing is missing."""
    with extra("parquet", "this"):
        import json
    assert json.loads("1") == 1


def test_another_error_passes_through() -> None:
    """Only a missing module is turned into a line."""
    with pytest.raises(ImportError, match="cannot import name"), extra("parquet", "this"):
        from json import no_such_name  # noqa: F401


def test_reading_parquet_without_its_library(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    """The line names the file, the library and the extra."""
    monkeypatch.setitem(sys.modules, "pyarrow", None)
    with pytest.raises(ConfigError) as told:
        read_parquet(tmp_path / "table.parquet", None)
    line = f"{tmp_path}/table.parquet: reading Parquet needs pyarrow; install it with: pip install 'annbench[parquet]'"
    assert str(told.value) == line
