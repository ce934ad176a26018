"""What a choice comes to: the index to take, what it can't be told from, and what half of its memory buys."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from typing import TYPE_CHECKING, Any

from harness.analyse.at_recall import fastest_reaching
from harness.analyse.statistics import Range
from harness.analyse.table import groups, indexes, newest, tidy
from harness.analyse.targets import targets_table
from harness.analyse.winners import winner
from harness.choosing.journal import Tried
from harness.choosing.request import Request, finals_folder
from harness.store.results import ResultStore

if TYPE_CHECKING:
    import pandas as pd


@dataclass(frozen=True)
class Pick:
    """An index with its setting and its figures; intervals are of 95%, `index_bytes` is None where it isn't known."""

    algorithm: str
    build: dict[str, Any]
    search: dict[str, Any]
    recall: float
    recall_range: Range
    qps: float
    qps_range: Range
    build_seconds: float
    index_bytes: int | None
    passes: int
    disturbed: int


@dataclass(frozen=True)
class Decision:
    """What was found for a request; `best` is None where nothing reached the recall within the limits.

    `doubt` says why nobody may be called the winner, `best` included. `tied` and `unsure` mean what they mean in a
    verdict; `lean` is the fastest index of at most half the winner's memory. `tried` holds every build that was
    measured on all rows. `left_out` and `not_tried` give a reason for each other engine: those of `left_out` can't be
    measured on the dataset, those of `not_tried` could have been.
    """

    request: Request
    best: Pick | None
    tied: tuple[Pick, ...]
    unsure: tuple[Pick, ...]
    lean: Pick | None
    doubt: str
    tried: tuple[Tried, ...]
    left_out: Mapping[str, str]
    not_tried: Mapping[str, str]

    def nearest(self) -> tuple[str, float]:
        """Return the engine with the highest recall that was measured, and that recall; ("", 0) for none."""
        found = [(point.recall, tried.algorithm) for tried in self.tried for point in tried.points]
        recall, name = max(found, default=(0.0, ""))
        return name, recall

    def beaten(self) -> list[tuple[str, float]]:
        """Return the engines that were measured and lost, each with the most QPS at the recall that could be hoped for.

        In descending order of it; those named in the decision are not among them.
        """
        named = {pick.algorithm for pick in (self.best, *self.tied, *self.unsure, self.lean) if pick is not None}
        hope: dict[str, float] = {}
        for tried in self.tried:
            low, high = tried.bounds(self.request.wish.recall)
            hope[tried.algorithm] = max(hope.get(tried.algorithm, 0.0), low or min(high, tried.points[0].qps))
        lost = [(name, qps) for name, qps in hope.items() if name not in named]
        return sorted(lost, key=lambda one: -one[1])


def decide(
    request: Request, tried: Sequence[Tried], left_out: Mapping[str, str], not_tried: Mapping[str, str]
) -> Decision:
    """Read the decision off the results of the finals: the rule and the verdicts are those of every other table."""
    target = request.wish.recall
    table = newest(tidy(ResultStore(finals_folder(request)).results()))
    known = {one.algorithm for one in tried}
    best: Pick | None = None
    lean: Pick | None = None
    tied: tuple[Pick, ...] = ()
    unsure: tuple[Pick, ...] = ()
    doubt = ""
    for _, rows in groups(table[table["algorithm"].isin(known)]):
        found = winner(targets_table(rows, (target,)), target)
        if found is None:
            continue
        fastest = {row["algorithm"]: _pick(row) for row in fastest_reaching(indexes(rows), target).to_dict("records")}
        best, doubt = fastest[found.best.algorithm], found.reason
        tied = tuple(fastest[one.algorithm] for one in found.tied)
        unsure = tuple(fastest[one.algorithm] for one in found.unsure)
        lean = _lean(indexes(rows), best, target)
    return Decision(request, best, tied, unsure, lean, doubt, tuple(tried), left_out, not_tried)


def _lean(rows: pd.DataFrame, best: Pick, target: float) -> Pick | None:
    """Return the fastest setting of at most half the winner's memory; None where that isn't known, or there is none."""
    if not best.index_bytes:
        return None
    light = rows[(rows["index_bytes"] > 0) & (rows["index_bytes"] <= best.index_bytes / 2)]
    found = fastest_reaching(light, target).to_dict("records")
    return _pick(found[0]) if found else None


def _pick(row: Mapping[Any, Any]) -> Pick:
    size = row["index_bytes"]
    return Pick(
        algorithm=str(row["algorithm"]),
        build=dict(row["build"]),
        search=dict(row["search"]),
        recall=float(row["recall"]),
        recall_range=Range(float(row["recall_low"]), float(row["recall_high"])),
        qps=float(row["qps"]),
        qps_range=Range(float(row["qps_low"]), float(row["qps_high"])),
        build_seconds=float(row["build_seconds"]),
        index_bytes=int(size) if size == size and size > 0 else None,  # noqa: PLR0124 - nan is unlike itself
        passes=int(row["passes"]),
        disturbed=int(row["disturbed"]),
    )
