"""The table of embedding quality: a row for each model and variant, a column for each task, in four formats."""

from __future__ import annotations

import json
import math
import re
from collections import Counter
from collections.abc import Sequence
from dataclasses import dataclass
from html import escape as escape_html
from pathlib import Path
from typing import Any, NamedTuple

import numpy as np

from harness.core.atomic import write_text
from harness.core.errors import AnnbenchError, UnknownNameError
from harness.embedding.measures.intervals import SURE, compare
from harness.embedding.records import Figure, Record
from harness.report.tables import escape, markdown, to_csv

STEM = "embedding-quality"
FORMATS = {"md": "table", "csv": "csv", "html": "html", "tex": "latex"}
_GEOMETRY = {
    "alignment": "alignment",
    "uniformity": "uniformity",
    "effective_rank": "effective rank",
    "anisotropy": "mean cosine",
    "local_intrinsic_dimension": "LID",
    "two_nn": "two-NN",
    "hubness": "hubness",
    "relative_contrast": "contrast",
}
QUALITY_NOTE = (
    "Quality with its 95% interval (bootstrap over queries or pairs). Bold: the best of a column; =: not told apart "
    f"from it (paired randomisation test, p > {SURE}). Texts/s: one pass over the task's texts, on this machine."
)


class Column(NamedTuple):
    """A task's figure: what it is called, and the hash of the texts and judgements that it is of."""

    task: str
    measure: str
    task_hash: str


class Cell(NamedTuple):
    """What a cell says, and whether it is the best of its column."""

    text: str
    best: bool = False


@dataclass(frozen=True)
class Row:
    """One model in one variant: what it is like, and its record for each column, where it has one."""

    first: Record
    cells: tuple[Record | None, ...]


@dataclass(frozen=True)
class Quality:
    """The table before it is written: its columns and rows, the best in the first column first."""

    columns: tuple[Column, ...]
    rows: tuple[Row, ...]


def tabulate(records: Sequence[Record]) -> Quality:
    """Arrange records: tasks in the order in which they come, of each model, variant and task the newest.

    A model that was trained again under the same name has a row for each of its states.
    """
    latest: dict[tuple[str, str, str], dict[Column, Record]] = {}
    for record in sorted(records, key=lambda one: one.created):
        latest.setdefault((record.model, record.fingerprint, record.variant), {})[_column(record)] = record
    order = tuple(dict.fromkeys(map(_column, records)))
    rows = []
    for by in latest.values():
        cells = tuple(by.get(column) for column in order)
        rows.append(Row(next(cell for cell in cells if cell is not None), cells))
    return Quality(order, tuple(sorted(rows, key=_descending)))


def quality_notes(table: Quality) -> list[str]:
    """Say of each task what was left out of it, or what else its records note."""
    records = [one for row in table.rows for one in row.cells if one is not None]
    return list(dict.fromkeys(f"{record.task}: {note}" for record in records for note in record.notes))


def _column(record: Record) -> Column:
    return Column(record.task, record.main, record.task_hash)


def _descending(row: Row) -> tuple[float, ...]:
    return tuple(-value if (value := _value(cell)) == value else math.inf for cell in row.cells)


def _value(record: Record | None) -> float:
    return math.nan if record is None else record.quality.value


def write_quality(records: Sequence[Record], folder: Path, stem: str = STEM) -> list[Path]:
    """Write the table as Markdown, CSV, HTML and LaTeX; return the files. Raises AnnbenchError without records."""
    if not records:
        raise AnnbenchError(
            "there is no evaluation to report; make one first with: annbench evaluate MODEL --tasks TASK"
        )
    table = tabulate(records)
    paths = []
    for suffix, kind in FORMATS.items():
        path = folder / f"{stem}.{suffix}"
        write_text(path, render(table, kind))
        paths.append(path)
    return paths


def render(table: Quality, kind: str) -> str:
    """Write the table as `table` (Markdown), csv, html, latex or json; raises UnknownNameError."""
    match kind:
        case "table":
            header, rows = quality_cells(table)
            body = [[f"**{escape(text)}**" if best else escape(text) for text, best in row] for row in rows]
            below = "".join(f"\n{line}\n" for line in (QUALITY_NOTE, *map(escape, quality_notes(table))))
            return markdown([escape(name) for name in header], body, range(2, len(header))) + below
        case "csv":
            return _csv(table)
        case "html":
            return _html(table)
        case "latex":
            return _latex(table)
        case "json":
            found = [_known(one.model_dump()) for row in table.rows for one in row.cells if one is not None]
            return json.dumps(found, indent=1, allow_nan=False) + "\n"
    raise UnknownNameError("format", kind, ["table", "csv", "json", "html", "latex"])


def _known(content: Any) -> Any:
    """Return content with None for what isn't a number, which JSON has no way to write."""
    if isinstance(content, dict):
        return {name: _known(value) for name, value in content.items()}
    if isinstance(content, list):
        return [_known(value) for value in content]
    return None if isinstance(content, float) and not math.isfinite(content) else content


def quality_cells(table: Quality) -> tuple[list[str], list[list[Cell]]]:
    """Return the header and the rows of cells, which all formats and the interactive report share."""
    header = ["model", "variant", *_headings(table.columns)]
    header += ["dimensions", "bytes", "parameters", "training min", "texts/s", *_GEOMETRY.values()]
    marks = [_marks(table, number) for number in range(len(table.columns))]
    rows = []
    for number, row in enumerate(table.rows):
        first = row.first
        quality = [_quality(cell, marks[i][number]) for i, cell in enumerate(row.cells)]
        speed = first.sentences_a_second
        about = [
            _count(first.dimension),
            _count(first.bytes_a_vector),
            _parameters(first.parameters),
            "-" if first.training_minutes is None else f"{first.training_minutes:.1f}",
            "-" if speed is None else f"{speed:,.0f}",
        ]
        geometry = [_short(first.geometry.get(name, math.nan)) for name in _GEOMETRY]
        rows.append([*map(Cell, (first.model, first.variant)), *quality, *map(Cell, about), *map(Cell, geometry)])
    return header, rows


def brief_tables(table: Quality) -> list[tuple[str, list[list[str]]]]:
    """Return for each task its title and, best first, its rows of five cells: what a terminal of 80 columns holds.

    They are model, variant, quality, bytes and texts/s; behind the quality stands * for the best, and = as elsewhere.
    """
    found = []
    for number, title in enumerate(_headings(table.columns)):
        marks = _marks(table, number)
        order = sorted(range(len(table.rows)), key=lambda row: _descending(table.rows[row])[number])
        rows = []
        for place in order:
            record = table.rows[place].cells[number]
            if record is None:
                continue
            speed = record.sentences_a_second
            quality = _quality(record, marks[place])
            rows.append(
                [
                    *(record.model, record.variant, quality.text + (" *" if quality.best else "")),
                    *(_count(record.bytes_a_vector), "-" if speed is None else f"{speed:,.0f}"),
                ]
            )
        found.append((title, rows))
    return found


def _headings(columns: Sequence[Column]) -> list[str]:
    """Name columns by task and measure; where a task has changed since, by the hash of its content, too."""
    counts = Counter((column.task, column.measure) for column in columns)
    return [
        f"{task} {measure}" + (f" ({content[:6]})" if counts[task, measure] > 1 else "")
        for task, measure, content in columns
    ]


def _marks(table: Quality, column: int) -> list[str]:
    """Say of each row whether its figure is the best of a column ("best"), not told apart from it ("="), or neither."""
    cells = [row.cells[column] for row in table.rows]
    known = [cell for cell in cells if not math.isnan(_value(cell))]
    if len(known) < 2:
        return [""] * len(cells)
    best = max(known, key=_value)
    return ["best" if _value(cell) == _value(best) else "=" if _tied(best, cell) else "" for cell in cells]


def _tied(best: Record | None, other: Record | None) -> bool:
    """Tell whether a paired test leaves it open which is better; never where values a query are missing."""
    if best is None or other is None or not best.values or len(best.values) != len(other.values):
        return False
    return compare(np.array(best.values), np.array(other.values)).p_value > SURE


def _quality(record: Record | None, mark: str) -> Cell:
    if record is None:
        return Cell("-")
    return Cell(_figure(record.quality) + (" =" if mark == "=" else ""), best=mark == "best")


def _figure(figure: Figure) -> str:
    if math.isnan(figure.value):
        return "-"
    interval = "" if math.isnan(figure.low) else f" ({figure.low:.3f}-{figure.high:.3f})"
    return f"{figure.value:.4f}{interval}"


def _count(value: int | None) -> str:
    return "-" if value is None else f"{value:,}"


def _parameters(value: int | None) -> str:
    return "-" if value is None else f"{value / 1e6:.1f} M"


def _short(value: float) -> str:
    return "-" if math.isnan(value) else f"{value:.3g}"


def _csv(table: Quality) -> str:
    """Write a line a model, variant, task and measure."""
    import pandas as pd

    lines = [
        {
            **record.model_dump(include={"model", "variant", "task", "kind"}),
            "measure": measure,
            **figure.model_dump(),
            **record.model_dump(include={"dimension", "bytes_a_vector", "parameters", "training_minutes"}),
            "texts_a_second": record.sentences_a_second,
            "notes": "; ".join(record.notes) or None,
            **{name: record.geometry.get(name) for name in _GEOMETRY},
        }
        for row in table.rows
        for record in row.cells
        if record is not None
        for measure, figure in record.figures.items()
    ]
    # As objects: a column of whole numbers with a gap would else become one of floats.
    return to_csv(pd.DataFrame(lines, dtype=object))


def _html(table: Quality) -> str:
    header, rows = quality_cells(table)
    caption = " ".join([QUALITY_NOTE, *(f"{note}." for note in quality_notes(table))])
    lines = ["<table>", f"<caption>{escape_html(caption)}</caption>"]
    lines.append(
        "<thead><tr>" + "".join(f'<th scope="col">{escape_html(name)}</th>' for name in header) + "</tr></thead>"
    )
    lines.append("<tbody>")
    for row in rows:
        cells = [
            f"<td><strong>{escape_html(text)}</strong></td>" if best else f"<td>{escape_html(text)}</td>"
            for text, best in row
        ]
        lines.append(f"<tr>{''.join(cells)}</tr>")
    return "\n".join([*lines, "</tbody>", "</table>"]) + "\n"


def _latex(table: Quality) -> str:
    header, rows = quality_cells(table)
    body = [
        " & ".join(rf"\textbf{{{_tex(text)}}}" if best else _tex(text) for text, best in row) + r" \\" for row in rows
    ]
    lines = [
        *("% " + " ".join(note.split()) for note in (QUALITY_NOTE, *quality_notes(table))),
        rf"\begin{{tabular}}{{ll{'r' * (len(header) - 2)}}}",
        r"\hline",
        " & ".join(map(_tex, header)) + r" \\",
        r"\hline",
        *body,
        r"\hline",
        r"\end{tabular}",
    ]
    return "\n".join(lines) + "\n"


_TEX = {
    "\\": r"\textbackslash{}",
    **{sign: f"\\{sign}" for sign in "&%$#_{}"},
    "~": r"\textasciitilde{}",
    "^": r"\textasciicircum{}",
    "<": r"\textless{}",
    ">": r"\textgreater{}",
    "|": r"\textbar{}",
    # At the start of a row, the row break before would take these for its own.
    "[": "{[}",
    "*": "{*}",
}


def _tex(text: str) -> str:
    return re.sub(r"[\\&%$#_{}~^<>|\[*]", lambda found: _TEX[found[0]], " ".join(text.split()))
