"""What a result file says beside its arrays: the document in JSON that it carries as its attribute `annbench`."""

from __future__ import annotations

from typing import Any

from pydantic import BaseModel, ConfigDict, Field

SCHEMA_VERSION = 2

# NaN and infinity are written as such: as null they could not be read back.
_EXTENSIBLE = ConfigDict(extra="allow", ser_json_inf_nan="constants")


class Process(BaseModel):
    """What one child process said of its build. Times in seconds, memory in bytes."""

    model_config = _EXTENSIBLE

    pid: int
    """Number of the process."""
    started: str
    """When `fit` or loading began, UTC."""
    build_seconds: float | None = None
    """Time of `fit`; null for a process that loaded the index."""
    loaded_seconds: float | None = None
    """Time to load the index that an earlier process of the run had saved; null for a process that built it."""
    compile_seconds: float = 0.0
    """Time of `compile`, apart from it."""
    load_seconds: float = 0.0
    """Time to open the dataset."""
    index_bytes: int | None = None
    """What a search touches, as the plug-in states it."""
    uss_before_fit: int | None = None
    """Memory of the process's own before `fit`."""
    uss_after_fit: int | None = None
    """The same after it."""
    peak_build: int | None = None
    """Most memory during `fit`."""
    peak_search: int | None = None
    """Most memory during searches."""
    save_seconds: float | None = None
    """Time of `save`, for those that can be saved."""
    restore_seconds: float | None = None
    """Time of `load` into a fresh index."""
    saved_bytes: int | None = None
    """Size of what `save` wrote."""
    cores: list[int] = Field(default_factory=list)
    """Cores that it was pinned to while building."""
    search_cores: list[int] = Field(default_factory=list)
    """Cores that it was pinned to while searching."""
    effective: dict[str, Any] = Field(default_factory=dict)
    """Parameters whose value in force differs from the one asked for."""
    kernels: list[dict[str, str]] = Field(default_factory=list)
    """What each loaded library runs: `library`, `runs`, `version`, `architecture`."""


class Document(BaseModel):
    """The attribute `annbench` of a result file: the spec, the machine, and how the measuring went."""

    model_config = _EXTENSIBLE

    schema_version: int
    """Version of the format."""
    workload: str
    """What was measured: `knn`, `range`, ..."""
    spec: dict[str, Any]
    """What was asked for: dataset, metric, the workload's own fields, algorithm, parameters, hashes."""
    queries: int
    """How many queries were measured, which may be fewer than were asked for."""
    arrays: list[str] = Field(default_factory=list)
    """The arrays in the file that the workload recorded, by name."""
    origin: str = "library"
    """`from-scratch` or `library`."""
    purpose: str = "index"
    """`index` or `floor`."""
    machine: dict[str, Any] = Field(default_factory=dict)
    """Processor, caches, cores, governor, memory, kernel."""
    environment: dict[str, Any] = Field(default_factory=dict)
    """Versions of Python and annbench, the commit, BLAS and threads, limits of the run."""
    versions: dict[str, str] = Field(default_factory=dict)
    """Version of each distribution that the plug-in requires."""
    processes: list[Process] = Field(default_factory=list)
    """The child processes that built the index or loaded it; `pass_process` says which of them ran a pass."""
    passes: list[dict[str, Any]] = Field(default_factory=list)
    """What was noted of each pass: how long it took, its share of the core, stolen time, the yardstick."""
    counters: dict[str, int] = Field(default_factory=dict)
    """The plug-in's own counts, for one round of the queries."""
    notes: list[str] = Field(default_factory=list)
    """What a reader should know, such as fewer queries than asked for."""
    created: str = ""
    """When the file was written, UTC."""
