"""`annbench results`: look at what was measured, remove it, bring in results of another machine or tool."""

from __future__ import annotations

import json
from fnmatch import fnmatch
from pathlib import Path
from typing import TYPE_CHECKING, Annotated, Any

import typer

from harness.cli.options import Data, Results
from harness.core.errors import StoreError

if TYPE_CHECKING:
    from harness.store.results import ResultStore

app = typer.Typer(
    help="List, show, remove and merge results.", no_args_is_help=True, epilog="Example: annbench results list"
)

Patterns = Annotated[
    list[str], typer.Argument(help="Result files, or patterns over their paths such as 'digits*' or '*hnswlib*'.")
]


def _store(results: Path | None) -> ResultStore:
    from harness.core.folders import results_folder
    from harness.store.results import ResultStore

    return ResultStore(results_folder(results))


@app.command("list")
def list_results(results: Results = None) -> None:
    """List all results and all that did not finish.

    Example: annbench results list
    """
    from harness.analyse.measures import MEASURES
    from harness.core.console import Column, print_table
    from harness.interop.tables import count_rows, tables
    from harness.store.results import skipping_damage

    store = _store(results)
    rows: list[tuple[Any, ...]] = []
    for result in store.results():
        recall, qps = MEASURES["recall"].function(result), MEASURES["qps"].function(result)
        disturbed = result.passes - result.undisturbed
        path = result.path.relative_to(store.folder) if result.path else ""
        rows.append((f"{recall:.4f}", f"{qps:,.0f}", result.passes, disturbed or "", path))
    for path in tables(store):
        with skipping_damage():
            rows.append(("", "", "", "", f"{path.name}  ({count_rows(path)} rows of a table of ann-benchmarks)"))
    failed = [
        (failure.path.relative_to(store.folder) if failure.path else "", failure.reason) for failure in store.failures()
    ]
    if rows:
        figures = (Column(head, right=True, kept=True) for head in ("recall", "QPS", "passes", "disturbed"))
        print_table((*figures, Column("result", kept=True)), rows)
    if failed:
        print_table((Column("did not finish"), Column("reason", kept=True)), failed)
    if not rows and not failed:
        typer.echo(f"{store.folder} holds no results; measure some with: annbench run quick")


@app.command()
def show(patterns: Patterns, results: Results = None) -> None:
    """Show all that is known of a result: spec, machine, passes, memory, versions.

    Example: annbench results show '*hnswlib*ef-40*'
    """
    from harness.interop.tables import CSV_SUFFIX
    from harness.store.failures import FAILURE_SUFFIX, read_failure

    store = _store(results)
    for path in _matching(store, patterns):
        typer.echo(str(path))
        if path.suffix == FAILURE_SUFFIX:
            failure = read_failure(path)
            typer.echo(json.dumps(vars(failure) if failure else {}, indent=1, default=str))
        elif path.suffix == CSV_SUFFIX:
            typer.echo(path.read_text(encoding="utf-8-sig"))
        else:
            typer.echo(store.read(path).document.model_dump_json(indent=1))


@app.command()
def rm(
    patterns: Patterns,
    results: Results = None,
    yes: Annotated[bool, typer.Option("--yes", "-y", help="Don't ask.")] = False,
) -> None:
    """Remove results, so that the next run measures them anew.

    Example: annbench results rm '*annoy*'
    """
    paths = _matching(_store(results), patterns)
    for path in paths:
        typer.echo(str(path))
    if not yes:
        typer.confirm(f"Remove these {len(paths)} files?", abort=True)
    for path in paths:
        path.unlink()
    typer.echo(f"removed {len(paths)}")


@app.command()
def merge(
    folders: Annotated[list[Path], typer.Argument(help="Other folders of results; a CSV file with --foreign.")],
    results: Results = None,
    data: Data = None,
    foreign: Annotated[
        bool,
        typer.Option(
            "--foreign", help="They were written by ann-benchmarks: its results/, or its data_export.py's CSV."
        ),
    ] = False,
) -> None:
    """Copy results of other folders into this one; where both have a setting, the one with more passes stays.

    Example: annbench results merge ../other-machine/results

    Example: annbench results merge --foreign ~/ann-benchmarks/results ~/ann-benchmarks/exported.csv
    """
    from harness.core.folders import data_folder

    store = _store(results)
    useless = []
    for folder in folders:
        if foreign:
            from harness.interop.ann_benchmarks import import_folder
            from harness.interop.tables import import_csv

            counts = import_csv(folder, store) if folder.is_file() else import_folder(folder, store, data_folder(data))
            typer.echo(f"{folder}: {counts}")
            if not counts.imported + counts.known:
                useless.append(folder)
        else:
            copied, known = store.merge(folder)
            typer.echo(f"{folder}: {copied} copied, {known} were here already")
    for folder in useless:
        typer.echo(f"annbench results merge: nothing of {folder} was imported; the reasons stand above", err=True)
    if useless:
        raise typer.Exit(1)


def _matching(store: ResultStore, patterns: list[str]) -> list[Path]:
    """Return the files of results and failures that a pattern names; none is an error."""
    from harness.interop.tables import tables

    files = [*store.paths(), *(failure.path for failure in store.failures() if failure.path), *tables(store)]
    found = []
    for path in sorted(files):
        relative = str(path.relative_to(store.folder))
        if any(fnmatch(relative, pattern) or path == Path(pattern) for pattern in patterns):
            found.append(path)
    if not found:
        raise StoreError(f"no result in {store.folder} matches {' '.join(patterns)}; see: annbench results list")
    return found
