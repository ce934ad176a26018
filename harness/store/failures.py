"""What did not finish: a JSON file beside the results, so that a report can show it."""

from __future__ import annotations

import json
from dataclasses import dataclass
from pathlib import Path
from typing import Any

FAILURE_SUFFIX = ".json"
_BESIDE_THE_BUILD = ("start", "load", "import", "check", "search")


@dataclass(frozen=True)
class Failure:
    """What did not finish, and why. `search` is None where the build itself failed."""

    spec: dict[str, Any]
    reason: str  # "timeout", "out of memory", "crashed (SIGSEGV)", "failed (message)", "not conforming (message)"
    detail: str = ""
    stage: str = ""
    created: str = ""
    limits: dict[str, Any] | None = None
    path: Path | None = None

    @property
    def lasts(self) -> bool:
        """Say whether the same would fail again: a setting's failure does, a build's where the index itself failed.

        What stopped a build before it (data, imports, rules that may have changed) or after it (a setting) does not.
        """
        return self.spec.get("search") is not None or self.stage not in _BESIDE_THE_BUILD


def read_failure(path: Path) -> Failure | None:
    """Read a failure; None for JSON that is not one of ours."""
    try:
        content = json.loads(path.read_text(encoding="utf-8"))
        known = {key: content[key] for key in ("spec", "reason", "detail", "stage", "created", "limits")}
    except (OSError, ValueError, KeyError, TypeError):
        return None
    if not isinstance(known["spec"], dict):
        return None
    return Failure(**known, path=path)
