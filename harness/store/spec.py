"""What is measured: a frozen BuildSpec that holds its SearchSpecs, and the key under which a result is filed."""

from __future__ import annotations

import hashlib
import json
import re
from collections.abc import Mapping
from dataclasses import dataclass, replace
from typing import Any, Literal, NamedTuple

from harness.core.errors import ConfigError
from harness.data.dataset import Half

Mode = Literal["single", "batch"]
FIRST_WORKLOAD = "knn"
"""The workload of every spec and file from before there were others: their keys don't name it."""

Params = tuple[tuple[str, Any], ...]

_SLUG_LENGTH = 80


def freeze(params: Mapping[str, Any]) -> Params:
    """Turn a mapping of parameters into a hashable tuple, in order of the names; lists become tuples."""
    return tuple((str(key), _frozen(value)) for key, value in sorted(params.items(), key=lambda item: str(item[0])))


def _frozen(value: Any) -> Any:
    if isinstance(value, dict):
        raise ConfigError(f"the parameter value {value!r} is a table; use numbers, words, or lists of them")
    return tuple(_frozen(v) for v in value) if isinstance(value, list | tuple) else value


def thaw(params: Params) -> dict[str, Any]:
    """Turn what `freeze` made into a mapping that JSON gives back unchanged: tuples become lists."""
    return {key: _thawed(value) for key, value in params}


def _thawed(value: Any) -> Any:
    return [_thawed(v) for v in value] if isinstance(value, list | tuple) else value


@dataclass(frozen=True)
class SearchSpec:
    """One setting of the search parameters."""

    params: Params = ()

    @property
    def slug(self) -> str:
        """Name the setting for people and file names."""
        return slug(self.params)


class Provenance(NamedTuple):
    """What else decides whether a result is still good: change one of these and the setting is measured anew."""

    dataset_sha256: str
    plugin_hash: str
    versions: tuple[tuple[str, str], ...]
    machine: str
    kernels: tuple[tuple[str, str], ...] = ()  # variables that are set and choose the kernels of libraries


@dataclass(frozen=True)
class BuildSpec:
    """One index to build and the settings to search it with.

    `terms` are the workload's own fields, such as k; `folder` is where its results are kept, relative to the store.
    `queries` counts the queries asked for (a prefix of the test set, or of every other one of it: `half`), `threads`
    those of a search, `build_threads` those of the build. `environment` holds variables that choose the kernels of this
    algorithm's libraries, over those that are set for all.
    """

    dataset: str
    metric: str
    workload: str
    terms: Params
    folder: str
    threads: int
    build_threads: int
    queries: int
    algorithm: str
    params: Params
    provenance: Provenance
    searches: tuple[SearchSpec, ...] = ()
    seed: int = 0
    half: Half | None = None
    environment: tuple[tuple[str, str], ...] = ()

    @property
    def mode(self) -> Mode:
        """Return whether one thread asks query by query; `single` for workloads that know no other way."""
        return "batch" if dict(self.terms).get("mode") == "batch" else "single"

    @property
    def slug(self) -> str:
        """Name the build for people."""
        return slug(self.params)

    def identity(self, search: SearchSpec | None) -> dict[str, Any]:
        """Return all that a result's key covers; without `search`, that of the build itself."""
        return {
            "dataset": self.dataset,
            "metric": self.metric,
            **thaw(self.terms),
            "threads": self.threads,
            "build_threads": self.build_threads,
            "queries": self.queries,
            "algorithm": self.algorithm,
            "build": thaw(self.params),
            "search": None if search is None else thaw(search.params),
            "seed": self.seed,
            "dataset_sha256": self.provenance.dataset_sha256,
            "plugin_hash": self.provenance.plugin_hash,
            "versions": dict(self.provenance.versions),
            "machine": self.provenance.machine,
            # Only where they say something new, so that keys of results from before them stay as they are.
            **({} if self.workload == FIRST_WORKLOAD else {"workload": self.workload}),
            **({} if self.half is None else {"half": self.half}),
            **({"kernels": dict(self.provenance.kernels)} if self.provenance.kernels else {}),
            **({"environment": dict(self.environment)} if self.environment else {}),
        }

    def stem(self, search: SearchSpec | None) -> str:
        """Return the file name of a result without its suffix: a readable slug and 8 hex digits of the key."""
        text = json.dumps(self.identity(search), sort_keys=True, separators=(",", ":"))
        digest = hashlib.sha256(text.encode()).hexdigest()[:8]
        params = self.params if search is None else self.params + search.params
        return f"{slug(params)}-{digest}"

    def only(self, searches: tuple[SearchSpec, ...]) -> BuildSpec:
        """Return the same build with these settings."""
        return replace(self, searches=searches)

    def to_json(self) -> dict[str, Any]:
        """Return what `from_json` reads: the form in which a spec crosses to the child process."""
        identity = self.identity(None)
        for name in ("search", *dict(self.terms)):
            del identity[name]
        own = {"workload": self.workload, "terms": thaw(self.terms), "folder": self.folder}
        return {**identity, **own, "searches": [thaw(s.params) for s in self.searches]}

    @classmethod
    def from_json(cls, document: Mapping[str, Any]) -> BuildSpec:
        """Read what `to_json` wrote."""
        plain = (
            *("dataset", "metric", "workload", "folder", "threads"),
            *("build_threads", "queries", "algorithm", "seed"),
        )
        return cls(
            **{key: document[key] for key in plain},
            terms=freeze(document["terms"]),
            params=freeze(document["build"]),
            provenance=Provenance(
                document["dataset_sha256"],
                document["plugin_hash"],
                tuple(sorted(document["versions"].items())),
                document["machine"],
                tuple(sorted(document.get("kernels", {}).items())),
            ),
            searches=tuple(SearchSpec(freeze(s)) for s in document["searches"]),
            half=document.get("half"),
            environment=tuple(sorted(document.get("environment", {}).items())),
        )


def measured_on(spec: Mapping[str, Any]) -> str:
    """Return the key of the machine that a spec was measured on, with another end where variables chose its kernels.

    Kernels that were chosen for all libraries make another machine of it: results of both must not be mixed. Those that
    are chosen for one algorithm are a matter of that algorithm.
    """
    key, kernels = str(spec.get("machine", "")), spec.get("kernels")
    if not kernels:
        return key
    return f"{key}-{hashlib.sha256(json.dumps(kernels, sort_keys=True).encode()).hexdigest()[:4]}"


def slug(params: Params) -> str:
    """Write parameters as a short file name: `M=16_ef=40` becomes `M-16_ef-40`."""
    text = "_".join(f"{_plain(key)}-{_plain(value)}" for key, value in params)
    return text[:_SLUG_LENGTH].strip("_-.") or "default"


def _plain(value: Any) -> str:
    # A minus sign is kept as "m", so that -1 and 1 stay apart for the reader as they do in the key.
    text = re.sub(r"(?<![\w])-(?=[\d.])", "m", str(value))
    return re.sub(r"[^\w.]+", "-", text, flags=re.ASCII).strip("-") or "none"


def label(params: Mapping[str, Any]) -> str:
    """Write parameters for a table or a plot: `M=16, ef=40`."""
    return ", ".join(f"{key}={value}" for key, value in params.items())
