"""A setting as a command line and as Python: what comes out of a shell and of Python is what went in."""

from __future__ import annotations

import ast
import shlex
import subprocess
import sys
from pathlib import Path
from typing import Any

import pytest
import yaml

from harness.plan.grid import expand
from harness.report.html.commands import command_head, command_line, parameter_words, python_call
from harness.store.spec import thaw

PARAMETERS: list[dict[str, Any]] = [
    {},
    {"M": 16, "ef_construction": 200},
    {"rerank": False, "threshold": None, "ratio": 1e-05, "n": -1, "big": 1e300},
    {"kind": "L2; rm -rf ~", "text": 'it\'s "so" $HOME `id` \\ <b>', "looks": "12", "empty": "", "yes": "no"},
    {"levels": [1, 2.5, "a"], "none": []},
    {"-x": "y", "ünïcode": "漢字 # no comment", "kind": "c=d: [e"},
]


def told(words: list[str], kind: str) -> dict[str, Any]:
    """Read the parameters off the words of a command line, as the command line is meant to."""
    pairs, left = [], list(words)
    while left:
        word = left.pop(0)
        if word == f"--{kind}":
            pairs.append(left.pop(0))
        elif word.startswith(f"--{kind}="):
            pairs.append(word.removeprefix(f"--{kind}="))
    found = {}
    for pair in filter(None, pairs):  # an empty one says that there are none
        name, value = pair.split("=", 1)
        found[name] = yaml.safe_load(value)
    return found


@pytest.mark.parametrize("parameters", PARAMETERS)
def test_a_command_line_says_the_parameters(parameters: dict[str, Any]) -> None:
    """Split as a shell does and read as YAML, each value is the one that was measured; a list is one choice."""
    words = parameter_words("build", parameters)
    assert words.shell is not None
    read = told(shlex.split(words.shell), "build")
    wanted = {name: [value] if isinstance(value, list) else value for name, value in parameters.items()}
    assert read == wanted


@pytest.mark.parametrize("parameters", PARAMETERS)
def test_a_call_in_python_says_the_parameters(parameters: dict[str, Any]) -> None:
    """The lines are Python whose grid expands to the one setting that was measured."""
    head = command_head("some-data", "hnsw", 10, "single", 1)
    text = python_call(head, "hnsw", parameter_words("build", parameters), parameter_words("search", parameters), 100)
    call = ast.parse(text).body[-1].value  # type: ignore[attr-defined]
    said = {word.arg: ast.literal_eval(word.value) for word in call.keywords}
    assert {name: said[name] for name in ("dataset", "algorithm", "k", "mode", "queries")} == {
        "dataset": "some-data", "algorithm": "hnsw", "k": 10, "mode": "single", "queries": 100,
    }  # fmt: skip
    for kind in ("build", "search"):
        if not {"text", "kind"} & set(parameters):  # free text would be read as an expression over n, dim and k
            assert [thaw(one) for one in expand(said["grids"]["hnsw"][kind], {})] == [parameters]


def test_a_whole_command_line() -> None:
    """Dataset, algorithm, k, mode and queries come first to last; threads where they aren't one."""
    parts = command_head("my data", "hnsw", 10, "batch", 2), parameter_words("build", {"M": 16})
    line = command_line(*parts, parameter_words("search", {}), 1000)
    assert line == (
        "annbench run -d 'my data' -a hnsw --k 10 --mode batch --threads 2 --build M=16 --search '' --queries 1000"
    )  # fmt: skip


def test_a_name_that_looks_like_an_option() -> None:
    """A dataset or an algorithm that starts with a hyphen is written so that it is no option."""
    head = command_head("--force", "-x", 10, "single", 1)
    assert head.shell is not None
    assert shlex.split(head.shell)[2:4] == ["--dataset=--force", "--algorithm=-x"]


@pytest.mark.parametrize("sign", ["\x1b[201~", "\n", "\u202e", "\x00", "\ud800"])
def test_control_characters_give_no_command_line(sign: str) -> None:
    """What a terminal might obey when it is pasted, or what turns the writing about, is not offered for pasting."""
    head = command_head(f"a{sign}b", "hnsw", 10, "single", 1)
    assert head.shell is None
    assert command_line(head, parameter_words("build", {}), parameter_words("search", {}), 1) is None
    assert all(line.isprintable() for line in head.python.split("\n"))
    assert f"a{sign}b" not in head.python


def test_numbers_that_python_has_no_literal_for() -> None:
    """Infinity and nan are written as calls, so that the lines run."""
    assert parameter_words("search", {"a": float("inf"), "b": [float("nan")]}).python == (
        "{'a': float('inf'), 'b': [[float('nan')]]}"
    )


@pytest.mark.slow
def test_the_lines_run(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    """What the page offers to copy measures that very setting."""
    head = command_head("digits-64-euclidean", "hnswlib", 10, "single", 1)
    build, search = parameter_words("build", {"M": 8, "ef_construction": 40}), parameter_words("search", {"ef": 20})
    monkeypatch.setenv("ANNBENCH_HOME", str(tmp_path))
    text = python_call(head, "hnswlib", build, search, 50).replace("harness.run", "table = harness.run")
    names: dict[str, Any] = {}
    exec(compile(text, "snippet", "exec"), names)  # noqa: S102 - the lines are the thing under test
    table = names["table"]
    (row,) = table[table["algorithm"] == "hnswlib"].to_dict("records")
    assert (row["build"], row["search"], row["queries"]) == ({"M": 8, "ef_construction": 40}, {"ef": 20}, 50)
    line = command_line(head, build, search, 50)
    assert line is not None
    words = [sys.executable, "-m", "harness.cli.main", *shlex.split(line)[1:]]
    said = subprocess.run(words, capture_output=True, text=True, check=True).stderr
    # It is the same setting, so it counts as done; the floor, too.
    assert "0 builds with 0 settings to measure, 2 done" in said
