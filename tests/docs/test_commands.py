"""Every command in the documentation does what the page says it does: pages are run from top to bottom.

A block of bash, console or python is run unless the line above it says, to its readers too, why the tests don't.
"""

from __future__ import annotations

import os
import re
import subprocess
import sys
from dataclasses import dataclass
from pathlib import Path

import pytest

ROOT = Path(__file__).resolve().parents[2]
DOCS = ROOT / "docs"
RUN = ("bash", "console", "python")
_FENCE = re.compile(
    r"(?:^\*Not run by the tests: (?P<reason>.+)\*\n\n)?"
    r"^(?P<indent> *)```(?P<language>\w*).*\n(?P<code>(?s:.*?))^ *```$",
    re.MULTILINE,
)


@dataclass(frozen=True)
class Block:
    """A fenced block that a reader would run; `reason` says why the tests don't, empty where they do."""

    language: str
    code: str
    reason: str
    line: int


def blocks(page: Path) -> list[Block]:
    """Return the blocks of a page in order, without those in languages that nobody runs."""
    text = page.read_text(encoding="utf-8")
    found = []
    for fence in _FENCE.finditer(text):
        if fence["language"] in RUN:
            code = "".join(line.removeprefix(fence["indent"]) for line in fence["code"].splitlines(keepends=True))
            line = text.count("\n", 0, fence.start("code"))
            found.append(Block(fence["language"], code, fence["reason"] or "", line))
    return found


def pages() -> list[Path]:
    """Return every page that is written by hand."""
    return sorted(DOCS.rglob("*.md"))


def script(block: Block) -> str:
    """Return the block as a script: of a console, the lines after `$` and their continuations."""
    if block.language != "console":
        return block.code
    lines, going_on = [], False
    for line in block.code.splitlines():
        if line.startswith("$ ") or going_on:
            lines.append(line.removeprefix("$ "))
            going_on = line.endswith("\\")
    return "\n".join(lines) + "\n"


def _cases() -> list[object]:
    """Return the pages that hold something to run; those that say so at their top are slow."""
    found: list[object] = []
    for page in pages():
        slow = page.read_text(encoding="utf-8").startswith("---\ntests: slow\n---\n")
        name = page.relative_to(DOCS).as_posix()
        if any(not block.reason for block in blocks(page)):
            found.append(pytest.param(page, marks=[pytest.mark.slow] if slow else [], id=name))
    return found


@pytest.mark.parametrize("page", _cases())
def test_a_page_can_be_followed(page: Path, tmp_path: Path) -> None:
    """The blocks of a page, one after the other in an empty folder, end without an error."""
    # Commands are those of the environment that the tests run in.
    paths = [str(Path(sys.executable).parent), os.environ.get("PATH", "")]
    environment = {**os.environ, "PATH": os.pathsep.join(paths), "ANNBENCH_HOME": str(tmp_path), "COLUMNS": "120"}
    for block in (block for block in blocks(page) if not block.reason):
        shell = [sys.executable, "-c"] if block.language == "python" else ["bash", "-euo", "pipefail", "-c"]
        done = subprocess.run(
            [*shell, script(block)],
            cwd=tmp_path,
            env=environment,
            stdin=subprocess.DEVNULL,
            capture_output=True,
            text=True,
            check=False,
        )
        assert done.returncode == 0, f"{page}:{block.line}: {done.stdout[-2000:]}{done.stderr[-2000:]}"
        assert not re.search("Traceback|failed", done.stderr), f"{page}:{block.line}: {done.stderr[-2000:]}"


def test_what_is_not_run_says_why() -> None:
    """A block that is left out has a reason that holds for it, and most blocks are not left out."""
    every = [block for page in pages() for block in blocks(page)]
    left_out = [block for block in every if block.reason]
    # An environment that is installed, or would be changed; a download; somebody else's files.
    allowed = r"(they run in|it would change|it downloads|it takes a) .+\."
    assert all(re.match(allowed, block.reason) for block in left_out), [block.reason for block in left_out]
    assert len(left_out) <= len(every) / 3


def test_every_page_is_read() -> None:
    """Each fence of a page that holds commands is found, so that none goes unrun for the way it is written."""
    for page in pages():
        text = page.read_text(encoding="utf-8")
        opened = re.findall(rf"^ *(?:```|~~~) ?\{{?\.?({'|'.join(RUN)}|sh|shell|pycon)\b", text, re.MULTILINE)
        assert len(opened) == len(blocks(page)), page
        assert text.count("Not run by the tests:") == sum(bool(block.reason) for block in blocks(page)), page


def test_blocks_are_read_as_they_are_shown(tmp_path: Path) -> None:
    """Markers, indentation, prompts and continued lines are understood; blocks to look at are left alone."""
    page = tmp_path / "page.md"
    page.write_text(
        "A\n\n*Not run by the tests: it downloads.*\n\n```bash\nwget x\n```\n\n```yaml\na: 1\n```\n\n"
        "!!! tip\n\n    ```python\n    if True:\n        print(1)\n    ```\n\n"
        "```console\n$ echo a \\\n  b\na b\n$ pwd\n```\n"
    )
    first, second, third = blocks(page)
    assert (first.reason, first.code, first.line) == ("it downloads.", "wget x\n", 5)
    assert (second.language, second.code) == ("python", "if True:\n    print(1)\n")
    assert script(third) == "echo a \\\n  b\npwd\n"
