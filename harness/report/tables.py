"""The tables of a group, as Markdown for people and as CSV for programs.

Names come from result files, which may come from anywhere: in Markdown nothing of them is taken as markup, and in CSV
no cell of text is taken as a formula by a spreadsheet.
"""

from __future__ import annotations

import csv
import io
import json
import math
import re
from collections.abc import Iterable, Sequence
from typing import TYPE_CHECKING, Any

import numpy as np

from harness.analyse.measures import MEASURES
from harness.analyse.table import MEASURED, indexes, on_frontier
from harness.analyse.targets import DEFAULT_TARGETS, targets_table
from harness.analyse.winners import banner, telling, winner
from harness.report.style import plain

if TYPE_CHECKING:
    import pandas as pd

_CELL_LIMIT = 200
_SETTING_MEASURES = ("recall", "qps", "recall_worst5", "p50", "p95", "p99", "p99.9", "build_seconds", "index_bytes")
_WITH_INTERVAL = {"recall", "qps"}
_USE_AT = 0.95


def escape(text: object, limit: int = _CELL_LIMIT) -> str:
    """Write text into Markdown so that it reads as it is: one line, no markup, no HTML, no table borders."""
    line = plain(text, limit)
    line = re.sub(r"([\\`*\[\]$|~])", r"\\\1", line.replace("&", "&amp;"))
    line = re.sub(r"(?<![^\W_])_|_(?![^\W_])", r"\\_", line)  # between letters an underscore is only that
    return line.replace("<", "&lt;").replace(">", "&gt;")


def markdown(header: Sequence[str], rows: Iterable[Sequence[str]], right: Sequence[int] = ()) -> str:
    """Write a Markdown table of cells that are already escaped; columns numbered in `right` are set to the right."""
    rule = ["---:" if i in right else "---" for i in range(len(header))]
    lines = [header, rule, *rows]
    return "\n".join(f"| {' | '.join(line)} |" for line in lines) + "\n"


def to_csv(table: pd.DataFrame) -> str:
    """Write a table as CSV: dicts and lists as JSON, missing values empty, arrays left out."""
    columns = [c for c in table.columns if not c.endswith("_samples")]
    stream = io.StringIO()
    writer = csv.writer(stream, lineterminator="\n")
    writer.writerow(columns)
    for row in table[columns].itertuples(index=False, name=None):
        writer.writerow([_csv_cell(value) for value in row])
    return stream.getvalue()


def _csv_cell(value: Any) -> Any:
    if isinstance(value, dict | list):
        value = json.dumps(value, default=str)
    if isinstance(value, str):
        # A spreadsheet takes such a cell as a formula, which can call programs; the quote mark says that it is text.
        return f"'{value}" if value[:1] in set("=+-@\t\r") else value
    if isinstance(value, float | np.floating):
        return "" if math.isnan(value) else repr(float(value))
    return value


# --- QPS at a recall -------------------------------------------------------------------------------------------------


def targets_markdown(rows: pd.DataFrame, targets: Sequence[float] = DEFAULT_TARGETS) -> str:
    """Write of each algorithm of one group its fastest setting that reaches each recall; the fastest first."""
    table = targets_table(rows, targets)
    use = _USE_AT if _USE_AT in targets else targets[0]
    header = ["algorithm", "origin", *(f"QPS at recall {t:g}" for t in targets), "best recall"]
    header += [f"setting for {use:g}", "its build time (s)", "its index size"]
    lines = [
        [
            escape(row["algorithm"]),
            escape(row["origin"]),
            *(_target_cell(row, t) for t in targets),
            MEASURES["recall"].format(row["best_recall"]),
            escape(row[f"setting@{use:g}"]) or "-",
            MEASURES["build_seconds"].format(row[f"build_seconds@{use:g}"]),
            MEASURES["index_bytes"].format(row[f"index_bytes@{use:g}"]),
        ]
        for row in table.to_dict("records")
    ]
    numbers = [*range(2, 3 + len(targets)), len(header) - 2, len(header) - 1]
    return markdown(header, lines, numbers)


def winners_markdown(rows: pd.DataFrame, targets: Sequence[float] = DEFAULT_TARGETS) -> str:
    """Write a line for each recall: the fastest algorithm of one group, and what `winner` says of the others."""
    table = targets_table(rows, targets)
    found = [(target, winner(table, target)) for target in targets]
    lines = [f"- recall {target:g}: {escape(telling(won), 1000)}\n" for target, won in found if won is not None]
    warning = banner(indexes(rows))
    return "".join([*([f"**{escape(warning, 400)}**\n\n"] if warning else []), *lines])


def _target_cell(row: Any, target: float) -> str:
    relation, value = row[f"relation@{target:g}"], row[f"qps@{target:g}"]
    if relation == "not reached":
        return "not reached"
    text = ("≥ " if relation == ">=" else "") + MEASURES["qps"].format(value)
    text += _interval("qps", row[f"low@{target:g}"], row[f"high@{target:g}"])
    return f"{text} (near floor)" if row[f"near_floor@{target:g}"] else text


def _interval(name: str, low: float, high: float) -> str:
    if math.isnan(low) or math.isnan(high):
        return ""
    write = MEASURES[name].format
    return f" ({write(low)} to {write(high)})"


# --- every setting ---------------------------------------------------------------------------------------------------


def settings_markdown(rows: pd.DataFrame) -> str:
    """Write every measured setting of one group, by algorithm and recall, and whether it is on the frontier."""
    frontier = on_frontier(rows)
    measured = rows.assign(on_frontier=frontier)
    measured = measured[measured["status"] == MEASURED].sort_values(["algorithm", "recall", "qps"])
    shown = [name for name in _SETTING_MEASURES if measured[name].notna().any()]
    header = ["algorithm", "build", "search", "frontier", *(MEASURES[name].heading for name in shown)]
    header += ["passes", "queries"]
    lines = [
        [
            escape(row["algorithm"]),
            escape(row["build_label"]) or "-",
            escape(row["search_label"]) or "-",
            "yes" if row["on_frontier"] else "",
            *(_setting_cell(row, name) for name in shown),
            f"{row['passes']}" + (f" ({row['disturbed']} disturbed)" if row["disturbed"] else ""),
            f"{row['queries']:,}" + (f" of {row['queries_asked']:,}" if row["queries"] < row["queries_asked"] else ""),
        ]
        for row in measured.to_dict("records")
    ]
    return markdown(header, lines, range(4, len(header)))


def _setting_cell(row: Any, name: str) -> str:
    text = MEASURES[name].format(row[name])
    if name in _WITH_INTERVAL:
        text += _interval(name, row[f"{name}_low"], row[f"{name}_high"])
    return f"{text} (near floor)" if name == "qps" and row["near_floor"] else text


# --- what did not finish ---------------------------------------------------------------------------------------------


def failed(rows: pd.DataFrame) -> pd.DataFrame:
    """Return the rows of what did not finish, by algorithm."""
    return rows[rows["status"] != MEASURED].sort_values(["algorithm", "build_label", "search_label"])


def failures_markdown(rows: pd.DataFrame) -> str:
    """Write what did not finish in one group, and why; empty where all did."""
    lines = [
        [
            escape(row["algorithm"]),
            escape(row["build_label"]) or "-",
            escape(row["search_label"]) or "all",
            escape(row["stage"]) or "-",
            escape(row["status"]),
            escape(row["detail"]) or "-",
        ]
        for row in failed(rows).to_dict("records")
    ]
    return markdown(["algorithm", "build", "search", "stage", "what happened", "detail"], lines) if lines else ""


def has_results(rows: pd.DataFrame) -> bool:
    """Say whether the group has an index that was measured."""
    return not indexes(rows).empty
