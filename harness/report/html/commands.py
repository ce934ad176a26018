"""A setting as one would measure it again: the words of a command line, and of a call in Python.

Names and parameters come from result files, which may come from anywhere. In a shell each word is quoted; in Python
each is a literal. A name with a control character, which a terminal might obey when it is pasted, gives no command.
"""

from __future__ import annotations

import math
import shlex
import unicodedata
from collections.abc import Mapping
from types import MappingProxyType
from typing import Any, NamedTuple

import yaml

from harness.store.spec import FIRST_WORKLOAD


class Words(NamedTuple):
    """A part of the command line and the same in Python; `shell` is None where it can't safely be pasted."""

    shell: str | None
    python: str


def command_head(
    dataset: str,
    algorithm: str,
    k: int,
    mode: str,
    threads: int,
    workload: str = FIRST_WORKLOAD,
    own: Mapping[str, Any] = MappingProxyType({}),
) -> Words:
    """Write what all settings of an algorithm on one dataset share: `annbench run -d ... -a ...`.

    `own` are the workload's own fields, k and mode apart.
    """
    words = [
        *("annbench", "run"),
        *_option("-d", "--dataset", dataset),
        *_option("-a", "--algorithm", algorithm),
        *("--k", str(k), "--mode", mode),
    ]
    lines = [f"dataset={dataset!r}", f"algorithm={algorithm!r}", f"k={k}", f"mode={mode!r}"]
    if workload != FIRST_WORKLOAD:
        words += ["--workload", workload]
        lines.append(f"workload={workload!r}")
    for name, value in own.items():
        words += ["--with", f"{name}={_flow(value)}"]
        lines.append(f"{name}={literal(value)}")
    if threads != 1:
        words += ["--threads", str(threads)]
        lines.append(f"threads={threads}")
    return Words(_quoted(words), "".join(f"    {line},\n" for line in lines))


def parameter_words(kind: str, parameters: Mapping[str, Any]) -> Words:
    """Write parameters of a `build` or a `search`: `--build M=16`, and the dict of a grid with that one setting."""
    words = [
        word
        for name, value in parameters.items()
        for word in _option(f"--{kind}", f"--{kind}", f"{name}={_flow(_choice(value))}")
    ] or [f"--{kind}", ""]  # none at all: without it the group's own would be run
    inside = ", ".join(f"{name!r}: {literal(_choice(value))}" for name, value in parameters.items())
    return Words(_quoted(words), f"{{{inside}}}")


def command_line(head: Words, build: Words, search: Words, queries: int) -> str | None:
    """Join the parts as the page does: one line for a shell, None where a part can't be pasted."""
    parts = [head.shell, build.shell, search.shell]
    if any(part is None for part in parts):
        return None
    return " ".join([*(part for part in parts if part), *([f"--queries {queries}"] if queries else [])])


def python_call(head: Words, algorithm: str, build: Words, search: Words, queries: int) -> str:
    """Join the parts as the page does: lines of Python."""
    grid = f"{{{algorithm!r}: {{'build': {build.python}, 'search': {search.python}}}}}"
    asked = f"    queries={queries},\n" if queries else ""
    return f"import harness\n\nharness.run(\n{head.python}{asked}    grids={grid},\n)\n"


def _option(short: str, long: str, value: str) -> list[str]:
    # A value that starts with a hyphen would be taken for an option of its own.
    return [f"{long}={value}"] if value.startswith("-") else [short, value]


def _quoted(words: list[str]) -> str | None:
    if any(unicodedata.category(sign)[0] == "C" for word in words for sign in word):
        return None
    return shlex.join(words)


def _choice(value: Any) -> Any:
    """Wrap a list, which in a grid is a choice of values, so that it is one value."""
    return [list(value)] if isinstance(value, list | tuple) else value


def _flow(value: Any) -> str:
    """Write a value in YAML's flow syntax, on one line."""
    text = yaml.safe_dump(value, default_flow_style=True, width=math.inf, allow_unicode=True)
    return text.strip().removesuffix("...").strip()


def literal(value: Any) -> str:
    """Write a value as Python does, also one that has no literal there."""
    if isinstance(value, float) and not math.isfinite(value):
        return f"float('{value}')"
    if isinstance(value, list):
        return f"[{', '.join(map(literal, value))}]"
    if isinstance(value, dict):
        return f"{{{', '.join(f'{name!r}: {literal(one)}' for name, one in value.items())}}}"
    return repr(value)
