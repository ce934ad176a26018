"""The loss curve of a training run: a file of JSON lines beside the model, read without the libraries that train.

A line is either `{"step", "rate", "loss"}`, the loss being the mean over the steps since the line before, or, after an
evaluation on dev, `{"step", "ndcg@10", "mean_cosine", "effective_rank", "collapsed"}`. Steps count batches from 1.
"""

from __future__ import annotations

import json
from collections.abc import Mapping, Sequence
from pathlib import Path
from typing import Any, NamedTuple

from harness.core.atomic import reason, write_text
from harness.core.errors import StoreError

CURVE = "training.jsonl"
_MAX_POINTS = 1000


class Curve(NamedTuple):
    """The points of a run: (step, mean loss), and (step, nDCG@10) on dev; either may be empty."""

    losses: Sequence[tuple[int, float]]
    dev: Sequence[tuple[int, float]]


class Step(NamedTuple):
    """The learning rate and the loss of one step."""

    rate: float
    loss: float


def write_curve(folder: Path, steps: Sequence[Step], dev: Sequence[Mapping[str, Any]] = (), *, first: int = 1) -> None:
    """Write the curve of a run so far, whole: its steps, numbered from `first` on, and what was found on dev."""
    block = max(1, -(-len(steps) // _MAX_POINTS))
    lines: list[dict[str, Any]] = []
    for start in range(0, len(steps), block):
        some = steps[start : start + block]
        mean = sum(step.loss for step in some) / len(some)
        lines.append({"step": first + start + len(some) - 1, "rate": some[-1].rate, "loss": round(mean, 6)})
    lines = sorted([*lines, *map(dict, dev)], key=lambda line: line["step"])
    write_text(folder / CURVE, "".join(json.dumps(line) + "\n" for line in lines))


def read_curve(folder: Path) -> Curve | None:
    """Read the curve beside a model; None for a model without one. Raises StoreError for a file that is damaged."""
    path = folder / CURVE
    if not path.is_file():
        return None
    try:
        lines = [json.loads(line) for line in path.read_text(encoding="utf-8").splitlines()]
        losses = [(int(line["step"]), float(line["loss"])) for line in lines if "loss" in line]
        dev = [(int(line["step"]), float(line["ndcg@10"])) for line in lines if "ndcg@10" in line]
    except (OSError, ValueError, KeyError, TypeError, AttributeError) as problem:
        raise StoreError(f"{path}: can't be read ({reason(problem)}); delete it, or train the model again") from None
    return Curve(losses, dev)
