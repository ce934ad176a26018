"""What a job says about the plug-in to check, as the rules of conformance want it."""

from __future__ import annotations

from collections.abc import Mapping
from typing import Any

from harness.data.metric import Metric
from harness.engines.conformance import Subject
from harness.measure.job import Job
from harness.plan.grid import expand

Params = Mapping[str, Any]


def subject_of(job: Job) -> Subject:
    """Load the plug-in of a job; its parameters follow the size of each small set. Raises PluginError."""
    entry, metric = job.entry(), Metric(job.build.metric)

    def resolve(variables: Mapping[str, int]) -> tuple[Params, list[Params]]:
        build = expand(dict(job.build.params), variables)[0]
        searches = [expand(dict(search.params), variables)[0] for search in job.build.searches]
        return dict(build), [dict(search) for search in searches]

    def builds(variables: Mapping[str, int]) -> list[Params]:
        grids = [grid for grids in entry.config.groups.values() for grid in grids]
        fitting = [grid for grid in grids if grid.metrics is None or metric in grid.metrics]
        for grid in fitting:
            expand(grid.search, variables)  # raises where an expression can't be computed
        return [dict(params) for grid in fitting for params in expand(grid.build, variables)]

    return Subject(
        name=entry.name,
        make=entry.load(),
        metric=metric,
        claimed=entry.config.metrics,
        ordered=entry.config.ordered,
        is_floor=entry.config.purpose == "floor",
        resolve=resolve,
        builds=builds,
        edges=entry.config.edges,
    )
