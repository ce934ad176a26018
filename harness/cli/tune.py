"""`annbench tune`: search the parameters of algorithms, each within the same time."""

from __future__ import annotations

from pathlib import Path
from typing import TYPE_CHECKING, Annotated, Any

import typer

from harness.cli.compare import parse_recalls
from harness.cli.options import (
    AnnBenchmarks,
    BuildThreads,
    Data,
    Memory,
    Neighbours,
    Plugins,
    Results,
    Threads,
    parse_bytes,
    parse_seconds,
    registry_with,
    split_names,
)
from harness.cli.run import Mode
from harness.core.errors import ConfigError, PluginError

if TYPE_CHECKING:
    from rich.console import Console

    from harness.tune.outcome import Terms, Tuned


def tune(
    algorithms: Annotated[list[str], typer.Argument(help="Algorithms by name; each has the whole budget.")],
    budget: Annotated[
        float,
        typer.Option(
            min=0.05,
            help="Minutes of wall time for each algorithm: builds, searches, and measuring what was chosen.",
        ),
    ],
    dataset: Annotated[str, typer.Option("--dataset", "-d", help="Dataset.")] = "fashion-mnist-784-euclidean",
    recall: Annotated[str, typer.Option(help="Recalls to be fast at, with commas.")] = "0.9,0.95,0.99",
    out: Annotated[Path | None, typer.Option(help="Suite file to write [default: tuned-DATASET.yml].")] = None,
    queries: Annotated[int, typer.Option(min=1, help="Queries of each half: one to choose by, one to tell.")] = 1000,
    k: Neighbours = 10,
    mode: Annotated[Mode, typer.Option(help="One query a call, or all in one call.")] = Mode.SINGLE,
    threads: Threads = 1,
    build_threads: BuildThreads = None,
    timeout: Annotated[str, typer.Option(help="Longest time of one build or pass: 90s, 15m, 2h.")] = "2h",
    memory: Memory = None,
    data: Data = None,
    results: Results = None,
    plugin: Plugins = None,
    ann_benchmarks: AnnBenchmarks = None,
) -> None:
    """Search parameters for the most queries per second at a recall, and write them as a suite.

    Ranges are those that the groups of an algorithm's config span. Settings are chosen on every other query, and what
    is told of them was measured afterwards, on the rest: nobody tunes on the test. A build that takes longer than what
    the budget has left for it is cut. Preparing the dataset and the check of the contract come before. The same command
    with a larger budget goes on where it stopped. Needs: pip install 'annbench[tune]'.

    Example: annbench tune hnsw hnswlib --budget 10 -d fashion-mnist-784-euclidean

    Example: annbench tune mine --plugin ./mine --budget 2 -d digits-64-euclidean --recall 0.95
    """
    from importlib.util import find_spec

    from harness.core.console import Lines

    if find_spec("optuna") is None:
        raise ConfigError("tuning needs Optuna; get it with: pip install 'annbench[tune]'")
    from harness.compare.request import compare_suite
    from harness.core.folders import data_folder, results_folder
    from harness.data.dataset import read_header
    from harness.data.sources.prepare import prepare
    from harness.measure.session import Options, settings_for
    from harness.tune.outcome import Terms, write_suite
    from harness.tune.session import tune as tune_one

    console = Lines(stderr=True)
    registry = registry_with(plugin, ann_benchmarks)
    entries = [registry[name] for name in dict.fromkeys(split_names(algorithms) or ())]
    targets = parse_recalls(recall)
    options = Options(
        data=data_folder(data),
        results=results_folder(results),
        threads=threads,
        build_threads=build_threads,
        memory=parse_bytes(memory),
    )
    prepare(dataset, folder=options.data, console=console)
    suite = compare_suite(
        dataset, k=k, mode=str(mode), queries=queries, timeout=parse_seconds(timeout), group="default"
    )
    settings = settings_for(options)
    terms = Terms(read_header(options.data, dataset), suite, settings, options, targets, budget * 60)
    display = _Display(console)
    tuned: list[Tuned] = []
    failed: list[PluginError] = []
    for entry in entries:
        console.print(f"[bold]{entry.name}[/]: {budget:g} minutes")
        try:
            tuned.append(tune_one(entry, terms, display))
        except KeyboardInterrupt:
            console.print("\n[bold]Interrupted.[/] Every trial that ended is kept; the same command goes on from here.")
            raise typer.Exit(130) from None
        except PluginError as problem:
            failed.append(problem)
            if len(entries) > 1:  # the others are tuned all the same
                console.print(f"  {problem}", markup=False)
    if not tuned:
        raise failed[0]
    target = out or Path(f"tuned-{dataset}.yml")
    write_suite(target, tuned, terms)
    _print(tuned, terms)
    console.print(f"written to {target}; measure it with: annbench run {target}", markup=False)
    if failed:
        raise typer.Exit(1)


def _print(tuned: list[Tuned], terms: Terms) -> None:
    from harness.core.console import Column, print_table
    from harness.store.spec import label
    from harness.tune.outcome import told_of

    figures: list[tuple[str, ...]] = []
    settings: list[tuple[str, ...]] = []
    for found in tuned:
        for target in terms.targets:
            if target in found.missed:
                figures.append((found.name, f"{target:g}", "not reached", "", ""))
                continue
            recall, qps, low, high = told_of(found.results[target])
            figures.append((found.name, f"{target:g}", f"{recall:.4f}", f"{qps:,.0f}", f"{low:,.0f}-{high:,.0f}"))
            settings.append((found.name, f"{target:g}", *map(label, found.chosen[target])))
    first = (Column("algorithm"), Column("for recall", right=True, kept=True))
    more = (Column(head, right=True, kept=True) for head in ("recall", "QPS", "95% interval"))
    print_table(
        (*first, *more), figures, title=f"{terms.header.name}: chosen on every other query, measured on the rest"
    )
    if settings:
        typer.echo()
        print_table((*first, Column("build", kept=True), Column("search", kept=True)), settings)


class _Display:
    """Shows a search: a line for each build that was tried."""

    def __init__(self, console: Console) -> None:
        self._console = console

    def __call__(self, event: str, content: dict[str, Any]) -> None:
        from rich.markup import escape

        from harness.store.spec import label

        if event == "trial":
            trial = content["trial"]
            best = max((point.recall for point in trial.points), default=0.0)
            self._console.print(
                f"  {escape(label(trial.build)) or 'default'}: {len(trial.points)} settings, recall up to {best:.4f}, "
                f"{trial.seconds:.0f} s; {max(0.0, content['left']):.0f} s left"
            )
        elif event == "again":
            targets = ", ".join(f"{target:g}" for target in content["targets"])
            times = "once" if content["children"] == 1 else f"{content['children']} times"
            self._console.print(f"  measuring what was chosen for {targets} on the other queries, {times} anew")
        elif event == "note":
            self._console.print(f"  [dim]{escape(str(content['text']))}[/]")
