"""What the page says of embeddings: the table of quality, the joint table, and the curves of quality against speed."""

from __future__ import annotations

import math
from collections.abc import Sequence
from typing import Any

from harness.analyse.measures import MEASURES
from harness.embedding.joint import JointRow
from harness.embedding.records import Record
from harness.report.html.colours import on_dark
from harness.report.joint import (
    JOINT_NOTE,
    JOINT_WORDS,
    exact_quality,
    joint_cells,
    joint_curves,
    onset_sentences,
)
from harness.report.quality import QUALITY_NOTE, Cell, quality_cells, quality_notes, tabulate
from harness.report.style import FROM_SCRATCH, plain, styles
from harness.store.spec import label

_NAME = 200


def quality_section(records: Sequence[Record]) -> dict[str, Any] | None:
    """Return the table of embedding quality as the page takes it; None without evaluations."""
    if not records:
        return None
    table = tabulate(records)
    header, rows = quality_cells(table)
    notes = [f"{plain(note, 400)}." for note in quality_notes(table)]
    return {
        "header": [plain(name, _NAME) for name in header],
        "rows": [[Cell(plain(cell.text, _NAME), cell.best) for cell in row] for row in rows],
        "words": 2,
        "note": " ".join([QUALITY_NOTE.replace("Bold: ", "In bold type: "), *notes]),
    }


def joint_section(rows: Sequence[JointRow]) -> dict[str, Any] | None:
    """Return the joint table as the page takes it; None where no index was measured on judged data."""
    if not rows:
        return None
    header, cells = joint_cells(rows)
    return {
        "header": header,
        "rows": [[Cell(plain(text, _NAME)) for text in line] for line in cells],
        "words": JOINT_WORDS,
        "note": JOINT_NOTE,
        "onsets": [plain(text, 400) for text in onset_sentences(rows)],
    }


def joint_document(rows: Sequence[JointRow]) -> dict[str, Any] | None:
    """Return the curves of quality against speed, of each model's embeddings and index, for the page's plot."""
    if not rows:
        return None
    looks = styles({row.algorithm: row.origin for row in rows})
    ceilings = exact_quality(rows)
    return {
        "datasets": [
            {"name": plain(name, _NAME), "model": _model(rows, name), "exact": round(exact, 5)}
            for name, exact in ceilings.items()
        ],
        "curves": [
            {
                "dataset": list(ceilings).index(dataset),
                "algorithm": {
                    "name": plain(algorithm, _NAME),
                    "scratch": mine[0].origin == FROM_SCRATCH,
                    "colour": looks[algorithm].colour,
                    "dark": on_dark(looks[algorithm].colour),
                    "marker": looks[algorithm].marker,
                },
                "x": [round(ceilings[dataset] - row.loss, 5) for row in mine],
                "y": [float(f"{row.qps:.5g}") for row in mine],
                "settings": [plain(label({**row.build, **row.search}), _NAME) for row in mine],
                "said": [_said(row) for row in mine],
            }
            for (dataset, algorithm), mine in joint_curves(rows).items()
        ],
    }


def _model(rows: Sequence[JointRow], dataset: str) -> str:
    first = next(row for row in rows if row.dataset == dataset)
    return plain(first.model if first.variant == "full" else f"{first.model}, {first.variant}", _NAME)


def _said(row: JointRow) -> list[str]:
    low, high = row.qps_range
    write = MEASURES["qps"].format
    interval = "" if math.isnan(low) else f" ({write(low)} to {write(high)})"
    return [
        f"nDCG@10 {row.ndcg:.4f} ({row.ndcg_range.low:.3f} to {row.ndcg_range.high:.3f})",
        f"loss {row.loss:+.4f} ({row.loss_range.low:+.4f} to {row.loss_range.high:+.4f})",
        f"recall {row.recall:.4f}",
        f"{write(row.qps)} QPS{interval}",
    ]
