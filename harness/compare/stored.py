"""Results that are there already as a side of a comparison: a store's, or those of a baseline file."""

from __future__ import annotations

import hashlib
import json
from collections.abc import Iterable, Mapping, Sequence
from dataclasses import dataclass, field
from pathlib import Path
from typing import Annotated, Any, Self

import numpy as np
from numpy.typing import NDArray
from pydantic import (
    BaseModel,
    ConfigDict,
    Field,
    ValidationError,
    ValidationInfo,
    field_validator,
    model_validator,
)

from harness.analyse.clock import Clock
from harness.analyse.frontier import skyline
from harness.analyse.kernels import kernels_of
from harness.analyse.unpaired import Speeds, speeds_of
from harness.compare.sides import StoredSide
from harness.core.atomic import reason, write_text
from harness.core.errors import ConfigError, StoreError
from harness.core.validation import describe
from harness.core.version import __version__
from harness.data.dataset import Half
from harness.store.result import Result
from harness.store.results import ResultStore
from harness.store.spec import FIRST_WORKLOAD, Mode, label, measured_on
from harness.workloads.catalogue import find_workload

BASELINE_SCHEMA = 2
"""1: `k` and `mode` among the terms; 2: the workload, and its own fields apart. Both are read."""

# Files are edited by hand: what would only fail in a logarithm, or as an index, is refused where it is read.
_Speed = Annotated[float, Field(gt=0, allow_inf_nan=False)]
_Child = Annotated[int, Field(ge=0, le=np.iinfo(np.int32).max)]


class Terms(BaseModel):
    """What results must share to be compared; `machine` is its key, `machine_name` what it is for people."""

    model_config = ConfigDict(extra="forbid", frozen=True)

    dataset: str
    dataset_sha256: str
    workload: str = FIRST_WORKLOAD
    own: dict[str, Any] = Field(default_factory=dict)
    """The workload's own fields, such as k."""
    threads: int = Field(ge=1)
    queries: int = Field(ge=1)
    half: Half | None = None
    machine: str
    machine_name: str = ""

    def __hash__(self) -> int:
        """Hash all of them: a dict has no hash of its own."""
        return hash(self.model_dump_json())

    @property
    def mode(self) -> Mode:
        """Return whether queries are asked one a call or all in one."""
        return "batch" if self.own.get("mode") == "batch" else "single"

    @field_validator("own")
    @classmethod
    def _known(cls, own: dict[str, Any], info: ValidationInfo) -> dict[str, Any]:
        """Check the fields by their workload."""
        return find_workload(info.data["workload"]).terms.model_validate(own).model_dump()


class Setting(BaseModel):
    """One setting: its parameters, its recall, and the QPS of every pass that counts, by the child that made it."""

    model_config = ConfigDict(extra="forbid", frozen=True)

    algorithm: str
    build: dict[str, Any]
    search: dict[str, Any]
    recall: float = Field(ge=0, le=1, allow_inf_nan=False)
    qps: tuple[_Speed, ...] = Field(min_length=1)
    process: tuple[_Child, ...] = Field(min_length=1)
    passes: int = Field(default=0, ge=0)
    """How many were made; 0, as older files have it, for those that count and those that were disturbed."""
    disturbed: int = Field(default=0, ge=0)
    qps_cpu: tuple[_Speed, ...] = ()
    """The QPS of the same passes by the CPU time that they took; empty where that isn't known, as in older files."""

    kernels: str = ""
    """What each library ran, as the column of the tidy table has it; empty where that isn't known."""

    @model_validator(mode="after")
    def _each_pass_has_a_child(self) -> Self:
        if len(self.qps) != len(self.process):
            raise ValueError(f"qps holds {len(self.qps)} passes, process {len(self.process)}: one child for each pass")
        if len(self.qps_cpu) not in (0, len(self.qps)):
            raise ValueError(f"qps_cpu holds {len(self.qps_cpu)} passes, qps {len(self.qps)}: the same, or none")
        return self

    def by(self, clock: Clock) -> tuple[float, ...]:
        """Return the QPS of every pass by a clock; raise ConfigError where that isn't known."""
        if clock == "wall":
            return self.qps
        if not self.qps_cpu:
            params = label({**self.build, **self.search})
            raise ConfigError(
                f"{self.algorithm} ({params}): what is stored of it doesn't say how much CPU time its passes took; "
                "measure it anew, or compare by --clock wall"
            )
        return self.qps_cpu

    def speeds(self, clock: Clock) -> Speeds:
        """Return the figures as a comparison takes them."""
        passes = self.passes or len(self.qps) + self.disturbed
        qps = np.array(self.by(clock))
        return Speeds(self.recall, qps, np.array(self.process, np.int64), passes, self.disturbed)


class Baseline(BaseModel):
    """A baseline file: terms, and the settings that were measured under them."""

    model_config = ConfigDict(extra="forbid", frozen=True)

    annbench: str
    schema_version: int
    terms: Terms
    versions: dict[str, str] = Field(default_factory=dict)
    settings: tuple[Setting, ...] = Field(min_length=1)


class _Format(BaseModel):
    """All that is read of a baseline file before its version is known: what else it may hold depends on that."""

    schema_version: int


@dataclass(frozen=True)
class Stored:
    """Settings of one algorithm under the same terms, and the recall of those that were tried for it, by label."""

    terms: Terms
    algorithm: str
    settings: tuple[Setting, ...]
    tried: Mapping[str, float] = field(default_factory=dict)

    def line(self, clock: Clock) -> list[Setting]:
        """Return the settings on the frontier by a clock, by ascending recall."""
        speeds = [float(np.median(setting.by(clock))) for setting in self.settings]
        return [self.settings[i] for i in skyline([setting.recall for setting in self.settings], speeds)]


def read_stored(side: StoredSide) -> list[Stored]:
    """Read a stored side: one `Stored` for each algorithm under each terms. Raises ConfigError where nothing fits."""
    if side.path.is_dir():
        results = ResultStore(side.path).results()
        found = [(terms_of(one), setting_of(one)) for one in results if one.document.purpose == "index"]
    else:
        baseline = read_baseline(side.path)
        found = [(baseline.terms, setting) for setting in baseline.settings]
    grouped: dict[tuple[Terms, str], list[Setting]] = {}
    for terms, setting in found:
        if side.holds(setting.algorithm, setting.build, setting.search):
            grouped.setdefault((terms, setting.algorithm), []).append(setting)
    if not grouped:
        raise ConfigError(f"{side.text}: no result there fits; see what there is: annbench results list")
    return [Stored(terms, name, tuple(settings)) for (terms, name), settings in grouped.items()]


def terms_of(result: Result) -> Terms:
    """Return the terms under which a result was measured."""
    from harness.analyse.table import machine_name

    spec, machine = result.spec, result.document.machine
    return Terms(
        dataset=str(spec["dataset"]),
        dataset_sha256=str(spec["dataset_sha256"]),
        workload=result.document.workload,
        own={name: spec[name] for name in find_workload(result.document.workload).terms.model_fields if name in spec},
        threads=int(spec["threads"]),
        queries=result.queries,
        half=spec.get("half"),
        machine=measured_on(spec),
        machine_name=machine_name(machine, spec.get("kernels")),
    )


def setting_of(result: Result) -> Setting:
    """Return what a comparison needs of a result."""
    speeds = speeds_of(result)
    by_cpu = speeds_of(result, "cpu").qps
    return Setting(
        algorithm=str(result.spec["algorithm"]),
        build=dict(result.spec["build"]),
        search=dict(result.spec["search"] or {}),
        recall=speeds.recall,
        qps=_rounded(speeds.qps),
        qps_cpu=() if np.isnan(by_cpu).any() else _rounded(by_cpu),
        process=tuple(int(value) for value in speeds.process),
        passes=speeds.passes,
        disturbed=speeds.disturbed,
        kernels=kernels_of(result),
    )


def _rounded(speeds: NDArray[np.float64]) -> tuple[float, ...]:
    return tuple(float(f"{value:.6g}") for value in speeds)


def read_baseline(path: Path) -> Baseline:
    """Read a baseline file; raise StoreError that names the file, and the place, where it isn't one."""
    try:
        text = path.read_bytes()
        version = _Format.model_validate_json(text).schema_version
        if not 1 <= version <= BASELINE_SCHEMA:
            raise StoreError(
                f"{path}: schema {version}, but this annbench reads 1 to {BASELINE_SCHEMA}; upgrade with: "
                "pip install -U annbench, or make it anew with: annbench compare ALGORITHM --save-baseline FILE"
            )
        return Baseline.model_validate(_upgraded(json.loads(text), version))
    except OSError as refused:
        raise StoreError(f"{path}: could not be read ({reason(refused)})") from None
    except ValidationError as problem:
        raise StoreError(f"{path}: is no baseline of annbench: {describe(problem):.300}") from None


def _upgraded(content: dict[str, Any], version: int) -> dict[str, Any]:
    """Return the content of a baseline file in the newest form."""
    if version > 1:
        return content
    terms = dict(content.get("terms") or {})
    own = {name: terms.pop(name) for name in ("k", "mode") if name in terms}
    return {**content, "schema_version": BASELINE_SCHEMA, "terms": {**terms, "own": own}}


def content_key(stored: Iterable[Stored]) -> str:
    """Return a key of all that is held there, figures included: 10 hex digits."""
    held = [[one.terms.model_dump(), one.algorithm, [s.model_dump() for s in one.settings]] for one in stored]
    return hashlib.sha256(json.dumps(held, sort_keys=True, default=str).encode()).hexdigest()[:10]


def write_baseline(path: Path, results: Sequence[Result]) -> Baseline:
    """Write results of the same terms as a baseline file, whole: a few kilobytes of JSON, made to be committed."""
    terms = {terms_of(result) for result in results}
    if len(terms) != 1:
        raise ConfigError(f"{path}: a baseline holds results of the same terms, not of {len(terms)}")
    baseline = Baseline(
        annbench=__version__,
        schema_version=BASELINE_SCHEMA,
        terms=terms.pop(),
        versions=_versions(results),
        settings=tuple(setting_of(result) for result in results),
    )
    try:
        write_text(path, baseline.model_dump_json(indent=1) + "\n")
    except OSError as refused:
        raise StoreError(f"{path}: could not be written ({reason(refused)})") from None
    return baseline


def _versions(results: Iterable[Result]) -> dict[str, str]:
    found: dict[str, str] = {}
    for result in results:
        found |= result.document.versions
    return found


def differences(a: Terms, b: Terms) -> Mapping[str, tuple[Any, Any]]:
    """Return the terms in which two sides differ, the machine's name apart."""
    left, right = a.model_dump(exclude={"machine_name"}), b.model_dump(exclude={"machine_name"})
    return {name: (left[name], right[name]) for name in left if left[name] != right[name]}
