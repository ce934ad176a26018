"""What all pictures share: the page with its title and footer, scales, tick labels, and saving."""

from __future__ import annotations

import math
from collections.abc import Iterable, Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import TYPE_CHECKING, Any

import numpy as np

from harness.analyse.table import MEASURED, GroupKey
from harness.core.atomic import replacing
from harness.core.errors import AnnbenchError
from harness.report.style import SOFT, plain
from harness.workloads.measure import Measure

if TYPE_CHECKING:
    import pandas as pd

FORMATS = ("png", "svg", "pdf")
_DPI = 160
WIDTH, HEIGHT = 9.0, 5.9  # inches: 900 px wide in a README

_LEAST_RANGE = 4.0
_LEAST_TICKS = 3

# Recall 1 stands where 1 - 1e-4 would be told apart from it: a thousand queries with k = 10 resolve no more.
_NEAREST_TO_ONE = 1e-4
_HIGHEST_START = 0.99  # an axis on which all recalls are 1 still shows how far off .99 would be
_LOGIT_TICKS = (0.0, 0.5, 0.8, 0.9, 0.95, 0.99, 0.999, 1.0)


@dataclass(frozen=True)
class Page:
    """What the title and the footer of a group's pictures say."""

    dataset: str
    recall: str
    setting: str
    footer: tuple[str, str]


def page(key: GroupKey, rows: pd.DataFrame) -> Page:
    """Describe one group: dataset, n x dim, k, mode, machine and date."""
    measured = rows[rows["status"] == MEASURED]
    rows_searched = int(measured["train_rows"].max()) if len(measured) else 0
    dimension = int(measured["dimension"].max()) if len(measured) else 0
    queries = int(measured["queries"].max()) if len(measured) else 0
    threads = f"{key.threads} thread{'s' if key.threads != 1 else ''}"
    setting = f"all queries in one call, {threads}" if key.mode == "batch" else "one query at a time, 1 thread"
    shape = f"{rows_searched:,} \N{MULTIPLICATION SIGN} {dimension:,}" if rows_searched and dimension else ""
    what = [key.dataset, shape, key.asks, setting, f"{queries:,} queries" if queries else ""]
    dates = sorted(date[:10] for date in measured["created"] if date)
    when = "" if not dates else dates[0] if dates[0] == dates[-1] else f"{dates[0]} to {dates[-1]}"
    where = [machine_title(key, rows), when]
    return Page(
        dataset=plain(key.dataset, 60),
        recall=key.recall,
        setting=setting,
        footer=(_joined(what), _joined(where)),
    )


def machine_title(key: GroupKey, rows: pd.DataFrame) -> str:
    """Name the machine of a group for people."""
    names = [name for name in rows["machine_name"] if name]
    return plain(names[0] if names else key.machine or "unknown machine", 60)


def _joined(parts: Sequence[str]) -> str:
    return " · ".join(plain(part, 60) for part in parts if part)


def new_figure(title: str, subtitle: str, footer: Sequence[str], *, height: float = HEIGHT) -> Any:
    """Make a figure with its texts; axes are the caller's. Margins are in inches, so that heights may differ."""
    from matplotlib.figure import Figure

    figure = Figure(figsize=(WIDTH, height))
    figure.text(0.1 / WIDTH, 1 - 0.12 / height, plain(title, 90), fontsize=13, fontweight="bold", va="top")
    figure.text(0.1 / WIDTH, 1 - 0.40 / height, plain(subtitle, 130), fontsize=9.5, color=SOFT, va="top")
    for line, text in enumerate(reversed(footer)):
        figure.text(0.1 / WIDTH, (0.1 + 0.17 * line) / height, plain(text, 170), fontsize=7.5, color=SOFT, va="bottom")
    return figure


def add_axes(figure: Any, *, left: float = 0.85, right: float = 1.95, bottom: float = 1.12, top: float = 0.75) -> Any:
    """Add the axes with margins in inches; the right one holds the labels."""
    height = figure.get_figheight()
    return figure.add_axes((left / WIDTH, bottom / height, 1 - (left + right) / WIDTH, 1 - (bottom + top) / height))


def recall_scale(axes: Any, lowest: float, *, logit: bool) -> None:
    """Set the x axis for recall from just below `lowest`, .99 at most, up to 1: linear, or stretched towards 1.

    The stretched scale is `-log10(1 - recall + 1e-4)`, so that each nine is a step of its own and 1 has a place.
    """
    lowest = min(max(lowest, 0.0), _HIGHEST_START)
    if logit:
        axes.set_xscale("function", functions=(_to_nines, _from_nines))
        left = _to_nines(np.array([lowest]))[0]
        span = _to_nines(np.array([1.0]))[0] - left
        margin = max(0.04 * span, 0.02)
        axes.set_xlim(float(_from_nines(np.array([left - margin]))[0]), 1.0 + 0.25 * _NEAREST_TO_ONE)
        first = float(axes.get_xlim()[0])
        ticks = [tick for tick in _LOGIT_TICKS if tick >= first]
        axes.set_xticks(ticks, [f"{tick:g}" for tick in ticks])
        axes.set_xticks([], minor=True)
        return
    margin = 0.02 * (1 - lowest)
    axes.set_xlim(lowest - margin, 1 + margin)
    axes.set_xticks([tick for tick in axes.get_xticks() if lowest - margin <= tick <= 1 + 1e-9])  # no recall is above 1


def _to_nines(recall: Any) -> Any:
    # Clipped from below: limits and pixels beyond 1 are asked for when a picture is drawn.
    return -np.log10(np.maximum(1.0 - np.asarray(recall, float) + _NEAREST_TO_ONE, 1e-12))


def _from_nines(position: Any) -> Any:
    return 1.0 + _NEAREST_TO_ONE - 10.0 ** -np.asarray(position, float)


def log_scale(axis: Any, low: float, high: float, write: Any) -> None:
    """Set a logarithmic axis from `low` to `high` with ticks at 1, 2 and 5 where there is room.

    Where few of these lie in it each digit has one; `write` writes them.
    """
    from matplotlib.ticker import FixedLocator, NullFormatter, NullLocator

    set_scale = axis.axes.set_yscale if axis.axis_name == "y" else axis.axes.set_xscale
    set_limits = axis.axes.set_ylim if axis.axis_name == "y" else axis.axes.set_xlim
    set_scale("log")
    set_limits(low, high)
    decades = math.log10(high / low)
    ticks = _log_ticks(low, high, (1, 2, 5) if decades < 2.6 else (1, 3) if decades < 4 else (1,))
    if len(ticks) < _LEAST_TICKS:
        ticks = _log_ticks(low, high, range(1, 10))
    axis.set_major_locator(FixedLocator(ticks))
    axis.set_major_formatter(lambda value, _: write(value))
    axis.set_minor_locator(NullLocator())
    axis.set_minor_formatter(NullFormatter())


def _log_ticks(low: float, high: float, steps: Iterable[float]) -> list[float]:
    first, last = math.floor(math.log10(low)), math.ceil(math.log10(high))
    ticks = [step * 10.0**power for power in range(first, last + 1) for step in steps]
    return [tick for tick in ticks if low <= tick <= high]


def cost_scale(axis: Any, values: Sequence[float], what: Measure) -> None:
    """Set a logarithmic axis for a cost and name it; bytes get ticks at powers of two."""
    low, high = padded(values, 1.5)
    log_scale(axis, low, high, what.format)
    axis.set_label_text(f"{what.title} (log)" if what.unit == "bytes" else f"{what.title} in {what.unit} (log)")
    if what.unit != "bytes":
        return
    step = max(1, round(math.log2(high / low) / 7))
    powers = range(math.ceil(math.log2(low)), math.floor(math.log2(high)) + 1)
    ticks = [2.0**power for power in powers if power % step == 0]
    if len(ticks) > 1:
        axis.set_ticks(ticks)


def short_count(value: float) -> str:
    """Write a number for a tick: `500`, `2k`, `10M`."""
    for size, unit in ((1e9, "G"), (1e6, "M"), (1e3, "k")):
        if value >= size * 0.9995:
            return f"{value / size:.3g}{unit}"
    return f"{value:.3g}"


def padded(values: Sequence[float], factor: float = 1.25) -> tuple[float, float]:
    """Return the range of positive values, widened by a factor on both sides and to fourfold at least."""
    usable = [value for value in values if math.isfinite(value) and value > 0]
    if not usable:
        return 0.1, 10.0
    low, high = min(usable) / factor, max(usable) * factor
    short = math.sqrt(max(1.0, _LEAST_RANGE / (high / low)))  # less holds no two ticks
    return low / short, high * short


def save(figure: Any, folder: Path, stem: str, formats: Sequence[str]) -> list[Path]:
    """Write the picture whole in each format; the same picture gives the same bytes."""
    paths = []
    for kind in formats:
        if kind not in FORMATS:
            raise AnnbenchError(f"pictures can't be written as {kind!r}; choose from {', '.join(FORMATS)}")
        path = folder / f"{stem}.{kind}"
        metadata: dict[str, Any] = {"png": {"Software": None}, "svg": {"Date": None}, "pdf": {"CreationDate": None}}[
            kind
        ]
        with replacing(path) as temporary:
            figure.savefig(temporary, format=kind, dpi=_DPI, metadata=metadata)
        paths.append(path)
    return paths
