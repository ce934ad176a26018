"""Does the work of an HNSW query grow like log n, and what do the upper layers add?

Malkov and Yashunin (2018) argue that a query takes O(log n) hops: the upper layers bring it near, and the ground layer
is a small world (Watts and Strogatz 1998): neighbours know each other, and yet any two nodes are few links apart. Here
the graph is grown over prefixes of the data, and searched with and without its upper layers.
"""

from __future__ import annotations

import dataclasses
import math
from collections.abc import Sequence
from typing import TYPE_CHECKING, Any, ClassVar, NamedTuple, Self

import numpy as np
from numpy.typing import NDArray
from pydantic import Field

from harness.engines.contract import as_neighbors
from harness.studies.lab import Lab, ask, recall, short_name, true_neighbours
from harness.studies.picture import Axis, Line, Panel, Picture
from harness.studies.study import Explanation, Needs, Row, Shown, Step, Study
from harness.studies.study import Settings as StudySettings

if TYPE_CHECKING:
    import pandas as pd

_ROWS_AT_ONCE = 2048  # of the product that counts triangles
_PATH_SOURCES = 32
_PLOTTED_DATASETS = 2

LIKE_LOG = "like log n"
HOPS, DISTANCES = "hops", "distance_computations"
_GROWING = (
    (HOPS, True, "Hops grow"),
    (DISTANCES, True, "Distances grow"),
    (DISTANCES, False, "Without the upper layers distances grow"),
)
_CLEARLY = 2.0  # a fit is called the better one when it leaves less than half of the other's squares


class Settings(StudySettings):
    """The graph, the sizes it is grown to, and `ef`, the length of the candidate list; the first `ef` is plotted.

    `build` holds further build parameters: the default keeps distances exact, so that only the graph decides.
    """

    algorithm: str = "hnsw"
    datasets: tuple[str, ...] = ("fashion-mnist-784-euclidean", "synthetic-uniform-60000-4-euclidean")
    sizes: tuple[int, ...] = Field(default=(1000, 2000, 4000, 8000, 16_000, 32_000, 60_000), min_length=1)
    M: int = Field(default=16, ge=2)
    ef_construction: int = Field(default=200, ge=1)
    ef: tuple[int, ...] = Field(default=(10, 100), min_length=1)
    k: int = Field(default=10, ge=1)
    queries: int = Field(default=1000, ge=1)
    seed: int = 0
    build: dict[str, str | int] = Field(default={"storage": "float32"})

    @classmethod
    def quick(cls) -> Self:
        """Return settings whose study takes seconds."""
        return cls(sizes=(500, 1000, 2000, 4000), queries=200, ef=(10,), ef_construction=100)


class SmallWorld(Study[Settings]):
    """Hops, distance computations and the shape of the ground layer, against the number of points."""

    name: ClassVar[str] = "small-world"
    about: ClassVar[str] = "HNSW's hops and distances against n, with and without upper layers; degree and clustering"
    settings = Settings

    def needs(self, settings: Settings) -> Needs:
        """Name the graph index and the datasets."""
        return Needs((settings.algorithm,), settings.datasets)

    def steps(self, settings: Settings, lab: Lab) -> Sequence[Step]:
        """Return a step a dataset and size; sizes that the data hasn't are left out."""
        if settings.algorithm not in lab.entries:
            return []
        supported = lab.entries[settings.algorithm].config.metrics
        return [
            {"dataset": name, "n": n}
            for name in lab.datasets
            if lab.metric(name) in supported
            for n in settings.sizes
            if n <= lab.rows(name)
        ]

    def measure(self, step: Step, settings: Settings, lab: Lab) -> list[Row]:
        """Build the graph over the first n rows, describe its ground layer, and search it in each way."""
        sample = lab.sample(str(step["dataset"]), rows=int(step["n"]), queries=settings.queries)
        build: dict[str, Any] = {"M": settings.M, "ef_construction": settings.ef_construction, "seed": settings.seed}
        build |= settings.build
        index: Any = lab.build(settings.algorithm, sample.metric, sample.train, **build)
        shape = describe_graph(*index.graph(), rng=np.random.default_rng(settings.seed))
        _, distances = true_neighbours(sample, settings.k)
        n, q = len(sample.train), len(sample.queries)
        rows = []
        for ef in settings.ef:
            for upper_layers in (True, False):
                answers = ask(index.searcher(ef=ef, upper_layers=upper_layers), sample.queries, settings.k)
                counted = index.counters()
                found = np.concatenate([as_neighbors(answer, 1, settings.k, n) for answer in answers])
                rows.append(
                    {
                        "ef": ef,
                        "upper_layers": upper_layers,
                        "hops": counted["hops"] / q,
                        "distance_computations": counted["distance_computations"] / q,
                        "recall": recall(sample, found, distances),
                        **shape._asdict(),
                    }
                )
        return rows

    def explain(self, table: pd.DataFrame, settings: Settings) -> Explanation:
        """Fit hops against log n and against a power of n, and say which is nearer."""
        plotted = table[table["ef"] == settings.ef[0]]
        names = list(dict.fromkeys(table["dataset"]))
        fits = _fits(plotted, names)
        finding = _finding(names, fits)
        sentences = [text for name in names for text in _told(name, plotted, fits)]
        tables = [_shown(name, table[table["dataset"] == name]) for name in names]
        return Explanation(finding, tuple(sentences), tuple(tables), _picture(finding, plotted, names, fits, settings))


# --- the graph -------------------------------------------------------------------------------------------------------


class Shape(NamedTuple):
    """What a graph looks like: links a node, how far neighbours know each other, and how far nodes are apart.

    `clustering` is the mean over nodes of the share of pairs of neighbours that are linked, links taken as going both
    ways; `random_clustering` is what a random graph with as many links has, the mean degree over n. `path_length` is
    the mean number of links, followed in their direction, from a sample of nodes to those that they reach, `reached`
    the share of nodes that they do.
    """

    degree: float
    highest_in_degree: int
    clustering: float
    random_clustering: float
    path_length: float
    reached: float


def describe_graph(
    indptr: NDArray[np.integer[Any]], indices: NDArray[np.integer[Any]], *, rng: np.random.Generator
) -> Shape:
    """Describe a directed graph in CSR form: node i has links to `indices[indptr[i]:indptr[i + 1]]`."""
    from scipy.sparse import csr_array
    from scipy.sparse.csgraph import dijkstra

    n = len(indptr) - 1
    links = csr_array((np.ones(len(indices), np.int32), np.asarray(indices), np.asarray(indptr)), shape=(n, n))
    both = links + links.T
    both.setdiag(0)
    both.eliminate_zeros()
    both.data[:] = 1
    known = np.diff(both.indptr)
    sources = rng.choice(n, min(n, _PATH_SOURCES), replace=False)
    apart = dijkstra(links, directed=True, indices=sources, unweighted=True)
    reached = np.isfinite(apart)
    others = reached.sum() - len(sources)
    return Shape(
        degree=len(indices) / n,
        highest_in_degree=int(np.bincount(indices, minlength=n).max(initial=0)),
        clustering=float(_clustering(both, known).mean()),
        random_clustering=float(known.mean() / max(n - 1, 1)),
        path_length=float(apart[reached].sum() / others) if others else math.nan,
        reached=float(others / max(len(sources) * (n - 1), 1)),
    )


def _clustering(links: Any, degree: NDArray[np.integer[Any]]) -> NDArray[np.float64]:
    """Return the share of linked pairs among the neighbours of each node, 0 where there is no pair."""
    closed = np.empty(len(degree))
    for start in range(0, len(degree), _ROWS_AT_ONCE):
        part = links[start : start + _ROWS_AT_ONCE]
        # (A A)_ij counts the ways from i to j over one node; at a link they close a triangle, seen from both sides.
        closed[start : start + _ROWS_AT_ONCE] = (part @ links).multiply(part).sum(axis=1)
    pairs = degree * (degree - 1.0)
    return np.divide(closed, pairs, out=np.zeros(len(degree)), where=pairs > 0)


# --- growth ----------------------------------------------------------------------------------------------------------


class Growth(NamedTuple):
    """Two fits of y against n: `base + per_doubling * log2 n`, and `factor * n ** exponent`; with what each leaves.

    `log_left` and `power_left` are the shares of the variance of y that a fit leaves unexplained, nan for a constant.
    """

    base: float
    per_doubling: float
    log_left: float
    factor: float
    exponent: float
    power_left: float

    def log_curve(self, n: NDArray[np.float64]) -> NDArray[np.float64]:
        """Return the logarithmic fit at n."""
        curve: NDArray[np.float64] = self.base + self.per_doubling * np.log2(n)
        return curve

    @property
    def verdict(self) -> str:
        """Say which fit is nearer; only where it leaves less than half of what the other one leaves."""
        if self.log_left * _CLEARLY < self.power_left:
            return LIKE_LOG
        if self.power_left * _CLEARLY < self.log_left:
            return f"like n^{self.exponent:.2f}, faster than log n"
        return f"like log n or like n^{self.exponent:.2f}: these sizes can't tell which"


def growth(n: Sequence[float], y: Sequence[float]) -> Growth:
    """Fit y against log n by least squares, and log y against log n; (m,) each, m >= 2 different n, y > 0."""
    sizes, values = np.asarray(n, float), np.asarray(y, float)
    per_doubling, base = np.polyfit(np.log2(sizes), values, 1)
    exponent, log_factor = np.polyfit(np.log(sizes), np.log(values), 1)
    fits = base + per_doubling * np.log2(sizes), np.exp(log_factor) * sizes**exponent
    total = float(((values - values.mean()) ** 2).sum())
    left = [float(((values - fit) ** 2).sum()) / total if total > 0 else math.nan for fit in fits]
    return Growth(float(base), float(per_doubling), left[0], math.exp(log_factor), float(exponent), left[1])


Fits = dict[tuple[str, str, bool], Growth]
"""By dataset, column, and whether the upper layers were used; without those of fewer than three sizes."""


def _fits(plotted: pd.DataFrame, names: Sequence[str]) -> Fits:
    found: Fits = {}
    for name in names:
        for upper in (True, False):
            mine = _of(plotted, name, upper=upper)
            if mine["n"].nunique() > 2:
                for column in (HOPS, DISTANCES):
                    found[name, column, upper] = growth(list(mine["n"]), list(mine[column]))
    return found


# --- explanation -----------------------------------------------------------------------------------------------------


def _of(table: pd.DataFrame, name: str, *, upper: bool) -> pd.DataFrame:
    return table[(table["dataset"] == name) & (table["upper_layers"] == upper)].sort_values("n")


def _finding(names: Sequence[str], fits: Fits) -> str:
    name = names[0]
    if (name, HOPS, True) not in fits:
        return "A small world: few hops lead from anywhere to anywhere"
    hops, distances = (fits[name, column, True].per_doubling for column in (HOPS, DISTANCES))
    if fits[name, DISTANCES, True].verdict == LIKE_LOG:
        return f"HNSW's work grows {LIKE_LOG}: twice the points cost {distances:.0f} more distances"
    return f"Twice the points cost an HNSW query {hops:.1f} more hops, {distances:.0f} more distances"


def _told(name: str, plotted: pd.DataFrame, fits: Fits) -> list[str]:
    using, without = (_of(plotted, name, upper=upper) for upper in (True, False))
    first, last, bare = using.iloc[0], using.iloc[-1], without.iloc[-1]
    growing = (
        f"On {name}, with ef = {int(first['ef'])}, a query takes {first['hops']:.1f} hops and "
        f"{first['distance_computations']:,.0f} distances among {int(first['n']):,} points, {last['hops']:.1f} and "
        f"{last['distance_computations']:,.0f} among {int(last['n']):,} (recall {first['recall']:.3f} and "
        f"{last['recall']:.3f}); without the upper layers {bare['hops']:.1f} and {bare['distance_computations']:,.0f} "
        f"(recall {bare['recall']:.3f})."
    )
    told = [growing]
    for column, upper, words in _GROWING:
        fit = fits.get((name, column, upper))
        if fit is not None:
            told.append(
                f"{words} {fit.verdict}; each doubling of n adds {fit.per_doubling:.1f} (unexplained variance: "
                f"{fit.log_left:.1%} by log n, {fit.power_left:.1%} by the power)."
            )
    told.append(
        f"A node of the ground layer has {last['degree']:.1f} links; {last['clustering']:.1%} of the pairs of its "
        f"neighbours are linked, {last['clustering'] / last['random_clustering']:,.0f} times as many as in a random "
        f"graph, and yet {last['path_length']:.1f} links lead from node to node."
    )
    return told


def _shown(name: str, mine: pd.DataFrame) -> Shown:
    header = (
        *("n", "ef", "upper layers", "hops", "distances", "recall"),
        *("links", "highest in-degree", "clustering", "of a random graph", "path length"),
    )
    lines = [
        (
            *(f"{row['n']:,.0f}", f"{row['ef']:.0f}", "with" if row["upper_layers"] else "without"),
            *(f"{row['hops']:.1f}", f"{row['distance_computations']:,.0f}", f"{row['recall']:.3f}"),
            *(f"{row['degree']:.1f}", f"{row['highest_in_degree']:,.0f}", f"{row['clustering']:.3f}"),
            *(f"{row['random_clustering']:.4f}", f"{row['path_length']:.2f}"),
        )
        for row in mine.sort_values(["ef", "n", "upper_layers"], ascending=[True, True, False]).to_dict("records")
    ]
    return Shown(name, header, tuple(lines))


def _picture(
    finding: str,
    plotted: pd.DataFrame,
    names: Sequence[str],
    fits: Fits,
    settings: Settings,
) -> Picture:
    shown = names[:_PLOTTED_DATASETS]
    panels = [
        *(_growth_panel(plotted, name, HOPS, "Hops a query", fits) for name in shown),
        *(_growth_panel(plotted, name, DISTANCES, "Distances a query", fits) for name in shown),
        *(_shape_panel(plotted, name) for name in shown),
    ]
    panels = [panel if i % len(shown) == len(shown) - 1 else _unnamed(panel) for i, panel in enumerate(panels)]
    return Picture(
        finding,
        f"HNSW with M = {settings.M}, ef_construction = {settings.ef_construction}, ef = {settings.ef[0]}, grown over "
        "prefixes of the data",
        panels,
        ("grey lines: fits of a + b log n", "clustering: share of linked pairs among a node's neighbours"),
        columns=len(shown),
    )


def _unnamed(panel: Panel) -> Panel:
    """Return the panel without names: the one right of it has the same."""
    return dataclasses.replace(panel, lines=[dataclasses.replace(line, name="") for line in panel.lines])


def _growth_panel(plotted: pd.DataFrame, name: str, column: str, title: str, fits: Fits) -> Panel:
    lines = []
    for upper, label in ((True, "all layers"), (False, "ground layer only")):
        mine = _of(plotted, name, upper=upper)
        fit = fits.get((name, column, upper))
        if fit is not None:
            n = np.geomspace(float(mine["n"].min()), float(mine["n"].max()), 30)
            lines.append(Line("", list(n), list(fit.log_curve(n)), look="theory", kind="curve"))
        lines.append(Line(label, list(mine["n"]), list(mine[column]), look="hnsw", dashed=not upper))
    return Panel(_points(plotted), Axis(f"{title}, {short_name(name)}"), lines)


def _shape_panel(plotted: pd.DataFrame, name: str) -> Panel:
    mine = _of(plotted, name, upper=True)
    n = list(mine["n"])
    lines = [
        Line("ground layer", n, list(mine["clustering"]), look="hnsw"),
        Line("random graph", n, list(mine["random_clustering"]), look="theory", dashed=True),
    ]
    return Panel(_points(plotted), Axis(f"Clustering, {short_name(name)}", log=True), lines)


def _points(plotted: pd.DataFrame) -> Axis:
    return Axis("Points", log=True, ticks=sorted(plotted["n"].unique()))
