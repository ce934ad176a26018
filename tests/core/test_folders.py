"""Folders: where data and results are kept, and the cache of what can be computed again."""

from __future__ import annotations

import os
import sys
from pathlib import Path

import pytest

from harness.core import folders


def test_the_home_variable_moves_all_three_folders(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    """ANNBENCH_HOME holds datasets, results and plots; an option's folder goes before it."""
    monkeypatch.setenv("ANNBENCH_HOME", str(tmp_path))
    assert folders.data_folder() == tmp_path / "datasets"
    assert folders.results_folder() == tmp_path / "results"
    assert folders.plots_folder() == tmp_path / "plots"
    assert folders.results_folder(Path("elsewhere")) == Path("elsewhere")
    monkeypatch.setenv("ANNBENCH_HOME", "")
    assert folders.home() == Path.cwd()


def test_the_cache_is_where_the_variable_says(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    """XDG_CACHE_HOME is obeyed on every system."""
    monkeypatch.setenv("XDG_CACHE_HOME", str(tmp_path))
    assert folders.cache_folder() == tmp_path / "annbench"


@pytest.mark.skipif(sys.platform != "linux", reason="other systems have another usual folder")
def test_the_cache_of_earlier_versions_is_still_used(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    """On Linux the usual folder is the one that annbench 0.1 used."""
    monkeypatch.delenv("XDG_CACHE_HOME", raising=False)
    monkeypatch.setenv("HOME", str(tmp_path))
    assert folders.cache_folder() == tmp_path / ".cache" / "annbench"


@pytest.mark.skipif(sys.platform != "linux", reason="other systems know their users' folders in another way")
def test_a_user_without_a_home_has_a_cache_in_the_temporary_folder(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    """Where `~` stands for nothing, no folder of that name is made."""
    monkeypatch.delenv("XDG_CACHE_HOME", raising=False)
    monkeypatch.setattr(os.path, "expanduser", lambda path: path)
    monkeypatch.setattr(folders.tempfile, "gettempdir", lambda: str(tmp_path))
    assert folders.cache_folder() == tmp_path / f"annbench-{os.getuid()}"


def test_a_cache_that_others_may_write_to_is_not_taken(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    """What numba caches is run as it is read: only a private folder may hold it."""
    monkeypatch.setattr(folders.tempfile, "gettempdir", lambda: str(tmp_path))
    unwritable = tmp_path / "file" / "cache"
    (tmp_path / "file").write_text("")
    found = folders.writable_cache(unwritable)
    assert found is not None
    assert found.parent == tmp_path
    found.chmod(0o777)
    assert folders.writable_cache(unwritable) is None
    assert folders.writable_cache(tmp_path / "own") == tmp_path / "own"
