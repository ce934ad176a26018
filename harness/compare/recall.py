"""By how much recall fell from one side to the other, at the same settings: what a gate for recall looks at."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from typing import NamedTuple


class Recalls(NamedTuple):
    """The recall of a side's settings, by their parameters: of those that were compared, and of all that were tried."""

    compared: Mapping[str, float]
    tried: Mapping[str, float]


def recall_drop(a: Recalls, b: Recalls, targets: Sequence[float]) -> float:
    """Return by how much recall falls from A to B, at worst among the settings that either was compared with.

    A side that lost recall is compared with other settings than before, so that the two may share none: then what the
    quick pass over their grids found decides. Where that has no setting of both either, two settings are compared as
    they are, and sides that are compared at recalls by how far B stays below those that A reaches.
    """
    drops = []
    for key in {**a.compared, **b.compared}:
        if key in a.compared and key in b.compared:
            drops.append(a.compared[key] - b.compared[key])
        elif key in a.tried and key in b.tried:
            drops.append(a.tried[key] - b.tried[key])
    if drops:
        return max(drops)
    if not targets or len(a.compared) == len(b.compared) == 1:
        return max(a.compared.values()) - max(b.compared.values())
    return max(
        (target - max(b.compared.values()) for target in targets if target <= max(a.compared.values())), default=0.0
    )
