"""What `annbench run` says at the end: of each algorithm the best setting at the usual recalls, and what went wrong."""

from __future__ import annotations

from collections.abc import Iterator, Sequence
from typing import TYPE_CHECKING, Any

if TYPE_CHECKING:
    import pandas as pd

    from harness.measure.session import Options
    from harness.plan.suites import Suite
    from harness.store import Failure, Result


def say_best(suite: Suite, algorithms: Sequence[str], options: Options) -> None:
    """Print a table for each dataset: the fastest measured setting of each algorithm that reaches each recall."""
    from harness.analyse.table import DEFAULT_TARGETS, groups, newest, targets_table, tidy
    from harness.console import Column, print_table
    from harness.measure.machine import describe_machine

    here = str(describe_machine()["key"])
    columns = (
        *(Column("recall"), Column("algorithm", kept=True), Column("QPS", right=True, kept=True)),
        *(Column("95% interval", kept=True), Column("disturbed", right=True), Column("setting", prose=True)),
    )
    for dataset in suite.datasets:
        results, failures = _of(suite, dataset, algorithms, options)
        table = newest(tidy(results, failures))
        for key, rows in groups(table):
            if key.machine != here or key.threads not in (1, options.threads):
                continue
            targets = targets_table(rows, DEFAULT_TARGETS)
            lines = [line for target in DEFAULT_TARGETS for line in _at(targets, rows, target)]
            title = f"{dataset}: the fastest measured setting of each algorithm that reaches a recall@{suite.k}"
            if lines:
                print_table(columns, lines, title=title)
            for line in _notes(targets, rows):
                print(line)


def _of(
    suite: Suite, dataset: str, algorithms: Sequence[str], options: Options
) -> tuple[Iterator[Result], list[Failure]]:
    """Read what a store holds of some algorithms on one dataset; damaged files were told of before."""
    from harness.store import ResultStore

    store = ResultStore(options.results / dataset / str(suite.k))
    wanted = {*algorithms}

    def mine(spec: Any) -> bool:
        return spec.get("algorithm") in wanted and spec.get("mode") == suite.mode and spec.get("half") is None

    return (r for r in store.results() if mine(r.spec)), [f for f in store.failures() if mine(f.spec)]


def _at(targets: pd.DataFrame, rows: pd.DataFrame, target: float) -> Iterator[tuple[str, ...]]:
    from harness.analyse.measures import MEASURES

    reached = targets[targets[f"relation@{target:g}"] != "not reached"]
    for row in reached.sort_values(f"qps@{target:g}", ascending=False).to_dict("records"):
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
    from harness.analyse.table import DEFAULT_TARGETS, MEASURED

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
