"""`annbench report`: plots and tables of what was measured."""

from __future__ import annotations

from typing import Annotated

import typer

from harness.cli.options import Data, Plots, Results


def report(
    results: Results = None,
    plots: Plots = None,
    data: Data = None,
    dataset: Annotated[str | None, typer.Option(help="Only this dataset.")] = None,
) -> None:
    """Draw recall against queries a second, build, memory and latency, write tables, and report.html that shows all.

    Example: annbench report --dataset fashion-mnist-784-euclidean
    """
    from harness import api

    for path in api.report(results, plots, dataset=dataset, data=data):
        typer.echo(str(path))
