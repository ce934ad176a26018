"""What `config.yml` says of an algorithm: where its class is, what it needs, and the grids of its parameters."""

from __future__ import annotations

from collections.abc import Mapping
from typing import Annotated, Any, Literal

from pydantic import AfterValidator, BaseModel, BeforeValidator, ConfigDict, Field

from harness.core.errors import UnknownNameError
from harness.core.library_kernels import KERNEL_VARIABLES
from harness.data.metric import Metric

GROUPS = ("quick", "default", "full")

Grid = Mapping[str, Any]


def _known_metric(value: Any) -> Metric:
    try:
        return Metric(value)
    except UnknownNameError as problem:
        raise ValueError(str(problem)) from None  # pydantic adds the key and the value


_MetricName = Annotated[Metric, BeforeValidator(_known_metric)]


def _chooses_kernels(name: str) -> str:
    if name not in KERNEL_VARIABLES:
        raise ValueError(f"not a variable that chooses kernels; those are {', '.join(KERNEL_VARIABLES)}")
    return name


KernelVariables = dict[Annotated[str, AfterValidator(_chooses_kernels)], str]
"""Variables of the environment that choose a library's kernels, by name."""


def in_lists(value: Any) -> Any:
    """Put a value of a table that is no list into one: a single grid needs no brackets."""
    if not isinstance(value, dict):
        return value
    return {name: grids if isinstance(grids, list) else [grids] for name, grids in value.items()}


class GroupConfig(BaseModel):
    """One grid of builds, each crossed with one grid of searches."""

    model_config = ConfigDict(extra="forbid", frozen=True)

    build: dict[str, Any] | list[dict[str, Any]] = Field(default_factory=dict)
    """Build parameters: a table of values or lists, every combination of which is built; or several such tables."""
    search: dict[str, Any] | list[dict[str, Any]] = Field(default_factory=dict)
    """Search parameters, written likewise; each build is searched with every combination."""
    metrics: tuple[_MetricName, ...] | None = None
    """The metrics that this grid is for; all that the algorithm claims where it is left out."""


class AlgorithmConfig(BaseModel):
    """What `config.yml` says under an algorithm's name.

    Three fields are for plug-ins that another harness's contract describes: with `adapts`, `constructor` is a function
    that makes the class, called as `(name, folder, **adapts)`; `edges` says whether data at the edges are its business
    (fewer vectors than k or than clusters); under the metrics in `disabled` it only runs when it is asked for by name.
    """

    model_config = ConfigDict(extra="forbid", frozen=True)

    constructor: str = Field(pattern=r"^[\w.]+:\w+$")
    """Where the class is: `module:Class`. Of a plug-in that is no package, the module is its folder's name."""
    origin: Literal["from-scratch", "library", "ann-benchmarks"]
    """Who wrote it; the shared kernels count as source of what is from scratch."""
    metrics: tuple[_MetricName, ...] = Field(min_length=1)
    """The metrics that it searches under; the constructor refuses all others."""
    requires: tuple[str, ...] = ()
    """Distributions that it imports: without them it is listed as not installed; their versions go with each result."""
    ordered: bool = True
    """Whether ids come nearest first."""
    workloads: tuple[str, ...] = ("knn",)
    """The workloads that it serves, such as `[knn, range]`; any but `knn` needs an ability of its class."""
    purpose: Literal["index", "floor"] = "index"
    """`index`, or `floor` for what does nothing and shows the cost of a call."""
    extra: str | None = None
    """The extra of annbench that installs what it requires."""
    about: str = ""
    """A line for `annbench list`."""
    adapts: dict[str, Any] | None = None
    """Of a plug-in of another harness: arguments with which `constructor`, a function then, makes the class."""
    edges: bool = True
    """Whether data at the edges are its business: fewer vectors than k, or than clusters."""
    disabled: tuple[_MetricName, ...] = ()
    """Metrics under which it only runs when it is asked for by name."""
    snippet: str = ""
    """Lines of Python that build and search with the library itself, for the page: imports, an empty line, the rest.
    `${M=16}` is the value of a parameter or its default, `${k}` and `${metric}` are known; a line that ends in
    `#@ angular ip` stands under these metrics only. `vectors` and `queries` are there, `ids` is what it finds. Without
    any the page gives lines by the contract."""
    environment: KernelVariables = Field(default_factory=dict)
    """Variables that choose the kernels of its libraries, for its own process only: `{OPENBLAS_CORETYPE: Haswell}`."""
    groups: Annotated[dict[Literal["quick", "default", "full"], list[GroupConfig]], BeforeValidator(in_lists)]
    """Grids by the names `quick`, `default` and `full`: one grid, or a list of them."""
