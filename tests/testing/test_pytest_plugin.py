"""`pytest --annbench PLUGIN` as the author of a plug-in meets it: in a pytest of its own."""

from __future__ import annotations

import re
import subprocess
import sys
from collections.abc import Callable
from pathlib import Path

import pytest

BREAKING = Path(__file__).parents[1] / "plugins" / "breaking"
Pytest = Callable[..., tuple[int, str]]

CONFIG = """
{name}:
  constructor: breaking:{made}
  origin: library
  metrics: [euclidean]
  groups: {{quick: {{search: {{setting: [1, 2]}}}}}}
"""


@pytest.fixture
def author(tmp_path: Path) -> Pytest:
    """Return a function that runs pytest in a folder of an author's own: (exit status, what it printed)."""
    # Warnings are errors and marks are strict there, too: the plug-in has to be a good guest.
    (tmp_path / "pytest.ini").write_text("[pytest]\naddopts = --strict-markers\nfilterwarnings = error\n")

    def run(*arguments: str) -> tuple[int, str]:
        command = [sys.executable, "-m", "pytest", "-p", "no:cacheprovider", "-rA", "-v", *arguments]
        done = subprocess.run(command, cwd=tmp_path, capture_output=True, text=True, check=False)
        return done.returncode, done.stdout + done.stderr

    return run


@pytest.fixture
def plugin(tmp_path: Path) -> Callable[[str], Path]:
    """Return a function that writes a plug-in of one algorithm, of a class that breaks one rule, and its folder."""

    def write(made: str) -> Path:
        folder = tmp_path / "breaking"
        folder.mkdir()
        (folder / "__init__.py").write_text((BREAKING / "__init__.py").read_text())
        (folder / "config.yml").write_text(CONFIG.format(name="mine", made=made))
        return folder

    return write


def outcomes(printed: str) -> dict[str, str]:
    """Read what became of each item off the lines of `-v`."""
    return dict(re.findall(r"^annbench::mine\[euclidean\]::(.+?) (PASSED|FAILED|SKIPPED)", printed, re.MULTILINE))


def test_rules_are_items(author: Pytest, plugin: Callable[[str], Path], tmp_path: Path) -> None:
    """A plug-in that breaks one rule fails the item of that name alone, and tests of the author's own run as ever."""
    plugin("NearestFirst")
    (tmp_path / "test_own.py").write_text("def test_own(): assert True\n")
    status, printed = author("--annbench", "breaking")
    found = outcomes(printed)
    assert status == 1
    assert {name for name, outcome in found.items() if outcome == "FAILED"} == {"nearest first"}
    assert {found[name] for name in ("deletes", "filters", "closes")} == {"SKIPPED"}  # it makes no such promise
    assert {"k > n", "inputs unchanged", "saves and loads", "unclaimed metrics"} <= set(found)
    assert "mine under euclidean: Ids come nearest first, unless the config says `ordered: false`." in printed
    assert "query 0 is not nearest first" in printed
    assert "test_own.py::test_own PASSED" in printed
    assert "Traceback" not in printed


def test_a_segfault_fails_its_item(author: Pytest, plugin: Callable[[str], Path]) -> None:
    """A plug-in that crashes fails an item with the signal's name; pytest goes on, and skips what needs an index."""
    plugin("CrashesAtOnce")
    status, printed = author("--annbench", "breaking/config.yml")
    found = outcomes(printed)
    assert status == 1
    assert found["builds"] == "FAILED"
    assert found["nearest first"] == "SKIPPED"
    assert found["unclaimed metrics"] == "PASSED"
    assert "crashed (SIGSEGV) during the check" in printed
    assert "builds: crashed (SIGSEGV)" in printed
    assert re.search(r"breaking/__init__\.py:\d+: \S", printed)


def test_a_misspelt_class_fails_once(author: Pytest, plugin: Callable[[str], Path]) -> None:
    """A class that isn't there is one failure, which shows the line of the config and a near name; the rest skip."""
    plugin("NearestFrist")
    status, printed = author("--annbench", "breaking")
    found = outcomes(printed)
    assert status == 1
    assert [name for name, outcome in found.items() if outcome == "FAILED"] == ["builds"]
    assert set(found.values()) == {"FAILED", "SKIPPED"}
    assert "breaking has no NearestFrist; did you mean NearestFirst?" in printed
    assert "config.yml:3: constructor: breaking:NearestFrist" in printed
    assert "SKIPPED" in printed
    assert "'builds' failed" in printed


def test_a_choice_of_items_is_not_passed_for_want_of_an_index(author: Pytest, plugin: Callable[[str], Path]) -> None:
    """A rule that is run alone fails where there is nothing to look at, though the one to blame isn't run."""
    plugin("Builds")
    status, printed = author("--annbench", "breaking", "-k", "nearest and first", "-m", "annbench")
    assert (status, outcomes(printed)) == (1, {"nearest first": "FAILED"})
    assert "not checked: 'builds' failed" in printed


def test_installed_algorithms_by_name(author: Pytest) -> None:
    """An installed algorithm is named as it is listed, and several can be; what one can't do is skipped."""
    status, printed = author("--annbench", "brute_force", "--annbench=sklearn-kd-tree", "-k", "euclidean and not grids")
    assert status == 0, printed
    assert "annbench::brute_force[euclidean]::exact neighbours PASSED" in printed
    assert "annbench::sklearn-kd-tree[euclidean]::k > n PASSED" in printed
    assert "annbench::sklearn-kd-tree[euclidean]::grows SKIPPED" in printed


@pytest.mark.parametrize(
    ("word", "telling"),
    [("hnwslib", "did you mean hnswlib"), ("./nowhere", "no config.yml there"), ("bad.yml", "can't be read as YAML")],
)
def test_words_that_name_nothing(author: Pytest, tmp_path: Path, word: str, telling: str) -> None:
    """A word that names no plug-in, or a broken one, is one line of error at collection, not a run of nothing."""
    (tmp_path / "bad.yml").write_text("{")
    status, printed = author(f"--annbench={word}")
    assert status == pytest.ExitCode.INTERRUPTED
    assert telling in printed
    assert "Traceback" not in printed


def test_other_runs_are_left_alone(tmp_path: Path) -> None:
    """Without the option pytest loads nothing of annbench beyond the option itself."""
    (tmp_path / "test_own.py").write_text(
        "import sys\n\ndef test_own():\n    names = {n for n in sys.modules if n.split('.')[0] == 'harness'}\n"
        "    assert names == {'harness', 'harness.core', 'harness.core.version', 'harness.testing', "
        "'harness.testing.pytest_plugin'}\n"
        "    assert not {'numpy', 'numba', 'h5py', 'yaml', 'pydantic'} & set(sys.modules)\n"
    )
    command = [sys.executable, "-P", "-m", "pytest", "-q", "-p", "no:cacheprovider", "-W", "error", "test_own.py"]
    done = subprocess.run(command, cwd=tmp_path, capture_output=True, text=True, check=False)
    assert done.returncode == 0, done.stdout
