"""A small dataset, and a run of the plug-ins in `tests/plugins` over it."""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any

import numpy as np

from harness.api import suite_for
from harness.data.dataset import write_dataset
from harness.data.metric import Metric, neighbour_distances
from harness.engines.registry import load_registry
from harness.measure.session import Options, Summary, execute, plan_run
from harness.store.results import ResultStore

PLUGINS = Path(__file__).parents[1] / "plugins"
NAME = "small-8-euclidean"


@dataclass
class Bench:
    """A folder with one dataset, and a store of results."""

    folder: Path
    plugins: tuple[Path, ...] = (PLUGINS / "faulty",)
    events: list[tuple[str, Any]] = field(default_factory=list)
    """What the last run told."""

    @property
    def store(self) -> ResultStore:
        """Return the store that runs write to."""
        return ResultStore(self.folder / "results")

    def run(
        self,
        *algorithms: str,
        memory: int | None = None,
        force: bool = False,
        listener: Callable[[str, Any], None] | None = None,
        threads: int = 1,
        floor: bool = False,
        **changes: Any,
    ) -> Summary:
        """Measure algorithms on the small dataset, and the floor if asked: two passes in one round, unless told."""
        fields: dict[str, Any] = {
            "queries": 20,
            "passes": 2,
            "rounds": 1,
            "pass_seconds": 1.0,
            "least_pass_seconds": 0.02,
            "timeout": 20.0,
            **changes,
        }
        suite = suite_for("smoke", dataset=NAME, algorithm=algorithms, **fields)
        options = Options(
            self.folder / "datasets", self.folder / "results", memory=memory, force=force, threads=threads
        )
        registry = load_registry(self.plugins)
        self.events = []

        def listen(event: str, content: Any) -> None:
            self.events.append((event, content))
            if listener:
                listener(event, content)

        plans = plan_run(suite, registry, options)
        for _, plan in plans:
            plan.builds = [build for build in plan.builds if floor or build.algorithm in algorithms]
        return execute(suite, registry, plans, options, listen)

    def settings(self, algorithm: str) -> list[int]:
        """Return the settings of an algorithm that have a result."""
        found = [r.spec["search"]["setting"] for r in self.store.results() if r.spec["algorithm"] == algorithm]
        return sorted(found)

    def reasons(self, algorithm: str) -> dict[int | None, str]:
        """Return why settings of an algorithm failed; None stands for the build."""
        return {
            (f.spec["search"] or {}).get("setting"): f.reason
            for f in self.store.failures()
            if f.spec["algorithm"] == algorithm
        }


def write_small(folder: Path, n: int = 1000, q: int = 30, dim: int = 8) -> Path:
    """Write the small dataset: `n` clustered vectors with 20 true neighbours a query."""
    rng = np.random.default_rng(0)
    rows = (rng.integers(0, 5, (n + q, 1)) + rng.standard_normal((n + q, dim))).astype(np.float32)
    train, test = rows[:n], rows[n:]
    every = np.tile(np.arange(n), (q, 1))
    distances = neighbour_distances(Metric.EUCLIDEAN, test, train, every)
    neighbors = np.argsort(distances, axis=1, kind="stable")[:, :20]
    path = folder / "datasets" / f"{NAME}.hdf5"
    write_dataset(
        path,
        metric=Metric.EUCLIDEAN,
        train=train,
        test=test,
        neighbors=neighbors,
        distances=np.take_along_axis(distances, neighbors, axis=1),
        dimension=dim,
        source="tests",
    )
    return path
