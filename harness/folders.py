"""Where data, results and plots are kept: the current folder, or where `ANNBENCH_HOME` or an option says."""

from __future__ import annotations

import os
from pathlib import Path

HOME_VARIABLE = "ANNBENCH_HOME"
MODELS = "models"
"""The folder, within that of results, of the models that are trained here."""


def home() -> Path:
    """Return the folder that holds `datasets/`, `results/` and `plots/`."""
    return Path(os.environ.get(HOME_VARIABLE) or Path.cwd())


def cache_folder() -> Path:
    """Return the user's folder for what can be computed again."""
    return Path(os.environ.get("XDG_CACHE_HOME") or Path.home() / ".cache") / "annbench"


def data_folder(chosen: Path | None = None) -> Path:
    """Return the folder of dataset files."""
    return chosen if chosen is not None else home() / "datasets"


def results_folder(chosen: Path | None = None) -> Path:
    """Return the folder of result files."""
    return chosen if chosen is not None else home() / "results"


def plots_folder(chosen: Path | None = None) -> Path:
    """Return the folder of pictures and tables."""
    return chosen if chosen is not None else home() / "plots"
