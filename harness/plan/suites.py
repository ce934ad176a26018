"""Suites: named plans of datasets, algorithms and grids."""

from __future__ import annotations

from collections.abc import Mapping
from functools import cache
from pathlib import Path
from typing import Annotated, Any, Literal

from pydantic import (
    BaseModel,
    BeforeValidator,
    ConfigDict,
    Field,
    SerializeAsAny,
    ValidationError,
    model_validator,
)

from harness.core.errors import ConfigError, UnknownNameError
from harness.core.validation import describe, read_yaml
from harness.engines.config import GroupConfig, KernelVariables, in_lists
from harness.store.spec import FIRST_WORKLOAD, Mode
from harness.workloads.catalogue import find_workload

Group = Literal["quick", "default", "full"]

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
    workload: str = FIRST_WORKLOAD
    """What is measured: `knn`, or another of `harness.workloads`."""
    terms: SerializeAsAny[BaseModel]
    """The workload's own fields, such as `k` and `mode`; in a file they stand beside the others."""
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

    @model_validator(mode="before")
    @classmethod
    def _gather_terms(cls, given: Any) -> Any:
        """Put the workload's own fields, which stand beside the others, into `terms`."""
        if not isinstance(given, Mapping):
            return given
        kind = find_workload(str(given.get("workload", FIRST_WORKLOAD))).terms
        terms = given.get("terms", {})
        terms = terms.model_dump() if isinstance(terms, BaseModel) else dict(terms)
        own = {name: given[name] for name in kind.model_fields if name in given}
        rest = {name: value for name, value in given.items() if name not in own}
        return {**rest, "terms": kind.model_validate({**terms, **own})}

    @property
    def mode(self) -> Mode:
        """Return whether queries are asked one a call or all in one."""
        return "batch" if getattr(self.terms, "mode", "single") == "batch" else "single"

    @property
    def words(self) -> str:
        """Write the workload's own fields for people: `k = 10`."""
        return find_workload(self.workload).words(self.terms)

    def changed(self, **fields: Any) -> Suite:
        """Return the suite with other fields, the workload's own among them; None = no change."""
        changes = {name: value for name, value in fields.items() if value is not None}
        kept = self.model_dump()
        if changes.get("workload", self.workload) != self.workload:
            del kept["terms"]
        return Suite.model_validate({**kept, **changes})


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
