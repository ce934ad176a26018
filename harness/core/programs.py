"""What a program of ours that another one starts needs to know: where our code is."""

from __future__ import annotations

import os
from collections.abc import Mapping
from pathlib import Path


def import_path(environment: Mapping[str, str]) -> str:
    """Return the PYTHONPATH of an environment with our own code first: it is found wherever a program starts."""
    root = str(Path(__file__).resolve().parents[2])
    others = [part for part in environment.get("PYTHONPATH", "").split(os.pathsep) if part]
    return os.pathsep.join(dict.fromkeys([root, *others]))
