"""Where data, results and plots are kept: the current folder, or where `ANNBENCH_HOME` or an option says."""

from __future__ import annotations

import os
import stat
import tempfile
from pathlib import Path

HOME_VARIABLE = "ANNBENCH_HOME"
MODELS = "models"
"""The folder, within that of results, of the models that are trained here."""


def home() -> Path:
    """Return the folder that holds `datasets/`, `results/` and `plots/`."""
    return Path(os.environ.get(HOME_VARIABLE) or Path.cwd())


def cache_folder() -> Path:
    """Return the user's folder for what can be computed again; in the temporary folder where the user has no home."""
    if chosen := os.environ.get("XDG_CACHE_HOME"):  # obeyed on every system
        return Path(chosen) / "annbench"
    from platformdirs import user_cache_path

    try:
        usual = user_cache_path("annbench", appauthor=False)
    except RuntimeError:
        return _temporary_cache()
    # Earlier platformdirs return `~/.cache/annbench` as it stands for a user without a home.
    return usual if usual.is_absolute() else _temporary_cache()


def writable_cache(wanted: Path) -> Path | None:
    """Return `wanted` if files can be written there, else a folder of the user's own in the temporary folder.

    None where neither can be written. What numba caches is run as it is read, so a folder that belongs to somebody
    else, or that others may write to, is not taken.
    """
    if _can_write(wanted):
        return wanted
    temporary = _temporary_cache()
    return temporary if _can_write(temporary) and _is_private(temporary) else None


def _temporary_cache() -> Path:
    owner = os.getuid() if hasattr(os, "getuid") else "user"
    try:
        return Path(tempfile.gettempdir()) / f"annbench-{owner}"
    except FileNotFoundError:  # no temporary folder can be written, nor can the current one
        return Path(os.devnull) / "annbench"


def _can_write(folder: Path) -> bool:
    try:
        folder.mkdir(mode=0o700, parents=True, exist_ok=True)
        with tempfile.TemporaryFile(dir=folder):
            return True
    except OSError:
        return False


def _is_private(folder: Path) -> bool:
    if not hasattr(os, "getuid"):
        return True
    found = folder.lstat()
    return stat.S_ISDIR(found.st_mode) and found.st_uid == os.getuid() and not found.st_mode & 0o022


def data_folder(chosen: Path | None = None) -> Path:
    """Return the folder of dataset files."""
    return chosen if chosen is not None else home() / "datasets"


def results_folder(chosen: Path | None = None) -> Path:
    """Return the folder of result files."""
    return chosen if chosen is not None else home() / "results"


def plots_folder(chosen: Path | None = None) -> Path:
    """Return the folder of pictures and tables."""
    return chosen if chosen is not None else home() / "plots"
