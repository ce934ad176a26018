"""What do codes lose at so many bits a vector, and how near is that to what is possible?

Distortion is the mean squared error of what a code says, over the variance; that of vectors which the codes weren't
trained on, as codebooks remember some of what they have seen. No code of R bits for a Gaussian in d
dimensions has less than 2^(-2R/d) where all directions are alike, and less than reverse water-filling gives where they
aren't (Cover and Thomas 2006, theorems 10.3.2 and 10.3.3). For other data with these variances a Gaussian is the worst
case. Product codes (Jegou et al. 2011), rotated ones (OPQ, Ge et al. 2013) and score-aware ones (Guo et al. 2020) are
those of the registry's indexes; scalar codes have uniform steps in each dimension.
"""

from __future__ import annotations

import math
from collections.abc import Mapping, Sequence
from typing import TYPE_CHECKING, Any, ClassVar, NamedTuple, Self

import numpy as np
from numpy.typing import NDArray
from pydantic import Field

from harness.data.metric import Metric, normalise
from harness.data.truth import exact_neighbors
from harness.engines.contract import Vectors, as_neighbors
from harness.studies.lab import Lab, Sample, ask, recall, short_name, true_neighbours
from harness.studies.picture import Axis, Line, Panel, Picture
from harness.studies.rate_distortion import scalar_codes, spectrum, water_filling, white_bound
from harness.studies.study import Explanation, Needs, Row, Shown, Step, Study
from harness.studies.study import Settings as StudySettings

if TYPE_CHECKING:
    import pandas as pd

PRODUCT, ROTATED, AWARE, SCALAR, GAUSSIAN = "PQ", "OPQ", "anisotropic", "scalar", "Gaussian"
BITS = (4, 8)
STAND_IN = "synthetic-clusters-20000-64-euclidean"
_ENOUGH = 0.9  # the recall whose price in bits is told
_PLOTTED_DATASETS = 2
_CURVE = 40  # points of the theoretical line
_LOOKS = {PRODUCT: "first", ROTATED: "second", SCALAR: "third", AWARE: "fourth"}


class Settings(StudySettings):
    """What is coded, and how finely.

    `dims_a_code` are dimensions for each code of 4 bits; a code of 8 bits is for twice as many, so that both cost the
    same. `threshold` is that of the score-aware loss.
    """

    product: str = "pq"
    aware: str = "anisotropic_vq"
    datasets: tuple[str, ...] = ("fashion-mnist-784-euclidean", "glove6b-100-341k-angular")
    rows: int = Field(default=20_000, ge=1)
    queries: int = Field(default=500, ge=1)
    dims_a_code: tuple[int, ...] = Field(default=(2, 4, 8, 16), min_length=1)
    scalar_bits: tuple[int, ...] = Field(default=(1, 2, 4, 8), min_length=1)
    threshold: float = Field(default=0.2, gt=0, lt=1)
    k: tuple[int, ...] = Field(default=(1, 10, 100), min_length=1)
    seed: int = 0

    @classmethod
    def quick(cls) -> Self:
        """Return settings whose study takes seconds."""
        return cls(
            datasets=("digits-64-euclidean",), rows=2000, queries=100, dims_a_code=(2, 8), scalar_bits=(2, 4), k=(1, 10)
        )


class Quantisation(Study[Settings]):
    """Distortion and recall against bits a vector, beside the least distortion of a Gaussian."""

    name: ClassVar[str] = "quantisation"
    about: ClassVar[str] = "distortion and recall of codes against bits, beside the rate-distortion bound of a Gaussian"
    settings = Settings

    def needs(self, settings: Settings) -> Needs:
        """Name the indexes, the datasets, and made-up data for where there is none."""
        return Needs((settings.product, settings.aware), (*settings.datasets, STAND_IN))

    def steps(self, settings: Settings, lab: Lab) -> Sequence[Step]:
        """Return a step for each kind of code at each fineness, and one for the bound."""
        steps: list[Step] = []
        real = [name for name in lab.datasets if name != STAND_IN] or [STAND_IN]
        for name in [name for name in real if name in lab.datasets]:
            steps.append({"dataset": name, "method": GAUSSIAN})
            steps += [{"dataset": name, "method": SCALAR, "code_bits": b, "block": 1} for b in settings.scalar_bits]
            kinds = [(PRODUCT, 4), (ROTATED, 4), (PRODUCT, 8), (ROTATED, 8)] if settings.product in lab.entries else []
            kinds += [(AWARE, 4)] if settings.aware in lab.entries else []
            steps += [
                {"dataset": name, "method": method, "code_bits": bits, "block": dims * bits // 4}
                for method, bits in kinds
                for dims in settings.dims_a_code
            ]
        return steps

    def measure(self, step: Step, settings: Settings, lab: Lab) -> list[Row]:
        """Code the rows in one way, see what is lost, and search by codes alone."""
        sample = lab.sample(str(step["dataset"]), rows=settings.rows, queries=settings.queries)
        rows, unseen = sample.train, sample.queries
        if sample.metric is Metric.ANGULAR:
            rows, unseen = normalise(rows), normalise(unseen)
        dim, variances = rows.shape[1], spectrum(rows)
        if step["method"] == GAUSSIAN:
            most = max(BITS[0] / min(settings.dims_a_code), *settings.scalar_bits)
            bits = np.geomspace(BITS[0] / max(settings.dims_a_code), most, _CURVE) * dim
            return [{"bits": float(b), "n": len(rows), "dim": dim, **_bounds(variances, float(b))} for b in bits]
        coded = _coded(step, settings, lab, sample, rows, unseen)
        row: Row = {
            "bits": coded.bits,
            "n": len(rows),
            "dim": dim,
            "distortion": _error(unseen, coded.unseen) / float(variances.sum()),
            "distortion_trained": _error(rows, coded.rows) / float(variances.sum()),
            **_bounds(variances, coded.bits),
        }
        for k in settings.k:
            row |= _recalls(sample, coded, k)
        return [row]

    def explain(self, table: pd.DataFrame, settings: Settings) -> Explanation:
        """Compare what the codes lose at equal bits, and what they need for a recall of nine in ten."""
        coded = table[table["method"] != GAUSSIAN].copy()
        coded["rate"] = coded["code_bits"] / coded["block"]
        coded["kind"] = [_kind(m, b) for m, b in zip(coded["method"], coded["code_bits"], strict=True)]
        names = list(dict.fromkeys(coded["dataset"]))
        k = _told_k(settings)
        finding = _finding(names[0], coded[coded["dataset"] == names[0]])
        sentences = [text for name in names for text in _told(name, coded[coded["dataset"] == name], k)]
        tables = [_shown(name, coded[coded["dataset"] == name], settings) for name in names]
        return Explanation(finding, tuple(sentences), tuple(tables), _picture(finding, table, coded, names, k))


# --- measurement -----------------------------------------------------------------------------------------------------


class Coded(NamedTuple):
    """What codes say of the rows, (n, dim), and of the queries, (q, dim), and the bits of a vector.

    `answers` are those of an index that searches by the codes alone, by k; none where no index has them.
    """

    rows: Vectors
    unseen: Vectors
    bits: int
    answers: Mapping[int, list[Any]] = {}


def _bounds(variances: NDArray[np.float64], bits: float) -> Row:
    return {"gaussian": water_filling(variances, bits), "white": white_bound(bits, len(variances))}


def _coded(step: Step, settings: Settings, lab: Lab, sample: Sample, rows: Vectors, unseen: Vectors) -> Coded:
    """Code `rows` and `unseen`, which are the sample's as they are compared, flat: in one list."""
    bits, block, dim = int(step["code_bits"]), int(step["block"]), rows.shape[1]
    if step["method"] == SCALAR:
        return Coded(*scalar_codes(rows, unseen, bits), bits * dim)
    positions = -(-dim // block)
    shape: dict[str, Any]
    if step["method"] == AWARE:
        shape = {"n_leaves": 1, "dims_per_block": block, "threshold": settings.threshold, "storage": "float32"}
        name, search = settings.aware, {"n_leaves_to_search": 1, "n_reorder": 0}
    else:
        shape = {"n_lists": 1, "n_subspaces": positions, "bits": bits, "opq": step["method"] == ROTATED}
        shape["storage"] = None
        name, search = settings.product, {"n_probe": 1, "n_rerank": 0}
    shape |= {"n_components": None, "seed": settings.seed}
    index: Any = lab.build(name, sample.metric, sample.train, warm=False, **shape)
    decoded, searcher = index.decode(), index.searcher(**search)
    answers = {k: ask(searcher, sample.queries, k) for k in settings.k}
    index.add(sample.queries)  # vectors that it wasn't trained on
    return Coded(decoded, index.decode()[len(rows) :], bits * positions, answers)


def _error(rows: Vectors, decoded: Vectors) -> float:
    return float(np.square(rows - decoded, dtype=np.float64).sum(axis=1).mean())


def _recalls(sample: Sample, coded: Coded, k: int) -> Row:
    """Return the share of the k nearest among the k found: by the decoded rows, and by the index itself."""
    _, distances = true_neighbours(sample, k)
    metric = Metric.EUCLIDEAN if sample.metric is Metric.EUCLIDEAN else Metric.IP  # lengths of codes count
    found, _ = exact_neighbors(metric, coded.rows, sample.queries, k, threads=1, progress=False)
    row: Row = {f"recall_{k}": recall(sample, found.astype(np.int64), distances), f"searched_{k}": None}
    if k in coded.answers:
        answers = [as_neighbors(answer, 1, k, len(sample.train)) for answer in coded.answers[k]]
        row[f"searched_{k}"] = recall(sample, np.concatenate(answers), distances)
    return row


# --- explanation -----------------------------------------------------------------------------------------------------


def _kind(method: str, bits: float) -> str:
    return f"{method}, {int(bits)} bits" if method in (PRODUCT, ROTATED) else method


def _told_k(settings: Settings) -> int:
    return 10 if 10 in settings.k else settings.k[0]


def _telling_rate(mine: pd.DataFrame) -> float:
    """Return the bits a dimension at which most kinds of code were measured; of several, the nearest to 2."""
    counts = mine.groupby("rate")["kind"].nunique()
    most = counts[counts == counts.max()].index
    return float(min(most, key=lambda rate: abs(math.log2(rate / 2.0))))


def _finding(name: str, mine: pd.DataFrame) -> str:
    rate = _telling_rate(mine)
    at = mine[mine["rate"] == rate].sort_values("distortion")
    best, worst = at.iloc[0], at.iloc[-1]
    if len(at) == 1:
        return f"At {rate:g} bits a dimension, {short_name(name)} loses {_share(best['distortion'])} ({best['kind']})"
    return (
        f"At {rate:g} bits a dimension, {short_name(name)} loses {_share(best['distortion'])} ({best['kind']}) to "
        f"{_share(worst['distortion'])} ({worst['kind']})"
    )


def _told(name: str, mine: pd.DataFrame, k: int) -> list[str]:
    rate = _telling_rate(mine)
    at = mine[mine["rate"] == rate].sort_values("distortion")
    best = at.iloc[0]
    losses = ", ".join(f"{row['kind']} {_share(row['distortion'])}" for row in at.to_dict("records"))
    lost = (
        f"On {name} ({int(best['n']):,} rows, flat codes), at {rate:g} bits a dimension, the codes lose of the "
        f"variance of vectors that they weren't trained on: {losses}. The bound for a Gaussian with the same "
        f"covariance is {_share(best['gaussian'])}, with equal variances {_share(best['white'])}."
    )
    told = [lost]
    for bits in BITS:
        ratio = _ratios(mine, _kind(ROTATED, bits), _kind(PRODUCT, bits), "distortion")
        if len(ratio):
            told.append(f"OPQ's rotation leaves {_span(ratio)} times the distortion of PQ with codes of {bits} bits.")
    ratio = _ratios(mine, _kind(PRODUCT, 8), _kind(PRODUCT, 4), "distortion")
    if len(ratio):
        told.append(
            f"At equal bits, PQ's codes of 8 bits for twice the dimensions leave {_span(ratio)} times that of 4 bits."
        )
    aware = _ratios(mine, AWARE, _kind(PRODUCT, 4), "distortion")
    if len(aware):
        gain = _gains(mine, AWARE, _kind(PRODUCT, 4), f"searched_{k}")
        told.append(
            f"The score-aware loss has {_span(aware)} times the distortion of PQ's codes of 4 bits, and a recall@{k} "
            f"of the index by codes alone that differs by {gain.min():+.3f} to {gain.max():+.3f}."
        )
    return [*told, _enough(mine, k), *_by_index(mine, k)]


def _enough(mine: pd.DataFrame, k: int) -> str:
    """Say with how few of the bits measured each kind of code finds nine in ten."""
    needed = []
    for kind, rows in mine.groupby("kind", sort=False):
        enough = rows[rows[f"recall_{k}"] >= _ENOUGH]["bits"]
        if len(enough):
            needed.append((int(enough.min()), str(kind)))
    if not needed:
        best = mine.sort_values(f"recall_{k}").iloc[-1]
        return f"No code finds {_ENOUGH:.0%} of the {k} nearest; {best['kind']} finds {best[f'recall_{k}']:.1%}."
    words = ", ".join(f"{bits:,} for {kind}" for bits, kind in sorted(needed))
    return f"Of the bits a vector that were measured, a recall@{k} of {_ENOUGH} takes {words}."


def _by_index(mine: pd.DataFrame, k: int) -> list[str]:
    """Say what the index's tables and its correction change beside an exact comparison with the decoded rows."""
    both = mine[mine[f"searched_{k}"].notna()]
    if not len(both):
        return []
    change = both[f"searched_{k}"] - both[f"recall_{k}"]
    told = (
        f"The indexes themselves, which look codes up in tables of few bits and under euclidean correct by a bias a "
        f"vector, have a recall@{k} that differs by {change.min():+.3f} to {change.max():+.3f} from that of an exact "
        "comparison with the decoded rows."
    )
    return [told]


def _paired(mine: pd.DataFrame, first: str, second: str, column: str) -> tuple[Any, Any]:
    """Return the column of two kinds of code at the rates that both were measured at."""
    sides = [mine[mine["kind"] == kind].set_index("rate")[column] for kind in (first, second)]
    shared = sides[0].index.intersection(sides[1].index)
    return sides[0][shared].to_numpy(), sides[1][shared].to_numpy()


def _ratios(mine: pd.DataFrame, first: str, second: str, column: str) -> NDArray[np.float64]:
    a, b = _paired(mine, first, second, column)
    out: NDArray[np.float64] = a[b > 0] / b[b > 0]
    return out


def _gains(mine: pd.DataFrame, first: str, second: str, column: str) -> NDArray[np.float64]:
    a, b = _paired(mine, first, second, column)
    out: NDArray[np.float64] = a - b
    return out


def _span(values: NDArray[np.float64]) -> str:
    low, high = f"{values.min():.2f}", f"{values.max():.2f}"
    return low if low == high else f"{low} to {high}"


def _share(value: float) -> str:
    return f"{100 * value:.3g}%"


def _shown(name: str, mine: pd.DataFrame, settings: Settings) -> Shown:
    lines = []
    for row in mine.to_dict("records"):
        cells = [f"{row['bits']:,.0f}", f"{row['bits'] / row['dim']:.2f}"]
        columns = ("distortion", "distortion_trained", "gaussian", "white")
        cells += [_share(row[column]) for column in columns]
        cells += [_recall_cell(row, k) for k in settings.k]
        lines.append((row["kind"], *cells))
    header = (
        *(
            "code",
            "bits",
            "a dimension",
            "distortion",
            "of its own rows",
            "Gaussian, same covariance",
            "white Gaussian",
        ),
        *(f"recall@{k}" for k in settings.k),
    )
    return Shown(f"{name}; recall by the decoded rows, and in brackets by the index", header, tuple(lines))


def _recall_cell(row: dict[Any, Any], k: int) -> str:
    value, by_index = row.get(f"recall_{k}", math.nan), row.get(f"searched_{k}", math.nan)
    if math.isnan(value):
        return ""
    return f"{value:.3f}" if math.isnan(by_index) else f"{value:.3f} ({by_index:.3f})"


def _picture(finding: str, table: pd.DataFrame, coded: pd.DataFrame, names: Sequence[str], k: int) -> Picture:
    panels = []
    for name in names[:_PLOTTED_DATASETS]:
        mine = coded[coded["dataset"] == name]
        bound = table[(table["dataset"] == name) & (table["method"] == GAUSSIAN)].sort_values("bits")
        panels += [_distortion_panel(name, mine, bound), _recall_panel(name, mine, k)]
    return Picture(
        finding,
        "Flat codes: product quantisation, plain and rotated (OPQ), score-aware (anisotropic), and uniform steps",
        panels,
        (
            "grey: the least distortion of a Gaussian with the data's covariance",
            "dashed: codes of 4 bits for half the dimensions",
        ),
    )


def _distortion_panel(name: str, mine: pd.DataFrame, bound: pd.DataFrame) -> Panel:
    # Below what was measured, the bound would stretch the scale.
    shown = bound[bound["gaussian"] >= mine["distortion"].min() / 10.0]
    theory = [Line("", list(shown["bits"]), list(shown["gaussian"]), look="theory", kind="curve")] if len(shown) else []
    lines = [*theory, *_kind_lines(mine, "distortion", named=False)]
    return Panel(_bits_axis(), Axis(f"Distortion over variance, {short_name(name)}", log=True), lines)


def _recall_panel(name: str, mine: pd.DataFrame, k: int) -> Panel:
    lines = _kind_lines(mine, f"recall_{k}", named=True)
    return Panel(_bits_axis(), Axis(f"Recall@{k} by codes alone, {short_name(name)}", limits=(0, 1.03)), lines)


def _kind_lines(mine: pd.DataFrame, column: str, *, named: bool) -> list[Line]:
    lines = []
    for kind, rows in mine.groupby("kind", sort=False):
        method, bits = rows["method"].iloc[0], rows["code_bits"].iloc[0]
        line = rows.sort_values("bits")
        lines.append(
            Line(
                str(kind) if named else "",
                list(line["bits"]),
                list(line[column]),
                look=_LOOKS[method],
                dashed=method in (PRODUCT, ROTATED) and bits == min(BITS),
            )
        )
    return lines


def _bits_axis() -> Axis:
    return Axis("Bits a vector", log=True)
