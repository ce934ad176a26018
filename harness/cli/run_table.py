"""What `annbench run` says at the end: of each algorithm the best setting at the usual recalls, and what went wrong."""

from __future__ import annotations

from collections.abc import Iterator, Sequence
from typing import TYPE_CHECKING

if TYPE_CHECKING:
    import pandas as pd

    from harness.measure.session import Options
    from harness.plan.suites import Suite

# Algorithms that the table shows at each recall.
_SHOWN = 6


def say_best(suite: Suite, algorithms: Sequence[str], options: Options) -> None:
    """Print a table for each dataset: the fastest measured setting of an algorithm that reaches each recall.

    The fastest few algorithms are shown, and what can be said of them: the words are those of the report.
    What is derived of the store for that is kept for the next report.
    """
    from harness.analyse.table import asked_for, groups, newest
    from harness.analyse.targets import DEFAULT_TARGETS, targets_table
    from harness.core.console import Column, print_table
    from harness.measure.machine import describe_machine
    from harness.report.derived import derive
    from harness.store.results import ResultStore

    here = str(describe_machine()["key"])
    columns = (
        *(Column("recall"), Column("algorithm", kept=True), Column("QPS", right=True, kept=True)),
        *(Column("95% interval", kept=True), Column("disturbed", right=True), Column("setting", prose=True)),
    )
    table = derive(ResultStore(options.results)).table
    asked = table[
        asked_for(table, suite.workload, suite.terms.model_dump()) & table["algorithm"].isin(list(algorithms))
    ]
    for dataset in suite.datasets:
        for key, rows in groups(newest(asked[asked["dataset"] == dataset])):
            if key.machine != here or key.threads not in (1, options.threads):
                continue
            targets = targets_table(rows, DEFAULT_TARGETS)
            lines = [line for target in DEFAULT_TARGETS for line in _at(targets, rows, target)]
            title = f"{dataset}: the fastest measured setting of each algorithm that reaches a {key.recall.lower()}"
            if lines:
                print_table(columns, lines, title=title)
            for line in (*_verdicts(targets, rows), *_notes(targets, rows)):
                print(line)


def _verdicts(targets: pd.DataFrame, rows: pd.DataFrame) -> Iterator[str]:
    """Say who is fastest at each recall, or why that can't be said; and how many algorithms the table leaves out."""
    from harness.analyse.table import indexes
    from harness.analyse.targets import DEFAULT_TARGETS
    from harness.analyse.winners import banner, telling, winner

    if warning := banner(indexes(rows)):
        yield warning
    else:
        for target in DEFAULT_TARGETS:
            yield f"recall {target:g}: {telling(winner(targets, target))}"
    if len(targets) > _SHOWN:
        yield f"{len(targets)} algorithms were measured; all of them: annbench report"


def _at(targets: pd.DataFrame, rows: pd.DataFrame, target: float) -> Iterator[tuple[str, ...]]:
    from harness.analyse.measures import MEASURES

    reached = targets[targets[f"relation@{target:g}"] != "not reached"]
    for row in reached.sort_values(f"qps@{target:g}", ascending=False).head(_SHOWN).to_dict("records"):
        setting = row[f"setting@{target:g}"]
        mine = rows[(rows["algorithm"] == row["algorithm"]) & (rows["label"] == setting)]
        yield (
            f"{target:g}",
            str(row["algorithm"]),
            MEASURES["qps"].format(row[f"qps@{target:g}"]),
            f"{row[f'low@{target:g}']:,.0f} to {row[f'high@{target:g}']:,.0f}",
            f"{int(mine['disturbed'].sum())}/{int(mine['passes'].sum())}",
            str(setting),
        )


def _notes(targets: pd.DataFrame, rows: pd.DataFrame) -> Iterator[str]:
    """Say how many passes were disturbed, who stays below the lowest recall, and what failed."""
    from harness.analyse.table import MEASURED
    from harness.analyse.targets import DEFAULT_TARGETS

    measured = rows[rows["status"] == MEASURED]
    passes, disturbed = int(measured["passes"].sum()), int(measured["disturbed"].sum())
    if disturbed:
        yield f"{disturbed} of {passes} passes were disturbed"
    least = DEFAULT_TARGETS[0]
    for row in targets[targets[f"relation@{least:g}"] == "not reached"].to_dict("records"):
        yield f"{row['algorithm']} does not reach recall {least:g}; its best is {row['best_recall']:.4f}"
    failed = rows[rows["status"] != MEASURED]
    for name, mine in failed.groupby("algorithm", sort=True):
        why = " ".join(mine["status"].iloc[0].split())
        yield f"{name}: {len(mine)} failed ({why:.60}); see: annbench results show '*/{name}*/*'"
