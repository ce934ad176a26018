"""Training runs on the page: the loss of each model that was trained here, and what dev said on the way."""

from __future__ import annotations

from collections.abc import Mapping
from pathlib import Path
from typing import Any

from harness.core.errors import AnnbenchError
from harness.embedding.curve import CURVE, Curve, read_curve
from harness.report.html.colours import on_dark
from harness.report.style import FROM_SCRATCH, plain, styles

_NAME = 200
_DIGITS = 5


def training_curves(models: Path) -> tuple[dict[str, Curve], list[str]]:
    """Read the curves beside the models that were trained here; what can't be read is said in a sentence each."""
    curves, problems = {}, []
    for path in sorted(models.glob(f"*/{CURVE}")):
        try:
            curve = read_curve(path.parent)
        except AnnbenchError as problem:
            problems.append(plain(problem, 2 * _NAME))
            continue
        if curve is not None:
            curves[path.parent.name] = curve
    return curves, problems


def training_document(curves: Mapping[str, Curve]) -> dict[str, Any] | None:
    """Return the curves as the page's plot takes them; None where no run has one."""
    looks = styles(dict.fromkeys(curves, FROM_SCRATCH))
    models = [
        {
            "name": plain(name, _NAME),
            "scratch": False,
            "colour": looks[name].colour,
            "dark": on_dark(looks[name].colour),
            "marker": looks[name].marker,
            "loss": _points(curve.losses),
            "dev": _points(curve.dev),
        }
        for name, curve in curves.items()
        if curve.losses or curve.dev
    ]
    return {"algorithms": models} if models else None


def _points(pairs: Any) -> list[list[float]]:
    return [[step, float(f"{value:.{_DIGITS}g}")] for step, value in pairs]
