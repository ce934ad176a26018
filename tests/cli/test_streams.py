"""Standard streams that can't be written, that lack letters, or that are closed: a line, never a traceback."""

from __future__ import annotations

import os
import shlex
import subprocess
import sys
from pathlib import Path
from typing import Any

import pytest


def shell(line: str, folder: Path, **variables: str) -> subprocess.CompletedProcess[str]:
    """Run a line of the shell in which `annbench` is the command."""
    environment = {name: value for name, value in os.environ.items() if not name.startswith("PYTHONIO")}
    environment |= {"COLUMNS": "80", "PYTHON": sys.executable, **variables}
    command = line.replace("annbench", f"{shlex.quote(sys.executable)} -m harness")
    return subprocess.run(
        ["sh", "-c", command], cwd=folder, env=environment, capture_output=True, text=True, check=False
    )


def test_letters_beyond_ascii(tmp_path: Path) -> None:
    """Where only ASCII can be printed, signs of ours are spelt, and the rest is escaped."""
    done = shell("annbench list measures", tmp_path, PYTHONIOENCODING="ascii")
    assert done.returncode == 0, done.stderr
    assert "p50                    us " in done.stdout
    script = "from harness.cli.streams import *; secure_streams(); print('\\u2265 1 \\u00e9 \\udcff')"
    said = subprocess.run(
        [sys.executable, "-c", script],
        env={**os.environ, "PYTHONIOENCODING": "ascii"},
        capture_output=True,
        text=True,
        check=True,
    )
    assert said.stdout == ">= 1 \\xe9 \\udcff\n"


@pytest.mark.skipif(not Path("/dev/full").exists(), reason="Linux has /dev/full")
def test_a_full_disk_is_one_line(tmp_path: Path) -> None:
    """What can't be printed is said in one line; where that can't be said either the exit status tells."""
    done = shell("annbench list suites > /dev/full", tmp_path)
    assert (done.returncode, done.stderr) == (1, "annbench: can't write: No space left on device\n")
    assert shell("annbench lst 2> /dev/full", tmp_path).returncode == 2


def test_closed_descriptors(tmp_path: Path) -> None:
    """With all three closed a plug-in is judged as it is with them open."""
    assert shell("annbench check null <&- >&- 2>&-", tmp_path).returncode == 0


@pytest.mark.parametrize(
    ("arguments", "told"),
    [
        (["lst"], "annbench: no such command 'lst'; did you mean 'list'? See: annbench --help"),
        (
            ["run", "--algoritm", "ip"],
            "annbench: no such option: --algoritm; did you mean --algorithm? See: annbench run --help",
        ),
        (["check"], "annbench: missing argument 'algorithms'; see: annbench check --help"),
        (
            ["run", "--k", "0"],
            "annbench: invalid value for '--k' / '-k': it must be greater than or equal to 1; see: annbench run --help",
        ),
    ],
)
def test_a_wrong_call_is_one_line(
    annbench: Any, monkeypatch: pytest.MonkeyPatch, arguments: list[str], told: str
) -> None:
    """How a verb should be called is said in one line that names the help, at any width, in words of ours."""
    monkeypatch.setenv("COLUMNS", "40")
    assert annbench(*arguments) == (2, "", f"{told}\n")


def test_short_help_and_the_module(tmp_path: Path) -> None:
    """`-h` is `--help` for every verb, and `python -m harness` is `annbench`."""
    assert "Usage: annbench results rm" in shell("annbench results rm -h", tmp_path).stdout
