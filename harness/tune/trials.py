"""What was tried: builds with their settings, what they are worth, and the file that keeps them."""

from __future__ import annotations

import json
import math
from collections.abc import Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Any

from harness.analyse.frontier import ROUNDING, Frontier, fastest_at
from harness.core.atomic import write_text
from harness.tune.probe import Point


@dataclass(frozen=True)
class Trial:
    """A build with what was tried on it, and how long each took; `score` is that of the function of its name."""

    build: dict[str, Any]
    points: tuple[Point, ...]
    score: float
    seconds: float
    build_seconds: float = 0.0


def useful(trial: Trial, targets: Sequence[float]) -> list[Point]:
    """Return the settings of a trial that are fastest at some recall."""
    line = Frontier.of([p.recall for p in trial.points], [p.qps for p in trial.points])
    found = [fastest_at(target, line) for target in targets]
    return [trial.points[i] for i in dict.fromkeys(i for i in found if i is not None)]


def worth(point: Point | None, targets: Sequence[float]) -> float:
    """Return the best that one setting is good for: log QPS at a recall that it reaches, less what it falls short."""
    if point is None:
        return -100.0
    return max(
        math.log(point.qps)
        - (0.0 if point.recall >= target else 50 * (target - point.recall) + 1)
        - 5 * max(0.0, point.recall - target)
        for target in targets
    )


def score(points: Sequence[Point], targets: Sequence[float]) -> float:
    """Return the mean over recalls of the log QPS of the fastest setting that reaches it; a missed recall costs 20."""
    if not points:
        return -100.0
    best = max(p.recall for p in points)
    total = 0.0
    for target in targets:
        reaching = [p.qps for p in points if p.recall >= target - ROUNDING]
        total += math.log(max(reaching)) if reaching else -20.0 - 10 * (target - best)
    return total / len(targets)


def write_trials(path: Path, trials: Sequence[Trial]) -> None:
    """Write trials, a line of JSON each; whole, in place of those before."""
    lines = [json.dumps({**vars(t), "points": [list(point) for point in t.points]}) for t in trials]
    write_text(path, "\n".join(lines) + "\n")


def read_trials(path: Path) -> list[Trial]:
    """Read what `write_trials` wrote; nothing where there is no such file."""
    if not path.exists():
        return []
    rows = [json.loads(line) for line in path.read_text(encoding="utf-8").splitlines()]
    return [Trial(**{**row, "points": tuple(Point(*point) for point in row["points"])}) for row in rows]
