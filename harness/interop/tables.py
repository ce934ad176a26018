"""Results as the tables of other harnesses, and their tables as rows of ours.

*ann-benchmarks*, `data_export.py`: a row a setting, in CSV. Its percentiles are milliseconds and its QPS that of the
fastest repetition; sizes are kB. *VIBE*, `export_results.py`: a row a setting, in `summary.parquet`, with QPS and
recall by the same definitions. Both export what was asked one query a call; their columns have no place for batches.

What a result of ours doesn't hold is null there, never a guess: ann-benchmarks' `rel` needs all 100 true distances of
each query, its `distcomps` and `indexsize` a plug-in that tells. VIBE's `index_size` is by how much the process grew
while it built; in ann-benchmarks' column we put what the plug-in itself says it holds.
"""

from __future__ import annotations

import csv
import hashlib
import math
import shutil
from collections.abc import Iterable, Iterator, Mapping
from pathlib import Path
from typing import TYPE_CHECKING, Any

import numpy as np

from harness.analyse.measures import MEASURES
from harness.analyse.table import FLOOR, summaries
from harness.core.atomic import reason, replacing, write_text
from harness.core.errors import StoreError, UnknownNameError
from harness.data.metric import Metric
from harness.interop.ann_benchmarks import MACHINE, ORIGIN, Counts, parameters
from harness.store.envelope import is_ours, read_result
from harness.store.result import Result
from harness.store.results import ResultStore, skipping_damage
from harness.store.spec import label
from harness.workloads.knn import Knn
from harness.workloads.knn.companion import best_times
from harness.workloads.knn.recall import recall_annb

if TYPE_CHECKING:
    import pandas as pd

ANNB_COLUMNS = (
    *("algorithm", "parameters", "count", "k-nn", "epsilon", "largeepsilon", "rel", "qps", "p50", "p95", "p99", "p999"),
    *("distcomps", "build", "candidates", "indexsize", "queriessize", "dataset"),
)
VIBE_COLUMNS = ("k", "dataset", "algorithm", "params", "qps", "recall", "build_time", "index_size")

CSV_SUFFIX = ".csv"
_PREFIX = "ann-benchmarks-"
_PERCENTILES = {"p50": 50.0, "p95": 95.0, "p99": 99.0, "p999": 99.9}
_NEEDED = ("algorithm", "parameters", "count", "k-nn", "qps", "dataset")


def annb_table(results: Iterable[Result]) -> pd.DataFrame:
    """Return the table of `data_export.py`: a row for each single-mode result of an index, null where not known."""
    return _frame([_annb_row(result) for result in _comparable(results)], ANNB_COLUMNS)


def vibe_table(results: Iterable[Result]) -> pd.DataFrame:
    """Return the table of VIBE's `summary.parquet`: a row for each single-mode result of an index."""
    return _frame([_vibe_row(result) for result in _comparable(results)], VIBE_COLUMNS)


def _frame(rows: list[dict[str, Any]], columns: tuple[str, ...]) -> pd.DataFrame:
    import pandas as pd

    whole, text = {"count", "k"}, {"algorithm", "parameters", "params", "dataset"}
    kinds = {name: "int64" if name in whole else object if name in text else "float64" for name in columns}
    return pd.DataFrame(rows, columns=list(columns)).astype(kinds)


def _comparable(results: Iterable[Result]) -> Iterator[Result]:
    return (
        r
        for r in results
        if r.document.workload == Knn.name and r.spec["mode"] == "single" and r.document.purpose != FLOOR
    )


def _annb_row(result: Result) -> dict[str, Any]:
    times = best_times(result)
    qps = 1.0 / times.mean() if times.mean() > 0 else math.nan
    size = MEASURES["index_bytes"](result) / 1024
    return {
        "algorithm": result.spec["algorithm"],
        "parameters": result.name,
        "count": int(result.spec["k"]),
        "k-nn": recall_annb(result),
        "epsilon": MEASURES["eps0.01"](result),
        "largeepsilon": MEASURES["eps0.1"](result),
        "rel": math.nan,
        "qps": qps,
        **{name: float(np.percentile(times, share)) * 1000.0 for name, share in _PERCENTILES.items()},
        "distcomps": MEASURES["distance_computations"](result),
        "build": MEASURES["build_seconds"](result),
        "candidates": float((result.arrays["neighbors"] >= 0).sum(axis=1).mean()),
        "indexsize": size,
        "queriessize": size / qps,
        "dataset": result.spec["dataset"],
    }


def _vibe_row(result: Result) -> dict[str, Any]:
    build, search = result.spec["build"], result.spec["search"] or {}
    mean = float(best_times(result).mean())
    return {
        "k": int(result.spec["k"]),
        "dataset": result.spec["dataset"],
        "algorithm": result.spec["algorithm"],
        # The index, and after a bar how it was searched.
        "params": f"{label(build) or result.spec['algorithm']}|{label(search)}",
        "qps": 1.0 / mean if mean > 0 else math.nan,
        "recall": recall_annb(result),
        "build_time": MEASURES["build_seconds"](result),
        "index_size": MEASURES["uss_growth"](result) / 1024,
    }


def export_folder(store: ResultStore, folder: Path, dataset: str | None = None) -> int:
    """Copy the results of indexes into a `results/` that ann-benchmarks' scripts read; return how many.

    The files are those of the store: theirs is a part of our layout. A copy, as their scripts write into what they
    read. Raises StoreError where a file can't be written.
    """
    count = 0
    for path in store.paths():
        if not is_ours(path):
            continue
        result = None
        with skipping_damage():
            result = read_result(path)
        if result is None:
            continue
        # Their layout is that of one workload: a file of another has none of the attributes that their scripts read.
        if result.document.workload != Knn.name or result.document.purpose == FLOOR:
            continue
        if dataset not in (None, result.spec["dataset"]):
            continue
        target = folder / path.relative_to(store.folder)
        try:
            with replacing(target) as temporary:
                shutil.copyfile(path, temporary)
        except OSError as refused:
            raise StoreError(f"{target}: could not be written ({reason(refused)})") from None
        count += 1
    return count


def import_csv(path: Path, store: ResultStore) -> Counts:
    """Keep a table of `data_export.py` in a store, whole, after a look at each row; `foreign_rows` reads it there.

    A table has no answers, so it can't become results. A row whose figures can't be is counted with its reason, and
    left out wherever the table is read. Raises StoreError, naming file, line and value, where it is no such table.
    """
    refused: list[str] = []
    rows = list(_read(path, refused))
    if not rows and not refused:
        raise StoreError(f"{path}: the table has no row to import")
    if not rows:
        return Counts(0, 0, tuple(refused))
    text = path.read_text(encoding="utf-8")
    target = store.folder / f"{_PREFIX}{hashlib.sha256(text.encode()).hexdigest()[:8]}{CSV_SUFFIX}"
    if target.exists():
        return Counts(0, len(rows), tuple(refused))
    known = {_key(row) for other in tables(store) for row in _read(other)}
    write_text(target, text)
    new = sum(_key(row) not in known for row in rows)
    return Counts(new, len(rows) - new, tuple(refused))


def foreign_rows(store: ResultStore) -> pd.DataFrame:
    """Return the rows of every table that was imported, as rows of `harness.analyse.table.tidy`; each once."""
    rows: dict[tuple[Any, ...], dict[str, Any]] = {}
    for path in tables(store):
        with skipping_damage():
            rows |= {_key(row): row for row in _read(path)}
    return summaries(rows.values())


def count_rows(path: Path) -> int:
    """Count the rows of a table that was imported, those that are left out apart; raises StoreError."""
    return sum(1 for _ in _read(path))


def tables(store: ResultStore) -> list[Path]:
    """List the tables that were imported into a store."""
    return sorted(store.folder.glob(f"{_PREFIX}*{CSV_SUFFIX}"))


def _key(row: Mapping[str, Any]) -> tuple[Any, ...]:
    return tuple(sorted((key, repr(value)) for key, value in row.items() if key not in ("path", "notes")))


def _read(path: Path, refused: list[str] | None = None) -> Iterator[dict[str, Any]]:
    """Yield the rows of a table as cells of ours; add to `refused` why others are left out."""
    try:
        with path.open(encoding="utf-8-sig", newline="") as stream:  # spreadsheets begin a table with a byte order mark
            reader = csv.DictReader(stream)
            absent = [name for name in _NEEDED if name not in (reader.fieldnames or ())]
            if absent:
                raise StoreError(
                    f"{path}: no table that ann-benchmarks' data_export.py writes, {' and '.join(absent)} missing"
                )
            for number, line in enumerate(reader, 2):
                where = f"{path}: line {number}"
                cells = _cells(line, where)
                if why := _impossible(line, cells):
                    (refused if refused is not None else []).append(f"{where}: {why}")
                    continue
                yield cells | {"path": str(path)}
    except (OSError, UnicodeDecodeError, csv.Error) as problem:
        raise StoreError(f"{path}: can't be read as a table ({reason(problem)})") from None


def _cells(line: Mapping[str, Any], where: str) -> dict[str, Any]:
    build, search = parameters(str(line["parameters"]))
    number = {key: _number(line.get(key), f"{where}: {key}") for key in ANNB_COLUMNS if key not in _TEXT}
    k = number["count"]
    if not (k >= 1 and k == int(k)):
        raise StoreError(f"{where}: count is {line['count']!r}, not a number of neighbours")
    if not line["algorithm"] or not line["dataset"]:
        raise StoreError(f"{where}: has no algorithm or no dataset")
    qps = number["qps"]
    return {
        "dataset": line["dataset"],
        "metric": _metric(str(line["dataset"])),
        "k": int(k),
        "machine": MACHINE,
        "algorithm": line["algorithm"],
        "origin": ORIGIN,
        "build": build,
        "search": search,
        "recall": number["k-nn"],
        "recall_annb": number["k-nn"],
        "eps0.01": number["epsilon"],
        "eps0.1": number["largeepsilon"],
        "qps": qps,
        "qps_annb": qps,
        # Theirs are in milliseconds, of the last run; ours in the unit of our table of measures.
        **{ours: number[theirs] * 1000.0 for ours, theirs in (("p50", "p50"), ("p95", "p95"), ("p99", "p99"))},
        "p99.9": number["p999"] * 1000.0,
        "build_seconds": number["build"],
        "distance_computations": number["distcomps"] or math.nan,  # theirs is 0 where nothing was counted
        "notes": [
            "from a table of ann-benchmarks: QPS is the fastest of its runs, recall by its definition, machine unknown"
        ],
    }


def _impossible(line: Mapping[str, Any], cells: Mapping[str, Any]) -> str:
    """Say which figure of a row can't be; empty where none. A recall that is left out is not known, and may be."""
    if (line["k-nn"] or "").strip() and not 0.0 <= cells["recall"] <= 1.0:
        return f"the recall k-nn is {line['k-nn']!r}, not between 0 and 1"
    if not 0.0 < cells["qps"] < math.inf:
        return f"qps is {line['qps']!r}, not a number above 0"
    return ""


_TEXT = {"algorithm", "parameters", "dataset"}


def _number(text: str | None, where: str) -> float:
    if text is None or not text.strip():
        return math.nan
    try:
        return float(text)
    except ValueError:
        raise StoreError(f"{where} is {text!r}, not a number") from None


def _metric(dataset: str) -> str:
    """Read a metric off a dataset's name, at the end of which it stands by their custom; empty where it doesn't."""
    try:
        return str(Metric(dataset.rpartition("-")[2]))
    except UnknownNameError:
        return ""
