"""What lies in the folder of datasets already: what it is, whether it can be trusted, and its true neighbours anew."""

from __future__ import annotations

import re
import shlex
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import numpy as np
from rich.console import Console

from harness.core.atomic import reason, writing_hdf5
from harness.core.errors import ConfigError, DatasetError, UnknownNameError
from harness.core.file_notes import facts, remember
from harness.data.checks import CHECKS, check_dataset, vector_findings
from harness.data.dataset import SUFFIX, content_sha256, read_dataset, read_dataset_vectors
from harness.data.hdf5_layout import PARTS, opened
from harness.data.metric import Metric
from harness.data.sources.catalogue import load_catalogue
from harness.data.sources.console import say
from harness.data.sources.synthetic import PREFIX
from harness.data.sources.texts.catalogue import load_texts

_TRUTH = frozenset({"neighbors", "distances"})
_DEPTH = re.compile(r"; \d+ neighbours$")


@dataclass(frozen=True)
class Present:
    """A file under the name of a dataset, by its header alone; `problem` says why it can't be used as it is."""

    path: Path
    parts: frozenset[str] = frozenset()
    metric: Metric | None = None
    source: str = ""
    shape: tuple[int, int, int] | None = None  # of dense data: rows of train and test, columns
    depth: int = 0
    problem: str = ""

    @property
    def lacks_only_truth(self) -> bool:
        """Whether train and test are there, and true neighbours aren't."""
        return {"train", "test"} <= self.parts and not self.parts >= _TRUTH

    @property
    def is_only_train(self) -> bool:
        """Whether nothing but vectors to index is there."""
        return "train" in self.parts and "test" not in self.parts


def look_at(path: Path) -> Present | None:
    """Read what a file says of itself, without its vectors; None where there is no file."""
    if not path.exists():
        return None
    try:
        with opened(path) as file:
            parts = frozenset(key for key in PARTS if key in file)
            stated = file.attrs.get("distance")
            text = stated.decode(errors="replace") if isinstance(stated, bytes) else stated
            metric = None if text is None else Metric(text)
            missing = [key for key in PARTS if key not in parts]
            dense = {"train", "test"} <= parts and file["train"].ndim == file["test"].ndim == 2
            shape = (len(file["train"]), len(file["test"]), int(file["train"].shape[1])) if dense else None
            depth = int(file["neighbors"].shape[1]) if "neighbors" in parts and file["neighbors"].ndim == 2 else 0
            source = str(file.attrs.get("source", ""))
    except UnknownNameError as problem:
        return Present(path, problem=str(problem))
    except DatasetError as problem:
        return Present(path, problem=str(problem).removeprefix(f"{path}: "))
    why = f"{' and '.join(missing)} missing" if missing else ""
    if not why and metric is None:
        why = "the attribute 'distance' is missing"
    return Present(path, parts, metric, source, shape, depth, why)


def check_once(path: Path) -> None:
    """Check the content of a dataset file, unless it was checked before and hasn't changed since.

    Raises DatasetError that says what is wrong, where, and what to do.
    """
    if facts(path).get("checks") == CHECKS:
        return
    check_dataset(read_dataset(path), null_vectors=may_hold_null_vectors(path), remedy=remedy_for(path))
    remember(path, checks=CHECKS)


def may_hold_null_vectors(path: Path) -> bool:
    """Whether a file has the name of a published dataset: some of these hold zero vectors under angular (nytimes)."""
    entry = load_catalogue().get(path.name.removesuffix(SUFFIX))
    return entry is not None and any(source.kind == "url" for source in entry.sources)


def remedy_for(path: Path) -> str:
    """Say how wrong ground truth is mended; follows a finding."""
    return f"; its true neighbours are computed anew by: annbench prepare {shlex.quote(str(path))} --force"


def renew_truth(path: Path, *, depth: int, metric: Metric | None = None, progress: bool, console: Console) -> None:
    """Compute the `depth` true neighbours of a file's own vectors, and put them into it; all else in it stays.

    `metric` goes before the one that the file states. Raises DatasetError for vectors that have none, or a full disk.
    """
    from harness.data.truth import exact_neighbors

    held = read_dataset_vectors(path, metric)
    findings = [
        finding
        for part, name in ((held.train, "train"), (held.test, "test"))
        for finding in vector_findings(held.metric, part, name)
    ]
    if findings:
        raise DatasetError("\n".join(f"{path}: {finding}" for finding in findings))
    depth = min(depth, len(held.train))
    say(console, f"{path}: computing the {depth} true neighbours of its {len(held.test):,} queries, {held.metric}")
    neighbors, distances = exact_neighbors(
        held.metric, held.train, held.test, depth, dimension=held.dimension, progress=progress
    )
    changed: dict[str, Any] = {"distance": str(held.metric), "dimension": held.dimension}
    if "source" in held.attributes:
        changed["source"] = _DEPTH.sub(f"; {depth} neighbours", held.attributes["source"])
    if "sha256" in held.attributes:
        changed["sha256"] = content_sha256(held.metric, held.train, held.test)
    _replace_truth(path, neighbors.astype(np.int32), distances.astype(np.float32), changed)
    remember(path, checks=CHECKS)


def _replace_truth(path: Path, neighbors: Any, distances: Any, changed: dict[str, Any]) -> None:
    try:
        with writing_hdf5(path) as new, opened(path) as old:
            for key in old:
                if key not in _TRUTH:
                    old.copy(key, new)
            new["neighbors"], new["distances"] = neighbors, distances
            for key, value in old.attrs.items():
                new.attrs[key] = value
            new.attrs.update(changed)
    except OSError as refused:
        raise DatasetError(f"{path}: could not be written ({reason(refused)}); the file is as it was") from None


def refuse_taken_name(name: str, where: str) -> None:
    """Refuse to give the user's own data a name that stands for something else."""
    if name in load_catalogue() or name in load_texts():
        raise ConfigError(f"{where}: {name!r} is the name of a published dataset; choose another by name")
    if name.startswith(PREFIX):
        raise ConfigError(f"{where}: names that begin with {PREFIX!r} stand for generated data; choose another by name")
