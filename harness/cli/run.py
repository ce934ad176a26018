"""`annbench run`: measure what is missing of a suite."""

from __future__ import annotations

from collections.abc import Sequence
from enum import StrEnum
from pathlib import Path
from typing import TYPE_CHECKING, Annotated

import typer

from harness.cli.options import (
    AnnBenchmarks,
    BuildThreads,
    Data,
    Memory,
    Plugins,
    Results,
    Threads,
    parse_bytes,
    parse_seconds,
    registry_with,
    split_names,
)

if TYPE_CHECKING:
    from rich.console import Console

    from harness.engines.registry import Registry
    from harness.measure.session import Options, Summary
    from harness.plan.estimate import Estimate
    from harness.plan.expand import Plan
    from harness.plan.suites import Suite


class Mode(StrEnum):
    """How queries are asked: one a call, or all in one call."""

    SINGLE = "single"
    BATCH = "batch"


class Group(StrEnum):
    """The grids of parameters that each algorithm has."""

    QUICK = "quick"
    DEFAULT = "default"
    FULL = "full"


def run(
    suite: Annotated[str | None, typer.Argument(help="Suite by name (annbench list suites), or a YAML file.")] = None,
    dataset: Annotated[
        list[str] | None, typer.Option("--dataset", "-d", help="Dataset, or several with commas.")
    ] = None,
    algorithm: Annotated[
        list[str] | None,
        typer.Option(
            "--algorithm",
            "-a",
            help="Algorithm, or all, core, from-scratch, ann-benchmarks; several with commas.",
        ),
    ] = None,
    group: Annotated[Group | None, typer.Option(help="Grids to measure.")] = None,
    build: Annotated[
        list[str] | None,
        typer.Option("--build", metavar="KEY=VALUE", help="Build parameters in place of the group's; repeatable."),
    ] = None,
    search: Annotated[
        list[str] | None,
        typer.Option(
            "--search", metavar="KEY=VALUE", help="Search parameters, the same; a list is a choice: 'ef=[10, 40]'."
        ),
    ] = None,
    workload: Annotated[
        str | None, typer.Option("--workload", "-w", help="What is measured: knn (the default), range.")
    ] = None,
    own: Annotated[
        list[str] | None,
        typer.Option("--with", metavar="KEY=VALUE", help="A field of the workload, such as quantile=0.9; repeatable."),
    ] = None,
    k: Annotated[int | None, typer.Option("--k", "-k", min=1, help="Neighbours a query.")] = None,
    mode: Annotated[Mode | None, typer.Option(help="One query a call, or all in one call.")] = None,
    threads: Threads = 1,
    build_threads: BuildThreads = None,
    passes: Annotated[int | None, typer.Option(min=1, help="Passes over the queries for each setting.")] = None,
    rounds: Annotated[
        int | None, typer.Option(min=1, help="Rounds over all builds that the passes are spread over.")
    ] = None,
    queries: Annotated[int | None, typer.Option(min=1, help="Only the first so many queries.")] = None,
    timeout: Annotated[str | None, typer.Option(help="Longest time of one build or pass: 90s, 15m, 2h.")] = None,
    memory: Memory = None,
    force: Annotated[bool, typer.Option("--force", help="Measure again what is done, or failed before.")] = False,
    dry_run: Annotated[bool, typer.Option("--dry-run", help="Only say what would be measured.")] = False,
    data: Data = None,
    results: Results = None,
    plugin: Plugins = None,
    ann_benchmarks: AnnBenchmarks = None,
) -> None:
    """Measure indexes; what is measured already is skipped, so an interrupted run goes on where it stopped.

    The exit status is 1 where there is no result of an algorithm that was named with -a, or of any that a suite names.

    Example: annbench run quick

    Example: annbench run -d fashion-mnist-784-euclidean -a hnswlib -a faiss-hnsw --group default

    Example: annbench run -d digits-64-euclidean -a hnsw --build M=16 --search 'ef=[20, 40]'

    Example: annbench run -d mine-128-angular --mode batch --threads 2 --timeout 15m --memory 8G

    Example: annbench run --workload range -d fashion-mnist-784-euclidean --with quantile=0.9

    Example: annbench run -d digits-64-euclidean --ann-benchmarks ~/ann-benchmarks/ann_benchmarks/algorithms
    """
    from harness.api import suite_for
    from harness.cli.plan_view import say_plans, say_shorter
    from harness.cli.run_table import say_best
    from harness.core.console import Lines
    from harness.core.folders import data_folder, results_folder
    from harness.data.dataset import dataset_path
    from harness.data.sources.named import absence_of
    from harness.data.sources.prepare import prepare
    from harness.measure.progress import estimates
    from harness.measure.session import Options, plan_run
    from harness.plan.estimate import together
    from harness.plan.expand import chosen
    from harness.plan.selection import grids_for, read_values

    console = Lines(stderr=True)
    registry = registry_with(plugin, ann_benchmarks)
    dataset, algorithm = split_names(dataset), split_names(algorithm)
    wanted = suite_for(
        suite,
        dataset=dataset,
        algorithm=algorithm or (["ann-benchmarks"] if ann_benchmarks else None),
        group=group,
        workload=workload,
        k=k,
        mode=mode,
        **read_values(own or ()),
        queries=queries,
        passes=passes,
        rounds=rounds,
        timeout=parse_seconds(timeout),
    )
    if build is not None or search is not None:
        grids = grids_for(chosen(registry, wanted.algorithms), wanted.group, build, search)
        wanted = wanted.model_copy(update={"grids": grids})
    options = Options(
        data=data_folder(data),
        results=results_folder(results),
        threads=threads,
        build_threads=build_threads,
        memory=parse_bytes(memory),
        force=force,
    )
    for name in wanted.datasets:
        if dry_run and not dataset_path(options.data, name).exists():
            raise absence_of(name, options.data)
        prepare(name, folder=options.data, console=console)
    plans = plan_run(wanted, registry, options)
    expected = estimates(plans, wanted, options)
    say_plans(console, plans, expected)
    if suite is None and group is None and build is None and search is None:
        say_shorter(console, registry, wanted, options, together(expected))
    if dry_run:
        return
    summary, broken = _execute(console, wanted, registry, plans, options, expected)
    say_best(wanted, [entry.name for entry in chosen(registry, wanted.algorithms)], options)
    _say_summary(console, summary, options.results)
    if absent := _absent(algorithm, wanted, registry, summary, broken):
        for text in absent:
            typer.echo(f"annbench run: nothing measured{text}", err=True)
        raise typer.Exit(1)


def _execute(
    console: Console,
    suite: Suite,
    registry: Registry,
    plans: list[tuple[str, Plan]],
    options: Options,
    expected: Sequence[Estimate],
) -> tuple[Summary, dict[str, str]]:
    """Measure what the plans hold; return what came of it, and how each algorithm failed that did."""
    from harness.measure.machine import describe_machine
    from harness.measure.progress import watching
    from harness.measure.session import execute

    if not describe_machine()["pinning"]:
        console.print("[dim]this system can't pin a process to a core: passes will vary more[/]")
    with watching(console, plans, expected, suite.passes) as display:
        try:
            return execute(suite, registry, plans, options, display), display.broken
        except KeyboardInterrupt:
            display.close()
            again = "the same command without --force" if options.force else "the same command"
            console.print(f"\n[bold]Interrupted.[/] Every pass that ended is kept; {again} goes on from here.")
            raise typer.Exit(130) from None


def _say_summary(console: Console, summary: Summary, results: Path) -> None:
    from rich.markup import escape

    parts = [f"{summary.measured} settings measured", f"{summary.done} done before"]
    if summary.failed:
        parts.append(f"[red]{summary.failed} failed[/]")
    if summary.failed_before:
        parts.append(f"{summary.failed_before} failed before (--force tries again)")
    console.print(f"{', '.join(parts)}; results in {escape(str(results))}; draw them with: annbench report")


def _absent(
    named: list[str] | None, suite: Suite, registry: Registry, summary: Summary, broken: dict[str, str]
) -> list[str]:
    """Say of which algorithms nothing came: of each that was named, but of a suite's only where it is all of them."""
    from harness.measure.session import came_to_nothing

    absent = came_to_nothing(named or suite.algorithms, registry, summary)
    if not named:
        every = absent and absent.keys() == set(suite.algorithms)
        return [": each algorithm was left out or failed, as said above; see: annbench results list"] if every else []
    said = []
    for name, meant in absent.items():
        if not meant:
            why = "it stands for no algorithm; bring theirs with --ann-benchmarks PATH"
        elif len(meant) > 1:
            why = "each algorithm was left out or failed, as said above; see: annbench results list"
        elif meant[0] in broken:
            why = f"{' '.join(broken[meant[0]].split())}; see: annbench results show '*/{meant[0]}*/*'"
        else:
            why = summary.skipped.get(meant[0], "it failed before; --force tries again")
        said.append(f" of {name}: {why}")
    return said
