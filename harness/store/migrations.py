"""Documents of earlier versions in the newest form: pure functions, tested on files that were written then."""

from __future__ import annotations

from collections.abc import Callable, Mapping
from typing import Any

from harness.store.spec import FIRST_WORKLOAD

_ARRAYS_OF_1 = ("distances", "kth_distance", "kth_distance_file", "neighbors")


def upgrade(document: Mapping[str, Any], shape: Callable[[str], tuple[int, ...]]) -> dict[str, Any]:
    """Return a document of version 1 as one of version 2; `shape` gives that of an array in its file by name."""
    return {
        **document,
        "schema_version": 2,
        "workload": FIRST_WORKLOAD,
        "queries": shape("neighbors")[0],
        "arrays": list(_ARRAYS_OF_1),
    }
