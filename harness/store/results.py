"""The result store: a folder with a file for each search setting, and one for each that did not finish.

Files are written whole. Reading never writes. Derived figures are not stored: `harness.analyse` computes them.
A file with fewer passes than were asked for is a valid result; a later run adds what is missing.
"""

from __future__ import annotations

import contextlib
import json
import shutil
import warnings
from collections.abc import Iterator
from pathlib import Path

from harness.core.atomic import reason, replacing, write_text
from harness.core.errors import DamagedResult, StoreError
from harness.store.document import SCHEMA_VERSION
from harness.store.envelope import NO_COMPANION, Companion, read_ours, read_result, write_result
from harness.store.failures import FAILURE_SUFFIX, Failure, read_failure
from harness.store.result import Result

RESULT_SUFFIX = ".hdf5"


def _visible(folder: Path, suffix: str) -> Iterator[Path]:
    """Yield files below `folder` in order of their names, those in hidden folders and temporary ones apart."""
    for path in sorted(folder.rglob(f"*{suffix}")):
        if not any(part.startswith(".") for part in path.relative_to(folder).parts):
            yield path


class ResultStore:
    """A folder of results: `<dataset>/<k>/<algorithm>[-batch]/<slug>-<8 hex>.hdf5`."""

    def __init__(self, folder: Path) -> None:
        self.folder = folder

    def path(self, relative: str, stem: str, suffix: str = RESULT_SUFFIX) -> Path:
        """Return where the result called `stem` is kept."""
        return self.folder / relative / f"{stem}{suffix}"

    def write(self, path: Path, result: Result, companion: Companion = NO_COMPANION) -> None:
        """Write a result whole, in place of an older one, with what `companion` holds for other tools."""
        write_result(path, result, companion)

    def write_failure(self, path: Path, failure: Failure) -> None:
        """Write what did not finish, as JSON."""
        content = {key: value for key, value in vars(failure).items() if key != "path"}
        try:
            write_text(path, json.dumps({"schema_version": SCHEMA_VERSION, **content}, indent=1, default=str) + "\n")
        except OSError as refused:
            raise StoreError(f"{path}: could not be written ({reason(refused)})") from None

    def read(self, path: Path) -> Result:
        """Read one result; raise StoreError in one line where that can't be done."""
        return read_result(path)

    def paths(self) -> list[Path]:
        """List the result files in order of their names."""
        return list(_visible(self.folder, RESULT_SUFFIX))

    def results(self) -> Iterator[Result]:
        """Read every result, those of other tools in the same layout apart (`harness.interop` reads them).

        A file that can't be read is passed over with a DamagedResult.
        """
        for path in self.paths():
            found = None
            with skipping_damage():
                found = read_ours(path)
            if found is not None:
                yield found

    def failures(self) -> Iterator[Failure]:
        """Read all that did not finish."""
        for path in _visible(self.folder, FAILURE_SUFFIX):
            found = read_failure(path)
            if found is not None:
                yield found

    def merge(self, other: Path) -> tuple[int, int]:
        """Copy what is missing here from another store; return how many were copied and how many were here already.

        A file that can't be read is passed over with a DamagedResult. Raises StoreError where there is nothing to copy.
        """
        if not other.is_dir():
            raise StoreError(f"{other}: no such folder to merge from")
        copied = known = 0
        for suffix in (RESULT_SUFFIX, FAILURE_SUFFIX):
            for source in _visible(other, suffix):
                if suffix == FAILURE_SUFFIX and read_failure(source) is None:
                    continue
                target = self.folder / source.relative_to(other)
                fewer = target.exists()
                if suffix == RESULT_SUFFIX:
                    read = False
                    with skipping_damage():
                        theirs = read_result(source)  # a broken file is never copied, nor one put in its place
                        fewer = fewer and read_result(target).passes >= theirs.passes
                        read = True
                    if not read:
                        continue
                if fewer:
                    known += 1
                    continue
                try:
                    with replacing(target) as temporary:
                        shutil.copyfile(source, temporary)
                except OSError as refused:
                    raise StoreError(f"{target}: could not be written ({reason(refused)})") from None
                copied += 1
        if not copied + known:
            raise StoreError(f"{other}: holds no result to merge; give a folder that annbench run wrote results into")
        return copied, known


@contextlib.contextmanager
def skipping_damage() -> Iterator[None]:
    """Turn the StoreError of a file that can't be read into a DamagedResult, so that the others are read."""
    try:
        yield
    except StoreError as problem:
        warnings.warn(str(problem), DamagedResult, stacklevel=4)
