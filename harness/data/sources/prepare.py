"""The one entrance: a dataset's name, or a user's own file or array, becomes an HDF5 in the folder of datasets."""

from __future__ import annotations

from pathlib import Path
from typing import Any

from numpy.typing import ArrayLike
from rich.console import Console

from harness.core.errors import ConfigError
from harness.data.metric import Metric
from harness.data.sources import catalogue
from harness.data.sources.console import console_for
from harness.data.sources.files import looks_like_file
from harness.data.sources.from_own import prepare_own
from harness.data.sources.named import prepare_name
from harness.data.sources.own import OwnFile
from harness.data.sources.own_array import OwnArray
from harness.data.sources.texts.catalogue import load_texts
from harness.data.sources.texts.prepare import prepare_texts


def prepare(
    what: str | Path | ArrayLike,
    *,
    folder: Path,
    metric: str | None = None,
    queries: str | Path | int | ArrayLike | None = None,
    name: str | None = None,
    force: bool = False,
    neighbors: int | None = None,
    progress: bool = True,
    console: Console | None = None,
) -> Path:
    """Put a dataset into `folder` and return its path; a whole file that is there already is returned at once.

    A name is looked up in the catalogue, and its sources are tried in turn; a collection of texts becomes a folder. A
    path (`vectors.npy`, `data.h5:key`, `table.parquet:column`) or an array (n, dim) is split, unless `queries` is a
    file or an array, given its true neighbours by `metric`, and kept as `<stem>-<dim>-<metric>.hdf5` or `name`. It is
    prepared anew where anything that decides its content differs: the vectors, the queries, the metric, or the number
    of true `neighbors` (None: 100 where they are computed, any where they are there). What is there is checked once;
    `force` prepares in any case. Raises SourceError that lists what was tried, and other AnnbenchErrors in one line.
    """
    console = console_for(console, progress=progress)
    if neighbors is not None and neighbors < 1:
        raise ConfigError(f"neighbors: {neighbors} should be 1 or more")
    asked = None if metric is None else Metric(metric)
    options: dict[str, Any] = {"neighbors": neighbors, "force": force, "progress": progress, "console": console}
    if not isinstance(what, str | Path):
        if isinstance(queries, str | Path):
            raise ConfigError(f"queries: {queries}: an array takes an array of queries, or how many rows to split off")
        return prepare_own(OwnArray.of(what, queries), folder, asked, name, **options)
    if isinstance(what, str) and what in load_texts():
        if any(option is not None for option in (metric, queries, name, neighbors)):
            raise ConfigError(
                f"{what}: a collection of texts takes no metric, queries, neighbors or name; leave them out"
            )
        return prepare_texts(what, folder=folder, force=force, progress=progress, console=console)
    if isinstance(what, Path) or (what not in catalogue.load_catalogue() and looks_like_file(what)):
        if not isinstance(queries, str | Path | int | None):
            raise ConfigError(f"{what}: a file takes a file of queries, or how many rows to split off, not an array")
        return prepare_own(OwnFile.of(what, queries), folder, asked, name, **options)
    if queries is not None or name is not None:
        raise ConfigError(f"{what}: queries and a name are for your own files; a dataset with a name has both")
    return prepare_name(what, folder, asked, **options)
