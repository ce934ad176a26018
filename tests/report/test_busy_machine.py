"""On a machine that was busy neither the page nor the tables name a winner, and both say why."""

from __future__ import annotations

from pathlib import Path
from typing import Any

import pytest

from harness.analyse.table import groups, tidy
from harness.report.html.page import Content, render_page
from harness.report.tables import winners_markdown
from harness.report.write import write_report
from support import factory


@pytest.fixture
def rows() -> Any:
    """Return the table of two algorithms, one nine times as fast, most of whose passes were disturbed."""
    marks = {"disturbed": (0, 1, 2, 3), "recall": 0.97}
    return tidy([factory.make_result("swift", qps=9000, **marks), factory.make_result("slow", qps=1000, **marks)])


def test_the_page_names_no_winner(rows: Any) -> None:
    """A banner stands above the summary, and its cells say that there is no winner."""
    page = render_page(Content(rows))
    summary = page[page.index('<section id="summary"') : page.index("</section>", page.index('<section id="summary"'))]
    assert "The machine was busy: 8 of 14 passes were disturbed" in summary
    assert "no winner: 8 of 14 passes were disturbed" in summary
    assert "swift" not in summary


def test_the_tables_name_no_winner(rows: Any, tmp_path: Path) -> None:
    """In Markdown each recall has the reason in place of a name, below the banner."""
    (group,) = groups(rows)
    text = winners_markdown(group.rows)
    assert text.startswith("**The machine was busy: 8 of 14 passes were disturbed")
    assert "swift" not in text
    paths = write_report(rows, tmp_path, formats=())
    index = next(path for path in paths if path.name in ("README.md", "index.md")).read_text(encoding="utf-8")
    assert "no winner: 8 of 14 passes were disturbed" in index


def test_a_quiet_machine_has_no_banner() -> None:
    """Without disturbed passes nothing is said, and the winner is named."""
    quiet = tidy([factory.make_result(name, qps=qps, recall=0.97) for name, qps in (("swift", 9000), ("slow", 1000))])
    assert "The machine was busy" not in render_page(Content(quiet))
    assert "- recall 0.95: swift\n" in winners_markdown(quiet)
