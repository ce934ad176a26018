"""`annbench train` with a classifier: its table, and the list of recipes."""

from __future__ import annotations

import pytest
import yaml

pytest.importorskip("torch")

from typer.testing import CliRunner

from harness.cli.main import app


def test_a_classifier_prints_its_table(squares, tmp_path):
    """After training comes the folder, and then the table of both ways, also when it is known already."""
    recipe = tmp_path / "colours.yml"
    parts = {"kind": "classifier", "data": {"train": str(squares)}, "image": {"width": 16, "depth": 2}}
    recipe.write_text(yaml.safe_dump({**parts, "optimiser": {"epochs": 2, "batch": 16, "rate": 0.01}}))
    command = ["train", "--recipe", str(recipe), "--results", str(tmp_path / "results")]
    first, again = (CliRunner().invoke(app, command) for _ in range(2))
    assert first.exit_code == 0, first.output
    assert first.stdout == again.stdout
    lines = first.stdout.splitlines()
    assert lines[0] == str(tmp_path / "results" / "models" / "colours")
    assert [line.split(" | ")[2] for line in lines if line.startswith("| colours")] == ["frozen", "tuned"]
    assert "trained before" in again.stderr


def test_recipes_of_both_kinds_are_listed():
    """The list names classifiers, encoders and sets."""
    listed = CliRunner().invoke(app, ["train"]).stdout
    for name in ("classifier-books", "clip-emoji", "tiny-mlm-infonce", "two-stage"):
        assert any(line.startswith(name) for line in listed.splitlines())
