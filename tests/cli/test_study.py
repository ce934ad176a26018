"""`annbench study` as a person meets it."""

from __future__ import annotations

import re
from functools import partial
from pathlib import Path

import pytest

import harness

STAND_INS = Path(__file__).parents[1] / "plugins" / "stand_ins"
TINY = [
    *("--plugin", str(STAND_INS)),
    *("--set", "algorithm=stand-in-graph", "--set", "datasets=[synthetic-uniform-200-3-euclidean]"),
    *("--set", "sizes=[50, 100, 200]", "--set", "queries=5", "--set", "k=3", "--set", "build={}"),
]


@pytest.fixture
def cli(annbench):
    """Return a function that runs `annbench study` in an empty folder and gives (exit status, stdout, stderr)."""
    return partial(annbench, "study")


def test_without_a_name_all_are_listed(cli):
    """The list names each study and says what it is about, uncut when piped."""
    status, out, _ = cli()
    assert status == 0
    assert re.search(r"small-world +HNSW's hops", out)
    assert {"curse-of-dimensionality", "lsh-collisions"} <= set(out.split())
    assert "…" not in out


def test_a_study_from_the_command_line(cli, tmp_path):
    """A study writes its files, says what they say, and is only drawn again by the same command."""
    status, out, err = cli("small-world", "--quick", *TINY, "--out", "pictures")
    assert status == 0, err
    assert [Path(line).name for line in out.splitlines()] == [
        f"study-small-world-quick.{kind}" for kind in ("md", "csv", "png", "svg")
    ]
    assert all(Path(line).stat().st_size for line in out.splitlines())
    assert "each doubling of n adds" in " ".join(err.split())
    page = (tmp_path / "pictures" / "study-small-world-quick.md").read_text()
    status, _, err = cli("small-world", "--quick", *TINY, "--out", "pictures")
    assert "3 of 3 steps were measured before" in err
    assert (tmp_path / "pictures" / "study-small-world-quick.md").read_text() == page


@pytest.mark.parametrize(
    ("arguments", "telling"),
    [
        (["smal-world"], "did you mean small-world?"),
        (["small-world", "--set", "n"], "--set 'n' is no parameter; write it like"),
        (["small-world", "--set", "ef=[1"], "the value of 'ef' can't be read"),
        (["small-world", "--set", "colour=red"], "colour: is no key here"),
        (["small-world", "--set", "algorithm=no-such"], "nothing to measure (no-such: there is no algorithm"),
    ],
)
def test_mistakes_end_in_one_line(cli, arguments, telling):
    """A mistake gives a line that names the value and the way out, and status 2; never a traceback."""
    status, _, err = cli(*arguments)
    assert status == 2
    assert telling in " ".join(err.split())
    assert "Traceback" not in err


def test_from_python(tmp_path):
    """`harness.study` does what the command does."""
    said, files = harness.study(
        "lsh-collisions",
        quick=True,
        results=tmp_path / "results",
        plots=tmp_path,
        data=tmp_path,
        algorithm="none",
        trials=100,
    )
    assert said.finding.startswith("Hashes collide as theory says")
    assert [path.suffix for path in files] == [".md", ".csv", ".png", ".svg"]
