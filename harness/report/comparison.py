"""The verdicts of a comparison as text, Markdown, CSV and JSON."""

from __future__ import annotations

import json
import math
from collections.abc import Sequence
from typing import Any, Literal

from harness.analyse.clock import Clock
from harness.analyse.paired import Standing
from harness.analyse.statistics import DEFAULT_LEVEL
from harness.analyse.verdict import Verdict
from harness.compare.request import DEFAULT_PAIRS, Report, Row
from harness.compare.stored import Terms
from harness.report import tables

Format = Literal["table", "markdown", "csv", "json"]
FORMATS: tuple[Format, ...] = ("table", "markdown", "csv", "json")

_SHOWN = 0.0005  # half of the last digit that a ratio is shown with


def sentence(row: Row) -> str:
    """Say in words what came out of a row."""
    a, b, verdict = row.comparison.a, row.comparison.b, row.comparison.verdict
    if verdict is None:
        missing = [name for name, side in (("A", a), ("B", b)) if side.relation == "not reached"]
        best = ", ".join(
            f"{name} up to {max(side.recall):.4f}" for name, side in (("A", a), ("B", b)) if name in missing
        )
        return f"{' and '.join(missing)} not there: {best}"
    if verdict.kind == "tied":
        return "tied"
    if verdict.kind == "unsure":
        if math.isnan(verdict.interval.low):
            return f"can't tell: one {'query' if row.terms.queries == 1 else 'pass'} gives no interval"
        return f"can't tell: {verdict.more:,} more passes needed ({_children(row.comparison.children, verdict)})"
    return "A faster" if verdict.kind == "faster" else "B faster"


def _children(known: int, verdict: Verdict) -> str:
    return f"{known + verdict.more_children:,} children a side"


def at_recall(row: Row) -> str:
    """Say at which recall a row compares: the one that was asked for, or those that the settings have."""
    target = row.comparison.target
    if target is not None:
        return f"{target:g}"
    return f"{row.comparison.a.recall[0]:.4f} / {row.comparison.b.recall[0]:.4f}"


def cells(row: Row, among: Sequence[Row]) -> tuple[str, ...]:
    """Return the cells of a row under the heads of a table, where it stands among these rows."""
    comparison = row.comparison
    verdict = comparison.verdict
    return (
        _terms(row, among) + ("" if row.names[0] == row.names[1] else f" ({' / '.join(row.names)})"),
        at_recall(row),
        _speed(comparison.a),
        _speed(comparison.b),
        "" if verdict is None else f"{verdict.ratio:.3f}",
        "" if verdict is None or math.isnan(verdict.interval.low) else _interval(verdict),
        sentence(row),
    )


def _terms(row: Row, among: Sequence[Row]) -> str:
    """Say on what a row was measured: the dataset and k, and whatever else its terms differ in from other rows."""
    terms = row.terms
    more = {
        "workload": terms.workload,
        "mode": terms.mode,
        "threads": f"{terms.threads} threads",
        "queries": f"{terms.queries} queries",
        "half": f"{terms.half or 'no'} half",
        "machine": f"on {terms.machine_name or 'unknown'} ({terms.machine})",
        "dataset_sha256": f"version {terms.dataset_sha256:.8}",
    }
    said = [text for name, text in more.items() if len({getattr(other.terms, name) for other in among}) > 1]
    return ", ".join([terms.dataset, *_own(terms), *said])


def _own(terms: Terms) -> list[str]:
    """Write the workload's own fields, the mode apart."""
    return [f"{name}={value}" for name, value in terms.own.items() if name != "mode"]


def _speed(side: Standing) -> str:
    return "not reached" if side.relation == "not reached" else f"{'≥ ' * (side.relation == '>=')}{side.qps:,.0f}"


def _interval(verdict: Verdict) -> str:
    return f"{verdict.interval.low:.3f}-{verdict.interval.high:.3f}"


def footnotes(report: Report) -> list[str]:
    """Say what a reader of the verdicts should know: how much was measured, and what was odd."""
    said = list(report.notes)
    if report.rows:
        rows = [row.comparison for row in report.rows]
        # Several recalls may rest on the same rounds: those of the same settings are counted once.
        runs = {(row.terms, row.names, row.settings): row.comparison for row in report.rows}.values()
        disturbed, made = sum(row.disturbed for row in runs), sum(row.passes for row in runs)
        passes, children = min(row.passes for row in runs), sorted({row.children for row in runs})
        several = "-".join(str(count) for count in dict.fromkeys((children[0], children[-1])))
        pairs = f"{several} pairs of children, " if report.pairs else ""
        if report.clock == "cpu":
            said.insert(
                0,
                "by CPU time: QPS count the time for which a pass was on a core (all threads of a batch), not what "
                "others took from it",
            )
        said.insert(0, f"{pairs}at least {passes} passes of each setting and side")
        apart = [at_recall(row) for row in report.rows if _quotient_is_apart(row)]
        if report.pairs and apart:
            said.append(
                "A / B is of rounds side by side, so it is not the quotient of both QPS, medians over all rounds; "
                f"trust A / B (at recall {', '.join(apart)})"
            )
        if any(row.target is not None and max(len(row.a.recall), len(row.b.recall)) > 1 for row in rows):
            said.append("between two settings QPS is interpolated (log QPS linear in recall), for A and B alike")
        if 0 < report.pairs < DEFAULT_PAIRS:
            said.append(f"fewer than {DEFAULT_PAIRS} pairs: one build hides 1-3% of memory layout and seed")
        if disturbed:
            said.append(
                f"{disturbed} of {made} rounds were disturbed; they count only where fewer than a third were not"
                if report.pairs
                else f"{disturbed} of {made} passes were disturbed; they count only where fewer than 3 were not"
            )
        if any(row.level > DEFAULT_LEVEL for row in rows):
            said.append(
                f"each interval is held to more than {DEFAULT_LEVEL:.0%}, such that looks at fewer and at more pairs "
                f"hold {DEFAULT_LEVEL:.0%} together"
            )
        if any(side.relation == ">=" for row in rows for side in (row.a, row.b)):
            said.append(
                "≥: all settings of that side lie above the recall, and its fastest is compared; less thorough ones "
                "may be faster still"
            )
    return said


def _quotient_is_apart(row: Row) -> bool:
    """Say whether the quotient of the QPS that are shown lies outside the interval of the ratio beside them."""
    a, b, verdict = row.comparison.a, row.comparison.b, row.comparison.verdict
    if verdict is None:
        return False
    low, high = verdict.interval
    return a.qps / b.qps < low * (1 - _SHOWN) or a.qps / b.qps > high * (1 + _SHOWN)


def render(report: Report, kind: Format) -> str:
    """Write the verdicts as Markdown, CSV or JSON; `table` is for the terminal, drawn there."""
    if kind == "json":
        return json.dumps(document(report), indent=1) + "\n"
    rows = [cells(row, report.rows) for row in report.rows]
    if kind == "csv":
        import pandas as pd

        return tables.to_csv(pd.DataFrame(rows, columns=list(heads(report.clock))))
    head = heads(report.clock)
    lines = [head, ("---",) * len(head), *rows]
    table = "\n".join("| " + " | ".join(_plain(cell) for cell in line) + " |" for line in lines)
    names = f"A: {_plain(report.names[0])}, B: {_plain(report.names[1])}"
    return f"{names}\n\n{table}\n\n" + "".join(f"- {_plain(note)}\n" for note in footnotes(report))


def _plain(text: str) -> str:
    return text if set(text) == {"-"} else tables.escape(text)


def heads(clock: Clock) -> tuple[str, ...]:
    """Return the heads of the table; those of QPS say where it is by CPU time."""
    unit = "QPS" if clock == "wall" else "QPS (CPU)"
    return ("dataset", "recall", f"A {unit}", f"B {unit}", "A / B", "95% interval", "verdict")


def document(report: Report) -> dict[str, Any]:
    """Return the verdicts as what JSON holds; nan becomes null."""
    return {
        "a": report.names[0],
        "b": report.names[1],
        "clock": report.clock,
        "pairs": report.pairs,
        "recall_drop": report.drop,
        "missing": report.missing,
        "notes": footnotes(report),
        "rows": [_row(row) for row in report.rows],
    }


def _row(row: Row) -> dict[str, Any]:
    comparison, verdict = row.comparison, row.comparison.verdict
    sides = {
        name: {
            "algorithm": row.names[i],
            "qps": None if side.relation == "not reached" else side.qps,
            "relation": side.relation,
            "settings": dict(zip(row.settings[i], side.recall, strict=True)),
        }
        for i, (name, side) in enumerate((("a", comparison.a), ("b", comparison.b)))
    }
    found = (
        {
            "ratio": verdict.ratio,
            "low": None if math.isnan(verdict.interval.low) else verdict.interval.low,
            "high": None if math.isnan(verdict.interval.high) else verdict.interval.high,
            "level": comparison.level,
            "kind": verdict.kind,
            "more_passes": verdict.more,
            "more_children": verdict.more_children,
        }
        if verdict
        else None
    )
    return {
        **row.terms.model_dump(exclude={"own"}),
        **row.terms.own,
        "target": comparison.target,
        "passes": comparison.passes,
        "disturbed": comparison.disturbed,
        **sides,
        "verdict": found,
        "text": sentence(row),
    }
