"""`annbench check`: does a plug-in keep its contract?"""

from __future__ import annotations

from typing import TYPE_CHECKING, Annotated

import typer

from harness.cli.options import AnnBenchmarks, Plugins, registry_with, split_names

if TYPE_CHECKING:
    from harness.engines.conformance import Verdict


def check(
    algorithms: Annotated[list[str], typer.Argument(help="Algorithms to check; `all` for every installed one.")],
    metric: Annotated[str | None, typer.Option(help="Only under this metric; all that it claims otherwise.")] = None,
    plugin: Plugins = None,
    ann_benchmarks: AnnBenchmarks = None,
    timeout: Annotated[float | None, typer.Option(min=0.1, help="Seconds that a rule may take; 300 otherwise.")] = None,
    verbose: Annotated[bool, typer.Option("--verbose", "-v", help="Show every rule, kept ones too.")] = False,
) -> None:
    """Check that a plug-in does what the contract says, in a child process that it may crash.

    The same rules as tests, one item a rule: pytest --annbench PLUGIN

    Example: annbench check hnswlib --metric euclidean

    Example: annbench check mine --plugin ./my_index --verbose
    """
    from harness.data.metric import Metric
    from harness.measure.checking import check_limits, verdicts

    registry = registry_with(plugin, ann_benchmarks)
    names = (
        [n for n, e in registry.items() if not e.why_not()] if algorithms == ["all"] else split_names(algorithms) or []
    )
    broken = 0
    for name in names:
        entry = registry[name]
        for one in [Metric(metric)] if metric else entry.config.metrics:
            limits = check_limits() if timeout is None else check_limits(timeout)
            found = list(verdicts(entry, str(one), limits))
            broken += not _say(f"{name} under {one}", found, verbose=verbose)
    if broken:
        raise typer.Exit(1)


def _reasons(unseen: list[Verdict]) -> list[str]:
    """Return each reason for which rules could not be checked once, in the order in which they came."""
    return list(dict.fromkeys(verdict.not_run for verdict in unseen))


def _say(title: str, found: list[Verdict], *, verbose: bool) -> bool:
    """Print what was found of one algorithm under one metric, and say whether it keeps the contract."""
    breaches = [breach for verdict in found for breach in verdict.breaches]
    unseen = [verdict for verdict in found if verdict.promised and verdict.not_run]
    summary = f"{len(breaches)} findings" if breaches else "keeps the contract"
    if unseen:
        summary += f", and {len(unseen)} rules could not be checked: {', '.join(_reasons(unseen))}"
    typer.echo(f"{title}: {summary}")
    for verdict in found:
        if verbose:
            state = "kept" if verdict.kept else verdict.not_run or "broken"
            typer.echo(f"  {verdict.check}: {state}")
        for breach in verdict.breaches:
            typer.echo(f"  - {breach}")
    return not breaches and not unseen
