"""Put the page together: templates, styles, scripts and data in one file that asks nothing of any network."""

from __future__ import annotations

import base64
import hashlib
import json
from collections.abc import Mapping, Sequence
from dataclasses import dataclass, field
from functools import cache
from pathlib import Path
from typing import TYPE_CHECKING, Any

from harness.analyse.at_recall import RULE
from harness.analyse.caveats import medians_of
from harness.analyse.table import Group, groups, indexes, newest
from harness.analyse.targets import DEFAULT_TARGETS, targets_table
from harness.analyse.winners import MEANING
from harness.core.atomic import reason, write_text
from harness.core.errors import AnnbenchError
from harness.core.version import __version__
from harness.report.detail import Detail
from harness.report.html.cards import dataset_cards
from harness.report.html.colours import on_dark
from harness.report.html.data import about_measures, group_document, shared
from harness.report.html.embedding import joint_document, joint_section, quality_section
from harness.report.html.studies import StudyCard
from harness.report.html.summary import machine_rows, summary_row
from harness.report.html.training import training_document
from harness.report.snippet import known_algorithms

if TYPE_CHECKING:
    import pandas as pd

    from harness.embedding.curve import Curve
    from harness.embedding.joint import JointRow
    from harness.embedding.records import Record

PAGE_NAME = "report.html"
_HERE = Path(__file__).parent
# The marks of matplotlib by the names of the page's own symbols.
_SHAPES = {"o": "m-o", "s": "m-s", "D": "m-D", "^": "m-up", "v": "m-v", "P": "m-P", "X": "m-X", "*": "m-star"}


@dataclass(frozen=True)
class Content:
    """What the page is made of: a tidy table, and of each of its rows, by path, what the table doesn't hold.

    `records` are evaluations of embeddings, `joint` the rows of the joint table, `curves` those of training runs by
    model, and `untrained` says which of them can't be read; `data` is the folder of datasets.
    """

    table: pd.DataFrame
    details: Mapping[str, Detail] = field(default_factory=dict)
    records: Sequence[Record] = ()
    joint: Sequence[JointRow] = ()
    studies: Sequence[StudyCard] = ()
    data: Path | None = None
    curves: Mapping[str, Curve] = field(default_factory=dict)
    untrained: Sequence[str] = ()


def write_page(content: Content, folder: Path) -> Path:
    """Write `report.html` into `folder`; return its path. Raises AnnbenchError where it can't be written."""
    path = folder / PAGE_NAME
    try:
        write_text(path, render_page(content))
    except OSError as refused:
        raise AnnbenchError(
            f"{path}: could not be written ({reason(refused)}); choose another folder or free some space"
        ) from None
    return path


def render_page(content: Content) -> str:
    """Return the page: the same content gives the same text."""
    import jinja2
    from markupsafe import Markup

    latest = newest(content.table) if len(content.table) else content.table
    parts = groups(latest) if len(latest) else []
    tables = [targets_table(part.rows, DEFAULT_TARGETS) for part in parts]
    registry = known_algorithms()
    documents = [
        group_document(part, targets, content.details, f"group-{number}", registry)
        for number, (part, targets) in enumerate(zip(parts, tables, strict=True))
    ]
    curves = joint_document(content.joint)
    training = training_document(content.curves)
    joined = [] if curves is None else [{"algorithms": _algorithms(curves)}]
    colours = _colours([*documents, *joined, *([] if training is None else [training])])
    islands = [("shared", _json(_shared(parts, documents, colours)))]
    islands += [(document["id"], _json(document)) for document in documents]
    if curves is not None:
        islands.append(("joint-curves", _json(curves)))
    if training is not None:
        islands.append(("training-curves", _json(training)))
    script, style, plot_style = _script(), f"{_asset('page.css')}{_colour_rules(colours)}", _asset("plot.css")
    plotly = (_HERE / "vendor" / "plotly-basic.min.js").read_text(encoding="utf-8")
    measured = [part for part, targets in zip(parts, tables, strict=True) if len(targets)]
    machines = machine_rows(latest, content.details) if len(latest) else []
    cards = dataset_cards(latest, content.data) if len(latest) else []
    sections = _sections(content, results=bool(parts), measured=bool(measured), cards=bool(cards))
    environment = jinja2.Environment(
        loader=jinja2.FileSystemLoader(_HERE / "templates"), autoescape=True, undefined=jinja2.StrictUndefined
    )
    return environment.get_template("page.html").render(
        title="annbench: benchmark report",
        heading="Benchmark report",
        lede=_lede(latest, measured),
        policy=_policy([plotly, script], [style, plot_style]),
        style=Markup(style),  # noqa: S704 - our own files
        plot_style=Markup(plot_style),  # noqa: S704
        plotly=Markup(plotly),  # noqa: S704
        script=Markup(script),  # noqa: S704
        islands=[(name, Markup(text)) for name, text in islands],  # noqa: S704 - `_json` leaves no `<`
        sections=sections,
        results=bool(parts),
        summary=[
            summary_row(part, targets, f"group-{number}")
            for number, (part, targets) in enumerate(zip(parts, tables, strict=True))
            if len(targets)
        ],
        targets=[f"{target:g}" for target in DEFAULT_TARGETS],
        rule=RULE,
        meaning=MEANING,
        machines=machines,
        several_machines=len(machines) > 1,
        superseded=len(content.table) - len(latest),
        measures=about_measures() if parts else {},
        colours=colours,
        shapes=_SHAPES,
        version=__version__,
        embeddings=quality_section(content.records),
        joint=joint_section(content.joint),
        training=training is not None,
        untrained=content.untrained,
        studies=content.studies,
        cards=cards,
    )


def _sections(content: Content, *, results: bool, measured: bool, cards: bool) -> list[tuple[str, str]]:
    """Return the sections that the page has, by anchor and name."""
    every = [
        (measured, "summary", "Summary"),
        (results, "choose", "Choose"),
        (results, "frontier", "Recall and speed"),
        (results, "cost", "Cost"),
        (results, "latency", "Query by query"),
        (results, "settings", "Settings"),
        (results, "failures", "Failures"),
        (bool(content.records or content.joint or content.curves or content.untrained), "embeddings", "Embeddings"),
        (bool(content.studies), "studies", "Studies"),
        (cards, "datasets", "Datasets"),
        (True, "machines", "Machines"),
    ]
    return [(anchor, name) for there, anchor, name in every if there]


def _algorithms(curves: Mapping[str, Any]) -> list[Mapping[str, Any]]:
    return [curve["algorithm"] for curve in curves["curves"]]


def _lede(table: pd.DataFrame, measured: Sequence[Group]) -> str:
    """Say in a sentence what was measured."""
    if not measured:
        return "No index was measured to its end; what was tried is listed below."
    rows = indexes(table)
    dates = sorted(date[:10] for date in rows["created"] if date)
    when = "" if not dates else f", {dates[0]}" if dates[0] == dates[-1] else f", {dates[0]} to {dates[-1]}"
    parts = [
        _count(len(rows), "setting"),
        "of",
        _count(rows["algorithm"].nunique(), "algorithm"),
        "on",
        _count(rows["dataset"].nunique(), "dataset"),
        "and",
        _count(rows["machine"].nunique(), "machine"),
    ]
    return f"{' '.join(parts)}{when}. Every figure has its interval, and is {medians_of(rows)}."


def _count(number: int, name: str) -> str:
    return f"{number:,} {name}{'' if number == 1 else 's'}"


def _shared(parts: Sequence[Group], documents: Sequence[Mapping[str, Any]], colours: Mapping[str, str]) -> Any:
    """Return what the script needs before a group is chosen; the first in view is that with most settings."""
    sizes = [len(document["columns"]["algorithm"]) for document in documents]
    return {
        **shared(),
        "groups": [{"id": one["id"], "key": one["key"], "machine": one["machine"]} for one in documents],
        "first": documents[sizes.index(max(sizes))]["id"] if documents else None,
        "machines": len({part.key.machine for part in parts}),
        "colours": dict(colours),
    }


# --- what is inlined -------------------------------------------------------------------------------------------------


def _json(content: Any) -> str:
    """Write JSON that can stand in an element of HTML: nothing in it ends the element or starts a comment."""
    text = json.dumps(content, ensure_ascii=False, allow_nan=False, separators=(",", ":"))
    return text.replace("&", "\\u0026").replace("<", "\\u003c").replace(">", "\\u003e")


@cache
def _asset(name: str) -> str:
    return (_HERE / "assets" / name).read_text(encoding="utf-8")


def _script() -> str:
    """Return our scripts in the order of their numbers, in one scope of their own."""
    names = sorted((path.name for path in (_HERE / "assets").glob("*.js")), key=lambda name: int(name.split("-")[0]))
    return '"use strict";\n(() => {\n' + "\n".join(map(_asset, names)) + "})();\n"


def _colours(documents: Sequence[Mapping[str, Any]]) -> dict[str, str]:
    """Name a class for each colour that an algorithm has."""
    found = dict.fromkeys(one["colour"] for document in documents for one in document["algorithms"])
    return {colour: f"c{number}" for number, colour in enumerate(found)}


def _colour_rules(colours: Mapping[str, str]) -> str:
    return "".join(f".{name} {{ --c: light-dark({colour}, {on_dark(colour)}); }}\n" for colour, name in colours.items())


def _policy(scripts: Sequence[str], styles: Sequence[str]) -> str:
    """Return the page's Content-Security-Policy: nothing from anywhere, and of scripts and styles only those inlined.

    Style attributes stay allowed: plotly sets some on what it draws.
    """
    return "; ".join(
        [
            "default-src 'none'",
            f"script-src {' '.join(map(_hash, scripts))}",
            f"style-src-elem {' '.join(map(_hash, styles))}",
            "style-src-attr 'unsafe-inline'",
            "img-src data:",
            "base-uri 'none'",
            "form-action 'none'",
        ]
    )


def _hash(text: str) -> str:
    digest = hashlib.sha256(text.encode("utf-8")).digest()
    return f"'sha256-{base64.b64encode(digest).decode()}'"
