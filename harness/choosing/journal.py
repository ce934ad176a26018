"""What was tried of a dataset, kept: each build with its settings, so that a choice goes on where it stopped."""

from __future__ import annotations

import json
from collections.abc import Sequence
from dataclasses import asdict, dataclass, field
from pathlib import Path
from typing import Any

from harness.choosing.model import Bounds, best_point, bounds
from harness.core.atomic import write_text
from harness.tune.probe import Point


@dataclass
class Tried:
    """One build and what was measured on it. Times in seconds; `failure` says why there is no more of it."""

    algorithm: str
    build: dict[str, Any]
    stamp: str
    """Hash of the plug-in's source and of the versions of its libraries."""
    points: list[Point] = field(default_factory=list)
    banned: list[dict[str, Any]] = field(default_factory=list)
    """Search settings that failed."""
    build_seconds: float = 0.0
    index_bytes: int | None = None
    failure: str = ""
    limit: float = 0.0
    """Time that the build was allowed, where it failed."""
    settled: list[float] = field(default_factory=list)
    """Recalls at which no other setting of it promises to be faster."""
    rows: int = 0
    """Rows of the sample that it was built on; 0 = all rows."""

    def at(self, target: float) -> Point | None:
        """Return its fastest setting that reaches a recall."""
        return best_point(self.points, target)

    def bounds(self, target: float) -> Bounds:
        """Bound its QPS at a recall."""
        return bounds(self.points, target)


@dataclass
class Journal:
    """All that was tried; and by the name of what was asked for, seconds spent, and the time of its last decision."""

    path: Path
    tried: list[Tried] = field(default_factory=list)
    spent: dict[str, float] = field(default_factory=dict)
    decided: dict[str, float] = field(default_factory=dict)

    def find(self, algorithm: str, build: dict[str, Any], stamp: str) -> Tried | None:
        """Return what was tried of a build on all rows, by the present source and libraries."""
        for one in self.tried:
            if (one.algorithm, one.build, one.stamp, one.rows) == (algorithm, build, stamp, 0):
                return one
        return None

    def on_sample(self, algorithm: str, stamp: str, rows: int) -> Tried | None:
        """Return what was tried of an engine on a sample of so many rows; each has one build there."""
        for one in self.tried:
            if (one.algorithm, one.stamp, one.rows) == (algorithm, stamp, rows):
                return one
        return None

    def write(self) -> None:
        """Write it whole, a line of JSON for each build."""
        head = json.dumps({"spent": self.spent, "decided": self.decided})
        lines = [head, *(json.dumps(asdict(one), default=str) for one in self.tried)]
        write_text(self.path, "\n".join(lines) + "\n")


def read_journal(path: Path) -> Journal:
    """Read what `Journal.write` wrote; an empty journal where there is none, or a damaged one."""
    try:
        first, *rows = [json.loads(line) for line in path.read_text(encoding="utf-8").splitlines()]
        tried = [Tried(**{**row, "points": _points(row["points"])}) for row in rows]
        spent, decided = ({str(k): float(v) for k, v in first[key].items()} for key in ("spent", "decided"))
        return Journal(path, tried, spent, decided)
    except (OSError, ValueError, TypeError, KeyError, AttributeError):
        return Journal(path)


def _points(rows: Sequence[Any]) -> list[Point]:
    return [Point(dict(params), float(recall), float(qps)) for params, recall, qps in rows]
