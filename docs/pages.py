"""What MkDocs is told by this project: pages and tables that are made from the code, so that they can't go stale.

A page may hold `{{ NAME }}` on a line of its own, NAME being one of `TABLES`. The command line's page is made from the
commands, and those of the algorithms are their READMEs, with links that work on the site.
"""

from __future__ import annotations

import ast
import inspect
import itertools
import posixpath
import re
import textwrap
from collections.abc import Callable, Iterable, Iterator, Mapping
from pathlib import Path
from types import NoneType, UnionType
from typing import TYPE_CHECKING, Annotated, Any, Literal, Union, get_args, get_origin

if TYPE_CHECKING:
    from mkdocs.config.defaults import MkDocsConfig
    from mkdocs.structure.files import Files
    from mkdocs.structure.pages import Page
    from pydantic import BaseModel

ROOT = Path(__file__).resolve().parents[1]
_PLACEHOLDER = re.compile(r"^\{\{ ([\w-]+) \}\}$", re.MULTILINE)
# Links of Markdown: [text](target) and ![text](target).
_LINK = re.compile(r"(!?)\[([^\]]*)\]\(([^)\s]+)\)")
# What a browser would ask another server for: of these tags, an address with a host.
_FOREIGN = re.compile(r"<(?:script|link|img|iframe|source)\b[^>]*\b(?:src|href)=[\"']?(?:https?:)?//[^\s\"'>]+")

# --- tables ------------------------------------------------------------------------------------------------------


def table(columns: Iterable[str], rows: Iterable[Iterable[str]]) -> str:
    """Return a table of Markdown; bars within cells are escaped."""
    lines = [list(columns)]
    lines.append(["---"] * len(lines[0]))
    lines += [[cell.replace("|", "\\|").replace("\n", " ") for cell in row] for row in rows]
    return "\n".join(f"| {' | '.join(line)} |" for line in lines)


def fields(model: type[BaseModel]) -> str:
    """Return a table of a model's keys: type, default, and the docstring under each."""
    said = docstrings(model)
    rows = []
    for name, field in model.model_fields.items():
        made = field.default_factory() if field.default_factory else field.default  # type: ignore[call-arg]
        default = "required" if field.is_required() else f"`{_plain(made)}`"
        rows.append((f"`{name}`", _kind(field.annotation), default, said[name]))
    return table(("key", "type", "default", ""), rows)


def docstrings(model: type) -> dict[str, str]:
    """Read the strings that stand under the attributes of a class."""
    (made,) = ast.parse(textwrap.dedent(inspect.getsource(model))).body
    found = {}
    for node, following in itertools.pairwise(getattr(made, "body", [])):
        if isinstance(node, ast.AnnAssign) and isinstance(node.target, ast.Name) and isinstance(following, ast.Expr):
            value = following.value
            if isinstance(value, ast.Constant) and isinstance(value.value, str):
                found[node.target.id] = " ".join(value.value.split())
    return found


def _plain(value: Any) -> str:
    """Write a default as YAML has it."""
    if isinstance(value, tuple | list):
        return f"[{', '.join(map(_plain, value))}]"
    return {"None": "null", "True": "true", "False": "false", "": '""'}.get(str(value), str(value))


def _kind(annotation: Any) -> str:
    """Write a type for people who write YAML."""
    origin, arguments = get_origin(annotation), get_args(annotation)
    if origin is Annotated:
        return _kind(arguments[0])
    if origin in (Union, UnionType):
        return " or ".join(_kind(one) for one in arguments if one is not NoneType)
    if origin is Literal:
        return " or ".join(f"`{one}`" for one in arguments)
    if origin in (tuple, list):
        return f"list: {_kind(arguments[0])}"
    if origin in (dict, Mapping):
        return "table" if arguments[1] is Any else f"table: {_kind(arguments[1])}"
    named = {str: "text", int: "integer", float: "number", bool: "true or false"}
    return named.get(annotation) or str(getattr(annotation, "__name__", annotation))


def _config() -> str:
    from harness.engines.config import AlgorithmConfig

    return fields(AlgorithmConfig)


def _grid() -> str:
    from harness.engines.config import GroupConfig

    return fields(GroupConfig)


def _suite() -> str:
    from harness.plan.suites import Suite

    return fields(Suite)


def _suites() -> str:
    from harness.plan.suites import load_suites

    rows = (
        (f"`{name}`", suite.about, suite.group, " ".join(suite.algorithms), " ".join(suite.datasets))
        for name, suite in load_suites().items()
    )
    return table(("suite", "", "grids", "algorithms", "datasets"), rows)


def _workloads() -> str:
    from harness.workloads.catalogue import WORKLOADS, find_workload

    parts = []
    for name in WORKLOADS:
        workload = find_workload(name)
        parts.append(f"`{name}`: {workload.about}.\n\n{fields(workload.terms)}")
    return "\n\n".join(parts)


def _document() -> str:
    from harness.store.document import Document

    return fields(Document)


def _process() -> str:
    from harness.store.document import Process

    return fields(Process)


def _measures() -> str:
    from harness.analyse.measures import MEASURES

    rows = (
        (f"`{m.name}`", m.title, m.unit, m.better or "", "single only" if len(m.modes) == 1 else "", m.about)
        for m in MEASURES.values()
    )
    return table(("measure", "title", "unit", "better", "mode", "what it is"), rows)


def _rules() -> str:
    from harness.engines.conformance import CHECKS

    rows = ((check.name, check.rule, "yes" if check.before_timing else "") for check in CHECKS)
    return table(("rule", "what it says", "before timing"), rows)


def _datasets() -> str:
    from harness.data.sources.catalogue import load_catalogue

    rows = []
    for name, entry in load_catalogue().items():
        shape = " x ".join("?" if part is None else f"{part:,}" for part in (entry.shape.train, entry.shape.dimension))
        rows.append((f"`{name}`", str(entry.metric), shape, entry.about))
    return table(("dataset", "metric", "vectors x dimensions", ""), rows)


def _texts() -> str:
    from harness.data.sources.texts.catalogue import load_texts

    return table(("name", "kind", ""), ((f"`{name}`", text.kind, text.about) for name, text in load_texts().items()))


def _algorithms() -> str:
    from harness.engines.registry import load_registry

    rows = (
        (f"`{e.name}`", e.config.origin, " ".join(e.config.metrics), e.config.extra or "", e.config.about)
        for e in load_registry().values()
    )
    return table(("algorithm", "origin", "metrics", "extra", ""), rows)


def _recipes() -> str:
    from harness.embedding.training.recipe import find_recipes, recipe_names, recipe_sets

    rows = [(f"`{name}`", find_recipes(name)[0].about) for name in recipe_names()]
    rows += [(f"`{name}`", f"the set of {', '.join(members)}") for name, members in recipe_sets().items()]
    return table(("recipe", ""), rows)


def _recipe() -> str:
    from harness.embedding.training.recipe import ClassifierRecipe, Recipe

    return f"{_part(Recipe)}\n\n{_part(ClassifierRecipe)}"


def recipe_parts() -> dict[str, type[BaseModel]]:
    """Return the parts of recipes under the keys at which they stand."""
    from harness.embedding.training.recipe import ClassifierRecipe, Recipe

    found: dict[str, type[BaseModel]] = {}
    for model in (Recipe, ClassifierRecipe):
        for name, field in model.model_fields.items():
            if (part := _model(field.annotation)) is not None:
                found[name] = part
    return found


def _recipe_parts() -> str:
    return "\n\n".join(f"### `{name}`\n\n{_part(model)}" for name, model in recipe_parts().items())


def _part(model: type[BaseModel]) -> str:
    """Return what a part is, which explains its keys, and a table of these with their types and defaults."""
    rows = []
    for name, field in model.model_fields.items():
        part = _model(field.annotation)
        made = field.default_factory() if field.default_factory else field.default  # type: ignore[call-arg]
        default = "required" if field.is_required() else "its own defaults" if part and made else f"`{_plain(made)}`"
        rows.append((f"`{name}`", f"part [{name}](#{name})" if part else _kind(field.annotation), default))
    return f"{inspect.getdoc(model)}\n\n{table(('key', 'type', 'default'), rows)}"


def _model(annotation: Any) -> type[BaseModel] | None:
    """Return the part that a key holds; None where it holds a plain value."""
    from pydantic import BaseModel

    for one in (annotation, *get_args(annotation)):
        if isinstance(one, type) and issubclass(one, BaseModel):
            return one
    return None


def _losses() -> str:
    from harness.embedding.losses.registry import LOSSES

    rows = (
        (
            f"`{loss.name}`",
            ", ".join(loss.needs),
            ", ".join(f"`{name}`" for name in loss.settings),
            ", ".join(f"`{name}`" for name in loss.learnable),
            (inspect.getdoc(loss.function) or "").split("\n\n")[0],
        )
        for loss in LOSSES.values()
    )
    return table(("loss", "needs", "settings", "can be learnt", ""), rows)


TABLES: dict[str, Callable[[], str]] = {
    "config": _config,
    "grid": _grid,
    "suite": _suite,
    "suites": _suites,
    "workloads": _workloads,
    "document": _document,
    "process": _process,
    "measures": _measures,
    "rules": _rules,
    "datasets": _datasets,
    "texts": _texts,
    "algorithms": _algorithms,
    "recipe": _recipe,
    "recipe-parts": _recipe_parts,
    "recipes": _recipes,
    "losses": _losses,
}

# --- the command line --------------------------------------------------------------------------------------------


def commands() -> Iterator[tuple[str, Any]]:
    """Yield each command of the command line with the words by which it is called."""
    import typer.main

    from harness.cli.main import app

    def walk(words: str, command: Any) -> Iterator[tuple[str, Any]]:
        if getattr(command, "commands", None):
            for name, child in command.commands.items():
                yield from walk(f"{words} {name}", child)
        else:
            yield words, command

    yield from walk("annbench", typer.main.get_command(app))


def examples(command: Any) -> list[str]:
    """Return the examples in a command's help."""
    paragraphs = (" ".join(part.split()) for part in (command.help or "").split("\n\n"))
    return [part.removeprefix("Example: ") for part in paragraphs if part.startswith("Example: ")]


def command_line() -> str:
    """Return the page of the command line."""
    parts = ["# Command line"]
    parts.append(
        "`annbench COMMAND --help` says the same. A mistake ends in one line on standard error and status 2, a check "
        "or a comparison that fails in status 1, Ctrl-C in 130 with what was measured kept."
    )
    for words, command in commands():
        paragraphs = [" ".join(part.split()) for part in (command.help or "").split("\n\n")]
        parts += [f"## `{words}`", *(part for part in paragraphs if not part.startswith("Example: "))]
        parts.append("```bash\n" + "\n".join(examples(command)) + "\n```")
        rows = [(_call(p), _default(p), p.help or "") for p in command.params if p.name != "help"]
        parts.append(table(("argument or option", "default", ""), rows))
    return "\n\n".join(parts) + "\n"


def _call(parameter: Any) -> str:
    opts = [*parameter.opts, *parameter.secondary_opts]
    if not opts[0].startswith("-"):
        return f"`{parameter.name.upper()}`"
    return ", ".join(f"`{opt}`" for opt in opts)


def _default(parameter: Any) -> str:
    if parameter.required:
        return "required"
    return "" if parameter.default in (None, False) or callable(parameter.default) else f"`{parameter.default}`"


# --- READMEs as pages --------------------------------------------------------------------------------------------


def readmes() -> dict[str, str]:
    """Return the pages that are files elsewhere in the tree: path there -> path on the site."""
    found = {f"algorithms/{p.parent.name}/README.md": f"algorithms/{p.parent.name}.md" for p in _globbed("algorithms")}
    found["harness/embedding/README.md"] = "explanation/embeddings.md"
    return found


def _globbed(folder: str) -> list[Path]:
    return sorted((ROOT / folder).glob("*/README.md"))


def relinked(source: str, text: str, target: str, pages: dict[str, str]) -> str:
    """Make the links of a file at `source` work on the site's page `target`.

    Those to pages and plots lead there; those to what isn't on the site, such as code, become plain text.
    """

    def replace(found: re.Match[str]) -> str:
        picture, words, link = found.groups()
        path, _, anchor = link.partition("#")
        if "://" in link or not path:
            return found[0]
        place = posixpath.normpath(posixpath.join(posixpath.dirname(source), path))
        page = pages.get(place) or (place if place.startswith("plots/") and (ROOT / place).is_file() else None)
        if page is None:
            return words
        there = posixpath.relpath(page, posixpath.dirname(target))
        return f"{picture}[{words}]({there}{'#' + anchor if anchor else ''})"

    return _LINK.sub(replace, text)


# --- hooks of MkDocs ---------------------------------------------------------------------------------------------


def on_files(files: Files, config: MkDocsConfig) -> Files:
    """Add the pages that are made, and the plots that they show."""
    from mkdocs.structure.files import File

    pages = readmes()
    made = {"reference/cli.md": command_line()}
    for source, target in pages.items():
        made[target] = relinked(source, (ROOT / source).read_text(encoding="utf-8"), target, pages)
    for plot in sorted((ROOT / "plots").iterdir()):
        if plot.suffix == ".md":
            made[f"plots/{plot.name}"] = relinked(f"plots/{plot.name}", plot.read_text(), f"plots/{plot.name}", pages)
        elif plot.suffix in (".png", ".csv"):
            files.append(File.generated(config, f"plots/{plot.name}", abs_src_path=str(plot)))
    for path, content in made.items():
        files.append(File.generated(config, path, content=content))
    return files


def on_page_markdown(markdown: str, page: Page, config: MkDocsConfig, files: Files) -> str:  # noqa: ARG001 - by MkDocs
    """Put tables where their names stand."""
    return _PLACEHOLDER.sub(lambda found: TABLES[found[1]](), markdown)


def on_post_build(config: MkDocsConfig) -> None:
    """Refuse a site that would ask another server for anything when it is read."""
    from mkdocs.exceptions import PluginError

    for page in sorted(Path(config.site_dir).rglob("*.html")):
        if foreign := _FOREIGN.search(page.read_text(encoding="utf-8")):
            raise PluginError(f"{page}: asks another server: {foreign[0]}")
