"""What is asked of a choice."""

from __future__ import annotations

import hashlib
import json
from collections.abc import Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Any

from harness.core.errors import ConfigError
from harness.data.dataset import Header
from harness.engines.registry import Entry
from harness.measure.session import Options
from harness.plan.expand import Settings
from harness.plan.suites import Suite

FOLDER = ".choose"

# Scouting passes are short: they tell engines apart that differ by far more than noise.
PASS_SECONDS = 2.0
QUERIES = 1000
MIN_SECONDS = 20.0


@dataclass(frozen=True)
class Wish:
    """The recall to reach, the wall time for everything in seconds, and limits.

    `memory` is the most that the index may hold in bytes, `build_seconds` the longest build; None = no limit.
    """

    recall: float
    seconds: float
    memory: int | None = None
    build_seconds: float | None = None

    def __post_init__(self) -> None:
        """Refuse what can't be asked for."""
        if not 0 < self.recall <= 1:
            raise ConfigError(f"recall: {self.recall:g} should lie between 0 and 1, such as 0.95")
        if self.seconds < MIN_SECONDS:
            raise ConfigError(
                f"{self.seconds / 60:g} minutes are too few to build anything; give at least half a minute"
            )

    @property
    def name(self) -> str:
        """Name what is asked for, the time apart: more of it goes on where less of it stopped."""
        return f"recall={self.recall:g} memory={self.memory} build={self.build_seconds}"


@dataclass(frozen=True)
class Request:
    """A wish for a dataset, the engines to choose from, and how and where things are measured."""

    wish: Wish
    header: Header
    entries: Sequence[Entry]
    suite: Suite
    settings: Settings
    options: Options

    @property
    def folder(self) -> Path:
        """Return where what was measured is kept: it depends on the data, the terms and the machine."""
        terms: list[Any] = [
            self.header.sha256,
            self.suite.terms.model_dump(),
            self.suite.queries,
            self.settings.machine,
        ]
        terms += [self.settings.build_threads, self.suite.pass_seconds, self.suite.least_pass_seconds]
        digest = hashlib.sha256(json.dumps(terms).encode()).hexdigest()[:8]
        return self.options.results / FOLDER / f"{self.header.name}-{digest}"


def scouted_folder(request: Request) -> Path:
    """Return the folder of what was measured while scouting and refining: a pass of each setting."""
    return request.folder / "scouted"


def finals_folder(request: Request) -> Path:
    """Return the folder of what the finals measured."""
    return request.folder / "finals"
