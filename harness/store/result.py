"""What was measured of one search setting: the times of its passes, and what its workload records."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import numpy as np
from numpy.typing import NDArray

from harness.store.document import Document
from harness.store.spec import label


def allowance(passes: int) -> int:
    """Bound the passes that are run to get `passes` undisturbed ones: a quarter more, at least two."""
    return passes + max(2, passes // 4)


@dataclass(frozen=True, eq=False)
class Result:
    """All that was measured of one search setting.

    `latencies_ns` (repetitions, q) int64 in single mode, (repetitions, 1) in batch mode, where one call answers all;
    `repetition_pass` (repetitions,) says to which pass a row belongs; `pass_disturbed` and `pass_process` (passes,);
    `arrays` are those that the workload records, by name: for k nearest neighbours what each query found, and how far.
    """

    document: Document
    latencies_ns: NDArray[np.int64]
    repetition_pass: NDArray[np.int32]
    pass_disturbed: NDArray[np.bool_]
    pass_process: NDArray[np.int32]
    arrays: Mapping[str, NDArray[Any]]
    path: Path | None = None

    @property
    def spec(self) -> dict[str, Any]:
        """Return what `BuildSpec.identity` gave: dataset, metric, k, mode, algorithm, build, search, ..."""
        return self.document.spec

    @property
    def queries(self) -> int:
        """Count the queries that were measured, which may be fewer than were asked for."""
        return self.document.queries

    @property
    def passes(self) -> int:
        """Count the passes, disturbed ones included."""
        return len(self.pass_disturbed)

    @property
    def undisturbed(self) -> int:
        """Count the passes that nothing disturbed."""
        return int((~self.pass_disturbed).sum())

    def thorough(self, pass_seconds: float) -> bool:
        """Say whether all queries asked for were measured, or as many as a pass of `pass_seconds` allowed."""
        asked = int(self.spec.get("queries") or 0)
        return self.queries >= asked or float(self.document.environment.get("pass_seconds", 0.0)) >= pass_seconds

    def enough(self, passes: int) -> bool:
        """Say whether `passes` undisturbed passes are there, or as many tries as are allowed for that."""
        return self.undisturbed >= passes or self.passes >= allowance(passes)

    @property
    def name(self) -> str:
        """Name the setting for people: `hnswlib (M=16, ef=40)`."""
        params = {**self.spec["build"], **(self.spec["search"] or {})}
        return f"{self.spec['algorithm']} ({label(params)})" if params else str(self.spec["algorithm"])
