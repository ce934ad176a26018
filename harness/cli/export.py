"""`annbench export`: every result with its measures as one table, ours or that of another harness."""

from __future__ import annotations

from collections.abc import Iterator
from enum import StrEnum
from pathlib import Path
from typing import TYPE_CHECKING, Annotated

import typer

from harness.cli.options import Results
from harness.core.errors import ConfigError, StoreError, UnknownNameError

if TYPE_CHECKING:
    import pandas as pd

    from harness.store.result import Result
    from harness.store.results import ResultStore


class Format(StrEnum):
    """The formats of an export: three of our table, then those of other harnesses."""

    CSV = "csv"
    PARQUET = "parquet"
    JSON = "json"
    ANNB_CSV = "annb-csv"
    ANNB_RESULTS = "annb-results"
    VIBE_PARQUET = "vibe-parquet"


# What the suffix of a file says of its content; the first format of each is the one that it stands for.
_BY_SUFFIX = {
    ".csv": (Format.CSV, Format.ANNB_CSV),
    ".json": (Format.JSON,),
    ".parquet": (Format.PARQUET, Format.VIBE_PARQUET),
}
_BINARY = {Format.PARQUET, Format.VIBE_PARQUET}
_OURS = {Format.CSV, Format.PARQUET, Format.JSON}


def export(
    output: Annotated[Path | None, typer.Argument(help="File to write; standard output where it is left out.")] = None,
    results: Results = None,
    dataset: Annotated[str | None, typer.Option(help="Only this dataset.")] = None,
    form: Annotated[
        Format | None, typer.Option("--format", help="Format [default: by the file's suffix; csv without a file].")
    ] = None,
) -> None:
    """Write all results with their measures and intervals as a tidy table, a row a search setting.

    annb-csv has the columns of ann-benchmarks' data_export.py, vibe-parquet those of VIBE's summary.parquet (what a
    result doesn't say is null, and batches have no place there), and annb-results is a folder for the scripts of
    ann-benchmarks.

    Parquet needs: pip install 'annbench[parquet]'.

    Example: annbench export results.csv

    Example: annbench export ~/ann-benchmarks/results --format annb-results
    """
    from harness.core.folders import results_folder
    from harness.store.results import ResultStore

    form = _format_of(output, form)
    store = ResultStore(results_folder(results))
    if output is None and form in {*_BINARY, Format.ANNB_RESULTS}:
        what = "a folder" if form is Format.ANNB_RESULTS else form
        raise StoreError(f"{what} can't go to standard output; give its name: annbench export NAME --format {form}")
    if form is Format.ANNB_RESULTS:
        _write_folder(store, output, dataset)
        return
    table = _our_table(results, dataset) if form in _OURS else _their_table(store, form, dataset)
    if output is None:
        typer.echo(table.to_json(orient="records", indent=1) if form is Format.JSON else table.to_csv(index=False))
        return
    _write(table, output, form)


def _format_of(output: Path | None, asked: Format | None) -> Format:
    """Return the format that was asked for, or that of the file's suffix; raise ConfigError where they disagree."""
    if output is None:
        return asked or Format.CSV
    meant = _BY_SUFFIX.get(output.suffix.lower(), ())
    if asked is None and not meant:
        raise ConfigError(f"{output}: its suffix is none of {', '.join(_BY_SUFFIX)}; change it, or say --format FORMAT")
    if asked is not None and meant and asked not in meant:
        raise ConfigError(f"{output}: its suffix says {meant[0]}, but --format says {asked}; change one of them")
    return asked or meant[0]


def _our_table(results: Path | None, dataset: str | None) -> pd.DataFrame:
    import json

    from harness import api

    table = api.load_results(results)
    if table.empty:
        raise StoreError("there are no results to export; measure some with: annbench run quick")
    if dataset is not None:
        _known(dataset, set(table["dataset"]))
        table = table[table["dataset"] == dataset]
    # Parameters are mappings: in a flat table they stand as JSON.
    for column in table.columns:
        if table[column].map(lambda cell: isinstance(cell, dict | list)).any():
            table[column] = table[column].map(lambda cell: json.dumps(cell, default=str))
    return table


def _known(dataset: str, known: set[str]) -> None:
    if dataset not in known:
        raise UnknownNameError("dataset with results", dataset, sorted(known))


def _their_table(store: ResultStore, form: Format, dataset: str | None) -> pd.DataFrame:
    from harness.interop.tables import annb_table, vibe_table

    seen: set[str] = set()

    def chosen() -> Iterator[Result]:
        for result in store.results():
            seen.add(result.spec["dataset"])
            if dataset in (None, result.spec["dataset"]):
                yield result

    table = annb_table(chosen()) if form is Format.ANNB_CSV else vibe_table(chosen())
    if dataset is not None and seen:
        _known(dataset, seen)
    if table.empty:
        raise StoreError("there is no result of an index in single mode to export; measure some: annbench run quick")
    return table


def _write_folder(store: ResultStore, output: Path | None, dataset: str | None) -> None:
    from harness.interop.tables import export_folder

    if output is None or output.resolve() == store.folder.resolve():
        raise ConfigError(f"{output} is the folder of results itself; their scripts write into theirs: give another")
    count = export_folder(store, output, dataset)
    if not count:
        where = f" of {dataset}" if dataset else ""
        raise StoreError(f"{store.folder} holds no result{where} of an index to export")
    typer.echo(f"{output}: {count} results")


def _write(table: pd.DataFrame, output: Path, form: Format) -> None:
    from harness.core.atomic import replacing
    from harness.core.extras import extra

    if form in _BINARY:
        with extra("parquet", f"{output}: writing Parquet"):
            import pyarrow.parquet  # noqa: F401
    try:
        with replacing(output) as temporary:
            if form in _BINARY:
                table.to_parquet(temporary, index=False)
            elif form is Format.JSON:
                table.to_json(temporary, orient="records", indent=1)
            else:
                table.to_csv(temporary, index=False)
    except OSError as problem:
        raise StoreError(f"{output}: could not be written ({problem.strerror or problem})") from None
    typer.echo(str(output))
