"""The joint table and picture: retrieval quality against speed, for each model and each index that searched it."""

from __future__ import annotations

import math
from collections.abc import Iterable, Sequence
from pathlib import Path
from typing import Any

from harness.analyse.statistics import Range
from harness.core.atomic import write_text
from harness.embedding.joint import JointRow, Onset, onsets
from harness.embedding.judged import Judged, read_judged
from harness.embedding.measures.intervals import SURE
from harness.report.figure import add_axes, log_scale, new_figure, padded, save, short_count
from harness.report.labels import End, label_ends
from harness.report.style import drawing, styles
from harness.report.tables import escape, markdown, to_csv
from harness.store.spec import label

STEM = "joint"
JOINT_WORDS = 6
JOINT_NOTE = (
    "Settings that no other on the same embeddings beats in both loss and speed. Intervals: 95%, over queries. "
    "Loss: exact search's nDCG less the index's, on the same queries; * where chance alone hardly makes so much "
    f"(paired randomisation test, p < {SURE} by Holm's correction over the dataset's settings)."
)


def judged_datasets(names: Iterable[str], data: Path) -> dict[str, Judged]:
    """Read the judgements of those datasets that have some and are there."""
    found = {}
    for name in sorted(set(names)):
        path = data / f"{name}.hdf5"
        judged = read_judged(path) if path.is_file() else None
        if judged is not None:
            found[name] = judged
    return found


def write_joint(rows: Sequence[JointRow], folder: Path, formats: Sequence[str] = ("png", "svg")) -> list[Path]:
    """Write table and pictures of the rows of the joint table; return the files, none without rows."""
    if not rows:
        return []
    table = folder / f"{STEM}.md"
    write_text(table, joint_markdown(rows))
    write_text(table.with_suffix(".csv"), joint_csv(rows))
    paths = [table, table.with_suffix(".csv")]
    with drawing():
        paths += save(joint_figure(rows), folder, STEM, formats)
    return paths


def joint_markdown(rows: Sequence[JointRow]) -> str:
    """Write the settings that no other beats in both quality and speed, and where the loss begins."""
    header, cells = joint_cells(rows)
    lines = [[*map(escape, line[:JOINT_WORDS]), *line[JOINT_WORDS:]] for line in cells]
    said = [f"- {escape(text, 400)}" for text in onset_sentences(rows)]
    return markdown(header, lines, range(JOINT_WORDS, len(header))) + f"\n{JOINT_NOTE}\n\n" + "\n".join(said) + "\n"


def joint_cells(rows: Sequence[JointRow]) -> tuple[list[str], list[list[str]]]:
    """Return the header and the cells of the settings on the frontier, the first `JOINT_WORDS` of each line words."""
    header = ["dataset", "model", "variant", "index", "build", "search", "nDCG@10", "exact", "loss", "recall@k", "QPS"]
    lines = [
        [
            row.dataset,
            row.model,
            row.variant,
            row.algorithm,
            label(row.build) or "-",
            label(row.search) or "-",
            f"{row.ndcg:.4f} ({row.ndcg_range.low:.3f}-{row.ndcg_range.high:.3f})",
            f"{row.exact:.4f}",
            _loss(row),
            f"{row.recall:.4f}",
            f"{row.qps:,.0f}" + _range(row),
        ]
        for row in rows
        if row.on_frontier
    ]
    return header, lines


def onset_sentences(rows: Sequence[JointRow]) -> list[str]:
    """Say of each dataset where the loss begins."""
    return [_onset(found) for found in onsets(rows)]


def _loss(row: JointRow) -> str:
    interval = f" ({row.loss_range.low:+.4f} to {row.loss_range.high:+.4f})"
    return f"{row.loss:+.4f}{interval}{'*' if row.measurable else ''}"


def _range(row: JointRow) -> str:
    low, high = row.qps_range
    return "" if math.isnan(low) else f" ({low:,.0f}-{high:,.0f})"


def _onset(found: Onset) -> str:
    name = found.dataset
    if math.isnan(found.recall):
        return f"{name}: no setting lost measurably; the lowest recall was {found.clean:.4f}."
    above = "" if math.isnan(found.clean) else f", and at {found.clean:.4f} and above it is not measurable"
    return f"{name}: the loss is measurable up to a recall of {found.recall:.4f} (nDCG {-found.loss:+.4f}){above}."


def joint_csv(rows: Sequence[JointRow]) -> str:
    """Write every setting."""
    import pandas as pd

    table = [
        {
            "dataset": row.dataset,
            "model": row.model,
            "variant": row.variant,
            "dimension": row.dimension,
            "algorithm": row.algorithm,
            "build": dict(row.build),
            "search": dict(row.search),
            "queries": row.queries,
            "recall": row.recall,
            **_bounded("qps", row.qps, row.qps_range),
            **_bounded("ndcg", row.ndcg, row.ndcg_range),
            "exact": row.exact,
            **_bounded("loss", row.loss, row.loss_range),
            "p_value": row.p_value,
            "on_frontier": row.on_frontier,
        }
        for row in rows
    ]
    return to_csv(pd.DataFrame(table))


def _bounded(name: str, value: float, interval: Range) -> dict[str, float]:
    return {name: value, f"{name}_low": interval.low, f"{name}_high": interval.high}


def joint_figure(rows: Sequence[JointRow]) -> Any:
    """Draw nDCG against QPS: a line for each model's embeddings and index, a dashed one where exact search would be."""
    several = len({row.dataset for row in rows}) > 1
    figure = new_figure(
        "Retrieval quality against queries per second",
        "nDCG@10 of what each index answered; up and to the right is better; dashed: exact search",
        (
            "nDCG: exact search's less the loss on the queries that were answered; intervals stand in the table",
            f"{len(rows)} settings over {', '.join(sorted({row.dataset for row in rows}))}",
        ),
    )
    axes = add_axes(figure, right=3.1 if several else 1.95)
    log_scale(axes.yaxis, *padded([row.qps for row in rows]), short_count)
    axes.set_xlabel("nDCG@10")
    axes.set_ylabel("Queries per second (log)")
    looks = styles({row.algorithm: row.origin for row in rows})
    ceilings = exact_quality(rows)
    ends = []
    for (_, algorithm), best in joint_curves(rows).items():
        look = looks[algorithm]
        x, y = [ceilings[row.dataset] - row.loss for row in best], [row.qps for row in best]
        axes.plot(x, y, color=look.colour, marker=look.marker, ms=look.size, ls=look.line, lw=look.width, mew=0)
        first = best[0]
        name = f"{algorithm}, {first.model} {first.variant}".removesuffix(" full") if several else algorithm
        ends.append(End(name, x[-1], y[-1], look))
    for exact in ceilings.values():
        axes.axvline(exact, linestyle="--", linewidth=0.8, color="0.45")
    label_ends(axes, ends, limit=44)
    return figure


def joint_curves(rows: Sequence[JointRow]) -> dict[tuple[str, str], list[JointRow]]:
    """Return for each dataset and algorithm what is fastest for its quality, in ascending order of quality."""
    curves: dict[tuple[str, str], list[JointRow]] = {}
    for row in rows:
        curves.setdefault((row.dataset, row.algorithm), []).append(row)
    return {key: _skyline(mine) for key, mine in curves.items()}


def exact_quality(rows: Sequence[JointRow]) -> dict[str, float]:
    """Return the nDCG of exact search on each dataset, over the most queries that a setting answered.

    A slow setting answers fewer, which may be easier or harder: its loss is what compares.
    """
    return {row.dataset: row.exact for row in sorted(rows, key=lambda row: row.queries)}


def _skyline(rows: Sequence[JointRow]) -> list[JointRow]:
    """Keep what is fastest for its quality, in ascending order of quality."""
    kept: list[JointRow] = []
    for row in sorted(rows, key=lambda row: (-row.qps, row.loss)):
        if not kept or row.loss < kept[-1].loss:
            kept.append(row)
    return kept
