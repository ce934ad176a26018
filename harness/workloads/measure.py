"""What a measure is: a figure with its name, unit, direction and formatter, and how it is computed.

A *measure* is a figure; a distance is a *metric* (`harness.data.metric`).
"""

from __future__ import annotations

import math
from collections.abc import Callable
from dataclasses import dataclass
from typing import Literal

from harness.store.result import Result
from harness.store.spec import Mode

_MISSING = "-"

BOTH: frozenset[Mode] = frozenset({"single", "batch"})
SINGLE: frozenset[Mode] = frozenset({"single"})


@dataclass(frozen=True)
class Measure:
    """A figure: what it is called, in what unit, which way is better, how it is written and how it is computed.

    `better` is None where neither direction is; `modes` are those in which the figure exists; `function` gives a float,
    nan where the result doesn't say.
    """

    name: str
    title: str
    unit: str
    better: Literal["higher", "lower"] | None
    formatter: Callable[[float], str]
    function: Callable[[Result], float]
    about: str
    modes: frozenset[Mode] = BOTH
    workload: str = ""
    """The only one that has the figure; empty for figures of all."""

    def __call__(self, result: Result) -> float:
        """Compute the figure; nan where it is not defined for the result."""
        if result.spec.get("mode", "single") not in self.modes or self.workload not in ("", result.document.workload):
            return math.nan
        return float(self.function(result))

    def format(self, value: float) -> str:
        """Write a value without its unit; `-` where there is none."""
        return _MISSING if math.isnan(value) else self.formatter(value)

    @property
    def heading(self) -> str:
        """Return the title with its unit, for an axis or a column."""
        return f"{self.title} ({self.unit})" if self.unit else self.title


# --- how figures are written -------------------------------------------------------------------------------------


def format_share(value: float) -> str:
    """Write a share in 0..1 with four decimals, so that .9994 and 1 stay apart."""
    return f"{value:.4f}"


def format_count(value: float) -> str:
    """Write a number with three significant digits or more, in groups of three: `0.0123`, `12.3`, `12,345`."""
    if not math.isfinite(value):
        return "inf" if value > 0 else "-inf"
    if value == 0:
        return "0"
    if abs(value) >= 99.95:
        return f"{value:,.0f}"
    return f"{value:.3g}"


def format_seconds(value: float) -> str:
    """Write seconds with the precision that a reader needs: `0.0042`, `1.23`, `123`."""
    return format_count(value)


def format_bytes(value: float) -> str:
    """Write bytes in binary units: `183 MiB`."""
    size, units = float(value), ("B", "KiB", "MiB", "GiB", "TiB")
    for unit in units:
        if abs(size) < 1023.5 or unit == units[-1]:
            return (
                f"{size:.0f} {unit}"
                if unit == "B"
                else f"{size:.3g} {unit}"
                if abs(size) < 99.95
                else f"{size:.0f} {unit}"
            )
        size /= 1024
    raise AssertionError  # the last unit always returns
