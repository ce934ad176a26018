"""How every verb prints for people: lines that are never wrapped, and tables whose names are never cut.

What a reader may want to copy (a path, a command, a name) stays whole at any width: a line longer than the terminal is
the terminal's to fold, which keeps it one line for the clipboard.
"""

from __future__ import annotations

from collections.abc import Iterable, Sequence
from typing import Any, NamedTuple

from rich.console import Console, Group
from rich.text import Text

_ELLIPSIS = "…"
_GAP = 2
_LEAST_PROSE = 16  # fewer characters of a sentence tell nothing


class Lines(Console):
    """A console that prints each string as the lines it holds; other renderables are printed as rich does."""

    def __init__(self, *, stderr: bool = False, quiet: bool = False) -> None:
        super().__init__(stderr=stderr, quiet=quiet, highlight=False)

    def print(self, *objects: Any, **options: Any) -> None:
        """Print strings without wrapping or cropping; the other options are rich's."""
        if objects and all(isinstance(each, str) for each in objects):
            marked = {name: options.pop(name) for name in ("markup", "highlight") if name in options}
            text = self.render_str(str(options.pop("sep", " ")).join(objects), emoji=False, **marked)
            # Said of the text, not of the whole print: a progress bar below it must still keep to the width.
            text.no_wrap, text.overflow, text.end = True, "ignore", str(options.pop("end", "\n"))
            objects, options["crop"] = (Group(text),), False  # rich would join bare texts into one that wraps
        super().print(*objects, **options)


class Column(NamedTuple):
    """A column of a table: its head, and what may happen to it where a terminal is narrow.

    `prose` is cut at the end of the line; `kept` stays whole, even beyond the width; others are left out.
    """

    head: str
    right: bool = False
    prose: bool = False
    kept: bool = False


def print_table(columns: Sequence[Column], rows: Iterable[Sequence[Any]], *, title: str = "") -> None:
    """Print a table on standard output, one line a row, the most important column first.

    A terminal gets the columns that fit; what is piped gets all of them whole, for grep and cut.
    """
    out = Lines()
    cells = [[" ".join(str(cell).split()) for cell in row] for row in rows]
    heads = [column.head for column in columns]
    widths = [max(map(_width, column)) for column in zip(heads, *cells, strict=True)]
    shown = _fitting(columns, widths, out.width) if out.is_terminal else list(enumerate(widths))
    if title:
        out.print(title, markup=False)
    for number, row in enumerate([heads, *cells]):
        line = (" " * _GAP).join(_cell(row[place], width, columns[place]) for place, width in shown).rstrip()
        out.print(line, markup=False, style=None if number else "bold")


def _fitting(columns: Sequence[Column], widths: Sequence[int], room: int) -> list[tuple[int, int]]:
    """Return (number, width) of the columns to show: the first, those that are kept, and of others what still fits."""
    kept = {place for place, column in enumerate(columns) if column.kept or not place}
    room -= sum(widths[place] + _GAP for place in kept) - _GAP
    shown, full = [], False
    for place, (column, width) in enumerate(zip(columns, widths, strict=True)):
        if place in kept:
            shown.append((place, width))
            continue
        left = room - _GAP
        if full or (width > left and not (column.prose and left >= _LEAST_PROSE)):
            full = True
            continue
        shown.append((place, min(width, left)))
        room = left - min(width, left)
    return shown


def _cell(text: str, width: int, column: Column) -> str:
    if _width(text) > width:
        cut = Text(text)
        cut.truncate(width - 1)
        return cut.plain.rstrip() + _ELLIPSIS
    padding = " " * (width - _width(text))
    return padding + text if column.right else text + padding


def _width(text: str) -> int:
    return Text(text).cell_len
