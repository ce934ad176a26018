"""What is asked of a comparison, and what it answers."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any

from pydantic import ValidationError

from harness.analyse.clock import Clock
from harness.analyse.paired import Comparison
from harness.analyse.trimmed import looks_between
from harness.compare.sides import Side
from harness.compare.stored import Terms
from harness.core.errors import ConfigError
from harness.core.validation import describe
from harness.data.dataset import Half
from harness.measure.session import Options
from harness.plan.suites import Suite

DEFAULT_PAIRS = 5
DEFAULT_PASSES = 7
DEFAULT_QUERIES = 1000

# Rounds are short, so that what changes from second to second falls on both sides; there are the more of them.
_PASS_SECONDS = 5.0
_LEAST_PASS_SECONDS = 0.1

# Stands for every dataset that stored results are of.
ANY_DATASET = ("*",)

# With --holdout, parameters are chosen on one half of the queries, and figures come from the other.
CHOOSING: Half = "even"
JUDGING: Half = "odd"


def compare_suite(dataset: str, **changes: Any) -> Suite:
    """Return the terms on which algorithms are compared: fields of a suite, with changes on top (None = no change)."""
    fields = {
        "queries": DEFAULT_QUERIES,
        "passes": DEFAULT_PASSES,
        "group": "quick",
        "pass_seconds": _PASS_SECONDS,
        "least_pass_seconds": _LEAST_PASS_SECONDS,
        **{name: value for name, value in changes.items() if value is not None},
    }
    try:
        return Suite.model_validate({"datasets": (dataset,), **fields})
    except ValidationError as problem:
        raise ConfigError(describe(problem)) from None


@dataclass(frozen=True)
class Asked:
    """Terms that were asked for by name (None = left open): of results that are there they choose those that fit."""

    own: Mapping[str, Any] = field(default_factory=dict)
    """The workload's own fields that were asked for, such as k."""
    threads: int | None = None
    queries: int | None = None

    def options(self) -> list[str]:
        """Return them as they were given on the command line."""
        given = {**self.own, "threads": self.threads, "queries": self.queries}
        return [f"--{name} {value}" for name, value in given.items() if value is not None]


@dataclass(frozen=True)
class Request:
    """What is asked: two sides, or one for a baseline; the recalls (None = those of reports), and how to measure.

    `asked` are those terms of `suite` and `options` that are no defaults, for sides that were measured before. Two
    algorithms get `pairs` pairs of children, and where it can't be told more, up to `most_pairs`. `clock` says by
    which time speeds are compared; what is measured is the same.
    """

    sides: tuple[Side, ...]
    suite: Suite
    options: Options
    targets: tuple[float, ...] | None = None
    pairs: int = DEFAULT_PAIRS
    most_pairs: int = 2 * DEFAULT_PAIRS
    holdout: bool = False
    other_machine: bool = False
    save: Path | None = None
    clock: Clock = "wall"
    asked: Asked = field(default_factory=Asked)

    @property
    def looks(self) -> tuple[int, ...]:
        """Return after how many pairs a verdict is asked for."""
        return looks_between(self.pairs, self.most_pairs)


@dataclass(frozen=True)
class Row:
    """One verdict: at a recall (None = as the settings are), of two algorithms under the same terms."""

    terms: Terms
    names: tuple[str, str]
    settings: tuple[tuple[str, ...], tuple[str, ...]]
    comparison: Comparison


@dataclass
class Report:
    """All verdicts of a comparison; `drop` is by how much B's recall is below A's, at worst, at the same settings.

    `missing` says what A has and B should have, but has not, or failed with.
    """

    names: tuple[str, str]
    rows: list[Row] = field(default_factory=list)
    notes: list[str] = field(default_factory=list)
    pairs: int = 0
    drop: float = 0.0
    missing: list[str] = field(default_factory=list)
    clock: Clock = "wall"
