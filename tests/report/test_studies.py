"""What a study writes: a page, its rows, and a picture."""

from __future__ import annotations

import io
import json
from typing import Any

import numpy as np
import pandas as pd
import pytest

from harness.core.errors import AnnbenchError
from harness.report.studies import csv_text, study_figure, write_study
from harness.report.style import drawing
from harness.studies.picture import Axis, Line, Panel, Picture
from harness.studies.session import Outcome
from harness.studies.study import Explanation, Settings, Shown

EVIL = "a|b <script> $x$"


class Told:
    """A study that has been measured."""

    name = "told"

    def explain(self, table: pd.DataFrame, settings: Settings) -> Explanation:
        lines = [
            Line("rising", [1, 2, 4], list(table["y"]), look="hnsw", low=[0.5, 1, 1.5], high=[2, 3, 4]),
            Line("dots", [1, 2, 4], [3, 2, 1], look="first", kind="dots", named_at=1),
            Line("", [1, 4], [1, 3], look="theory", kind="curve"),
        ]
        panel = Panel(Axis("x", log=True, ticks=[1, 2, 4]), Axis(EVIL), lines, level=(9.0, "a level"))
        shown = Shown("Some <b>numbers</b>", ("x", EVIL), (("1", "2"), ("3", EVIL)))
        return Explanation("It rises", ("First.", "Then."), (shown,), Picture("It rises", "always", [panel] * 3))


@pytest.fixture
def outcome() -> Any:
    """Return an outcome with three rows."""
    table = pd.DataFrame({"x": [1, 2, 4], "y": [1.0, 2.0, np.nan]})
    header = {"study": "told", "cpu": "A <cpu>", "cores": 2, "created": "2026-01-02T03:04:05+00:00"}
    return Outcome(Told(), Settings(), table, header, {"lost|one": "not here"})  # type: ignore[arg-type]


def test_a_page_its_rows_and_a_picture(outcome: Any, tmp_path: Any) -> None:
    """All files are written whole; the page shows the picture and links the rows, and takes no name as markup."""
    paths = write_study(outcome, tmp_path, suffix="-quick")
    assert [path.name for path in paths] == [f"study-told-quick.{kind}" for kind in ("md", "csv", "png", "svg")]
    assert {path.name for path in tmp_path.iterdir()} == {path.name for path in paths}
    page = paths[0].read_text()
    assert page.startswith("# It rises\n\nFirst. Then.\n\n![It rises](study-told-quick.png)")
    assert "| 3 | a\\|b &lt;script&gt; \\$x\\$ |" in page
    assert "Left out: lost\\|one (not here)." in page
    assert "(study-told-quick.csv)" in page
    assert "<script>" not in page
    assert paths[2].read_bytes().startswith(b"\x89PNG")


def test_rows_can_be_read_back(outcome: Any) -> None:
    """After its first line, which is JSON, the CSV is the table."""
    first, _, rest = csv_text(outcome).partition("\n")
    assert json.loads(first.removeprefix("# ")) == outcome.header
    pd.testing.assert_frame_equal(pd.read_csv(io.StringIO(rest)), outcome.table)


def test_the_same_rows_give_the_same_bytes(outcome: Any, tmp_path: Any) -> None:
    """Drawn twice, all files are equal, so that a commit changes only when the figures do."""
    first, second = (write_study(outcome, tmp_path / name) for name in ("a", "b"))
    assert all(a.read_bytes() == b.read_bytes() for a, b in zip(first, second, strict=True))


@pytest.mark.parametrize("count", [1, 2, 3, 5])
def test_panels_lie_inside_the_page_and_apart(outcome: Any, count: int) -> None:
    """No panel overlaps another one or leaves the page, however many there are."""
    picture = outcome.explain().picture
    with drawing():
        figure = study_figure(Picture("t", "s", [picture.panels[0]] * count), "footer")
    boxes = [axes.get_position() for axes in figure.axes]
    assert len(boxes) == count
    assert all(0 < b.x0 < b.x1 < 1 and 0 < b.y0 < b.y1 < 1 for b in boxes)
    for i, a in enumerate(boxes):
        for b in boxes[i + 1 :]:
            assert a.x1 < b.x0 or b.x1 < a.x0 or a.y1 < b.y0 or b.y1 < a.y0


def test_a_level_is_inside_its_panel(outcome: Any) -> None:
    """The value that is marked is in view even where no line comes near it."""
    with drawing():
        figure = study_figure(outcome.explain().picture, "footer")
    low, high = figure.axes[0].get_ylim()
    assert low < 9.0 < high


def test_a_folder_that_refuses_ends_in_one_line(outcome: Any, tmp_path: Any) -> None:
    """What the disk says is told, with the way out."""
    (tmp_path / "file").write_text("")
    with pytest.raises(AnnbenchError, match="could not be written"):
        write_study(outcome, tmp_path / "file" / "folder")
