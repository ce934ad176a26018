"""When do exact trees beat a scan? Speed and share of points visited against ambient and against intrinsic dimension.

Branch and bound prunes a cell when it lies farther away than the k-th neighbour found so far. The more dimensions the
points fill, the more alike all distances are, until no cell can be pruned (Beyer et al. 1999, "When is nearest neighbor
meaningful?"). What counts is the dimension that the points fill, not the one they are written in: the study varies
both.
"""

from __future__ import annotations

import math
from collections.abc import Mapping, Sequence
from typing import TYPE_CHECKING, Any, ClassVar, NamedTuple, Self

import numpy as np
from pydantic import Field

from harness.analyse.dimension import levina_bickel
from harness.data.metric import Metric
from harness.studies.lab import Lab, Sample, ask, interleaved, short_name, true_neighbours
from harness.studies.picture import Axis, Line, Panel, Picture
from harness.studies.study import Explanation, Needs, Row, Shown, Step, Study
from harness.studies.study import Settings as StudySettings

if TYPE_CHECKING:
    import pandas as pd

SCAN = "brute_force"
UNIFORM, EMBEDDED, REAL = "uniform", "embedded", "real"
_COUNTED_QUERIES = 50  # where a tree visits all points, more of them would take minutes and say the same
_NEARLY_ALL = 0.9  # of the points visited: no pruning to speak of
_GEOMETRY_NEIGHBOURS = 20  # of each query, from which the intrinsic dimension is estimated


class Settings(StudySettings):
    """How many points, in which dimensions; `seconds` is how long each side's turn lasts in each of the `rounds`."""

    algorithms: tuple[str, ...] = ("kd_tree", "ball_tree", "sklearn-kd-tree", "sklearn-ball-tree")
    n: int = Field(default=50_000, ge=100)
    k: int = Field(default=10, ge=1)
    queries: int = Field(default=200, ge=10)
    ambient: tuple[int, ...] = Field(default=(2, 3, 4, 6, 8, 12, 16, 24, 32, 64, 128, 256, 512, 1024), min_length=1)
    intrinsic: tuple[int, ...] = Field(default=(1, 2, 3, 4, 6, 8, 12, 16, 32, 64), min_length=1)
    embedding: int = 256
    real: tuple[str, ...] = ("fashion-mnist-784-euclidean", "glove6b-100-341k-angular", "digits-64-euclidean")
    rounds: int = Field(default=7, ge=1)
    seconds: float = Field(default=0.1, gt=0)

    @classmethod
    def quick(cls) -> Self:
        """Return settings whose study takes seconds."""
        return cls(n=4000, queries=50, ambient=(2, 4, 8, 16, 64, 256), intrinsic=(2, 4, 8, 16), rounds=3, seconds=0.02)


class CurseOfDimensionality(Study[Settings]):
    """Exact tree search against a scan of all points."""

    name: ClassVar[str] = "curse-of-dimensionality"
    about: ClassVar[str] = "where exact trees stop beating a scan: ambient against intrinsic dimension"
    settings = Settings

    def needs(self, settings: Settings) -> Needs:
        """Name the scan, the trees and the real datasets."""
        return Needs((SCAN, *settings.algorithms), settings.real)

    def steps(self, settings: Settings, lab: Lab) -> Sequence[Step]:
        """Return a step a dataset: uniform in each dimension, embedded at each intrinsic dimension, and real."""
        if SCAN not in lab.entries or len(lab.entries) < 2:
            return []
        n, deep = settings.n, settings.embedding
        uniform: list[Step] = [
            {"data": UNIFORM, "dataset": f"synthetic-uniform-{n}-{d}-euclidean", "ambient": d, "intrinsic": d}
            for d in settings.ambient
        ]
        embedded: list[Step] = [
            {"data": EMBEDDED, "dataset": f"synthetic-lowdim-{n}-{deep}-{d}-euclidean", "ambient": deep, "intrinsic": d}
            for d in settings.intrinsic
        ]
        return [*uniform, *embedded, *({"data": REAL, "dataset": name} for name in lab.datasets)]

    def measure(self, step: Step, settings: Settings, lab: Lab) -> list[Row]:
        """Build every side over the same points, time them in turns, and count what some queries visit."""
        sample = lab.sample(str(step["dataset"]), rows=settings.n, queries=settings.queries)
        n, ambient = sample.train.shape
        usable = [name for name, entry in lab.entries.items() if sample.metric in entry.config.metrics]
        indexes = {name: lab.build(name, sample.metric, sample.train) for name in usable}
        searches = {name: index.searcher() for name, index in indexes.items()}
        times = interleaved(searches, sample.queries, settings.k, rounds=settings.rounds, seconds=settings.seconds)
        about = {"n": n, "ambient": ambient, "estimated": intrinsic_dimension(sample)}
        rows = []
        for name, index in indexes.items():
            speedups = times[SCAN] / times[name]  # round by round: both sides had the same neighbours on the machine
            row = {
                **about,
                "algorithm": name,
                "origin": lab.entries[name].config.origin,
                "qps": 1.0 / float(np.median(times[name])),
                "speedup": float(np.median(speedups)),
                "speedup_low": float(speedups.min()),
                "speedup_high": float(speedups.max()),
            }
            search = index.searcher()  # counting starts anew
            queries = sample.queries[:_COUNTED_QUERIES]
            ask(search, queries, settings.k)
            counted = index.counters().get("distance_computations")
            share = math.nan if counted is None else counted / (n * len(queries))
            rows.append(row | {"visited": 1.0 if name == SCAN else share})
        return rows

    def explain(self, table: pd.DataFrame, settings: Settings) -> Explanation:
        """Say up to which dimension each tree pays, and which of the two dimensions decides."""
        trees = table[table["algorithm"] != SCAN]
        best = _best_tree(trees, settings.algorithms)
        uniform, embedded = (_of(trees, best, kind) for kind in (UNIFORM, EMBEDDED))
        pays = crossing(list(uniform["ambient"]), _by_pruning(uniform))
        pays_embedded = crossing(list(embedded["intrinsic"]), _by_pruning(embedded))
        n = int(table["n"].max())
        correlations = _correlations(trees, best)
        finding = _finding(pays, correlations, best, n, settings)
        sentences = [
            (
                f"Among {n:,} uniform points, {best} {_until(pays, 'dimension')}: it is "
                f"{_told(uniform, 0, 'ambient')}, and {_told(uniform, -1, 'ambient')}."
            ),
            (
                f"Where points are written in {settings.embedding} dimensions but lie on a curved surface of fewer, "
                f"{best} {_until(pays_embedded, 'intrinsic dimension')}: it is {_told(embedded, 0, 'intrinsic')}, and "
                f"{_told(embedded, -1, 'intrinsic')}."
            ),
            *_scans_faster(_of(trees, best, UNIFORM), _of(trees, best, EMBEDDED), best),
            *_what_decides(correlations, best),
            *(_of_real(row) for row in _of(trees, best, REAL).to_dict("records")),
        ]
        return Explanation(
            finding,
            tuple(sentences),
            (
                _shown(f"{n:,} uniform points", "dimension", "ambient", trees[trees["data"] == UNIFORM]),
                _shown(
                    f"{n:,} points on a curved surface in {settings.embedding} dimensions",
                    "intrinsic dimension",
                    "intrinsic",
                    trees[trees["data"] == EMBEDDED],
                ),
                _shown(f"Real data, at most the first {n:,} rows", "dataset", "dataset", trees[trees["data"] == REAL]),
            ),
            _picture(finding, trees, best, settings),
        )


def intrinsic_dimension(sample: Sample) -> float:
    """Estimate the dimension that the points fill near the queries from the distances to 20 neighbours.

    nan where there are no distances.
    """
    distances = true_neighbours(sample, _GEOMETRY_NEIGHBOURS)[1]
    if sample.metric is Metric.ANGULAR:
        distances = np.sqrt(2.0 * distances)  # chords between unit vectors: an honest distance, unlike 1 - cos
    return levina_bickel(distances)


def crossing(x: Sequence[float], speedup: Sequence[float]) -> float:
    """Return the x at which the speed-up last falls to 1, with log y linear in log x between points.

    inf where it ends above 1, 0 where it is never above.
    """
    xs, ys = (np.asarray(values, float) for values in (x, speedup))
    order = np.argsort(xs)
    xs, ys = np.log(xs[order]), np.log(ys[order])
    above = np.flatnonzero(ys > 0)
    if not above.size:
        return 0.0
    last = int(above[-1])
    if last == len(xs) - 1:
        return math.inf
    share = ys[last] / (ys[last] - ys[last + 1])
    return float(np.exp(xs[last] + share * (xs[last + 1] - xs[last])))


def _by_pruning(rows: pd.DataFrame) -> list[float]:
    """Return the speed-ups, none above 1 where all but a few points are visited: those are owed to another scan."""
    pruned = ~(rows["visited"] >= _NEARLY_ALL)
    return [float(value) for value in rows["speedup"].where(pruned, rows["speedup"].clip(upper=1.0))]


def _scans_faster(uniform: pd.DataFrame, embedded: pd.DataFrame, best: str) -> list[str]:
    """Say so where a tree is ahead though it prunes next to nothing."""
    faster = [
        part[(part["visited"] >= _NEARLY_ALL) & (part["speedup"] > 1.0)]["speedup"] for part in (uniform, embedded)
    ]
    if not any(len(part) for part in faster):
        return []
    most = max(float(part.max()) for part in faster if len(part))
    told = (
        f"Where {best} visits {_percent(_NEARLY_ALL)} of the points or more, it is a scan of rows held another way, "
        f"up to {_times(most)} as fast; that isn't counted as paying."
    )
    return [told]


def _of(trees: pd.DataFrame, algorithm: str, kind: str) -> pd.DataFrame:
    mine = trees[(trees["algorithm"] == algorithm) & (trees["data"] == kind)]
    return mine.sort_values(["ambient", "intrinsic"])


def _best_tree(trees: pd.DataFrame, wanted: Sequence[str]) -> str:
    """Return the first algorithm, in the order of the settings, that was measured."""
    return next(name for name in wanted if name in set(trees["algorithm"]))


class _Correlations(NamedTuple):
    """Rank correlations of the share of points visited, over all data sets."""

    intrinsic: float
    ambient: float
    datasets: int


def _correlations(trees: pd.DataFrame, best: str) -> _Correlations | None:
    mine = trees[(trees["algorithm"] == best) & trees["visited"].notna() & trees["estimated"].notna()]
    if min(mine[column].nunique() for column in ("estimated", "ambient", "visited")) < 2:
        return None  # of a constant there is no correlation
    intrinsic, ambient = (_rank_correlation(mine[column], mine["visited"]) for column in ("estimated", "ambient"))
    return _Correlations(intrinsic, ambient, len(mine))


def _what_decides(correlations: _Correlations | None, best: str) -> list[str]:
    if correlations is None:
        return []
    told = (
        f"Over all {correlations.datasets} data sets, the share of points that {best} visits has a rank correlation of "
        f"{correlations.intrinsic:.2f} with the intrinsic dimension, as estimated from neighbours, and of "
        f"{correlations.ambient:.2f} with the ambient one."
    )
    return [told]


def _rank_correlation(x: pd.Series[float], y: pd.Series[float]) -> float:
    """Compute Spearman's coefficient."""
    return float(np.corrcoef(x.rank(), y.rank())[0, 1])


def _told(rows: pd.DataFrame, place: int, by: str) -> str:
    row = rows.iloc[place]
    seen = "" if math.isnan(row["visited"]) else f" (and visits {_percent(row['visited'])} of the points)"
    return f"{_times(row['speedup'])} as fast{seen} in dimension {int(row[by])}"


def _of_real(row: Mapping[Any, Any]) -> str:
    seen = "" if math.isnan(row["visited"]) else f" and visits {_percent(row['visited'])} of the points"
    return (
        f"{row['dataset']} has {int(row['ambient'])} dimensions and fills about {row['estimated']:.0f}: there "
        f"{row['algorithm']} is {_times(row['speedup'])} as fast as the scan{seen}."
    )


def _finding(pays: float, correlations: _Correlations | None, best: str, n: int, settings: Settings) -> str:
    if pays == 0:
        return f"In no dimension does {best} beat a scan of {n:,} uniform points"
    if math.isinf(pays):
        return f"{best} beats a scan in all dimensions up to {max(settings.ambient)}"
    stops = f"Exact trees stop paying at dimension {pays:.0f}"
    decided = correlations is not None and correlations.intrinsic > correlations.ambient
    return f"{stops}; what counts is the intrinsic one" if decided else stops


def _until(pays: float, dimension: str) -> str:
    if pays == 0:
        return "is slower than a scan throughout"
    return f"beats a scan {'throughout' if math.isinf(pays) else f'up to {dimension} {pays:.0f}'}"


def _times(ratio: float) -> str:
    return f"{ratio:,.0f} times" if ratio >= 10 else f"{ratio:.2g} times"


def _percent(share: float) -> str:
    return f"{100 * share:.2g}%" if share < 0.995 else "all"


def _shown(caption: str, heading: str, by: str, rows: pd.DataFrame) -> Shown:
    names = list(dict.fromkeys(rows["algorithm"]))
    header = [heading, "fills about"]
    header += [text for name in names for text in (f"{name}: speed-up over the scan", "visits")]
    lines = []
    for key, mine in rows.groupby(by, sort=True):
        line = [str(key) if by == "dataset" else f"{int(float(str(key)))}", f"{mine['estimated'].iloc[0]:.1f}"]
        for name in names:
            one = mine[mine["algorithm"] == name]
            line += _cells(one.iloc[0]) if len(one) else ["", ""]
        lines.append(tuple(line))
    return Shown(caption, tuple(header), tuple(lines))


def _cells(row: Any) -> list[str]:
    speed = f"{row['speedup']:.3g} ({row['speedup_low']:.3g} to {row['speedup_high']:.3g})"
    return [speed, "" if math.isnan(row["visited"]) else f"{100 * row['visited']:.3g}%"]


def _picture(finding: str, trees: pd.DataFrame, best: str, settings: Settings) -> Picture:
    drawn = trees[trees["data"] != REAL]
    lowest, highest = min(drawn["speedup_low"].min(), 1.0), max(drawn["speedup_high"].max(), 1.0)
    uniform, embedded = (
        Axis(f"Speed over a scan, {points}", log=True, limits=(lowest / 1.5, highest * 1.5))
        for points in ("uniform points", "curved surface")
    )
    ambient = Axis("Dimension of uniform points", log=True, ticks=_powers(settings.ambient))
    intrinsic = Axis(
        f"Intrinsic dimension of points in {settings.embedding} dimensions", log=True, ticks=_powers(settings.intrinsic)
    )
    level = (1.0, "a scan is as fast")
    panels = [
        Panel(ambient, uniform, _speed_lines(trees[trees["data"] == UNIFORM], "ambient", named=False), level),
        Panel(intrinsic, embedded, _speed_lines(trees[trees["data"] == EMBEDDED], "intrinsic", named=True), level),
    ]
    if trees.loc[trees["algorithm"] == best, "visited"].notna().any():
        panels += [_visited_panel(trees, best, by) for by in ("ambient", "estimated")]
    return Picture(
        finding,
        f"Exact search for {settings.k} neighbours among {int(trees['n'].max()):,} points, one query at a time",
        panels,
        (
            "bars: lowest to highest of the rounds, in which all sides took turns",
            f"intrinsic dimension: maximum likelihood from {_GEOMETRY_NEIGHBOURS} neighbours",
        ),
    )


def _speed_lines(rows: pd.DataFrame, x: str, *, named: bool) -> list[Line]:
    return [
        Line(
            str(name) if named else "",
            list(mine[x]),
            list(mine["speedup"]),
            look=str(name),
            low=list(mine["speedup_low"]),
            high=list(mine["speedup_high"]),
            dashed=mine["origin"].iloc[0] == "library",
        )
        for name, mine in rows.sort_values(x).groupby("algorithm", sort=True)
    ]


def _visited_panel(trees: pd.DataFrame, best: str, by: str) -> Panel:
    """Draw every data set once, as a share of points against one of its dimensions."""
    mine = trees[(trees["algorithm"] == best) & trees[by].notna()]
    estimated = by == "estimated"
    lines = [
        Line(
            name,
            list(rows[by]),
            list(rows["visited"]),
            look=look,
            kind="line" if estimated else "dots",
            named_at=min(1, len(rows) - 1),
        )
        for kind, name, look in ((UNIFORM, "uniform", "first"), (EMBEDDED, "curved surface", "second"))
        if len(rows := mine[mine["data"] == kind].sort_values(by))
    ]
    lines += [
        Line(short_name(str(row["dataset"])), [row[by]], [row["visited"]], look="third", kind="dots")
        for row in mine[mine["data"] == REAL].to_dict("records")
    ]
    title = "Intrinsic dimension, estimated" if estimated else "Ambient dimension"
    return Panel(
        Axis(title, log=True, ticks=_powers(list(mine[by]))),
        Axis(f"Visited by {best}, {'intrinsic' if estimated else 'ambient'}", log=True, percent=True),
        lines,
    )


def _powers(values: Sequence[float]) -> list[float]:
    """Return the powers of two that span the values."""
    low, high = (math.log2(float(f(values))) for f in (np.min, np.max))
    return [2.0**power for power in range(math.floor(low), math.ceil(high) + 1)]
