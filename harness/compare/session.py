"""A whole comparison: read the sides, choose their settings, measure what is missing, and judge."""

from __future__ import annotations

from harness.compare.apart import compare_apart, measure_baseline
from harness.compare.request import Report, Request
from harness.compare.sides import LiveSide
from harness.compare.turns import compare_in_turns
from harness.measure.duel import Told


def compare(request: Request, told: Told) -> Report:
    """Compare two sides; what was measured of the same comparison before is not measured again.

    Two algorithms are measured in turns. Where a side is results that are there, the other one is measured by itself,
    or read as well, and the verdict is that of sides that never met. Raises ConfigError where the sides can't be
    compared: other data, other queries, or another machine that was not allowed.
    """
    if len(request.sides) == 1:
        return measure_baseline(request, told)
    first, second = request.sides
    if isinstance(first, LiveSide) and isinstance(second, LiveSide):
        return compare_in_turns(request, (first, second), told)
    return compare_apart(request, told)
