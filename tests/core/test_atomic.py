"""Folders that appear whole."""

from __future__ import annotations

from pathlib import Path

import pytest

from harness.core.atomic import replacing_folder


def test_a_folder_appears_whole(tmp_path):
    """Nothing stands under the final name until the block ends, and nothing else is left."""
    final = tmp_path / "deep" / "final"
    with replacing_folder(final) as new:
        (new / "a").write_text("a")
        assert not final.exists()
    assert (final / "a").read_text() == "a"
    assert list(final.parent.iterdir()) == [final]


def test_an_old_folder_is_replaced_not_mixed(tmp_path):
    """Files of the folder before are gone."""
    final = tmp_path / "final"
    final.mkdir()
    (final / "old").write_text("old")
    with replacing_folder(final) as new:
        (new / "new").write_text("new")
        assert (final / "old").exists()
    assert [path.name for path in final.iterdir()] == ["new"]
    assert list(tmp_path.iterdir()) == [final]


def test_a_failure_leaves_what_was_there(tmp_path):
    """An exception in the block keeps the folder before, and removes the new one."""
    final = tmp_path / "final"
    final.mkdir()
    (final / "old").write_text("old")

    def fail():
        with replacing_folder(final) as new:
            (new / "new").write_text("new")
            raise ValueError("halfway")

    with pytest.raises(ValueError, match="halfway"):
        fail()
    assert [path.name for path in final.iterdir()] == ["old"]
    assert list(tmp_path.iterdir()) == [final]


def test_a_failed_rename_puts_the_old_folder_back(tmp_path, monkeypatch):
    """Where the new folder can't take the name, the one before has it again."""
    final = tmp_path / "final"
    final.mkdir()
    (final / "old").write_text("old")
    rename = Path.rename

    def refuse(path, target):
        if (path / "new").exists():
            raise OSError(28, "No space left on device")
        return rename(path, target)

    monkeypatch.setattr(Path, "rename", refuse)
    with pytest.raises(OSError, match="No space"), replacing_folder(final) as new:
        (new / "new").write_text("new")
    assert [path.name for path in final.iterdir()] == ["old"]
    assert list(tmp_path.iterdir()) == [final]
