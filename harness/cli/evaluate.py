"""`annbench evaluate`: how good embeddings are."""

from __future__ import annotations

from enum import StrEnum
from typing import TYPE_CHECKING, Annotated, Any

import typer

from harness.cli.options import Data, Plots, Results

if TYPE_CHECKING:
    from collections.abc import Sequence

    from rich.console import Console

    from harness.embedding.records import Record
    from harness.embedding.tasks import Task
    from harness.report.quality import Quality


class Format(StrEnum):
    """How the table is printed."""

    TABLE = "table"
    CSV = "csv"
    JSON = "json"
    HTML = "html"
    LATEX = "latex"


def evaluate(
    models: Annotated[list[str], typer.Argument(help="Models by name or folder; bm25 is one, too.")],
    tasks: Annotated[
        list[str],
        typer.Option("--tasks", "-t", help="Tasks by name, or folders (BEIR, STS, labelled texts); repeatable."),
    ],
    split: Annotated[str, typer.Option(help="Split that is evaluated.")] = "test",
    variant: Annotated[
        list[str] | None,
        typer.Option("--variant", help="Also smaller: prefix-128, pca-64, float16, int8, binary, binary+rescore, a/b."),
    ] = None,
    output: Annotated[Format, typer.Option("--format", help="How the table is printed.")] = Format.TABLE,
    documents: Annotated[
        int | None,
        typer.Option(min=1, help="Keep so many documents of each retrieval task; all that have judgements are kept."),
    ] = None,
    everything: Annotated[
        bool, typer.Option("--all", help="Print all columns, as Markdown: sizes, training, geometry.")
    ] = False,
    geometry: Annotated[bool, typer.Option(help="Describe how embeddings lie in their space, too.")] = True,
    cache: Annotated[bool, typer.Option(help="Keep embeddings, and use those that were kept.")] = True,
    data: Data = None,
    results: Results = None,
    plots: Plots = None,
) -> None:
    """Evaluate models on tasks; print how good their embeddings are, and write all of it as Markdown, CSV, HTML, LaTeX.

    A folder is recognised: BEIR by corpus.jsonl, STS, pairs and labelled texts by test.csv, test.tsv or test.jsonl.

    Example: annbench evaluate all-MiniLM-L6-v2 bm25 --tasks nave-web

    Example: annbench evaluate my-model --tasks my-beir-folder --variant pca-128/int8 --format csv
    """
    from harness.embedding.requirements import require_torch

    require_torch()
    from harness.core.console import Lines
    from harness.core.errors import ConfigError
    from harness.core.folders import data_folder, plots_folder, results_folder
    from harness.embedding.evaluation import subset
    from harness.embedding.session import find_tasks, parse_variants
    from harness.embedding.tasks import Retrieval
    from harness.report.quality import render, tabulate, write_quality

    found = [task for name in tasks for task in find_tasks(name, data_folder(data), split)]
    if documents is not None:
        if not any(isinstance(task, Retrieval) for task in found):
            raise ConfigError("--documents: none of these tasks is a retrieval task")
        found = [subset(task, documents) if isinstance(task, Retrieval) else task for task in found]
    console = Lines(stderr=True)
    for task in found:
        if isinstance(task, Retrieval) and task.about:
            typer.echo(f"{task.name}: {task.about}", err=True)
    records = _evaluate(
        console,
        models,
        found,
        results=results_folder(results),
        variants=parse_variants(variant or []),
        geometry=geometry,
        cached=cache,
    )
    if not records:
        raise ConfigError("nothing was evaluated: none of these models can do any of these tasks")
    table = tabulate(records)
    if output is Format.TABLE and not everything:
        _print_brief(table)
    else:
        typer.echo(render(table, output.value), nl=False)
    for path in write_quality(records, plots_folder(plots)):
        console.print(str(path), style="dim")


def _print_brief(table: Quality) -> None:
    from harness.core.console import Column, print_table
    from harness.report.quality import brief_tables, quality_notes

    columns = [
        Column("model", kept=True),
        Column("variant", kept=True),
        Column("quality (95% interval)", kept=True),
        Column("bytes", right=True),
        Column("texts/s", right=True),
    ]
    for title, rows in brief_tables(table):
        print_table(columns, rows, title=title)
        typer.echo()
    typer.echo("*: the best; =: not told apart from it. More columns: --all, or the files below.")
    for note in quality_notes(table):
        typer.echo(note)


def _evaluate(console: Console, models: Sequence[str], tasks: Sequence[Task], **options: Any) -> list[Record]:
    from rich.markup import escape
    from rich.progress import BarColumn, MofNCompleteColumn, Progress, TextColumn, TimeRemainingColumn

    from harness.embedding.session import evaluate_models

    columns = (TextColumn("{task.description}"), BarColumn(), MofNCompleteColumn(), TimeRemainingColumn())
    with Progress(*columns, console=console, refresh_per_second=2, transient=True) as progress:
        bar = progress.add_task("loading", total=None)

        def listen(event: str, content: dict[str, Any]) -> None:
            if event == "task":
                shown = f"{content['model']} on {content['task']}"
                progress.reset(bar, total=content["texts"], description=escape(shown))
            elif event == "embedded":
                progress.advance(bar, content["more"])
            elif event == "skipped":
                console.print(
                    f"[dim]{escape(content['model'])} left out of {escape(content['task'])}: {content['why']}[/]"
                )

        try:
            return evaluate_models(models, tasks, listener=listen, **options)
        except KeyboardInterrupt:
            progress.stop()
            console.print("\n[bold]Interrupted.[/] What was embedded is kept; the same command goes on from here.")
            raise typer.Exit(130) from None
