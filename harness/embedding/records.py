"""What an evaluation found, a file for each model, task and variant, under `results/quality/`.

History of the format, a line a version (`schema_version`):
  1  first: figures with intervals, a value for each query, geometry, size and speed of the model
"""

from __future__ import annotations

import hashlib
import json
import re
from collections.abc import Iterator
from datetime import UTC, datetime
from pathlib import Path
from typing import Literal, get_args

from pydantic import BaseModel, ConfigDict, Field, ValidationError

from harness.core.atomic import reason, write_text
from harness.core.errors import StoreError
from harness.core.validation import said, where

SCHEMA_VERSION = 1
FOLDER = "quality"
Kind = Literal["retrieval", "similarity", "classification", "clustering", "pairs", "image-text"]
_LONGEST = 80
_PLAIN = re.compile(rf"[a-zA-Z0-9_+-][a-zA-Z0-9_.+/-]{{0,{_LONGEST - 1}}}")
# What would look like a slash, or like the kind of a task.
_MISTAKEN = re.compile(rf"--|-/|/-|\.({'|'.join(get_args(Kind))})$")
_UNSAFE = re.compile(r"[^a-zA-Z0-9_.+-]+")


class Figure(BaseModel):
    """A figure and its 95% interval, nan where that isn't known."""

    model_config = ConfigDict(frozen=True, ser_json_inf_nan="constants")

    value: float
    low: float = float("nan")
    high: float = float("nan")


class Record(BaseModel):
    """How one model, in one variant, does one task.

    `main` names the figure that the table shows; `values` are what it is the mean of, one a query or row, so that
    models can be compared in pairs on an equal `task_hash`. `seconds` is what embedding `items` texts took.
    """

    model_config = ConfigDict(extra="ignore", ser_json_inf_nan="constants")

    schema_version: int = SCHEMA_VERSION
    model: str
    fingerprint: str
    variant: str = "full"
    task: str
    task_hash: str
    kind: Kind
    main: str
    figures: dict[str, Figure]
    values: list[float] = Field(default_factory=list)
    dimension: int | None = None
    bytes_a_vector: int | None = None
    parameters: int | None = None
    training_minutes: float | None = None
    items: int = 0
    seconds: float | None = None
    geometry: dict[str, float] = Field(default_factory=dict)
    notes: list[str] = Field(default_factory=list)
    versions: dict[str, str] = Field(default_factory=dict)
    created: str = Field(default_factory=lambda: datetime.now(UTC).isoformat(timespec="seconds"))

    @property
    def quality(self) -> Figure:
        """The figure that the table shows."""
        return self.figures[self.main]

    @property
    def sentences_a_second(self) -> float | None:
        """How fast texts were embedded."""
        return self.items / self.seconds if self.seconds else None


def path_of(folder: Path, record: Record) -> Path:
    """Return where a record is kept below the folder of results."""
    kind = "" if record.kind == "retrieval" else f".{record.kind}"
    variant = "" if record.variant == "full" else f"@{_safe(record.variant)}"
    return folder / FOLDER / _safe(record.model) / f"{_safe(record.task)}{kind}{variant}.json"


def _safe(name: str) -> str:
    """Turn a name into that of a file, different names into different ones.

    A slash becomes two hyphens; a name of which more is changed, or that could be taken for a changed one, gets a hash.
    """
    if _PLAIN.fullmatch(name) and _MISTAKEN.search(name) is None:
        return name.replace("/", "--")
    digest = hashlib.sha256(name.encode(errors="backslashreplace")).hexdigest()[:12]
    return f"{_UNSAFE.sub('-', name).strip('.')[:_LONGEST]}~{digest}"


def write_record(folder: Path, record: Record) -> Path:
    """Write a record whole, in place of an earlier one of the same model, task and variant."""
    path = path_of(folder, record)
    write_text(path, record.model_dump_json(indent=1) + "\n")
    return path


def read_records(folder: Path) -> Iterator[Record]:
    """Read all records, in order of their paths; raises StoreError that names the file that can't be read."""
    for path in sorted((folder / FOLDER).glob("*/*.json")):
        if not path.name.startswith("."):
            yield read_record(path)


def read_record(path: Path) -> Record:
    """Read one record; raises StoreError."""
    try:
        content = json.loads(path.read_text(encoding="utf-8"))
        version = content.get("schema_version")
        if version != SCHEMA_VERSION:
            raise StoreError(
                f"{path}: has format {version!r}, this annbench reads {SCHEMA_VERSION}; evaluate the model again"
            )
        record = Record.model_validate(content)
    except (OSError, ValueError, AttributeError) as problem:
        why = _first(problem) if isinstance(problem, ValidationError) else reason(problem)
        raise StoreError(f"{path}: can't be read ({why}); delete it and evaluate the model again") from None
    if record.main not in record.figures:
        raise StoreError(f"{path}: has no figure {record.main!r}; delete it and evaluate the model again")
    return record


def _first(problem: ValidationError) -> str:
    """Say which field is wrong, and how."""
    found = problem.errors(include_url=False)[0]
    return f"{where(found)}: {said(found)}"
