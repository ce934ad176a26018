"""The tidy table, a row a setting, and the groups of it that may be compared."""

from __future__ import annotations

import json
import math
from collections.abc import Iterable, Mapping, Sequence
from typing import TYPE_CHECKING, Any, NamedTuple

import numpy as np
from numpy.typing import NDArray

from harness.analyse.frontier import skyline
from harness.analyse.kernels import kernels_of
from harness.analyse.measures import MEASURES
from harness.analyse.pooling import GROUP_KEY, with_drift_of_groups
from harness.analyse.statistics import (
    DEFAULT_LEVEL,
    DEFAULT_REPLICATES,
    Redrawn,
    check_bootstrap,
    percentile_range,
    redraw,
)
from harness.core.library_kernels import in_words
from harness.store.failures import Failure
from harness.store.result import Result
from harness.store.spec import FIRST_WORKLOAD, label, measured_on
from harness.workloads.catalogue import find_workload

if TYPE_CHECKING:
    import pandas as pd

MEASURED = "measured"
FLOOR = "floor"

# A setting whose QPS is within this factor of the no-op plug-in's measures the harness as much as the index.
FLOOR_FACTOR = 2.0

_TEXT = [
    "dataset", "metric", "workload", "terms", "mode", "machine", "machine_name", "kernels", "algorithm", "origin",
    "purpose", "status",
    "detail", "stage", "label", "build_label", "search_label", "dataset_sha256", "created", "path",
]  # fmt: skip
_COUNTS = [
    "k", "threads", "passes", "disturbed", "processes", "queries", "queries_asked", "train_rows", "dimension",
]  # fmt: skip
_BOUNDS = ["qps_low", "qps_high", "recall_low", "recall_high"]
_OBJECTS = ["build", "search", "versions", "notes", "qps_samples", "recall_samples"]

_PLAIN = (*_TEXT, *_COUNTS, *MEASURES, *_BOUNDS)
COLUMNS = (*_PLAIN, "near_floor", *_OBJECTS)
"""The columns of the tidy table: `build`, `search` and `versions` hold dicts, those of samples arrays."""


class GroupKey(NamedTuple):
    """What results must share to be compared."""

    dataset: str
    workload: str
    terms: str
    k: int
    mode: str
    threads: int
    machine: str

    @property
    def asks(self) -> str:
        """Say what is asked for: `k = 10`, or `range, k = 10, quantile=0.9` of a workload that came later."""
        if self.workload == FIRST_WORKLOAD:
            return f"k = {self.k}"
        return ", ".join(filter(None, [self.workload, f"k = {self.k}" if self.k else "", self.terms]))

    @property
    def recall(self) -> str:
        """Name the recall of this workload: `Recall@10`, or `Recall`."""
        return f"Recall@{self.k}" if self.workload == FIRST_WORKLOAD else "Recall"


class Group(NamedTuple):
    """Rows of the tidy table that may be compared."""

    key: GroupKey
    rows: pd.DataFrame


def tidy(
    results: Iterable[Result],
    failures: Iterable[Failure] = (),
    *,
    level: float = DEFAULT_LEVEL,
    replicates: int = DEFAULT_REPLICATES,
    seed: int = 0,
) -> pd.DataFrame:
    """Put each result in a row, with every measure and its intervals; each failure too, with its reason as `status`.

    Results are read one at a time and let go, so a store larger than memory can be handed in as a generator. A setting
    that failed after some passes has a row of each kind; `newest` drops failures that were mended. `near_floor` marks
    rows whose QPS is within twice of the no-op plug-in's on the same dataset, k, mode, threads and machine.
    """
    check_bootstrap(level, replicates)
    rows = [result_row(result, level=level, replicates=replicates, seed=seed) for result in results]
    return tidy_frame([*rows, *map(failure_row, failures)], level=level)


def summaries(rows: Iterable[Mapping[str, Any]]) -> pd.DataFrame:
    """Return rows that hold measures and no passes, as another tool's table does, in the columns of `tidy`.

    Each gives cells by column, `dataset`, `k`, `build` and `search` among them; what it leaves out is not known.
    """
    unknown: dict[str, Any] = dict.fromkeys((*MEASURES, *_BOUNDS), math.nan)
    unknown |= dict.fromkeys(_COUNTS, 0) | dict.fromkeys(_TEXT, "")
    unknown |= {"purpose": "index", "status": MEASURED, "notes": []}
    unknown |= {"qps_samples": np.empty(0), "recall_samples": np.empty(0)}
    return tidy_frame([unknown | _spec_cells(row) | dict(row) for row in rows])


def joined(table: pd.DataFrame, more: pd.DataFrame) -> pd.DataFrame:
    """Put two tables of the columns of `tidy` one below the other."""
    import pandas as pd

    # An empty one has no types to agree on.
    parts = [part for part in (table, more) if len(part)]
    return pd.concat(parts, ignore_index=True) if parts else table


def tidy_frame(rows: Sequence[Mapping[str, Any]], *, level: float = DEFAULT_LEVEL) -> pd.DataFrame:
    """Make the tidy table of rows, each as `result_row` or `failure_row` gives it.

    Intervals of QPS hold the drift of all builds of their group (`harness.analyse.drift`).
    """
    import pandas as pd

    rows = with_drift_of_groups(rows, level)
    table = pd.DataFrame({name: pd.Series([row[name] for row in rows], dtype=_dtype(name)) for name in _PLAIN})
    table["near_floor"] = _near_floor(table)
    for name in _OBJECTS:
        table[name] = pd.Series([row[name] for row in rows], dtype=object)
    return table


def _dtype(name: str) -> Any:
    return str if name in _TEXT else "int64" if name in _COUNTS else "float64"


def _canonical(spec: Mapping[str, Any]) -> str:
    return json.dumps(spec, sort_keys=True, default=str)


def _spec_cells(spec: Mapping[str, Any]) -> dict[str, Any]:
    build, search = dict(spec.get("build") or {}), dict(spec.get("search") or {})
    return {
        "dataset": str(spec.get("dataset", "")),
        "metric": str(spec.get("metric", "")),
        "workload": str(spec.get("workload", FIRST_WORKLOAD)),
        "terms": label(other_terms(spec)),
        "k": int(spec.get("k", 0)),
        "mode": str(spec.get("mode", "single")),
        "threads": int(spec.get("threads", 1)),
        "machine": measured_on(spec),
        "algorithm": str(spec.get("algorithm", "")),
        "queries_asked": int(spec.get("queries", 0)),
        "dataset_sha256": str(spec.get("dataset_sha256", "")),
        "build": build,
        "search": search,
        "versions": dict(spec.get("versions") or {}),
        "build_label": label(build),
        "search_label": label(search),
        "label": label({**build, **search}),
    }


def other_terms(spec: Mapping[str, Any]) -> dict[str, Any]:
    """Return the workload's own fields of a spec but k and mode, which have columns of their own."""
    fields = find_workload(str(spec.get("workload", FIRST_WORKLOAD))).terms.model_fields
    return {name: spec[name] for name in fields if name in spec and name not in ("k", "mode")}


def result_row(
    result: Result,
    *,
    level: float = DEFAULT_LEVEL,
    replicates: int = DEFAULT_REPLICATES,
    seed: int = 0,
    redrawn: Redrawn | None = None,
) -> dict[str, Any]:
    """Return the row of a result: a value for each of `COLUMNS` but `near_floor`, which only all rows tell.

    So it is with the interval of QPS: `qps_samples` hold passes and queries yet, and `spread` is what `tidy_frame`
    needs to add the processes; None where there are no two passes. `redrawn` is what `redraw` gives of it, if known.
    """
    document = result.document
    redrawn = redrawn or redraw(result, replicates=replicates, seed=seed)
    recall = percentile_range(redrawn.recall_samples, level)
    cells = _spec_cells(result.spec)
    cells |= {
        "origin": document.origin,
        "purpose": document.purpose,
        "status": MEASURED,
        "detail": "",
        "stage": "",
        "machine": measured_on({**result.spec, "machine": document.machine.get("key") or result.spec.get("machine")}),
        "machine_name": machine_name(document.machine, result.spec.get("kernels")),
        "kernels": kernels_of(result),
        "created": document.created,
        "path": "" if result.path is None else str(result.path),
        "passes": result.passes,
        "disturbed": result.passes - result.undisturbed,
        "processes": len(np.unique(result.pass_process)),
        "queries": result.queries,
        "queries_asked": _whole(document.environment.get("queries_asked")) or cells["queries_asked"],
        "train_rows": _whole(document.environment.get("train_rows")),
        "dimension": _whole(document.environment.get("dimension")),
        "qps_low": math.nan,
        "qps_high": math.nan,
        "recall_low": recall.low,
        "recall_high": recall.high,
        "qps_samples": redrawn.qps_samples,
        "recall_samples": redrawn.recall_samples,
        "spread": redrawn.spread,
        "built": document.processes[0].started if document.processes else document.created,
        "notes": list(document.notes),
    }
    return cells | {name: measure(result) for name, measure in MEASURES.items()}


def failure_row(failure: Failure) -> dict[str, Any]:
    """Return the row of what did not finish: figures nan, counts 0, and its reason as `status`."""
    cells = dict.fromkeys((*MEASURES, *_BOUNDS), math.nan) | dict.fromkeys(_COUNTS, 0)
    cells |= _spec_cells(failure.spec) | {
        "origin": "",
        "purpose": "index",
        "status": failure.reason,
        "detail": failure.detail,
        "stage": failure.stage,
        "machine_name": "",
        "kernels": "",
        "created": failure.created,
        "path": "" if failure.path is None else str(failure.path),
        "notes": [],
        "qps_samples": np.empty(0),
        "recall_samples": np.empty(0),
    }
    return cells


def asked_for(table: pd.DataFrame, workload: str, terms: Mapping[str, Any]) -> pd.Series[bool]:
    """Mark the rows of a workload under its own terms, such as `{"k": 10, "mode": "single"}`: (rows,) bool."""
    cells = _spec_cells({"workload": workload, **terms})
    names = ["workload", "terms", "k", "mode"]
    return (table[names] == [cells[name] for name in names]).all(axis=1)


def _whole(value: Any) -> int:
    return int(value) if isinstance(value, int | float) and math.isfinite(value) else 0


def machine_name(machine: Mapping[str, Any], kernels: Mapping[str, str] | None = None) -> str:
    """Name a machine for people: its processor, and how many cores were used; empty where the file doesn't say.

    `kernels` are variables that chose the kernels of libraries there.
    """
    cpu = " ".join(str(machine.get("cpu") or "").split())
    cores = _whole(machine.get("cores"))
    if cores:
        cpu = f"{cpu or 'unknown processor'}, {cores} core{'s' if cores != 1 else ''}"
    return f"{cpu or 'unknown processor'}, {in_words(kernels)}" if kernels else cpu


def _near_floor(table: pd.DataFrame) -> NDArray[np.bool_]:
    floors = table[table["purpose"] == FLOOR].groupby(GROUP_KEY)["qps"].max().to_dict()
    limit = np.array([floors.get(key, math.inf) for key in table[GROUP_KEY].itertuples(index=False, name=None)], float)
    # A floor without a figure, or none at all, marks nothing.
    near: NDArray[np.bool_] = table["qps"].to_numpy(float) > np.nan_to_num(limit, nan=math.inf) / FLOOR_FACTOR
    return near & (table["purpose"] != FLOOR).to_numpy(bool)


def groups(table: pd.DataFrame) -> list[Group]:
    """Split the table into rows that may be compared: one dataset, k, mode, number of threads and machine."""
    return [Group(_group_key(rows), rows) for _, rows in table.groupby(GROUP_KEY, sort=True)]


def _group_key(rows: pd.DataFrame) -> GroupKey:
    first = rows.iloc[0]
    return GroupKey(
        str(first["dataset"]),
        str(first["workload"]),
        str(first["terms"]),
        int(first["k"]),
        str(first["mode"]),
        int(first["threads"]),
        str(first["machine"]),
    )


def newest(table: pd.DataFrame) -> pd.DataFrame:
    """Keep of each setting what was measured last: an edited plug-in's earlier figures stay in the store, unplotted.

    Settings are told apart by all but provenance: an older version of a plug-in, a library or a dataset file gives way.
    """
    marks = [*GROUP_KEY, "algorithm", "queries_asked", "status"]
    keys = table[marks].assign(
        build=[_canonical(value) for value in table["build"]],
        search=[_canonical(value) for value in table["search"]],
        created=table["created"],
        position=np.arange(len(table)),
    )
    keys = keys.sort_values(["created", "position"], kind="stable")
    kept = keys.drop_duplicates([*marks, "build", "search"], keep="last")
    kept = kept[~_superseded(kept, marks[:-1])]
    return table.iloc[np.sort(kept["position"].to_numpy())].reset_index(drop=True)


def _superseded(keys: pd.DataFrame, marks: list[str]) -> NDArray[np.bool_]:
    """Mark failures after which the same setting, or any of the same build where that failed, was measured: (rows,)."""
    measured = keys[keys["status"] == MEASURED]
    builds = measured.groupby([*marks, "build"])["created"].max().to_dict()
    settings = measured.groupby([*marks, "build", "search"])["created"].max().to_dict()
    out = np.zeros(len(keys), np.bool_)
    for i, row in enumerate(keys.to_dict("records")):
        if row["status"] != MEASURED:
            build = (*(row[mark] for mark in marks), row["build"])
            later = builds.get(build, "") if row["search"] == "{}" else settings.get((*build, row["search"]), "")
            out[i] = later > row["created"]
    return out


def indexes(rows: pd.DataFrame) -> pd.DataFrame:
    """Return the rows that were measured and are indexes: neither failures nor the floor."""
    return rows[(rows["status"] == MEASURED) & (rows["purpose"] != FLOOR)]


def floor_qps(rows: pd.DataFrame) -> float:
    """Return the QPS of the no-op plug-in among the rows of one group; nan where it wasn't measured."""
    found = rows.loc[(rows["purpose"] == FLOOR) & (rows["status"] == MEASURED), "qps"].dropna()
    return float(found.max()) if len(found) else math.nan


def on_frontier(rows: pd.DataFrame) -> NDArray[np.bool_]:
    """Mark the rows of one group that no other setting of the same algorithm beats in recall and QPS: (rows,) bool."""
    out = np.zeros(len(rows), np.bool_)
    usable = ((rows["status"] == MEASURED) & (rows["purpose"] != FLOOR)).to_numpy()
    names = rows["algorithm"].to_numpy()
    recall, qps = rows["recall"].to_numpy(float), rows["qps"].to_numpy(float)
    for name in dict.fromkeys(names[usable]):
        mine = np.flatnonzero(usable & (names == name))
        out[mine[skyline(recall[mine], qps[mine])]] = True
    return out
