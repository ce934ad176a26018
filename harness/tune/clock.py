"""The wall time that an algorithm has, over all calls that go on with one search."""

from __future__ import annotations

import json
import time
from pathlib import Path

from harness.core.atomic import write_text


class Clock:
    """Counts the wall time of a search from the start of this call, on top of what earlier calls kept at `path`."""

    def __init__(self, seconds: float) -> None:
        self.seconds = seconds
        self._began = time.monotonic()
        self._before = 0.0
        self._path: Path | None = None

    def go_on(self, path: Path, at_least: float) -> None:
        """Add the time of earlier calls; `at_least` is what they took where the file isn't there."""
        self._path = path
        try:
            self._before = float(json.loads(path.read_text(encoding="utf-8"))["seconds"])
        except (OSError, ValueError, KeyError, TypeError):
            self._before = at_least

    def keep(self) -> None:
        """Write the time used so far."""
        if self._path is not None:
            write_text(self._path, json.dumps({"seconds": round(self.used, 3)}) + "\n")

    @property
    def used(self) -> float:
        """The time used, earlier calls included."""
        return self._before + time.monotonic() - self._began

    @property
    def left(self) -> float:
        """What is left of the time; below 0 once it is over."""
        return self.seconds - self.used
