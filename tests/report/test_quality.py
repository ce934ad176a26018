"""The table of embedding quality: what it marks, and that no name from a file can break any of its forms."""

from __future__ import annotations

import csv
import io
import json
import math
import re
import subprocess
import sys
from html.parser import HTMLParser
from pathlib import Path
from typing import Any

import pytest

from harness.core.errors import AnnbenchError, UnknownNameError
from harness.embedding.records import Figure, Record
from harness.report.quality import STEM, render, tabulate, write_quality

KINDS = ("table", "csv", "html", "latex", "json")
NAN = math.nan
# Each would be markup, a formula or a command in one of the forms.
HOSTILE = [
    "<script>alert(1)</script>",
    "a|b",
    "=cmd()",
    "+1+1",
    "@SUM(A1)",
    "-2",
    "\t=1",
    r"\input{/etc/passwd} $x$ % & # _a_ ~ ^ {",
    "[2cm] * `code` **b** [x](y)",
    "two\nlines",
    "\"quoted\", and 'single'",
    "&amp;",
]


def record(model: str = "m", value: float = 0.5, values: list[float] | None = None, **changes: Any) -> Record:
    """Return a record of a task with a figure and its values."""
    fields: dict[str, Any] = {
        "fingerprint": f"weights of {model}",
        "task": "task",
        "task_hash": "1234567890",
        "kind": "retrieval",
        "main": "ndcg@10",
        "figures": {"ndcg@10": Figure(value=value, low=value - 0.1, high=value + 0.1)},
        "created": "2026-01-01T00:00:00+00:00",
    }
    return Record(model=model, values=values or [], **(fields | changes))


def markdown_rows(text: str) -> list[list[str]]:
    """Split a Markdown table into cells, at borders that aren't escaped."""
    lines = [line for line in text.splitlines() if line.startswith("|")]
    return [[cell.strip() for cell in re.split(r"(?<!\\)\|", line)[1:-1]] for line in lines]


class Cells(HTMLParser):
    """Read the tags and cells of a page."""

    def __init__(self, text: str) -> None:
        super().__init__()
        self.tags: set[str] = set()
        self.cells: list[str] = []
        self.feed(text)

    def handle_starttag(self, tag: str, attrs: Any) -> None:
        """Note the tag."""
        self.tags.add(tag)
        if tag in ("td", "th"):
            self.cells.append("")

    def handle_data(self, data: str) -> None:
        """Note the text of the last cell."""
        if self.cells:
            self.cells[-1] += data


# --- what is in the table ------------------------------------------------------------------------------------------


def test_the_best_comes_first_in_bold_and_ties_are_marked() -> None:
    """The best is bold; what a paired test does not tell apart has "=", what it does has no mark."""
    values = [0.5 + 0.01 * (i % 5) for i in range(40)]
    close = [value + (0.01 if i % 2 else -0.011) for i, value in enumerate(values)]
    records = [
        record("worse", 0.2, [value - 0.3 for value in values]),
        record("close", 0.5195, close),
        record("best", 0.52, values),
        record("no-values", 0.51),
    ]
    rows = {row[0].strip("*"): row for row in markdown_rows(render(tabulate(records), "table"))}
    assert list(rows)[2:] == ["best", "close", "no-values", "worse"]
    assert rows["best"][2] == "**0.5200 (0.420-0.620)**"
    assert rows["close"][2] == "0.5195 (0.419-0.619) ="
    assert rows["no-values"][2] == "0.5100 (0.410-0.610)"
    assert rows["worse"][2] == "0.2000 (0.100-0.300)"
    assert "<strong>0.5200" in render(tabulate(records), "html")
    assert r"\textbf{0.5200" in render(tabulate(records), "latex")


def test_equal_figures_are_equally_best() -> None:
    """Two models of the same figure are both bold, whether or not they have values to compare."""
    rows = markdown_rows(render(tabulate([record("a", 0.5), record("b", 0.5), record("c", 0.4)]), "table"))
    assert [row[2].startswith("**") for row in rows[2:]] == [True, True, False]


def test_a_single_figure_is_not_called_best() -> None:
    """There is nothing that it would be better than."""
    text = render(tabulate([record("a", 0.5), record("b", NAN)]), "table")
    assert "**" not in text.split("\n\n", maxsplit=1)[0]


def test_unknown_figures_come_last_and_are_dashes() -> None:
    """A figure that is NaN, or that a model lacks, is a dash, and neither best nor tied."""
    records = [record("unknown", NAN, [0.1] * 3), record("b", 0.3), record("a", 0.4), record("lacks", task="other")]
    rows = markdown_rows(render(tabulate(records), "table"))[2:]
    assert [row[0] for row in rows][:2] == ["a", "b"]
    assert {row[0]: row[2] for row in rows}["unknown"] == "-"
    assert {row[0]: row[2] for row in rows}["lacks"] == "-"


def test_columns_are_the_tasks_in_their_order() -> None:
    """A task is a column, headed by its figure; one that has changed since is another, told apart by its hash."""
    records = [
        record(task="b"),
        record(task="a", main="spearman", figures={"spearman": Figure(value=0.8)}, kind="similarity"),
        record(task="b", task_hash="abcdefghi"),
    ]
    header = markdown_rows(render(tabulate(records), "table"))[0]
    assert header[2:5] == ["b ndcg@10 (123456)", "a spearman", "b ndcg@10 (abcdef)"]
    assert "dimensions" in header


def test_the_newest_record_counts_and_states_of_a_model_are_apart() -> None:
    """Of the same weights the newest is shown; weights that have changed since have a row of their own."""
    old, new = "2026-01-01T00:00:00+00:00", "2026-02-01T00:00:00+00:00"
    records = [record(value=0.7, created=new), record(value=0.1, created=old), record(value=0.4, fingerprint="other")]
    table = tabulate(records)
    assert [row.cells[0].quality.value for row in table.rows if row.cells[0] is not None] == [0.7, 0.4]


def test_what_is_known_of_a_model_is_written() -> None:
    """Dimensions, bytes, parameters, minutes and speed are in their columns; what isn't known is a dash."""
    known = record(
        dimension=384, bytes_a_vector=1536, parameters=22_713_216, training_minutes=1.25, items=3000, seconds=2.0,
        geometry={"hubness": 3.14159, "two_nn": NAN},
    )  # fmt: skip
    header, _, row, bare = markdown_rows(render(tabulate([known, record("z", 0.1)]), "table"))
    cells, others = dict(zip(header, row, strict=True)), dict(zip(header, bare, strict=True))
    names = ("dimensions", "bytes", "parameters", "training min", "texts/s", "hubness", "two-NN")
    assert [cells[name] for name in names] == ["384", "1,536", "22.7 M", "1.2", "1,500", "3.14", "-"]
    assert {others[name] for name in names} == {"-"}


# --- forms ---------------------------------------------------------------------------------------------------------


@pytest.fixture(scope="module")
def hostile() -> Any:
    """Return a table whose models, variants, tasks and measures are hostile names."""
    records = [
        record(name, 0.1 + i / 100, variant=name, task=name, main=name, figures={name: Figure(value=0.1 + i / 100)})
        for i, name in enumerate(HOSTILE)
    ]
    return tabulate([*records, *(one.model_copy(update={"model": "again"}) for one in records)])


def test_markdown_stays_a_table(hostile: Any) -> None:
    """Every line has the cells of the header, and nothing is a tag."""
    text = render(hostile, "table")
    assert {len(row) for row in markdown_rows(text)} == {2 + len(HOSTILE) + 13}
    assert not re.search(r"<[a-zA-Z/]", text)
    assert r"\[x\](y)" in text


def test_html_has_the_tags_of_a_table_alone(hostile: Any) -> None:
    """No name becomes a tag, and each reads as it was."""
    page = Cells(render(hostile, "html"))
    assert page.tags == {"table", "caption", "thead", "tbody", "tr", "th", "td", "strong"}
    assert set(HOSTILE) <= set(page.cells)


def test_csv_has_no_formula(hostile: Any) -> None:
    """No cell starts as a formula does, every row has all columns, and figures are exact."""
    rows = list(csv.reader(io.StringIO(render(hostile, "csv"))))
    assert len({len(row) for row in rows}) == 1
    for row in rows[1:]:
        for cell in row:
            assert cell[:1] not in ("=", "+", "-", "@", "\t", "\r")
    assert {row[0].removeprefix("'") for row in rows[1:]} == {*HOSTILE, "again"}
    assert float(rows[1][rows[0].index("value")]) in [0.1 + i / 100 for i in range(len(HOSTILE))]


def test_latex_has_no_command_of_a_name(hostile: Any) -> None:
    """Special characters are escaped, rows have all columns, and no row starts as an argument of the break before."""
    text = render(hostile, "latex")
    body = text[text.index(r"\begin") :]
    ours = r"textbf|textbackslash|textasciitilde|textasciicircum|textless|textgreater|textbar|hline|begin|end"
    assert not re.search(rf"\\(?!(?:{ours})\b)[a-zA-Z]", body)
    plain = re.sub(r"\\[&%$#_{}]", "", body)
    rows = [line for line in plain.splitlines() if line.endswith(r" \\")]
    assert {line.count("&") for line in rows} == {2 + len(HOSTILE) + 13 - 1}
    assert not any(line.startswith(("[", "*")) for line in body.splitlines())
    assert not re.search(r"[%$#~^<>|]", plain)
    assert plain.count("{") == plain.count("}")


def test_json_is_read_by_others(hostile: Any) -> None:
    """JSON has null for what isn't a number, and every record and name as it was."""
    content = json.loads(render(hostile, "json"), parse_constant=pytest.fail)
    assert len(content) == 2 * len(HOSTILE)
    assert {one["model"] for one in content} == {*HOSTILE, "again"}
    assert content[0]["figures"][content[0]["main"]]["low"] is None


def test_unknown_forms_are_refused() -> None:
    """Another form is an error that suggests the nearest."""
    with pytest.raises(UnknownNameError, match="did you mean latex"):
        render(tabulate([record()]), "latexx")


def test_four_files_are_written(tmp_path: Path) -> None:
    """Markdown, CSV, HTML and LaTeX stand in the folder, as they are printed; without records there is nothing."""
    paths = write_quality([record()], tmp_path / "plots")
    assert [path.name for path in paths] == [f"{STEM}.{suffix}" for suffix in ("md", "csv", "html", "tex")]
    for path, kind in zip(paths, KINDS, strict=False):
        assert path.read_text(encoding="utf-8") == render(tabulate([record()]), kind)
    with pytest.raises(AnnbenchError, match="annbench evaluate"):
        write_quality([], tmp_path)


def test_the_table_needs_no_torch() -> None:
    """Figures that were measured elsewhere are tabulated without the libraries that measured them."""
    code = "import harness.report.quality, sys; print({'torch', 'transformers', 'sklearn'} & set(sys.modules))"
    done = subprocess.run([sys.executable, "-c", code], capture_output=True, text=True, check=True)
    assert done.stdout.strip() == "set()"
