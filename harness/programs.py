"""What a program of ours that another one starts needs to know: the cores that it may use, and where our code is."""

from __future__ import annotations

import os
from collections.abc import Mapping
from pathlib import Path


def usable_cores() -> list[int]:
    """List the cores that this process may use; on systems without pinning, all of them by number."""
    if hasattr(os, "sched_getaffinity"):
        return sorted(os.sched_getaffinity(0))
    return list(range(os.cpu_count() or 1))


def import_path(environment: Mapping[str, str]) -> str:
    """Return the PYTHONPATH of an environment with our own code first: it is found wherever a program starts."""
    root = str(Path(__file__).resolve().parents[1])
    others = [part for part in environment.get("PYTHONPATH", "").split(os.pathsep) if part]
    return os.pathsep.join(dict.fromkeys([root, *others]))
