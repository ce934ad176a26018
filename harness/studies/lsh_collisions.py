"""Do hash functions collide as theory says, and what do more tables and more probes buy?

Charikar (2002): a random hyperplane gives the same bit to two vectors with probability 1 - angle / pi. Datar et al.
(2004): two points c apart fall into the same bucket, of width w along a Gaussian direction, with a probability that
depends on w / c alone. One key of k functions collides with p^k, one of L tables with 1 - (1 - p^k)^L: the curve that
makes near points candidates and far ones not. Probing neighbouring buckets (Lv et al. 2007) stands in for tables.
"""

from __future__ import annotations

import math
import zlib
from collections.abc import Sequence
from typing import TYPE_CHECKING, Any, ClassVar, Self

import numpy as np
from numpy.typing import NDArray
from pydantic import Field

from harness.data.metric import Metric, neighbour_distances, normalise
from harness.engines.contract import as_neighbors
from harness.studies.lab import Lab, Sample, ask, recall, short_name, true_neighbours
from harness.studies.picture import Axis, Line, Panel, Picture
from harness.studies.study import Explanation, Needs, Row, Shown, Step, Study
from harness.studies.study import Settings as StudySettings

if TYPE_CHECKING:
    import pandas as pd

HYPERPLANES, P_STABLE, SEARCH = "hyperplanes", "p-stable", "search"
LEVEL = 0.95
STAND_IN = "synthetic-clusters-20000-64-euclidean"
_MOSTLY = 0.85  # of some dozens of 95% intervals, more than that hold the truth but for ill luck
_PLOTTED_DATASETS = 2
_NAMED_AT = 0.3  # the chance at which a curve is named, where they lie well apart


class Settings(StudySettings):
    """What is drawn and built. `trials` pairs are hashed for each point of theory, in `dimension` dimensions.

    `angles` are in degrees, `distances` in bucket widths. An index has `n_bits` functions a key (by metric), and under
    euclidean buckets of `bucket_width` mean distances to the k-th neighbour. It opens `probes` buckets a table: the
    index is given their number over all tables as `n_probes`, and `search` beside it: the default there lets sketches
    leave no candidate out, as theory knows of none.
    """

    algorithm: str = "lsh"
    trials: int = Field(default=20_000, ge=10)
    dimension: int = Field(default=32, ge=2)
    angles: tuple[float, ...] = Field(default=(5, 15, 30, 45, 60, 75, 90, 120, 150, 175), min_length=1)
    distances: tuple[float, ...] = Field(default=(0.1, 0.2, 0.35, 0.5, 0.75, 1, 1.5, 2, 3, 5), min_length=1)
    hashes: tuple[int, ...] = Field(default=(1, 4, 16), min_length=1)
    datasets: tuple[str, ...] = ("fashion-mnist-784-euclidean", "glove6b-100-341k-angular")
    rows: int = Field(default=60_000, ge=1)
    queries: int = Field(default=2000, ge=1)
    k: int = Field(default=1, ge=1)
    n_bits: dict[str, int] = Field(default={"euclidean": 8, "angular": 12})
    bucket_width: float = Field(default=3.0, gt=0)
    n_tables: tuple[int, ...] = (1, 2, 4, 8, 16, 32)
    probes: tuple[int, ...] = Field(default=(1, 2, 4, 8, 16), min_length=1)
    search: dict[str, int] = Field(default={"n_candidates": 100_000})
    seed: int = 0

    @classmethod
    def quick(cls) -> Self:
        """Return settings whose study takes seconds."""
        return cls(trials=2000, rows=5000, queries=100, n_tables=(1, 4, 16), probes=(1, 4))


class LSHCollisions(Study[Settings]):
    """Collision probabilities, theory against measurement, and recall against tables and probes."""

    name: ClassVar[str] = "lsh-collisions"
    about: ClassVar[str] = "hash collisions, theory against measurement; recall against tables and probes"
    settings = Settings

    def needs(self, settings: Settings) -> Needs:
        """Name the index, the datasets, and made-up data for where there is none."""
        return Needs((settings.algorithm,), (*settings.datasets, STAND_IN))

    def steps(self, settings: Settings, lab: Lab) -> Sequence[Step]:
        """Return a step for each point of theory, and one for each index."""
        steps: list[Step] = []
        for family, column, points in (
            (HYPERPLANES, "angle", settings.angles),
            (P_STABLE, "ratio", settings.distances),
        ):
            steps += [{"part": family, column: float(x), "hashes": k} for k in settings.hashes for x in points]
        if settings.algorithm in lab.entries:
            real = [name for name in lab.datasets if name != STAND_IN] or [STAND_IN]
            supported = lab.entries[settings.algorithm].config.metrics
            steps += [
                {"part": SEARCH, "dataset": name, "n_tables": tables}
                for name in real
                if lab.metric(name) in supported and lab.metric(name) in settings.n_bits
                for tables in settings.n_tables
            ]
        return steps

    def measure(self, step: Step, settings: Settings, lab: Lab) -> list[Row]:
        """Hash pairs that are as far apart as the step says, or build an index and search it with each probe count."""
        if step["part"] == SEARCH:
            return _search_rows(step, settings, lab)
        rng = np.random.default_rng((settings.seed, zlib.crc32(repr(step).encode())))  # each point draws its own
        hashes = int(step["hashes"])
        if step["part"] == HYPERPLANES:
            angle = math.radians(float(step["angle"]))
            hits = collide_hyperplanes(rng, angle, hashes, settings.trials, settings.dimension)
            theory = hyperplane_probability(angle)
        else:
            hits = collide_p_stable(rng, float(step["ratio"]), hashes, settings.trials, settings.dimension)
            theory = p_stable_probability(float(step["ratio"]))
        low, high = binomial_interval(hits, settings.trials)
        measured = {"theory": theory**hashes, "measured": hits / settings.trials, "low": low, "high": high}
        return [{"trials": settings.trials, **measured}]

    def explain(self, table: pd.DataFrame, settings: Settings) -> Explanation:
        """Say how many measured probabilities theory meets, and what tables and probes buy."""
        hashed = table[table["part"] != SEARCH]
        inside = (hashed["low"] <= hashed["theory"]) & (hashed["theory"] <= hashed["high"])
        searched = table[table["part"] == SEARCH]
        agree = "as theory says" if inside.mean() >= _MOSTLY else "otherwise than theory says"
        finding = f"Hashes collide {agree}: {inside.sum()} of {len(inside)} probabilities lie in their interval"
        worst = float((hashed["measured"] - hashed["theory"]).abs().max())
        told = (
            f"Of {len(inside)} collision probabilities, each measured with {settings.trials:,} independent pairs and "
            f"functions, {inside.sum()} have a {LEVEL:.0%} interval that holds the theoretical value "
            f"({LEVEL * len(inside):.1f} are to be expected); the largest difference is {worst:.4f}."
        )
        sentences = [told]
        tables = [_hashed_table(hashed, family) for family in (HYPERPLANES, P_STABLE)]
        for name, mine in searched.groupby("dataset", sort=False) if len(searched) else []:
            sentences.append(_tables_or_probes(str(name), mine))
            tables.append(_searched_table(str(name), mine))
        return Explanation(finding, tuple(sentences), tuple(tables), _picture(finding, hashed, searched, settings))


# --- theory ----------------------------------------------------------------------------------------------------------


def hyperplane_probability(angle: float | NDArray[np.float64]) -> Any:
    """Return the chance that a random hyperplane leaves two vectors, `angle` radians apart, on one side."""
    return 1.0 - angle / math.pi


def p_stable_probability(ratio: float | NDArray[np.float64]) -> Any:
    """Return the chance that two points, `ratio` bucket widths apart, share a bucket (Datar et al. 2004, 3.2).

    With r = w / c: p = 1 - 2 Phi(-r) - 2 / (sqrt(2 pi) r) (1 - exp(-r^2 / 2)), which is 1 at a ratio of 0.
    """
    from scipy.special import ndtr

    r = 1.0 / np.maximum(ratio, 1e-12)
    return 1.0 - 2.0 * ndtr(-r) - 2.0 / (math.sqrt(2.0 * math.pi) * r) * -np.expm1(-0.5 * r * r)


def found_by_tables(probability: NDArray[np.float64], hashes: int, tables: int) -> NDArray[np.float64]:
    """Return 1 - (1 - p^k)^L: the chance to share at least one of L buckets whose keys have k functions."""
    missed: NDArray[np.float64] = (1.0 - probability**hashes) ** tables
    return 1.0 - missed


# --- measurement -----------------------------------------------------------------------------------------------------


def collide_hyperplanes(rng: np.random.Generator, angle: float, hashes: int, trials: int, dimension: int) -> int:
    """Count the trials in which all of `hashes` random hyperplanes leave a pair, `angle` radians apart, on one side.

    Each trial draws its own pair and its own hyperplanes, so that the count is binomial.
    """
    x, across = _orthonormal(rng, trials, dimension)
    y = math.cos(angle) * x + math.sin(angle) * across
    same = np.ones(trials, np.bool_)
    for _ in range(hashes):
        normal = rng.standard_normal((trials, dimension))
        same &= (_dots(normal, x) >= 0) == (_dots(normal, y) >= 0)
    return int(same.sum())


def collide_p_stable(rng: np.random.Generator, ratio: float, hashes: int, trials: int, dimension: int) -> int:
    """Count the trials in which a pair, `ratio` bucket widths apart, shares the bucket floor(a.x + b) of all `hashes`.

    Each trial draws its own pair, Gaussian directions a and offsets b in [0, 1); buckets are 1 wide.
    """
    x, away = _orthonormal(rng, trials, dimension)
    y = x + ratio * away
    same = np.ones(trials, np.bool_)
    for _ in range(hashes):
        direction, offset = rng.standard_normal((trials, dimension)), rng.random(trials)
        same &= np.floor(_dots(direction, x) + offset) == np.floor(_dots(direction, y) + offset)
    return int(same.sum())


def _orthonormal(rng: np.random.Generator, n: int, dimension: int) -> tuple[NDArray[np.float64], NDArray[np.float64]]:
    """Draw n pairs of unit vectors at right angles, (n, dimension) each."""
    x, y = rng.standard_normal((2, n, dimension))
    x /= np.sqrt(_dots(x, x))[:, None]
    y -= _dots(x, y)[:, None] * x
    y /= np.sqrt(_dots(y, y))[:, None]
    return x, y


def _dots(a: NDArray[np.float64], b: NDArray[np.float64]) -> NDArray[np.float64]:
    out: NDArray[np.float64] = np.einsum("ij,ij->i", a, b)
    return out


def binomial_interval(hits: int, trials: int, level: float = LEVEL) -> tuple[float, float]:
    """Return Clopper and Pearson's exact interval of a probability."""
    from scipy.special import betaincinv

    tail = (1.0 - level) / 2.0
    low = float(betaincinv(hits, trials - hits + 1, tail)) if hits > 0 else 0.0
    high = float(betaincinv(hits + 1, trials - hits, 1.0 - tail)) if hits < trials else 1.0
    return low, high


def _search_rows(step: Step, settings: Settings, lab: Lab) -> list[Row]:
    """Build one index and search it with each number of probes; the theory is for one probe a table."""
    sample = lab.sample(str(step["dataset"]), rows=settings.rows, queries=settings.queries)
    ids, distances = true_neighbours(sample, settings.k)
    tables, n_bits = int(step["n_tables"]), settings.n_bits[str(sample.metric)]
    build: dict[str, Any] = {"n_tables": tables, "n_bits": n_bits}
    if sample.metric is Metric.EUCLIDEAN:
        build["bucket_width"] = settings.bucket_width * float(distances[:, -1].mean())
    index = lab.build(settings.algorithm, sample.metric, sample.train, **build)
    predicted = found_by_tables(_collisions(sample, ids, distances, build), n_bits, tables).mean()
    n, q = len(sample.train), len(sample.queries)
    rows = []
    for probes in settings.probes:
        search = index.searcher(n_probes=probes * tables, **settings.search)
        answers = ask(search, sample.queries, settings.k)
        counted = index.counters()
        found = np.concatenate([as_neighbors(answer, 1, settings.k, n) for answer in answers])
        rows.append(
            {
                **build,
                "n": n,
                "probes": probes,
                "recall": recall(sample, found, distances),
                "predicted": float(predicted) if probes == 1 else None,
                "scored": counted["distance_computations"] / (n * q),
                "candidates": counted["candidates"] / q,
                "opened": counted["probes"] / q,
            }
        )
    return rows


def _collisions(
    sample: Sample, ids: NDArray[np.int32], distances: NDArray[np.float64], build: dict[str, Any]
) -> NDArray[np.float64]:
    """Return the chance that one function unites a query with each of its true neighbours, (q, k)."""
    if sample.metric is Metric.ANGULAR:
        # The index hashes directions from the mean of the unit vectors: seen from there, angles are wider.
        rows, queries = normalise(sample.train), normalise(sample.queries)
        centre = rows.mean(axis=0, dtype=np.float64).astype(np.float32)
        seen = neighbour_distances(Metric.ANGULAR, queries - centre, rows - centre, ids)
        return np.asarray(hyperplane_probability(np.arccos(np.clip(1.0 - seen, -1.0, 1.0))))
    return np.asarray(p_stable_probability(distances / build["bucket_width"]))


# --- explanation -----------------------------------------------------------------------------------------------------


def _tables_or_probes(name: str, mine: pd.DataFrame) -> str:
    """Say what one table with all probes and all tables with one probe reach, and how well one probe is foretold."""
    single = mine[mine["probes"] == mine["probes"].min()]
    wide = single[single["n_tables"] == single["n_tables"].max()].iloc[0]
    deep = mine[mine["n_tables"] == mine["n_tables"].min()].sort_values("probes").iloc[-1]
    off = (single["recall"] - single["predicted"]).abs().max()
    foretold = "" if math.isnan(off) else f" Theory foretells the recall of one probe a table to within {off:.3f}."
    return (
        f"On {name}, {_count(wide['n_tables'], 'table')} with {_count(wide['probes'], 'probe')} each find "
        f"{wide['recall']:.1%} of the neighbours and score {wide['scored']:.2%} of the points; "
        f"{_count(deep['n_tables'], 'table')} with {_count(deep['probes'], 'probe')} find {deep['recall']:.1%} for "
        f"{deep['scored']:.2%}.{foretold}"
    )


def _count(number: float, noun: str) -> str:
    return f"{int(number)} {noun}{'s' if number != 1 else ''}"


def _hashed_table(hashed: pd.DataFrame, family: str) -> Shown:
    column, heading = ("angle", "angle in degrees") if family == HYPERPLANES else ("ratio", "distance in bucket widths")
    rows = hashed[hashed["part"] == family]
    return Shown(
        f"Collisions of {family}",
        (heading, "functions a key", "theory", "measured", f"{LEVEL:.0%} interval"),
        tuple(
            (
                f"{row[column]:g}",
                f"{row['hashes']:.0f}",
                f"{row['theory']:.4f}",
                f"{row['measured']:.4f}",
                f"{row['low']:.4f} to {row['high']:.4f}",
            )
            for row in rows.to_dict("records")
        ),
    )


def _searched_table(name: str, mine: pd.DataFrame) -> Shown:
    probes = sorted(mine["probes"].unique())
    lines = []
    for tables, rows in mine.groupby("n_tables", sort=True):
        at = rows.set_index("probes")
        foretold = rows["predicted"].dropna()
        lines.append(
            (
                f"{int(float(str(tables)))}",
                f"{foretold.iloc[0]:.3f}" if len(foretold) else "",
                *(f"{at.loc[p, 'recall']:.3f} ({100 * at.loc[p, 'scored']:.2g}%)" for p in probes),
            )
        )
    header = ("tables", "theory, 1 probe", *(_count(p, "probe") + " a table" for p in probes))
    return Shown(f"Recall, and in brackets the share of points scored: {name}", header, tuple(lines))


def _picture(finding: str, hashed: pd.DataFrame, searched: pd.DataFrame, settings: Settings) -> Picture:
    panels = [_hashed_panel(hashed, HYPERPLANES, settings), _hashed_panel(hashed, P_STABLE, settings)]
    for name in list(dict.fromkeys(searched["dataset"]))[:_PLOTTED_DATASETS] if len(searched) else []:
        mine = searched[searched["dataset"] == name]
        panels += [_recall_panel(str(name), mine), _cost_panel(str(name), mine, settings)]
    return Picture(
        finding,
        "Random hyperplanes (Charikar 2002) and p-stable projections (Datar et al. 2004)",
        panels,
        (
            f"bars: {LEVEL:.0%} binomial intervals of {settings.trials:,} trials",
            "grey lines: theory",
            "k: functions that must all collide",
        ),
    )


def _hashed_panel(hashed: pd.DataFrame, family: str, settings: Settings) -> Panel:
    rows = hashed[hashed["part"] == family]
    if family == HYPERPLANES:
        x, column, look = np.linspace(0, 180, 181), "angle", "first"
        probability = hyperplane_probability(np.radians(x))
        axis = Axis("Angle between the vectors, degrees", limits=(0, 180), ticks=(0, 45, 90, 135, 180))
    else:
        x, column, look = np.geomspace(min(settings.distances), max(settings.distances), 200), "ratio", "second"
        probability = p_stable_probability(x)
        axis = Axis("Distance, bucket widths", log=True)
    lines = []
    for place, k in enumerate(settings.hashes):
        shade = 1.0 - place / max(1, len(settings.hashes))
        mine = rows[rows["hashes"] == k].sort_values(column)
        lines.append(Line("", list(x), list(probability**k), look="theory", kind="curve"))
        lines.append(
            Line(
                f"k = {k}",
                list(mine[column]),
                list(mine["measured"]),
                look=look,
                kind="dots",
                low=list(mine["low"]),
                high=list(mine["high"]),
                shade=shade,
                named_at=int((mine["theory"] - _NAMED_AT).abs().to_numpy().argmin()),
            )
        )
    name = "one hyperplane side" if family == HYPERPLANES else "one p-stable bucket"
    return Panel(axis, Axis(f"Chance of {name}", limits=(0, 1.03)), lines)


def _recall_panel(name: str, mine: pd.DataFrame) -> Panel:
    probes = sorted(mine["probes"].unique())
    lines = [_probe_line(rows, "n_tables", place, probes) for place, rows in _by_probes(mine, probes)]
    foretold = mine[mine["predicted"].notna()].sort_values("n_tables")
    if len(foretold):
        theory = (list(foretold["n_tables"]), list(foretold["predicted"]))
        lines.insert(0, Line("", *theory, look="theory", kind="curve"))
    ticks = sorted(mine["n_tables"].unique())
    return Panel(Axis("Tables", log=True, ticks=ticks), Axis(f"Recall, {short_name(name)}", limits=(0, 1.03)), lines)


def _cost_panel(name: str, mine: pd.DataFrame, settings: Settings) -> Panel:
    probes = sorted(mine["probes"].unique())
    lines = [_probe_line(rows, "scored", place, probes) for place, rows in _by_probes(mine, probes)]
    return Panel(
        Axis("Share of points scored", log=True, percent=True),
        Axis(f"Recall@{settings.k} for its cost, {short_name(name)}", limits=(0, 1.03)),
        lines,
    )


def _by_probes(mine: pd.DataFrame, probes: Sequence[float]) -> list[tuple[int, pd.DataFrame]]:
    return [(place, mine[mine["probes"] == p].sort_values("n_tables")) for place, p in enumerate(probes)]


def _probe_line(rows: pd.DataFrame, x: str, place: int, probes: Sequence[float]) -> Line:
    name = _count(probes[place], "probe")
    shade = (place + 1) / len(probes)
    return Line(name if x == "scored" else "", list(rows[x]), list(rows["recall"]), look="lsh", shade=shade)
