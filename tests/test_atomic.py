"""Folders that are replaced whole: the old one or the new one is there, never half of either."""

from __future__ import annotations

import contextlib
from pathlib import Path

import pytest

from harness.atomic import replacing_folder


def names(folder: Path) -> list[str]:
    """List everything below a folder."""
    return sorted(str(path.relative_to(folder)) for path in folder.rglob("*"))


def test_a_new_folder_takes_the_old_ones_place(tmp_path: Path) -> None:
    """Nothing of the old one stays, and nothing is left beside it; missing parents are made."""
    for name in ("first", "second"):
        with replacing_folder(tmp_path / "deep" / "it") as folder:
            (folder / name).touch()
            (folder / "sub").mkdir()
    assert names(tmp_path) == ["deep", "deep/it", "deep/it/second", "deep/it/sub"]


def test_a_failure_leaves_the_old_folder(tmp_path: Path) -> None:
    """Where filling the new one fails, the old one is untouched."""
    (tmp_path / "it").mkdir()
    (tmp_path / "it" / "kept").touch()
    with contextlib.suppress(KeyboardInterrupt), replacing_folder(tmp_path / "it") as folder:
        (folder / "half").touch()
        raise KeyboardInterrupt
    assert names(tmp_path) == ["it", "it/kept"]


def test_the_old_folder_comes_back_where_the_new_one_can_not(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    """The old one was moved aside already: it comes back."""
    (tmp_path / "it").mkdir()
    (tmp_path / "it" / "kept").touch()
    rename = Path.rename

    def refuse(self: Path, target: Path) -> Path:
        if self.suffix == ".tmp":
            raise PermissionError(13, "Permission denied")
        return rename(self, target)

    monkeypatch.setattr(Path, "rename", refuse)
    with pytest.raises(PermissionError), replacing_folder(tmp_path / "it"):
        pass
    assert names(tmp_path) == ["it", "it/kept"]
