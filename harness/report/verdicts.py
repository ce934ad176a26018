"""What a comparison says, as a notebook and a script use it."""

from __future__ import annotations

from dataclasses import dataclass
from typing import TYPE_CHECKING, Any

from harness.compare.request import Report
from harness.report.comparison import cells, document, footnotes, heads, render

if TYPE_CHECKING:
    import pandas as pd


@dataclass(frozen=True)
class Verdicts:
    """The verdicts of a comparison: print it, or let a notebook show it.

    `details` holds the rows as they were computed, with every interval; `kinds` is all that most scripts need.
    """

    details: Report

    @property
    def kinds(self) -> list[str]:
        """Return `faster`, `slower`, `tied` or `unsure` of A for each row; `none` where a side lacks the recall."""
        verdicts = [row.comparison.verdict for row in self.details.rows]
        return ["none" if verdict is None else verdict.kind for verdict in verdicts]

    def table(self) -> pd.DataFrame:
        """Return the rows as `annbench compare` prints them."""
        import pandas as pd

        rows = [cells(row, self.details.rows) for row in self.details.rows]
        return pd.DataFrame(rows, columns=list(heads(self.details.clock)))

    def document(self) -> dict[str, Any]:
        """Return what `annbench compare --format json` writes."""
        return document(self.details)

    def __str__(self) -> str:
        """Write the table in Markdown, with what a reader should know below it."""
        return render(self.details, "markdown")

    def _repr_html_(self) -> str:
        from html import escape

        names = f"A: {self.details.names[0]}, B: {self.details.names[1]}"
        notes = "".join(f"<li>{escape(note)}</li>" for note in footnotes(self.details))
        return f"<p>{escape(names)}</p>{self.table().to_html(index=False, escape=True)}<ul>{notes}</ul>"
