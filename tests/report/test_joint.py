"""The joint table and picture: what stands in them, with names that would be markup elsewhere."""

from __future__ import annotations

import csv
import io
import json
import math
import re
from collections.abc import Callable
from pathlib import Path
from typing import Any

import numpy as np
import pytest

from harness.analyse.statistics import Range
from harness.core.errors import DatasetError
from harness.embedding.joint import JointRow, joint_rows
from harness.embedding.judged import Judged
from harness.embedding.measures.ranking import Judgements
from harness.report.joint import joint_csv, joint_figure, joint_markdown, judged_datasets, write_joint
from support import factory

HOSTILE = ["<script>alert(1)</script>", "a|b", "=cmd()", "$x$ & \\frac", "`[link](http://x)`", "*bold*_it_"]


@pytest.fixture
def row() -> Callable[..., JointRow]:
    """Return what makes a row of the table."""
    made: Callable[..., JointRow] = factory.make_joint_row
    return made


def cells(line: str) -> list[str]:
    """Return the cells of a line of a Markdown table."""
    return [cell.strip() for cell in line.replace("\\|", "\0").strip("|").split("|")]


def test_the_table_holds_the_frontier(row: Callable[..., JointRow]) -> None:
    """A line a setting that none beats, with intervals, a mark on a loss that is no chance, and what that means."""
    lines = joint_markdown(
        [
            row(),
            row(algorithm="beaten", on_frontier=False),
            row(algorithm="other", loss=-0.001, p_value=0.8, qps_range=Range(math.nan, math.nan), build={}, search={}),
        ]
    ).splitlines()
    header, _, first, second, *rest = lines
    assert cells(header)[0] == "dataset"
    assert cells(first) == [
        *("some-data", "a model", "full", "hnsw", "M=16", "ef=40", "0.5000 (0.400-0.600)", "0.5200"),
        *("+0.0200 (+0.0100 to +0.0300)*", "0.9000", "1,234 (1,200-1,300)"),
    ]
    assert cells(second)[3:6] == ["other", "-", "-"]
    assert cells(second)[8:] == ["-0.0010 (+0.0100 to +0.0300)", "0.9000", "1,234"]
    assert "beaten" not in "\n".join(lines)
    assert "- some-data: the loss is measurable up to a recall of 0.9000 (nDCG -0.0200)." in rest


@pytest.mark.parametrize("name", HOSTILE)
def test_hostile_names_stay_names(row: Callable[..., JointRow], name: str) -> None:
    """No name becomes a cell, a tag, a link or a formula, in the table and in what is said below it."""
    text = joint_markdown([row(dataset=name, model=name, variant=name, algorithm=name, build={name: 1})])
    header, _, first = text.splitlines()[:3]
    assert len(cells(first)) == len(cells(header))
    assert "<script>" not in text
    own = text.replace("(+0.0100 to +0.0300)*", "").replace("; * where chance", "")
    assert not re.search(r"(?<!\\)[`\[*]", own)
    (written,) = csv.DictReader(io.StringIO(joint_csv([row(model=name, algorithm=name)])))
    for column in ("model", "algorithm"):
        assert written[column].removeprefix("'") == name
        assert not written[column].startswith("=")


def test_the_csv_holds_every_setting(row: Callable[..., JointRow]) -> None:
    """Numbers are whole, parameters JSON, what isn't known is empty."""
    rows = [row(), row(on_frontier=False, qps_range=Range(math.nan, math.nan), recall=1 / 3)]
    first, second = csv.DictReader(io.StringIO(joint_csv(rows)))
    assert json.loads(first["build"]) == {"M": 16}
    assert (first["qps_low"], second["qps_low"], second["qps_high"]) == ("1200.0", "", "")
    assert float(second["recall"]) == 1 / 3
    assert (first["on_frontier"], second["on_frontier"]) == ("True", "False")
    assert [first[name] for name in ("loss", "loss_low", "loss_high", "p_value")] == ["0.02", "0.01", "0.03", "0.01"]


def test_the_picture_shows_a_line_an_index(row: Callable[..., JointRow]) -> None:
    """Each index of each dataset has its skyline, exact search a dashed one, and names are drawn as they are."""
    rows = [
        row(algorithm="$one$", qps=100, loss=0.01),
        row(algorithm="$one$", qps=50, loss=0.0),
        row(algorithm="$one$", qps=40, loss=0.02),  # slower and worse: not drawn
        row(algorithm="two", qps=10, loss=0.0),
        row(algorithm="two", dataset="more", model="<m>", qps=10, exact=0.7),
    ]
    figure = joint_figure(rows)
    (axes,) = figure.axes[:1]
    curves = [line.get_xdata().tolist() for line in axes.lines if line.get_marker() != "None"]
    assert sorted(map(sorted, curves)) == [[pytest.approx(0.51), 0.52], [0.52], [pytest.approx(0.68)]]
    exact = {float(line.get_xdata()[0]) for line in axes.lines if line.get_marker() == "None"}
    assert exact == {0.52, 0.7}
    texts = " ".join(text.get_text() for text in [*axes.texts, *figure.texts])
    assert "$one$, a model" in texts
    assert "<m>" in texts


def judged(**parts: Any) -> Judged:
    """Return two queries' judgements."""
    said = {"p": {"d1": 1}, "q": {"d2": 2}}
    usual: dict[str, Any] = {
        "dataset": "some-data",
        "model": "a model",
        "variant": "full",
        "task": "task",
        "dimension": 8,
        "judgements": Judgements.build(said, [f"d{i}" for i in range(200)]),
        "own": np.array([-1, -1]),
        "exact": np.arange(80).reshape(2, 40),
        "sha256": "d" * 64,
    }
    return Judged(**{**usual, **parts})


def test_files_are_written(tmp_path: Path) -> None:
    """Table, CSV and pictures of what was measured; nothing at all where nothing was."""
    result = factory.make_result(dataset="some-data", queries=2)
    written = write_joint(joint_rows([result], {"some-data": judged()}), tmp_path)
    assert [path.name for path in written] == ["joint.md", "joint.csv", "joint.png", "joint.svg"]
    assert all(path.stat().st_size for path in written)
    assert write_joint(joint_rows([result], {"other": judged()}), tmp_path / "none") == []
    assert not (tmp_path / "none").exists()


def test_datasets_that_are_judged(tmp_path: Path) -> None:
    """Those that aren't there any more have no judgements, and a damaged one is named."""
    assert judged_datasets(["gone"], tmp_path) == {}
    (tmp_path / "damaged.hdf5").write_bytes(b"no HDF5")
    with pytest.raises(DatasetError, match=r"damaged\.hdf5"):
        judged_datasets(["damaged"], tmp_path)
