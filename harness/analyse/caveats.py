"""What a reader should know before comparing, in sentences."""

from __future__ import annotations

from typing import TYPE_CHECKING

from harness.analyse.kernels import unlike_kernels
from harness.analyse.table import MEASURED

if TYPE_CHECKING:
    import pandas as pd


def medians_of(rows: pd.DataFrame) -> str:
    """Say of which passes the figures of some rows are medians: on a noisy machine not of undisturbed ones alone."""
    disturbed, passes = int(rows["disturbed"].sum()), int(rows["passes"].sum())
    if not disturbed:
        return "a median over passes that nothing disturbed"
    return (
        f"a median over passes ({disturbed:,} of {passes:,} were disturbed; those count only where there are fewer "
        "than 3 others)"
    )


def caveats(rows: pd.DataFrame) -> list[str]:
    """Say in sentences what a reader of one group should know before comparing; empty where nothing is odd."""
    measured = rows[rows["status"] == MEASURED]
    said = []
    if len(set(measured["dataset_sha256"])) > 1:
        said.append("the results come from different versions of the dataset file: recall is not comparable")
    if unlike := unlike_kernels(measured["kernels"]):
        said.append(f"libraries ran unlike kernels, so that speeds are not comparable: {'; '.join(unlike)}")
    short = measured[measured["queries"] < measured["queries_asked"]]
    for name, mine in short.groupby("algorithm"):
        few, asked = int(mine["queries"].min()), int(mine["queries_asked"].max())
        said.append(f"{name} was measured on as few as {few:,} of {asked:,} queries")
    asked_for = sorted(set(measured["queries_asked"]))
    if len(asked_for) > 1:
        counts = ", ".join(f"{int(count):,}" for count in asked_for)
        said.append(f"settings were asked for with different numbers of queries: {counts}")
    told = int((measured["passes"] == 0).sum())
    if told:
        said.append(
            f"{told} of {len(measured)} settings come from another tool's table: their QPS is the fastest of its runs, "
            "their recall by its definition"
        )
    lone = int((measured["passes"] == 1).sum())
    if lone:
        said.append(f"{lone} of {len(measured)} settings have a single pass, so no interval for QPS")
    disturbed, passes = int(measured["disturbed"].sum()), int(measured["passes"].sum())
    if disturbed:
        said.append(f"{disturbed:,} of {passes:,} passes were disturbed; they count only where fewer than 3 were not")
    return said
