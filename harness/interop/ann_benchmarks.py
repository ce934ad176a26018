"""Result files that ann-benchmarks wrote: read as results of ours, and brought into a store.

Their layout: datasets `times (q,)` in seconds, `neighbors (q, k)` and `distances (q, k)`; attributes as `_read` lists
them. Ours are a superset of it (`harness.store.results`), so that their scripts read our files; this is the way back.

A foreign file says little about how it was measured: one pass, no machine, an index size that is a growth of resident
memory. What it doesn't say stays unknown here and is noted, and its machine has a key of its own, so that its figures
never stand beside ours as if they were of one machine.
"""

from __future__ import annotations

import hashlib
import re
from collections.abc import Iterator, Mapping
from dataclasses import dataclass
from pathlib import Path
from typing import TYPE_CHECKING, Any

import numpy as np
from numpy.typing import NDArray

from harness.core.atomic import reason
from harness.core.errors import AnnbenchError, StoreError, UnknownNameError
from harness.data.dataset import Dataset, dataset_path, read_dataset
from harness.data.metric import Metric
from harness.store.document import SCHEMA_VERSION, Document, Process
from harness.store.envelope import is_ours, read_result
from harness.store.result import Result
from harness.store.results import RESULT_SUFFIX, ResultStore
from harness.store.spec import BuildSpec, Mode, Provenance, SearchSpec, freeze
from harness.workloads.knn.companion import companion
from harness.workloads.knn.workload import Knn, Terms

if TYPE_CHECKING:
    import h5py

ORIGIN = "ann-benchmarks"
MACHINE = "ann-benchmarks (unknown machine)"
UNKNOWN = "unknown"

_ARRAYS = ("times", "neighbors", "distances")
# Parameters that their plug-ins take in `set_query_arguments`; every other one is of the build.
_SEARCH_NAMES = {
    *("ef", "efs", "efquery", "efsearch", "ef_search", "hnsw_ef", "search_ef", "num_probes", "probes", "query_probes"),
    *(
        "n_probe",
        "nprobe",
        "n_probes",
        "search_nprobe",
        "search_k",
        "k_reorder",
        "reorder",
        "rerank",
        "epsilon",
        "check",
    ),
    *("candidates", "num_candidates", "num_canditates", "search_list_size", "leaves_to_search", "query_param"),
}
_PAIR = re.compile(r"""['"]?([A-Za-z]\w*)['"]?\s*[=:]\s*('[^']*'|"[^"]*"|[^\s,;(){}\[\]=:]+)""")
# Reasons for a refusal that are told: where there are more, they are those of a whole folder or table.
_SHOWN = 20
# Their distances are float32 and computed as 1 - cos; data that differ in kind are off by far more than this.
_DISTANCE_SLACK = 2e-2


@dataclass(frozen=True)
class Counts:
    """What an import did: how many results are new, how many were here already, and why each other was refused."""

    imported: int
    known: int
    refused: tuple[str, ...] = ()

    def __str__(self) -> str:
        """Say it in one line, and one more for each of the first results that were refused."""
        text = f"{self.imported} imported, {self.known} were here already"
        if self.refused:
            text += "".join([f", {len(self.refused)} refused", *(f"\n  {line}" for line in self.refused[:_SHOWN])])
        return text + (f"\n  and {len(self.refused) - _SHOWN} more" if len(self.refused) > _SHOWN else "")


@dataclass(frozen=True)
class _Foreign:
    """One file of theirs, as it stands."""

    path: Path
    algorithm: str
    dataset: str
    metric: Metric
    mode: Mode
    name: str
    attributes: Mapping[str, Any]
    seconds: NDArray[np.float64]  # (q,)
    neighbors: NDArray[np.int64]  # (q, k), padded with -1
    distances: NDArray[np.float64]  # (q, k), padded with inf

    def number(self, key: str) -> float | None:
        """Return a finite number among the attributes; None where it is missing or something else."""
        value = self.attributes.get(key)
        if not isinstance(value, int | float | np.integer | np.floating) or not np.isfinite(value):
            return None
        return float(value)


def read_foreign(path: Path, dataset: Dataset | None) -> Result:
    """Read a result file of ann-benchmarks as a result of ours, with one repetition.

    With `dataset`, the distances are computed anew in float64 from the stored ids, and so are those of the true k-th
    neighbours; without it, the file's own distances stand, and those of the k-th neighbours are NaN, so that recall is
    not known. Raises StoreError in one line where the file is not in their layout or was made for other data.
    """
    return _result(_open(path), dataset)


def import_folder(folder: Path, store: ResultStore, data_folder: Path) -> Counts:
    """Bring all results below `folder`, a `results/` of ann-benchmarks, into `store`.

    Datasets are taken from `data_folder` where they are there. A file that can't be used is counted with its reason
    and spoils nothing; one that was imported without its dataset before is replaced once the dataset is there.
    """
    if not folder.is_dir():
        raise StoreError(f"{folder}: no such folder to import from")
    imported = known = 0
    refused: list[str] = []
    at_hand: tuple[str, Dataset | None] = ("", None)  # files come folder by folder, so one dataset is kept at a time
    for path in _files(folder):
        try:
            foreign = _open(path)
            if at_hand[0] != foreign.dataset:
                source = dataset_path(data_folder, foreign.dataset)
                at_hand = foreign.dataset, read_dataset(source) if source.exists() else None
            result = _result(foreign, at_hand[1])
        except AnnbenchError as problem:
            refused.append(str(problem))
            continue
        spec = _spec(foreign, None)  # filed under the same name with and without its dataset
        target = store.path(spec.folder, spec.stem(spec.searches[0]))
        if _has(target, at_hand[1]):
            known += 1
        else:
            store.write(target, result, companion(result))
            imported += 1
    if not imported + known + len(refused):
        raise StoreError(f"{folder}: holds no {RESULT_SUFFIX} file to import")
    return Counts(imported, known, tuple(refused))


def _has(target: Path, dataset: Dataset | None) -> bool:
    if dataset is None or not target.exists():
        return target.exists()
    return bool(read_result(target).spec["dataset_sha256"] == dataset.sha256)


def _files(folder: Path) -> Iterator[Path]:
    yield from sorted(p for p in folder.rglob(f"*{RESULT_SUFFIX}") if not p.name.startswith("."))


def _open(path: Path) -> _Foreign:
    import h5py

    try:
        with h5py.File(path, "r") as file:
            return _read(file, path)
    except FileNotFoundError:
        raise StoreError(f"{path}: no such file") from None
    # What a damaged file makes h5py raise depends on which byte is damaged.
    except (OSError, RuntimeError, KeyError, ValueError, TypeError, AttributeError) as problem:
        raise StoreError(f"{path}: truncated, or not an HDF5 file ({reason(problem)})") from None


def _read(file: h5py.File, path: Path) -> _Foreign:
    import h5py

    if is_ours(path):
        raise StoreError(f"{path}: written by annbench itself; merge it without --foreign")
    absent = [key for key in _ARRAYS if not isinstance(file.get(key), h5py.Dataset)]
    absent += [key for key in ("algo", "dataset", "distance", "batch_mode") if key not in file.attrs]
    if absent:
        raise StoreError(f"{path}: not in the result layout of ann-benchmarks, {' and '.join(absent)} missing")
    shapes = [file[key].shape for key in _ARRAYS]
    q, k = shapes[1] if shapes[1] is not None and len(shapes[1]) == 2 else (0, 0)
    if q == 0 or k == 0 or shapes != [(q,), (q, k), (q, k)] or file["neighbors"].dtype.kind not in "iu":
        raise StoreError(
            f"{path}: times {shapes[0]}, neighbors {shapes[1]} and distances {shapes[2]} don't fit together"
        )
    attributes = {key: _plain(value) for key, value in file.attrs.items()}
    try:
        metric = Metric(attributes["distance"])
    except UnknownNameError as problem:
        raise StoreError(f"{path}: {problem}") from None
    for key in ("algo", "dataset"):
        name = str(attributes[key])
        if not name or name.startswith(".") or "/" in name or "\\" in name:
            raise StoreError(f"{path}: {key} is {name!r}, which can't be a folder's name")
    seconds = np.asarray(file["times"][:], np.float64)
    if not np.isfinite(seconds).all():
        raise StoreError(f"{path}: times[{np.flatnonzero(~np.isfinite(seconds))[0]}] is no number")
    return _Foreign(
        path=path,
        algorithm=str(attributes["algo"]),
        dataset=str(attributes["dataset"]),
        metric=metric,
        mode="batch" if attributes["batch_mode"] else "single",
        name=str(attributes.get("name") or path.stem),
        attributes=attributes,
        seconds=seconds,
        neighbors=file["neighbors"][:].astype(np.int64),
        distances=np.asarray(file["distances"][:], np.float64),
    )


def _plain(value: Any) -> Any:
    if isinstance(value, bytes):
        return value.decode(errors="replace")
    return value.item() if isinstance(value, np.generic) else value


def parameters(name: str) -> tuple[dict[str, Any], dict[str, Any]]:
    """Read the parameters that a plug-in of theirs put into its name; return those of the build and of the search.

    `hnswlib ({'M': 12, 'efConstruction': 500}, 'efQuery': 40)` gives M and efConstruction, and efQuery. A name without
    any pair of name and value, such as `Vamana-100-64-1.2`, is kept whole under `name`.
    """
    build: dict[str, Any] = {}
    search: dict[str, Any] = {}
    for key, text in _PAIR.findall(name):
        target = search if key.lower() in _SEARCH_NAMES else build
        target[key] = _value(text)
    return ({"name": name}, {}) if not build and not search else (build, search)


def _value(text: str) -> Any:
    bare = text.strip("'\"")
    for kind in (int, float):
        try:
            return kind(bare)
        except ValueError:
            continue
    return {"True": True, "False": False, "None": None}.get(bare, bare)


def _spec(foreign: _Foreign, dataset: Dataset | None) -> BuildSpec:
    build, search = parameters(foreign.name)
    terms = Terms(k=foreign.neighbors.shape[1], mode=foreign.mode)
    # Nothing in the file says which version of what was run: the measurement itself is the key.
    digest = hashlib.sha256(foreign.name.encode())
    for array in (foreign.seconds, foreign.neighbors):
        digest.update(np.ascontiguousarray(array).data)
    return BuildSpec(
        dataset=foreign.dataset,
        metric=str(foreign.metric),
        workload=Knn.name,
        terms=freeze(terms.model_dump()),
        folder=Knn().folder(foreign.dataset, foreign.algorithm, terms),
        threads=1,
        build_threads=1,
        queries=len(foreign.neighbors),
        algorithm=foreign.algorithm,
        params=freeze(build),
        provenance=Provenance(
            dataset_sha256=dataset.sha256 if dataset else UNKNOWN,
            plugin_hash=f"file:{digest.hexdigest()[:16]}",
            versions=(),
            machine=MACHINE,
        ),
        searches=(SearchSpec(freeze(search)),),
    )


def _result(foreign: _Foreign, dataset: Dataset | None) -> Result:
    q, k = foreign.neighbors.shape
    notes = [f"imported from ann-benchmarks ({foreign.path.name}): one pass, of an unknown machine"]
    runs = int(foreign.number("run_count") or 1)
    if runs > 1:
        notes.append(f"the times are those of the last of {runs} runs; `best_search_time` may be of another")
    if foreign.mode == "batch":
        notes.append("the number of threads is not known; ann-benchmarks uses all in batch mode")
    seconds = foreign.seconds
    if (seconds < 0).any():
        notes.append(f"{int((seconds < 0).sum())} times were negative, as the clock was set back, and count as 0")
        seconds = np.maximum(seconds, 0.0)
    distances, kth = foreign.distances, np.full(q, np.nan)
    kth_file: NDArray[np.floating[Any]] = np.full(q, np.nan)
    # Their index size is a growth of resident memory, which is no figure of ours.
    said = {key: foreign.number(key) for key in ("best_search_time", "run_count", "index_size", "build_time")}
    environment: dict[str, Any] = {"queries_asked": q, "ann_benchmarks": {"name": foreign.name, **said}}
    if dataset is None:
        notes.append(f"recall is not known: {foreign.dataset} was not at hand (annbench prepare {foreign.dataset})")
    else:
        distances = _distances(foreign, dataset)
        environment |= {"train_rows": len(dataset.train), "dimension": dataset.dimension}
        depth = dataset.neighbors.shape[1]
        if k <= depth:
            kth = dataset.distances_to(dataset.neighbors[:q, k - 1 : k].astype(np.int64))[:, 0]
            kth_file = dataset.distances[:q, k - 1]
        else:
            notes.append(f"recall is not known: the dataset has {depth} true neighbours a query, fewer than k = {k}")
    spec = _spec(foreign, dataset)
    nanoseconds = np.rint(seconds * 1e9).astype(np.int64)
    computations = foreign.number("dist_comps")
    document = Document(
        schema_version=SCHEMA_VERSION,
        workload=Knn.name,
        queries=q,
        spec=spec.identity(spec.searches[0]),
        origin=ORIGIN,
        machine={"key": MACHINE},
        environment=environment,
        processes=[Process(pid=0, started="", build_seconds=foreign.number("build_time") or 0.0)],
        counters={"distance_computations": int(computations / runs)} if computations else {},
        notes=notes,
    )
    return Result(
        document=document,
        latencies_ns=nanoseconds[None, :] if foreign.mode == "single" else nanoseconds.sum(keepdims=True)[None, :],
        repetition_pass=np.zeros(1, np.int32),
        pass_disturbed=np.zeros(1, np.bool_),
        pass_process=np.zeros(1, np.int32),
        arrays={
            "neighbors": foreign.neighbors,
            "distances": distances,
            "kth_distance": kth,
            "kth_distance_file": kth_file,
        },
    )


def _distances(foreign: _Foreign, dataset: Dataset) -> NDArray[np.float64]:
    """Compute the distances of the stored ids anew; raise StoreError where they show that the data are others."""
    path, ids = foreign.path, foreign.neighbors
    if dataset.metric is not foreign.metric:
        raise StoreError(f"{path}: measured with {foreign.metric}, but {dataset.name} is {dataset.metric}")
    if len(ids) > len(dataset.test):
        raise StoreError(f"{path}: answers {len(ids)} queries, but {dataset.name} has {len(dataset.test)}")
    outside = (ids < -1) | (ids >= len(dataset.train))
    if outside.any():
        row, column = np.argwhere(outside)[0]
        size = len(dataset.train)
        raise StoreError(
            f"{path}: neighbors[{row}, {column}] is {ids[row, column]}, but {dataset.name} has {size} rows"
        )
    computed = dataset.distances_to(ids)
    real = (ids >= 0) & np.isfinite(foreign.distances)
    wide = np.abs(foreign.distances[real])
    slack = _DISTANCE_SLACK * np.maximum(wide, wide.mean() if wide.size else 0.0)
    if real.any() and (np.abs(computed[real] - foreign.distances[real]) <= slack).mean() < 0.98:
        raise StoreError(
            f"{path}: its distances are not those of {dataset.path or dataset.name}: it was measured on other data"
        )
    return computed
