"""The user's own vectors, from a file or an array, become a dataset: once, and again when anything differs."""

from __future__ import annotations

import re
from dataclasses import replace
from glob import escape
from pathlib import Path
from typing import Protocol

from rich.console import Console

from harness.core.errors import ConfigError
from harness.core.file_notes import remember
from harness.data.checks import CHECKS, check_dataset
from harness.data.dataset import SUFFIX, dataset_path, read_dataset
from harness.data.metric import Metric
from harness.data.sources.console import say, size_of
from harness.data.sources.content import DEPTH, Content, write_content
from harness.data.sources.own import OwnFile
from harness.data.sources.present import (
    Present,
    check_once,
    look_at,
    may_hold_null_vectors,
    refuse_taken_name,
    remedy_for,
    renew_truth,
)

_NAME = re.compile(r"(?!.*\.hdf5$)[\w][\w.-]*")
_DEPTH = re.compile(r"; (\d+) neighbours$")


class Own(Protocol):
    """Vectors of the user's, and what a dataset made of them depends on."""

    @property
    def stem(self) -> str:
        """The beginning of a dataset's name."""

    @property
    def about(self) -> str:
        """What messages call it."""

    def metric(self, asked: Metric | None) -> Metric:
        """Return the metric that was asked for, else the one that the vectors come with; raises ConfigError."""

    def source(self, depth: int) -> str:
        """Describe all that decides a dataset's content, but for the metric; ends with `; <depth> neighbours`."""

    def is_described_by(self, source: str) -> bool:
        """Tell whether `source` describes these vectors, at whatever time they were prepared."""

    def read(self, metric: Metric, depth: int) -> Content:
        """Read and split the vectors."""


def prepare_own(
    own: Own,
    folder: Path,
    asked: Metric | None,
    name: str | None,
    *,
    neighbors: int | None,
    force: bool,
    progress: bool,
    console: Console,
) -> Path:
    """Put the user's own vectors into `folder`; what was made of the same vectors in the same way is kept."""
    if isinstance(own, OwnFile) and name is None and own.lies_in(folder):
        return _in_place(own, asked, neighbors=neighbors, force=force, progress=progress, console=console)
    if name is not None and not _NAME.fullmatch(name):
        raise ConfigError(f"name: {name!r} should be letters, digits, dots and dashes, without .hdf5")
    if name is not None:
        refuse_taken_name(name, own.about)
    metric = own.metric(asked)
    depth = neighbors or DEPTH
    if not force:
        pattern = f"{name}{SUFFIX}" if name else f"{escape(own.stem)}-*-{metric}{SUFFIX}"
        for path in sorted(folder.glob(pattern)):
            if _is_same(look_at(path), own.source(depth), metric, any_depth=neighbors is None):
                check_once(path)
                return path
    say(console, f"reading {own.about}")
    content = own.read(metric, depth)
    if force:
        content = replace(content, neighbors=None, distances=None)
    elif content.neighbors is not None and content.distances is not None:
        content = replace(
            content, neighbors=content.neighbors[:, :neighbors], distances=content.distances[:, :neighbors]
        )
    path = dataset_path(folder, name or f"{own.stem}-{content.dimension}-{metric}")
    refuse_taken_name(path.name.removesuffix(SUFFIX), own.about)
    _mind_the_neighbour(own, path, metric, force=force, console=console)
    write_content(path, content, depth=depth, progress=progress, console=console)
    say(console, f"{path}: {size_of(path)}")
    return path


def _is_same(there: Present | None, source: str, metric: Metric, *, any_depth: bool) -> bool:
    """Tell whether a file was made of what `source` describes, under this metric."""
    if there is None or there.problem or there.metric is not metric:
        return False
    if any_depth:
        return _DEPTH.sub("", there.source) == _DEPTH.sub("", source)
    found, wanted = (_DEPTH.search(text) for text in (there.source, source))
    same = _DEPTH.sub("", there.source) == _DEPTH.sub("", source)
    n = there.shape[0] if there.shape is not None else there.depth
    return same and found is not None and wanted is not None and min(int(found[1]), n) == min(int(wanted[1]), n)


def _in_place(
    own: OwnFile, asked: Metric | None, *, neighbors: int | None, force: bool, progress: bool, console: Console
) -> Path:
    """Check a file that the user put into the folder of datasets; give it the true neighbours that it lacks.

    `force`, or another number of neighbours, computes them anew from its own vectors. All else in it is left as it is.
    """
    path = own.vectors.path
    if own.queries is not None:
        raise ConfigError(f"{path}: is a dataset already; queries need a file of vectors elsewhere")
    there = look_at(path)
    if there is None or (there.problem and not there.lacks_only_truth):
        read_dataset(path)  # says what is wrong
    elif asked is not None and there.metric is not None and asked is not there.metric:
        raise ConfigError(f"{path}: its metric is {there.metric}; give a name of its own to the one for {asked}")
    elif (
        force
        or there.lacks_only_truth
        or (neighbors is not None and there.shape is not None and there.depth != min(neighbors, there.shape[0]))
    ):
        depth = neighbors or there.depth or DEPTH
        renew_truth(path, depth=depth, metric=own.metric(asked), progress=progress, console=console)
        return path
    check_dataset(read_dataset(path), null_vectors=may_hold_null_vectors(path), remedy=remedy_for(path))
    remember(path, checks=CHECKS)
    return path


def _mind_the_neighbour(own: Own, path: Path, metric: Metric, *, force: bool, console: Console) -> None:
    """Refuse to overwrite a dataset that was made from something else; say how one made of this differs."""
    there = look_at(path)
    if there is None or force:
        return
    if not own.is_described_by(there.source):
        made = there.source or "something else"
        raise ConfigError(f"{path}: was made from {made}; choose another name, or force it to be replaced")
    what = there.problem or (
        f"is {there.metric}, not {metric}" if there.metric is not metric else f"was made from {there.source}"
    )
    say(console, f"{path}: {what}; preparing it anew")
