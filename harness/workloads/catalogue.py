"""Every workload by name, a line each; nothing of it is imported until it is used."""

from __future__ import annotations

from functools import cache
from importlib import import_module

from harness.core.errors import UnknownNameError
from harness.store.result import Result
from harness.workloads.workload import Workload

WORKLOADS = {
    "knn": "harness.workloads.knn:Knn",
    "range": "harness.workloads.range:Range",
}


@cache
def find_workload(name: str) -> Workload:
    """Return the workload called `name`; an unknown name suggests the nearest."""
    if name not in WORKLOADS:
        raise UnknownNameError("workload", name, WORKLOADS)
    module, _, attribute = WORKLOADS[name].partition(":")
    workload: Workload = getattr(import_module(module), attribute)()
    return workload


def workload_of(result: Result) -> Workload:
    """Return the workload that a result is of."""
    return find_workload(result.document.workload)
