"""`annbench check`: does a plug-in keep its contract?"""

from __future__ import annotations

from typing import Annotated

import typer

from harness.cli.options import AnnBenchmarks, Plugins, Results, registry_with


def check(
    algorithms: Annotated[list[str], typer.Argument(help="Algorithms to check; `all` for every installed one.")],
    metric: Annotated[str | None, typer.Option(help="Only under this metric; all that it claims otherwise.")] = None,
    plugin: Plugins = None,
    ann_benchmarks: AnnBenchmarks = None,
    results: Results = None,
) -> None:
    """Check that a plug-in does what the contract says, in a child process, before anyone times it.

    Example: annbench check hnswlib --metric euclidean

    Example: annbench check mine --plugin ./my_index
    """
    from harness.folders import data_folder, results_folder
    from harness.measure.session import Options
    from harness.measure.session import check as check_one
    from harness.metric import Metric

    registry = registry_with(plugin, ann_benchmarks)
    names = [n for n, e in registry.items() if not e.why_not()] if algorithms == ["all"] else algorithms
    options = Options(data_folder(), results_folder(results))
    broken = 0
    for name in names:
        entry = registry[name]
        for one in [Metric(metric)] if metric else entry.config.metrics:
            found = check_one(entry, str(one), "quick", options)
            typer.echo(f"{name} under {one}: {'keeps the contract' if not found else f'{len(found)} findings'}")
            for finding in found:
                typer.echo(f"  - {finding}")
            broken += bool(found)
    if broken:
        raise typer.Exit(1)
