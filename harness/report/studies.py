"""Draw what a study measured, and write it as a picture, a page of Markdown and a CSV."""

from __future__ import annotations

import json
import math
from collections.abc import Sequence
from pathlib import Path
from typing import Any

import numpy as np

from harness.analyse.table import machine_name
from harness.core.atomic import write_text
from harness.core.errors import AnnbenchError
from harness.report.figure import WIDTH, log_scale, new_figure, padded, save, short_count
from harness.report.labels import End, label_ends, label_points
from harness.report.style import FROM_SCRATCH, INK, SOFT, Style, drawing, plain, styles
from harness.report.tables import escape, markdown, to_csv
from harness.studies.picture import Axis, Line, Panel, Picture
from harness.studies.session import Outcome
from harness.studies.study import Explanation, Shown

# Inches.
_PANEL_HEIGHT, _TOP, _BOTTOM = 2.35, 0.98, 0.98
_GAP, _LEFT, _LABELS, _EDGE = 0.92, 0.62, 1.3, 0.15

_LABEL_SIZE = 8.0
_DASHES = (0, (3, 1.5))
_MOST_TICKS = 6  # across a panel

# Okabe and Ito's colours, for series that are no algorithm.
_SERIES = {
    "first": ("#0072B2", "o"),
    "second": ("#D55E00", "s"),
    "third": ("#009E73", "D"),
    "fourth": ("#AA4499", "^"),
    "theory": ("#777777", "o"),
}


def write_study(
    outcome: Outcome, folder: Path, *, suffix: str = "", formats: Sequence[str] = ("png", "svg")
) -> list[Path]:
    """Write `study-<name><suffix>` as Markdown, CSV and a picture in each format into `folder`; return the files.

    The Markdown comes first. Raises AnnbenchError where a file can't be written.
    """
    stem = f"study-{outcome.study.name}{suffix}"
    said = outcome.explain()
    try:
        with drawing():
            pictures = save(study_figure(said.picture, _footer(outcome)), folder, stem, formats)
        page, rows = folder / f"{stem}.md", folder / f"{stem}.csv"
        write_text(page, _page(outcome, said, [path.name for path in pictures], rows.name))
        write_text(rows, csv_text(outcome))
    except OSError as refused:
        raise AnnbenchError(
            f"{folder}: the study could not be written ({refused.strerror or refused}); choose another folder or free "
            "some space"
        ) from None
    return [page, rows, *pictures]


# --- text ------------------------------------------------------------------------------------------------------------


def csv_text(outcome: Outcome) -> str:
    """Write the rows as CSV after a line `# {json}` that says what they depend on.

    `pandas.read_csv(path, skiprows=1)` reads it.
    """
    return f"# {json.dumps(dict(outcome.header))}\n{to_csv(outcome.table)}"


def _footer(outcome: Outcome) -> str:
    header = outcome.header
    where = machine_name({"cpu": header.get("cpu"), "cores": header.get("cores")})
    return f"annbench study {outcome.study.name} · {plain(where, 60)} · {str(header.get('created', ''))[:10]}"


def _page(outcome: Outcome, said: Explanation, pictures: Sequence[str], rows: str) -> str:
    parts = [f"# {escape(said.finding)}\n", " ".join(escape(text, 2000) for text in said.sentences) + "\n"]
    if pictures:
        parts.append(f"![{escape(said.finding)}]({pictures[0]})\n")
    parts += [_table(shown) for shown in said.tables if shown.rows]
    if outcome.missing:
        parts.append("Left out: " + "; ".join(f"{escape(n)} ({escape(w)})" for n, w in outcome.missing.items()) + ".\n")
    settings = json.dumps(outcome.settings.model_dump(mode="json"))
    parts.append(f"{escape(_footer(outcome))}. Settings: `{settings}`. Every row: [{rows}]({rows}).\n")
    return "\n".join(parts)


def _table(shown: Shown) -> str:
    cells = [[escape(cell) for cell in row] for row in shown.rows]
    numbers = range(1, len(shown.header))
    return f"**{escape(shown.caption)}**\n\n{markdown([escape(name) for name in shown.header], cells, numbers)}"


# --- picture ---------------------------------------------------------------------------------------------------------


def study_figure(picture: Picture, footer: str) -> Any:
    """Draw the panels of a picture in rows, with names beside the ends of lines."""
    count = len(picture.panels)
    columns = min(picture.columns, count)
    rows = -(-count // columns)
    height = _TOP + rows * _PANEL_HEIGHT + (rows - 1) * _GAP + _BOTTOM
    figure = new_figure(picture.title, picture.subtitle, (" · ".join(picture.notes), footer), height=height)
    looks = _looks({line.look for panel in picture.panels for line in panel.lines})
    margins = [_margin(picture.panels[column::columns]) for column in range(columns)]
    width = (WIDTH - columns * _LEFT - sum(margins)) / columns
    for number, panel in enumerate(picture.panels):
        row, column = divmod(number, columns)
        left = sum(margins[:column]) + column * width + (column + 1) * _LEFT
        bottom = height - _TOP - (row + 1) * _PANEL_HEIGHT - row * _GAP
        axes = figure.add_axes((left / WIDTH, bottom / height, width / WIDTH, _PANEL_HEIGHT / height))
        _draw_panel(axes, panel, looks)
    return figure


def _looks(names: set[str]) -> dict[str, Style]:
    found = styles(dict.fromkeys(names - set(_SERIES), FROM_SCRATCH))
    return found | {name: Style(*_SERIES[name], "-", 1.7, "bold") for name in names & set(_SERIES)}


def _margin(panels: Sequence[Panel]) -> float:
    """Return the room right of a column: wide where names are written beside the ends of lines."""
    return _LABELS if any(line.name and line.kind != "dots" for panel in panels for line in panel.lines) else _EDGE


def _draw_panel(axes: Any, panel: Panel, looks: dict[str, Style]) -> None:
    _scale(axes.xaxis, panel.x, [value for line in panel.lines for value in line.x])
    heights = [value for line in panel.lines for part in (line.y, line.low, line.high) if part for value in part]
    _scale(axes.yaxis, panel.y, heights + ([panel.level[0]] if panel.level else []))
    axes.set_xlabel(panel.x.title, fontsize=8.5, color=SOFT)
    axes.set_title(panel.y.title, loc="left", fontsize=9.5, fontweight="bold", pad=7)
    if panel.level is not None:
        _mark_level(axes, *panel.level)
    drawn = [(line, _draw_line(axes, line, looks[line.look])) for line in panel.lines if len(line.x)]
    named = [(line, end) for line, end in drawn if end.name]
    label_ends(axes, [end for line, end in named if line.kind != "dots"], size=_LABEL_SIZE)
    marks = [point for line, _ in drawn for point in _along(axes, line)]
    label_points(axes, [end for line, end in named if line.kind == "dots"], marks, size=_LABEL_SIZE)


def _along(axes: Any, line: Line) -> list[tuple[float, float]]:
    """Return points all along a line as it is seen, in data coordinates, so that no name is written across it."""
    points = np.column_stack([line.x, line.y]).astype(float)
    if line.kind != "dots" and len(points) > 1:
        seen = axes.transData.transform(points)
        steps = np.linspace(0, len(points) - 1, max(len(points), 16 * min(len(points) - 1, 16) + 1))
        seen = np.column_stack([np.interp(steps, np.arange(len(points)), column) for column in seen.T])
        points = axes.transData.inverted().transform(seen)
    return [(float(x), float(y)) for x, y in points]


def _mark_level(axes: Any, level: float, name: str) -> None:
    axes.axhline(level, color=INK, lw=0.9, zorder=1.5)
    axes.annotate(
        name, (0.99, level), xycoords=("axes fraction", "data"), xytext=(0, 2.5), textcoords="offset points",
        fontsize=7, color=INK, ha="right", va="bottom", zorder=4,
    )  # fmt: skip


def _draw_line(axes: Any, line: Line, look: Style) -> End:
    """Draw a series and return where it is named."""
    colour = _tint(look.colour, line.shade)
    x, y = np.asarray(line.x, float), np.asarray(line.y, float)
    if line.kind == "curve":
        axes.plot(x, y, color=colour, lw=1.1, ls=_DASHES if line.dashed else "-", zorder=2)
    else:
        _draw_marks(axes, x, y, line, look, colour)
    known = np.flatnonzero(np.isfinite(x) & np.isfinite(y))
    place = int(known[np.argmax(x[known])]) if known.size else 0
    if line.kind == "dots" and line.named_at is not None:
        place = line.named_at
    # Text needs more contrast than marks do.
    ink = _tint(look.colour, max(line.shade, 0.6))
    shown = Style(ink, look.marker, look.line, look.width, "normal" if line.dashed else look.weight)
    return End(line.name if known.size else "", float(x[place]), float(y[place]), shown)


def _draw_marks(axes: Any, x: Any, y: Any, line: Line, look: Style, colour: str) -> None:
    if line.low is not None and line.high is not None:
        reach = np.vstack([y - np.asarray(line.low, float), np.asarray(line.high, float) - y])
        axes.errorbar(x, y, yerr=np.nan_to_num(reach).clip(min=0), fmt="none", ecolor=colour, elinewidth=0.9, zorder=2)
    if line.kind == "line":
        axes.plot(x, y, color=colour, lw=1.1 if line.dashed else 1.7, ls=_DASHES if line.dashed else "-", zorder=2.2)
    fill = "white" if line.dashed else colour
    axes.plot(
        x, y, ls="", marker=look.marker, ms=0.85 * look.size, mfc=fill, mec=colour if line.dashed else "white",
        mew=0.9 if line.dashed else 0.5, zorder=2.4,
    )  # fmt: skip


def _tint(colour: str, shade: float) -> str:
    """Mix a colour with white: 1 leaves it as it is, 0 gives a light tint that can still be seen."""
    keep = 0.35 + 0.65 * min(max(shade, 0.0), 1.0)
    parts = (int(colour[i : i + 2], 16) for i in (1, 3, 5))
    return "#" + "".join(f"{round(255 - keep * (255 - part)):02x}" for part in parts)


def _scale(axis: Any, what: Axis, values: Sequence[float]) -> None:
    usable = [float(value) for value in values if math.isfinite(value)]
    write = _percent if what.percent else short_count
    if what.log:
        low, high = what.limits or padded(usable, 1.35)
        log_scale(axis, low, high, write)
        if what.ticks is not None:
            ticks = [tick for tick in what.ticks if low <= tick <= high]
            ticks = ticks[:: -(-len(ticks) // _MOST_TICKS)]
            axis.set_ticks(ticks, [f"{tick:,g}" if tick < 10_000 else write(tick) for tick in ticks])
    else:
        set_limits = axis.axes.set_ylim if axis.axis_name == "y" else axis.axes.set_xlim
        if what.limits:
            set_limits(*what.limits)
        elif usable:
            room = 0.06 * ((max(usable) - min(usable)) or 1.0)
            set_limits(min(usable) - room, max(usable) + room)
        axis.set_major_formatter(lambda value, _: write(value))
        if what.ticks is not None:
            axis.set_ticks(list(what.ticks))


def _percent(value: float) -> str:
    return f"{100 * value:.3g}%"
