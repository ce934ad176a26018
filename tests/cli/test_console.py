"""What verbs print: paths and commands in one piece at any width, tables with whole names in one line each."""

from __future__ import annotations

import ast
import re
from pathlib import Path
from typing import Any

import pytest
from rich.progress import Progress

from harness.core.console import Column, Lines, print_table
from harness.engines.registry import load_registry

HARNESS = Path(__file__).resolve().parents[2] / "harness"
LONG = "/folder/" + "a long folder, " * 12 + "file-with-a-name.hdf5"


@pytest.fixture
def terminal(monkeypatch: pytest.MonkeyPatch) -> None:
    """Make standard output a terminal of 80 columns without colours."""
    for name, value in {"TTY_COMPATIBLE": "1", "COLUMNS": "80", "NO_COLOR": "1", "TERM": "dumb"}.items():
        monkeypatch.setenv(name, value)
    monkeypatch.delenv("FORCE_COLOR", raising=False)


@pytest.mark.parametrize("columns", ["1", "80", "200"])
@pytest.mark.parametrize("options", [{}, {"style": "dim"}, {"markup": False}], ids=["plain", "styled", "raw"])
def test_a_line_is_never_wrapped(
    capsys: pytest.CaptureFixture[str], monkeypatch: pytest.MonkeyPatch, columns: str, options: dict[str, Any]
) -> None:
    """A path that is longer than the terminal is wide is printed in one line, below a progress bar, too."""
    monkeypatch.setenv("COLUMNS", columns)
    out = Lines()
    with Progress(console=out, transient=True):
        out.print(f"written to {LONG}", **options)
    assert capsys.readouterr().out.rstrip("\n") == f"written to {LONG}"


def test_every_verb_prints_by_the_one_console() -> None:
    """No other file makes a console or a table of rich's, which wrap inside paths and cut names."""
    made = [
        f"{path.relative_to(HARNESS)}:{node.lineno}"
        for path in sorted(HARNESS.rglob("*.py"))
        for node in ast.walk(ast.parse(path.read_text(encoding="utf-8")))
        if isinstance(node, ast.Call) and isinstance(node.func, ast.Name) and node.func.id in ("Console", "Table")
    ]
    assert made == []


@pytest.mark.usefixtures("terminal")
def test_a_table_fits_a_terminal(capsys: pytest.CaptureFixture[str]) -> None:
    """Prose is cut at the end of the line, columns that don't fit are left out, and what must be typed stays whole."""
    columns = [Column("name"), Column("n", right=True), Column("about", prose=True), Column("more")]
    print_table(columns, [("n" * 40, 5, "words " * 20, "x"), ("b", 12345, "few\nwords", "y")])
    lines = capsys.readouterr().out.splitlines()
    assert lines[0] == f"{'name':40}      n  about"
    assert lines[1] == f"{'n' * 40}      5  {'words ' * 4}words…"
    assert lines[2] == f"{'b':40}  12345  few words"
    print_table([Column("figure", right=True), Column("path", kept=True)], [(1, LONG)])
    assert capsys.readouterr().out.splitlines()[1] == f"{1:6}  {LONG}"


def test_a_piped_table_is_whole(capsys: pytest.CaptureFixture[str]) -> None:
    """Where there is no terminal nothing is cut or left out."""
    print_table([Column("name"), Column("about", prose=True), Column("more")], [("b", "words " * 50, LONG)])
    assert capsys.readouterr().out.splitlines()[1] == f"b     {('words ' * 50).strip()}  {LONG}"


@pytest.mark.usefixtures("terminal")
def test_algorithms_are_listed_in_a_line_each(annbench: Any, monkeypatch: pytest.MonkeyPatch) -> None:
    """At 80 columns each algorithm has one line with its whole name, and `--installed` leaves out the others."""
    monkeypatch.setenv("COLUMNS", "80")
    _, out, err = annbench("list")
    entries = load_registry()
    names = [line.split()[0] for line in out.splitlines()[1:]]
    assert sorted(names) == sorted(entries)
    assert max(map(len, out.splitlines())) <= 80
    absent = {name for name, entry in entries.items() if entry.why_not()}
    assert all(re.search(rf"\b{name}\b.*: pip install ", err) for name in absent)
    _, out, err = annbench("list", "--installed")
    assert {line.split()[0] for line in out.splitlines()[1:]} == set(entries) - absent
    assert not err
