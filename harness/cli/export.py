"""`annbench export`: every result with its measures as one table."""

from __future__ import annotations

from enum import StrEnum
from pathlib import Path
from typing import Annotated

import typer

from harness.cli.options import Results
from harness.errors import StoreError, UnknownNameError


class Format(StrEnum):
    """The formats of an export."""

    CSV = "csv"
    PARQUET = "parquet"
    JSON = "json"


def export(
    output: Annotated[Path | None, typer.Argument(help="File to write; standard output where it is left out.")] = None,
    results: Results = None,
    dataset: Annotated[str | None, typer.Option(help="Only this dataset.")] = None,
    form: Annotated[Format, typer.Option("--format", help="Format of the table.")] = Format.CSV,
) -> None:
    """Write all results with their measures and intervals as a tidy table, a row a search setting.

    Example: annbench export results.parquet --format parquet
    """
    import json

    from harness import api
    from harness.atomic import replacing

    table = api.load_results(results)
    if table.empty:
        raise StoreError("there are no results to export; measure some with: annbench run quick")
    if dataset is not None:
        known = sorted(set(table["dataset"]))
        if dataset not in known:
            raise UnknownNameError("dataset with results", dataset, known)
        table = table[table["dataset"] == dataset]
    # Parameters are mappings: in a flat table they stand as JSON.
    for column in table.columns:
        if table[column].map(lambda cell: isinstance(cell, dict | list)).any():
            table[column] = table[column].map(lambda cell: json.dumps(cell, default=str))
    if output is None:
        if form is Format.PARQUET:
            raise StoreError("parquet can't go to standard output; give a file: annbench export FILE --format parquet")
        typer.echo(table.to_csv(index=False) if form is Format.CSV else table.to_json(orient="records", indent=1))
        return
    try:
        with replacing(output) as temporary:
            if form is Format.CSV:
                table.to_csv(temporary, index=False)
            elif form is Format.JSON:
                table.to_json(temporary, orient="records", indent=1)
            else:
                table.to_parquet(temporary, index=False)
    except OSError as problem:
        raise StoreError(f"{output}: could not be written ({problem.strerror or problem})") from None
    typer.echo(str(output))
