"""Put what several children gave of one setting into one result."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import replace

import numpy as np

from harness.store.result import Result


def join(results: Sequence[Result]) -> Result:
    """Join results of the same setting: passes and children numbered through, answers those of the first."""
    first = results[0]
    passes = np.cumsum([0, *(result.passes for result in results[:-1])])
    children = np.cumsum([0, *(len(result.document.processes) for result in results[:-1])])
    document = first.document.model_copy(
        update={
            "processes": [process for result in results for process in result.document.processes],
            "passes": [
                {**record, "pass": record["pass"] + int(by_passes), "process": record["process"] + int(by_children)}
                for result, by_passes, by_children in zip(results, passes, children, strict=True)
                for record in result.document.passes
            ],
        }
    )
    return replace(
        first,
        document=document,
        latencies_ns=np.concatenate([result.latencies_ns for result in results]),
        repetition_pass=np.concatenate(
            [result.repetition_pass + shift for result, shift in zip(results, passes, strict=True)]
        ),
        pass_disturbed=np.concatenate([result.pass_disturbed for result in results]),
        pass_process=np.concatenate(
            [result.pass_process + shift for result, shift in zip(results, children, strict=True)]
        ),
        path=None,
    )
