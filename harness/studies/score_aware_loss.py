"""Does a loss that knows what scores are for find more at equal bits, and what do second leaves buy?

Guo et al. (2020): an error of a code along a vector changes the large inner products more than one across it, so codes
should avoid it more, by a weight that follows from the least inner product that matters, the threshold. Sun et al.
(2023, SOAR): a second leaf for each vector serves where the first one fails, if its residual points elsewhere; twice as
many vectors are scanned a leaf, so that fewer leaves must do.
"""

from __future__ import annotations

import itertools
import math
from collections.abc import Sequence
from typing import TYPE_CHECKING, Any, ClassVar, Self

import numpy as np
from numpy.typing import NDArray
from pydantic import Field

from harness.analyse.statistics import DEFAULT_LEVEL, mean_range
from harness.engines.contract import as_neighbors
from harness.studies.lab import Lab, Sample, ask, query_recall, short_name, true_neighbours
from harness.studies.picture import Axis, Line, Panel, Picture
from harness.studies.study import Explanation, Needs, Row, Shown, Step, Study
from harness.studies.study import Settings as StudySettings

if TYPE_CHECKING:
    import pandas as pd

LOSS, SPILL = "loss", "spill"
STAND_IN = "synthetic-clusters-20000-64-angular"
MEASURES = {"1@1": (1, 1), "1@10": (1, 10), "10@100": (10, 100)}
"""By name: how many of the true neighbours are looked for, among how many found."""
_TOLD, _PLOTTED = "1@1", ("1@1", "10@100")
_NEIGHBOURS = 10  # that leaves are to meet
_ENOUGH = 0.9  # the share of them whose price is told
_LOOKS = ("first", "second", "third", "fourth")


class Settings(StudySettings):
    """What is coded, and how. A threshold is measured beside the plain loss; the first one is told of.

    Codes have 4 bits for each of `dims_per_block` dimensions, flat (one leaf) or in `n_leaves` leaves of which
    `leaves_searched` are. Spilling is measured in `n_leaves` with each number of `probes`.
    """

    algorithm: str = "anisotropic_vq"
    datasets: tuple[str, ...] = ("glove6b-100-341k-angular",)
    rows: int = Field(default=100_000, ge=1)
    queries: int = Field(default=2000, ge=1)
    thresholds: tuple[float, ...] = Field(default=(0.2, 0.1, 0.3, 0.4), min_length=1)
    dims_per_block: tuple[int, ...] = Field(default=(2, 4), min_length=1)
    n_leaves: int = Field(default=600, ge=2)
    leaves_searched: int = Field(default=60, ge=1)
    probes: tuple[int, ...] = Field(default=(2, 4, 8, 16, 32, 64, 128), min_length=2)
    soar_lambda: float = Field(default=1.0, ge=0)
    seed: int = 0

    @classmethod
    def quick(cls) -> Self:
        """Return settings whose study takes seconds."""
        return cls(rows=5000, queries=200, thresholds=(0.2,), n_leaves=70, leaves_searched=10, probes=(2, 4, 8, 16))


class ScoreAwareLoss(Study[Settings]):
    """Recall by codes under the score-aware loss and the plain one, and of leaves with and without second ones."""

    name: ClassVar[str] = "score-aware-loss"
    about: ClassVar[str] = "recall of score-aware codes against plain ones at equal bits, and what SOAR's spilling buys"
    settings = Settings

    def needs(self, settings: Settings) -> Needs:
        """Name the index, the datasets, and made-up data for where there is none."""
        return Needs((settings.algorithm,), (*settings.datasets, STAND_IN))

    def steps(self, settings: Settings, lab: Lab) -> Sequence[Step]:
        """Return a step for each comparison: sides that are compared are measured together."""
        if settings.algorithm not in lab.entries:
            return []
        real = [name for name in lab.datasets if name != STAND_IN] or list(lab.datasets)
        supported = lab.entries[settings.algorithm].config.metrics
        steps: list[Step] = []
        for name in [name for name in real if lab.metric(name) in supported]:
            steps += [
                {"dataset": name, "part": LOSS, "block": block, "leaves": leaves}
                for leaves in (1, settings.n_leaves)
                for block in settings.dims_per_block
            ]
            steps.append({"dataset": name, "part": SPILL, "leaves": settings.n_leaves})
        return steps

    def measure(self, step: Step, settings: Settings, lab: Lab) -> list[Row]:
        """Build and search all sides of one comparison."""
        sample = lab.sample(str(step["dataset"]), rows=settings.rows, queries=settings.queries)
        if step["part"] == LOSS:
            return _loss_rows(int(step["block"]), int(step["leaves"]), settings, lab, sample)
        return _spill_rows(int(step["leaves"]), settings, lab, sample)

    def explain(self, table: pd.DataFrame, settings: Settings) -> Explanation:
        """Say by how much the losses differ, query by query, and what second leaves change at equal cost."""
        losses, spills = table[table["part"] == LOSS], table[table["part"] == SPILL]
        sentences: list[str] = []
        tables = []
        for name in dict.fromkeys(table["dataset"]):
            mine, spilled = losses[losses["dataset"] == name], spills[spills["dataset"] == name]
            sentences += _told_losses(name, mine, settings) + _told_spilling(name, spilled)
            tables += [_loss_table(name, mine), _spill_table(name, spilled)]
        finding = _finding(losses, settings)
        return Explanation(finding, tuple(sentences), tuple(tables), _picture(finding, losses, spills, settings))


# --- measurement -----------------------------------------------------------------------------------------------------


def _loss_rows(block: int, leaves: int, settings: Settings, lab: Lab, sample: Sample) -> list[Row]:
    """Return a row for the plain loss and one for each threshold, with differences query by query."""
    _, distances = true_neighbours(sample, max(near for near, _ in MEASURES.values()))
    plain: dict[str, NDArray[np.float64]] = {}
    rows = []
    for threshold in (None, *settings.thresholds):
        index = lab.build(
            settings.algorithm,
            sample.metric,
            sample.train,
            warm=False,
            n_leaves=leaves,
            dims_per_block=block,
            threshold=threshold,
            **_build(settings),
        )
        search = index.searcher(n_leaves_to_search=min(settings.leaves_searched, leaves), n_reorder=0)
        row: Row = {"threshold": threshold, "bits": 4 * -(-sample.train.shape[1] // block), "n": len(sample.train)}
        for name, (near, among) in MEASURES.items():
            shares = _shares(sample, search, among, distances[:, :near])
            row |= _with_range(name, shares)
            row |= _with_range(f"gain {name}", shares - plain.setdefault(name, shares))
        rows.append(row)
    return rows


def _spill_rows(leaves: int, settings: Settings, lab: Lab, sample: Sample) -> list[Row]:
    """Return a row for each number of leaves searched, without second leaves and with them, all scanned ranked again.

    What is found of the neighbours then is what the leaves hold. The gain of second leaves is over what one leaf a
    vector would meet for as many vectors scanned, between two numbers of leaves in proportion to the logarithm.
    """
    _, distances = true_neighbours(sample, _NEIGHBOURS)
    sides: dict[bool, list[tuple[float, NDArray[np.float64]]]] = {}
    for spill in (False, True):
        shape = {"n_leaves": leaves, "spill": spill, "soar_lambda": settings.soar_lambda}
        index = lab.build(
            settings.algorithm, sample.metric, sample.train, warm=False, threshold=None, **shape, **_build(settings)
        )
        sides[spill] = []
        for probes in settings.probes:
            search = index.searcher(n_leaves_to_search=min(probes, leaves), n_reorder=2 * len(sample.train))
            shares = _shares(sample, search, _NEIGHBOURS, distances)
            sides[spill].append((index.counters()["scanned"] / len(sample.queries), shares))
    rows: list[Row] = []
    for spill, measured in sides.items():
        for probes, (scanned, shares) in zip(settings.probes, measured, strict=True):
            row: Row = {"spill": spill, "probes": probes, "scanned": scanned, "n": len(sample.train)}
            row |= _with_range("met", shares)
            other = at_cost(sides[False], scanned) if spill else None
            row |= _with_range("gain met", None if other is None else shares - other)
            rows.append(row)
    return rows


def at_cost(measured: Sequence[tuple[float, NDArray[np.float64]]], cost: float) -> NDArray[np.float64] | None:
    """Return the shares (q,) at `cost`, between those `measured` at the nearest lower and higher cost; None beyond."""
    ordered = sorted(measured, key=lambda pair: pair[0])
    for (low, before), (high, after) in itertools.pairwise(ordered):
        if 0 < low <= cost <= high:
            part = math.log(cost / low) / math.log(high / low) if high > low else 0.0
            between: NDArray[np.float64] = (1.0 - part) * before + part * after
            return between
    return None


def _build(settings: Settings) -> dict[str, Any]:
    return {"storage": "float32", "n_components": None, "seed": settings.seed}


def _shares(sample: Sample, search: Any, k: int, distances: NDArray[np.float64]) -> NDArray[np.float64]:
    """Return the share of each query's true neighbours, as far as `distances` (q, near) go, among k found."""
    answers = [as_neighbors(answer, 1, k, len(sample.train)) for answer in ask(search, sample.queries, k)]
    return query_recall(sample, np.concatenate(answers), distances)


def _with_range(name: str, values: NDArray[np.float64] | None) -> Row:
    if values is None:
        return {name: None, f"{name} low": None, f"{name} high": None}
    low, high = mean_range(values)
    return {name: float(values.mean()), f"{name} low": low, f"{name} high": high}


# --- explanation -----------------------------------------------------------------------------------------------------


def _finding(losses: pd.DataFrame, settings: Settings) -> str:
    """Tell of the first case: flat, the first block, the first threshold."""
    chosen = losses[losses["threshold"] == settings.thresholds[0]]
    if not len(chosen):
        return "What second leaves buy"
    row = chosen.iloc[0]
    bits, name = f"{row['bits']:.0f} bits", short_name(row["dataset"])
    if not _sure(row, f"gain {_TOLD}"):
        return f"At {bits} a vector, the score-aware loss makes no sure difference on {name}"
    raises = "raises" if row[f"gain {_TOLD}"] > 0 else "lowers"
    before = row[_TOLD] - row[f"gain {_TOLD}"]
    return f"The score-aware loss {raises} {name}'s recall {_TOLD} at {bits} from {before:.3f} to {row[_TOLD]:.3f}"


def _sure(row: Any, name: str) -> bool:
    return bool(row[f"{name} low"] > 0 or row[f"{name} high"] < 0)


def _cases(mine: pd.DataFrame) -> list[pd.DataFrame]:
    """Return the rows of each comparison of losses."""
    return [rows for _, rows in mine.groupby(["leaves", "block"], sort=False)]


def _told_losses(name: str, mine: pd.DataFrame, settings: Settings) -> list[str]:
    told = []
    for rows in _cases(mine):
        leaves, block = int(rows["leaves"].iloc[0]), int(rows["block"].iloc[0])
        plain = rows[rows["threshold"].isna()].iloc[0]
        aware = rows[rows["threshold"] == settings.thresholds[0]].iloc[0]
        measured = ", ".join(
            f"{aware[m]:.3f} against {plain[m]:.3f} ({_ranged(aware, f'gain {m}', '+.3f')})" for m in MEASURES
        )
        where = "flat" if leaves == 1 else f"in {leaves} leaves"
        told.append(
            f"On {name}, {where}, with codes of 4 bits for {block} dimensions ({int(plain['bits'])} bits), the "
            f"loss with threshold {settings.thresholds[0]:g} has, beside the plain one, recalls {', '.join(MEASURES)} "
            f"of {measured}."
        )
        best = rows.sort_values(_TOLD).iloc[-1]
        if len(rows) > 2:
            words = "the plain loss" if math.isnan(best["threshold"]) else f"a threshold of {best['threshold']:g}"
            told.append(f"Of all measured, {words} has the best {_TOLD}, {best[_TOLD]:.3f}.")
    return told


def _told_spilling(name: str, mine: pd.DataFrame) -> list[str]:
    told = []
    compared = mine[mine["gain met"].notna()] if len(mine) else mine
    if len(compared):
        least, most = (compared.loc[getattr(compared["gain met"], end)()] for end in ("idxmin", "idxmax"))
        sure = sum(row["gain met low"] > 0 for row in compared.to_dict("records"))
        told.append(
            f"On {name}, for as many vectors scanned, leaves with second leaves by SOAR meet between "
            f"{_ranged(least, 'gain met', '+.3f')} and {_ranged(most, 'gain met', '+.3f')} more of the "
            f"{_NEIGHBOURS} nearest than leaves without, at {least['scanned']:,.0f} and {most['scanned']:,.0f} "
            f"vectors; the gain is sure at {sure} of {len(compared)} numbers of leaves."
        )
    prices = [price(mine[mine["spill"] == spill]) for spill in (False, True)] if len(mine) else [math.nan]
    if not any(math.isnan(value) for value in prices):
        told.append(
            f"To meet {_ENOUGH:.0%} of them takes {prices[0]:,.0f} vectors without second leaves and "
            f"{prices[1]:,.0f} with them."
        )
    return told


def price(side: pd.DataFrame) -> float:
    """Return the vectors scanned at which a side meets enough, between measured points; nan beyond them."""
    line = side.sort_values("scanned")
    met, scanned = line["met"].to_numpy(), np.log(line["scanned"].to_numpy())
    if not len(met) or not met[0] <= _ENOUGH <= met[-1]:
        return math.nan
    return float(np.exp(np.interp(_ENOUGH, met, scanned)))


def _ranged(row: Any, name: str, form: str = ".3f") -> str:
    return f"{row[name]:{form}}, {row[f'{name} low']:{form}} to {row[f'{name} high']:{form}}"


def _loss_table(name: str, mine: pd.DataFrame) -> Shown:
    lines = []
    for row in mine.to_dict("records"):
        plain = math.isnan(row["threshold"])
        cells = [f"{row['block']:.0f}", f"{row['bits']:.0f}", "plain" if plain else f"{row['threshold']:g}"]
        for m in MEASURES:
            cells += [_cell(row, m, ".3f"), "" if plain else _cell(row, f"gain {m}", "+.3f")]
        lines.append(("flat" if row["leaves"] == 1 else f"{row['leaves']:.0f}", *cells))
    header = ["leaves", "dimensions a code", "bits", "threshold"]
    for m in MEASURES:
        header += [m, "over plain"]
    return Shown(f"{name}: recall by codes alone, with {DEFAULT_LEVEL:.0%} intervals", tuple(header), tuple(lines))


def _spill_table(name: str, mine: pd.DataFrame) -> Shown:
    lines = [
        (
            "yes" if row["spill"] else "no",
            f"{row['probes']:.0f}",
            f"{row['scanned']:,.0f}",
            _cell(row, "met", ".3f"),
            "" if math.isnan(row["gain met"]) else _cell(row, "gain met", "+.3f"),
        )
        for row in mine.to_dict("records")
    ]
    header = ("second leaves", "leaves searched", "vectors scanned", f"of the {_NEIGHBOURS} nearest met", "gain")
    return Shown(f"{name}: what leaves meet; the gain is at equal vectors scanned", header, tuple(lines))


def _cell(row: Any, name: str, form: str) -> str:
    return f"{row[name]:{form}} ({row[f'{name} low']:{form}} to {row[f'{name} high']:{form}})"


def _picture(finding: str, losses: pd.DataFrame, spills: pd.DataFrame, settings: Settings) -> Picture:
    panels = []
    for name in list(dict.fromkeys(losses["dataset"]))[:1]:
        panels += [_gain_panel(losses[losses["dataset"] == name], m) for m in _PLOTTED]
    for name in list(dict.fromkeys(spills["dataset"]))[:1]:
        mine = spills[spills["dataset"] == name]
        panels += [_met_panel(mine), _spill_gain_panel(mine)]
    return Picture(
        finding,
        "Anisotropic vector quantisation (Guo et al. 2020) against its plain loss, and SOAR (Sun et al. 2023)",
        panels,
        (
            f"bars: {DEFAULT_LEVEL:.0%} intervals over queries",
            f"flat, or {min(settings.leaves_searched, settings.n_leaves)} of {settings.n_leaves} leaves searched",
        ),
    )


def _gain_panel(mine: pd.DataFrame, measure: str) -> Panel:
    name = f"gain {measure}"
    lines = []
    for place, rows in enumerate(_cases(mine)):
        leaves, block = int(rows["leaves"].iloc[0]), int(rows["block"].iloc[0])
        line = rows[rows["threshold"].notna()].sort_values("threshold")
        label = f"{int(line['bits'].iloc[0])} bits, {'flat' if leaves == 1 else 'leaves'}"
        look = _LOOKS[list(dict.fromkeys(mine["block"])).index(block) % len(_LOOKS)]
        lines.append(
            Line(
                label if measure == _PLOTTED[-1] else "",
                # A little apart, so that no bar hides another.
                list(line["threshold"] + 0.004 * place),
                list(line[name]),
                look=look,
                low=list(line[f"{name} low"]),
                high=list(line[f"{name} high"]),
                dashed=leaves != 1,
            )
        )
    ticks = sorted(mine["threshold"].dropna().unique())
    return Panel(
        Axis("Threshold", ticks=ticks), Axis(f"Recall {measure} over that of the plain loss"), lines, (0.0, "plain")
    )


def _met_panel(mine: pd.DataFrame) -> Panel:
    lines = []
    for spill, look in ((False, "first"), (True, "second")):
        line = mine[mine["spill"] == spill].sort_values("scanned")
        lines.append(
            Line(
                "second leaves" if spill else "one leaf each",
                list(line["scanned"]),
                list(line["met"]),
                look=look,
                low=list(line["met low"]),
                high=list(line["met high"]),
            )
        )
    return Panel(Axis("Vectors scanned", log=True), Axis(f"Share of the {_NEIGHBOURS} nearest met"), lines)


def _spill_gain_panel(mine: pd.DataFrame) -> Panel:
    line = mine[mine["gain met"].notna()].sort_values("scanned")
    gain = Line(
        "second leaves",
        list(line["scanned"]),
        list(line["gain met"]),
        look="second",
        low=list(line["gain met low"]),
        high=list(line["gain met high"]),
    )
    level = (0.0, "one leaf each")
    return Panel(Axis("Vectors scanned", log=True), Axis("Gain of second leaves at equal cost"), [gain], level)
