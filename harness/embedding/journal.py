"""A file that grows by a line with each thing done, so that work which is interrupted goes on where it stopped."""

from __future__ import annotations

import json
import os
from collections.abc import Mapping
from pathlib import Path
from types import TracebackType
from typing import Any, Self

from harness.core.atomic import reason, write_text
from harness.core.errors import StoreError


class Journal:
    """JSON lines, after a first one with the `key` of the work: a journal of other work is begun anew.

    `done` are the lines of earlier runs. A last line that was cut off by a crash is dropped.
    """

    def __init__(self, path: Path, key: str) -> None:
        self._path = path
        lines = self._read()
        if not lines or lines[0] != {"key": key}:
            lines = [{"key": key}]
        self.done: list[Mapping[str, Any]] = lines[1:]
        write_text(path, "".join(json.dumps(line, ensure_ascii=False) + "\n" for line in lines))
        self._stream = path.open("a", encoding="utf-8")

    def add(self, record: Mapping[str, Any]) -> None:
        """Add a line, which is on the disk when this returns. Raises StoreError where it can't be written."""
        try:
            self._stream.write(json.dumps(record, ensure_ascii=False) + "\n")
            self._stream.flush()
            os.fsync(self._stream.fileno())
        except OSError as refused:
            raise StoreError(
                f"{self._path}: can't be written ({reason(refused)}); free disk space and give the same command again"
            ) from None

    def __enter__(self) -> Self:
        """Return the journal, to be closed at the end of the block."""
        return self

    def __exit__(
        self, kind: type[BaseException] | None, problem: BaseException | None, trace: TracebackType | None
    ) -> None:
        """Close the file."""
        self._stream.close()

    def _read(self) -> list[Any]:
        try:
            text = self._path.read_text(encoding="utf-8")
        except (OSError, UnicodeDecodeError):
            return []
        lines = []
        for line in text.removesuffix("\n").split("\n"):
            try:
                lines.append(json.loads(line))
            except ValueError:
                break
        return lines
