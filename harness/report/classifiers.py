"""The table of classifiers: a row for each recipe and way, frozen beside tuned."""

from __future__ import annotations

from collections.abc import Sequence

from harness.embedding.records import Figure
from harness.embedding.training.classifier import Summary
from harness.report.tables import escape, markdown

_HEADER = ("recipe", "task", "way", "accuracy", "macro-F1", "training s", "weights learnt", "labels", "train", "test")
_NOTE = "Accuracy and macro-F1 on test with their 95% intervals (bootstrap over items). Training includes embedding."


def render_classifiers(summaries: Sequence[Summary]) -> str:
    """Write the table in Markdown, recipes in the order given."""
    rows = [
        [
            *map(escape, (summary.name, summary.task, outcome.way)),
            *map(_figure, (outcome.accuracy, outcome.macro_f1)),
            f"{outcome.seconds:,.1f}",
            *(f"{count:,}" for count in (outcome.learnt, summary.labels, summary.train, summary.test)),
        ]
        for summary in summaries
        for outcome in summary.outcomes
    ]
    return f"{markdown(_HEADER, rows, range(3, len(_HEADER)))}\n{_NOTE}\n"


def _figure(figure: Figure) -> str:
    return f"{figure.value:.3f} ({figure.low:.3f}-{figure.high:.3f})"
