"""Suites: named plans of datasets, algorithms and grids."""

from __future__ import annotations

from functools import cache
from pathlib import Path
from typing import Annotated, Literal

from pydantic import BaseModel, BeforeValidator, ConfigDict, Field, ValidationError

from harness.core.errors import ConfigError, UnknownNameError
from harness.core.validation import describe, read_yaml
from harness.engines.registry import GroupConfig, KernelVariables, in_lists

Group = Literal["quick", "default", "full"]
Mode = Literal["single", "batch"]

_Grids = Annotated[list[GroupConfig], Field(min_length=1)]

DEFAULT_PASSES = 7
DEFAULT_ROUNDS = 2
DEFAULT_TIMEOUT = 7200.0


class Suite(BaseModel):
    """What to measure. `queries` is a prefix of the test set (None = all), `pass_seconds` bounds one pass.

    A setting too slow to answer all its queries within `pass_seconds` gets fewer, and its result says so; one so fast
    that it is done before `least_pass_seconds` answers them several times over.
    """

    model_config = ConfigDict(extra="forbid", frozen=True)

    about: str = ""
    """A line for `annbench list suites`."""
    datasets: tuple[str, ...] = Field(min_length=1)
    """Datasets by name; one that isn't there is prepared."""
    algorithms: tuple[str, ...] = ("core",)
    """Algorithms by name, or the words `all`, `core` (all but the extras) and `from-scratch`."""
    group: Group = "default"
    """Which grids of each algorithm are measured."""
    grids: Annotated[dict[str, _Grids], BeforeValidator(in_lists)] = Field(default_factory=dict)
    """Grids in place of an algorithm's own, by its name."""
    environment: dict[str, KernelVariables] = Field(default_factory=dict)
    """Variables that choose the kernels of an algorithm's libraries: `faiss-flat: {OPENBLAS_CORETYPE: Haswell}`."""
    k: int = Field(default=10, ge=1)
    """Neighbours that are asked for."""
    mode: Mode = "single"
    """`single`, one query a call, or `batch`, all in one."""
    queries: int | None = Field(default=None, ge=1)
    """Only the first so many queries; all where it is left out."""
    passes: int = Field(default=DEFAULT_PASSES, ge=1)
    """Undisturbed passes that each setting should have."""
    rounds: int = Field(default=DEFAULT_ROUNDS, ge=1)
    """Rounds over all builds that the passes are spread over, each in a process of its own; at most one a pass."""
    pass_seconds: float = Field(default=60.0, gt=0)
    """Longest time of a pass: a slow setting answers fewer queries, and its result says so."""
    least_pass_seconds: float = Field(default=0.25, ge=0)
    """Least time of a pass: a fast setting answers its queries several times over."""
    timeout: float = Field(default=DEFAULT_TIMEOUT, gt=0)
    """Longest time of a build, or of a pass, in seconds."""


@cache
def load_suites() -> dict[str, Suite]:
    """Read the suites that come with annbench."""
    return read_suites(Path(__file__).with_name("suites.yml"))


def read_suites(path: Path) -> dict[str, Suite]:
    """Read a file of suites; raise ConfigError that names the file, the suite and the value."""
    document = read_yaml(path)
    if not isinstance(document, dict) or not document:
        raise ConfigError(f"{path}: should be a table of suites")
    suites = {}
    for name, content in document.items():
        try:
            suites[str(name)] = Suite.model_validate(content)
        except ValidationError as problem:
            raise ConfigError(f"{path}: {name}: {describe(problem)}") from None
    return suites


def find_suite(name: str) -> Suite:
    """Return a suite by name, or the first of a file whose path is given; an unknown name suggests the nearest."""
    if name.endswith((".yml", ".yaml")):
        return next(iter(read_suites(Path(name)).values()))
    try:
        return load_suites()[name]
    except KeyError:
        raise UnknownNameError("suite", name, load_suites()) from None
