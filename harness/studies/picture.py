"""A picture as plain data: what a study wants drawn, and `harness.report.studies` draws."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass, field
from typing import Literal

Kind = Literal["line", "dots", "curve"]
"""`line`: measured points, joined; `dots`: measured points alone; `curve`: theory or a fit, without marks."""


@dataclass(frozen=True)
class Line:
    """One series of a panel.

    `name`, unless it is empty, is written right of the panel at the height of the line's end, or, among dots, beside
    the point numbered `named_at` (the rightmost where that isn't said). `look` is an algorithm, whose colour and marker
    are taken, or `first` to `fourth`, or `theory`; `shade` from 0 (light) to 1 (full) tells the members of an ordered
    family apart, and `dashed` sets libraries, or the lesser of two variants, back. `low` and `high` are the ends of
    intervals.
    """

    name: str
    x: Sequence[float]
    y: Sequence[float]
    look: str
    kind: Kind = "line"
    low: Sequence[float] | None = None
    high: Sequence[float] | None = None
    shade: float = 1.0
    dashed: bool = False
    named_at: int | None = None


@dataclass(frozen=True)
class Axis:
    """A scale: its title, whether it is logarithmic, its ticks and limits where they aren't left to the data."""

    title: str
    log: bool = False
    percent: bool = False
    ticks: Sequence[float] | None = None
    limits: tuple[float, float] | None = None


@dataclass(frozen=True)
class Panel:
    """One pair of axes; the title of `y` stands above it, and differs from those of the picture's other panels.

    `level` is a value of y that is marked, and its name.
    """

    x: Axis
    y: Axis
    lines: Sequence[Line]
    level: tuple[float, str] | None = None


@dataclass(frozen=True)
class Picture:
    """Panels in rows of `columns`, under a title (the finding) and a subtitle; `notes` explain marks, at the foot."""

    title: str
    subtitle: str
    panels: Sequence[Panel]
    notes: Sequence[str] = field(default=())
    columns: int = 2
