"""What the interactive report shows of a result beyond the tidy table: its distributions, and where it was measured."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass, field
from typing import Any

import numpy as np

from harness.analyse.figures import query_recall, sorted_latencies, sorted_quantiles
from harness.store.failures import Failure
from harness.store.result import Result

LATENCY_SHARES = (
    *(0.0, 0.01, 0.05, 0.1, 0.2, 0.3, 0.4, 0.5, 0.6, 0.7, 0.75, 0.8, 0.85, 0.9, 0.925, 0.95, 0.97, 0.98, 0.99),
    *(0.995, 0.998, 0.999, 1.0),
)
"""The shares of queries at which the curve of latencies is known."""

_MOST_STEPS = 100
_ENVIRONMENT = ("annbench", "git_commit", "git_dirty", "python", "numpy")


@dataclass(frozen=True)
class Detail:
    """One result's distributions and provenance.

    `latencies` in microseconds at `LATENCY_SHARES`, empty in batch mode; `recalls` the share of queries at each of
    evenly spaced recalls from 0 to 1, empty where the true distances aren't known.
    """

    latencies: tuple[float, ...] = ()
    recalls: tuple[float, ...] = ()
    machine: Mapping[str, Any] = field(default_factory=dict)
    versions: Mapping[str, str] = field(default_factory=dict)
    environment: Mapping[str, Any] = field(default_factory=dict)


def describe(result: Result) -> Detail:
    """Read the distributions and the provenance off a result."""
    document = result.document
    return Detail(
        latencies=_latencies(result),
        recalls=_recalls(result),
        machine=document.machine,
        versions=document.versions,
        environment={name: document.environment[name] for name in _ENVIRONMENT if name in document.environment},
    )


def describe_failure(failure: Failure) -> Detail:
    """Return what little a failure says: the versions under which it happened."""
    versions = failure.spec.get("versions")
    return Detail(versions=versions if isinstance(versions, dict) else {})


def _latencies(result: Result) -> tuple[float, ...]:
    if result.spec.get("mode") == "batch":
        return ()
    values = sorted_latencies(result)
    return tuple((sorted_quantiles(values, LATENCY_SHARES) / 1e3).tolist()) if values.size else ()


def _recalls(result: Result) -> tuple[float, ...]:
    shares = query_recall(result)
    if not shares.size or np.isnan(shares).any():
        return ()
    steps = min(int(result.spec["k"]), _MOST_STEPS)
    counts = np.bincount((shares * steps).round().astype(np.int64), minlength=steps + 1)
    return tuple((counts / len(shares)).tolist())
