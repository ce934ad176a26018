"""What an index costs in retrieval quality: nDCG of what it answered, against its speed and against exact search."""

from __future__ import annotations

import math
from collections.abc import Iterable, Mapping
from dataclasses import dataclass, replace
from typing import Any

import numpy as np
from numpy.typing import NDArray

from harness.analyse.figures import qps, query_recall
from harness.analyse.statistics import Range, interval, mean_range
from harness.embedding.judged import Judged
from harness.embedding.measures.intervals import SURE, compare, holm
from harness.embedding.measures.ranking import ndcg
from harness.store.result import Result
from harness.store.spec import FIRST_WORKLOAD

AT = 10


@dataclass(frozen=True, eq=False)
class JointRow:
    """One setting of an index over one model's embeddings.

    `ndcg` is that of its answers, `exact` that of exact search for as many neighbours on the same queries, `loss` =
    exact - ndcg with its paired interval; `p_value` is that of a paired randomisation test of the loss, corrected for
    the number of settings on the dataset, since among many some look lossy by chance. `on_frontier` says that no
    setting on the same dataset loses as little, is as fast, and is better in one of both: by the loss, for a slow
    setting may have answered fewer queries, which are easier or harder.
    """

    dataset: str
    model: str
    variant: str
    dimension: int
    algorithm: str
    origin: str
    build: Mapping[str, Any]
    search: Mapping[str, Any]
    queries: int
    recall: float
    qps: float
    qps_range: Range
    ndcg: float
    ndcg_range: Range
    exact: float
    loss: float
    loss_range: Range
    p_value: float
    on_frontier: bool = False

    @property
    def measurable(self) -> bool:
        """Tell whether the loss is more than chance makes of so many queries."""
        return self.loss > 0 and self.p_value < SURE


@dataclass(frozen=True)
class Onset:
    """Where the loss begins on one dataset.

    `recall` is the highest at which it is measurable, nan where it never is; `clean` the lowest above that.
    """

    dataset: str
    recall: float
    loss: float
    clean: float


def joint_rows(results: Iterable[Result], judged: Mapping[str, Judged]) -> list[JointRow]:
    """Judge what each result answered, of those that were asked for 10 neighbours or more on data with judgements.

    A result measured on other vectors of that dataset's name is left out: its neighbours are none of these documents.
    So is one of another workload: a range search ranks nothing.
    """
    rows = []
    for result in results:
        found = judged.get(str(result.spec["dataset"]))
        if found is None or result.spec.get("dataset_sha256") != found.sha256:
            continue
        ranked = result.document.workload == FIRST_WORKLOAD and int(result.spec["k"]) >= AT
        if result.document.purpose == "index" and ranked:
            rows.append(_row(result, found))
    return together(sorted(rows, key=lambda row: (row.dataset, row.loss, -row.qps)))


def together(rows: Iterable[JointRow]) -> list[JointRow]:
    """Add what only all rows of a dataset say: the frontier, and p-values corrected for their number."""
    return [row for mine in _by_dataset(rows).values() for row in _among(mine)]


def _row(result: Result, judged: Judged) -> JointRow:
    count = result.queries
    answered = _ndcg(judged, result.arrays["neighbors"])
    # Where a query is a document itself, 10 neighbours are 9 without it, exact search's as any index's.
    exact = _ndcg(judged, judged.exact[:count, : result.arrays["neighbors"].shape[1]])
    difference = compare(exact, answered)
    speed = interval(result)
    within = mean_range(answered)
    return JointRow(
        dataset=judged.dataset,
        model=judged.model,
        variant=judged.variant,
        dimension=judged.dimension,
        algorithm=str(result.spec["algorithm"]),
        origin=result.document.origin,
        build=result.spec["build"],
        search=result.spec["search"] or {},
        queries=count,
        recall=float(query_recall(result).mean()),
        qps=qps(result),
        qps_range=speed.qps,
        ndcg=float(answered.mean()),
        ndcg_range=within,
        exact=float(exact.mean()),
        loss=difference.difference,
        loss_range=difference.range,
        p_value=difference.p_value,
    )


def _ndcg(judged: Judged, neighbors: NDArray[np.int64]) -> NDArray[np.float64]:
    """Return the nDCG@10 of the first queries' neighbours (q, k) in their order, the query itself left out: (q,)."""
    count = len(neighbors)
    found = np.where(neighbors == judged.own[:count, None], -1, neighbors)
    # What is left out or wasn't found goes to the end, so that the others move up.
    order = np.argsort(found < 0, axis=1, kind="stable")
    ranked = np.full((len(judged.own), neighbors.shape[1]), -1, np.int64)
    ranked[:count] = np.take_along_axis(found, order, axis=1)
    return ndcg(judged.judgements, ranked, AT)[:count]


def _by_dataset(rows: Iterable[JointRow]) -> dict[str, list[JointRow]]:
    found: dict[str, list[JointRow]] = {}
    for row in rows:
        found.setdefault(row.dataset, []).append(row)
    return found


def _among(rows: list[JointRow]) -> list[JointRow]:
    corrected = holm(np.array([row.p_value for row in rows]))
    return [
        replace(
            row,
            p_value=float(p_value),
            on_frontier=not any(
                other.qps >= row.qps and other.loss <= row.loss and (other.qps, other.loss) != (row.qps, row.loss)
                for other in rows
            ),
        )
        for row, p_value in zip(rows, corrected, strict=True)
    ]


def onsets(rows: Iterable[JointRow]) -> list[Onset]:
    """Say for each dataset at which recall the loss becomes measurable."""
    found = []
    for dataset, mine in _by_dataset(rows).items():
        worst = max((row for row in mine if row.measurable), key=lambda row: row.recall, default=None)
        recall, loss = (math.nan, math.nan) if worst is None else (worst.recall, worst.loss)
        clean = min((row.recall for row in mine if worst is None or row.recall > recall), default=math.nan)
        found.append(Onset(dataset, recall, loss, clean))
    return found
