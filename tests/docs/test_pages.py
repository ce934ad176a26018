"""Pages that are made from the code say all that the code has, in forms that a reader can use."""

from __future__ import annotations

import re
import shlex
from pathlib import Path
from types import ModuleType

import pytest
import yaml

from harness.analyse.measures import MEASURES
from harness.engines.config import AlgorithmConfig, GroupConfig
from harness.engines.conformance import CHECKS
from harness.plan.suites import Suite, load_suites
from harness.store.document import Document, Process

ROOT = Path(__file__).resolve().parents[2]
DOCS = ROOT / "docs"


@pytest.mark.parametrize("model", [AlgorithmConfig, GroupConfig, Suite, Document, Process])
def test_every_key_is_explained(made: ModuleType, model: type[Suite]) -> None:
    """Each key of what people write or read has a type, a default and a sentence."""
    said = made.docstrings(model)
    assert set(said) == set(model.model_fields)
    rows = made.fields(model).splitlines()[2:]
    assert len(rows) == len(said)
    for row in rows:
        _, key, kind, default, about, _ = re.split(r"(?<!\\)\|", row)
        assert key.strip("` ") in model.model_fields
        assert re.fullmatch(r" (text|integer|number|true or false|table|list|\w+|`[\w-]+`)( or .+|: .+)? ", kind), row
        assert default.strip() == "required" or re.fullmatch(r" `.+` ", default), row
        assert about.strip().endswith("."), row


def test_every_key_of_a_recipe_is_on_its_page(made: ModuleType) -> None:
    """Each part that a recipe can have is a section with what it means, its keys, and what these are by default."""
    pytest.importorskip("torch")
    text = made.TABLES["recipe-parts"]()
    for name, part in made.recipe_parts().items():
        section = text.split(f"### `{name}`\n")[1].split("\n### ")[0]
        assert section.strip().startswith(str(part.__doc__).split("\n")[0])
        for key in part.model_fields:
            assert re.search(rf"^\| `{key}` \| \S.* \| (required|`.+`|its own defaults) \|$", section, re.MULTILINE), (
                key
            )
    assert "| `data` | part [data](#data) | required |" in made.TABLES["recipe"]()


def test_every_table_is_on_a_page(made: ModuleType) -> None:
    """Each table that can be made stands on a page, each name on a page is that of a table, and holds all it should."""
    text = "\n".join(page.read_text(encoding="utf-8") for page in DOCS.rglob("*.md"))
    assert sorted(re.findall(r"^\{\{ ([\w-]+) \}\}$", text, re.MULTILINE)) == sorted(made.TABLES)
    for name, kept in (("measures", MEASURES), ("rules", [c.name for c in CHECKS]), ("suites", load_suites())):
        table = made.TABLES[name]()
        assert all(f"| {one} |" in table or f"| `{one}` |" in table for one in kept)


def test_every_command_is_on_the_page(made: ModuleType) -> None:
    """Each command has a section with its options, and each option one line that isn't empty."""
    page = made.command_line()
    for words, command in made.commands():
        section = page.split(f"## `{words}`\n")[1].split("\n## ")[0]
        for parameter in command.params:
            if parameter.name != "help":
                assert re.search(rf"^\| {re.escape(made._call(parameter))} \|.*\| \S.* \|$", section, re.MULTILINE)


def test_every_example_can_be_typed(made: ModuleType) -> None:
    """The examples in the help are understood by the commands that they show: no option of theirs is gone or wrong."""
    seen = 0
    for words, command in made.commands():
        assert made.examples(command), words
        for example in made.examples(command):
            for part in example.split(" && "):
                typed = shlex.split(part)
                if typed[: len(words.split())] == words.split():
                    command.make_context(words, typed[len(words.split()) :])
                    seen += 1
    assert seen >= len(list(made.commands()))


def test_links_of_readmes_work_on_the_site(made: ModuleType) -> None:
    """Links to pages and plots lead there; those to code become its name; anchors and other sites stay."""
    text = "[a](../pq/README.md#x) ![b](../../plots/gallery-joint.png) [c.py](../kernels/c.py) [d](#e) [f](https://g.h)"
    pages = {"algorithms/pq/README.md": "algorithms/pq.md"}
    assert made.relinked("algorithms/hnsw/README.md", text, "algorithms/hnsw.md", pages) == (
        "[a](pq.md#x) ![b](../plots/gallery-joint.png) c.py [d](#e) [f](https://g.h)"
    )


def test_every_page_has_a_place() -> None:
    """Each page that is written, and each algorithm from scratch, is in the menu; nothing else is."""
    menu: list[str] = []

    def walk(part: object) -> None:
        if isinstance(part, str):
            menu.append(part)
        for child in part if isinstance(part, list) else part.values() if isinstance(part, dict) else ():
            walk(child)

    walk(yaml.safe_load((ROOT / "mkdocs.yml").read_text(encoding="utf-8"))["nav"])
    written = {page.relative_to(DOCS).as_posix() for page in DOCS.rglob("*.md")}
    scratch = {f"algorithms/{path.parent.name}.md" for path in (ROOT / "algorithms").glob("*/README.md")}
    assert sorted(menu) == sorted(written | scratch | {"reference/cli.md", "explanation/embeddings.md"})
