"""Results made up in memory: what a benchmark would have written, without the hours."""

from __future__ import annotations

import math
from dataclasses import replace
from pathlib import Path
from typing import Any

import numpy as np

from harness.analyse.statistics import Range
from harness.embedding.joint import JointRow
from harness.store.document import Document, Process
from harness.store.failures import Failure
from harness.store.result import Result
from harness.store.results import ResultStore
from harness.store.spec import freeze, slug

MACHINE = {"key": "5f2a9c01", "cpu": "AMD EPYC 7B13", "cores": 2}


def make_result(
    algorithm: str = "hnsw",
    build: dict[str, Any] | None = None,
    search: dict[str, Any] | None = None,
    *,
    recall: float = 0.9,
    qps: float = 1000.0,
    queries: int = 100,
    k: int = 10,
    mode: str = "single",
    threads: int = 1,
    dataset: str = "digits-64-euclidean",
    passes: int = 7,
    repetitions: int = 1,
    processes: int = 1,
    disturbed: tuple[int, ...] = (),
    pass_spread: float = 0.01,
    origin: str = "from-scratch",
    purpose: str = "index",
    machine: dict[str, Any] | None = None,
    environment: dict[str, Any] | None = None,
    build_seconds: float = 2.0,
    index_bytes: int | None = 1_000_000,
    created: str = "2025-03-01T12:00:00Z",
    seed: int = 0,
    **spec: Any,
) -> Result:
    """Make a result whose recall is `recall` (rounded to whole hits) and whose QPS is about `qps`."""
    rng = np.random.default_rng((seed, sum(map(ord, algorithm)), len(str(search))))
    machine = MACHINE if machine is None else machine
    hits: Any = np.zeros(queries * k, bool)
    hits[: round(recall * queries * k)] = True
    hits = rng.permutation(hits).reshape(queries, k)
    distances = np.sort(np.where(hits, rng.uniform(0.2, 1.0, hits.shape), rng.uniform(1.5, 2.0, hits.shape)), axis=1)
    neighbors = rng.permuted(np.tile(np.arange(10 * k), (queries, 1)), axis=1)[:, :k]
    columns = queries if mode == "single" else 1
    total = 1e9 / qps * (1 if mode == "single" else queries)
    effect = np.exp(rng.normal(0, pass_spread, passes))
    rows = [
        total * effect[number] * rng.gamma(6, 1 / 6, columns)
        if mode == "single"
        else np.full(1, total * effect[number])
        for number in range(passes)
        for _ in range(repetitions)
    ]
    marks = np.zeros(passes, bool)
    marks[list(disturbed)] = True
    document = Document(
        schema_version=2,
        workload="knn",
        queries=queries,
        spec={
            "dataset": dataset,
            "metric": "euclidean",
            "k": k,
            "mode": mode,
            "threads": threads,
            "build_threads": 1,
            "queries": queries,
            "algorithm": algorithm,
            "build": build or {},
            "search": search or {},
            "seed": 0,
            "dataset_sha256": "d" * 64,
            "plugin_hash": "p" * 16,
            "versions": {},
            "machine": machine.get("key", "?"),
            **spec,
        },
        origin=origin,
        purpose=purpose,
        machine=machine,
        environment={"train_rows": 60_000, "dimension": 784, "queries_asked": queries}
        if environment is None
        else environment,
        processes=[
            Process(
                pid=100 + number,
                started=created,
                build_seconds=build_seconds * (1 + 0.1 * number),
                compile_seconds=0.5,
                index_bytes=index_bytes,
                uss_before_fit=50_000_000,
                uss_after_fit=52_500_000,
                peak_build=60_000_000 + number,
                peak_search=55_000_000 + number,
            )
            for number in range(processes)
        ],
        created=created,
    )
    return Result(
        document=document,
        latencies_ns=np.maximum(np.array(rows).round(), 1).astype(np.int64).reshape(passes * repetitions, columns),
        repetition_pass=np.repeat(np.arange(passes, dtype=np.int32), repetitions),
        pass_disturbed=marks,
        pass_process=(np.arange(passes) * processes // max(passes, 1)).astype(np.int32),
        arrays={
            "neighbors": neighbors.astype(np.int64),
            "distances": distances,
            "kth_distance": np.ones(queries),
            "kth_distance_file": np.ones(queries, np.float32),
        },
    )


def with_arrays(result: Result, **arrays: Any) -> Result:
    """Return a result with some of its arrays replaced."""
    return replace(result, arrays={**result.arrays, **arrays})


# name: (origin, top QPS, recall at the cheapest setting, closeness to 1 at the dearest, fall in QPS, builds)
CURVES = {
    "hnsw": ("from-scratch", 42_000, 0.72, 4.0, 22, 2),
    "hnswlib": ("library", 28_000, 0.70, 4.0, 22, 2),
    "faiss-hnsw": ("library", 21_000, 0.71, 3.6, 20, 2),
    "anisotropic_vq": ("from-scratch", 38_000, 0.55, 3.3, 25, 1),
    "scann": ("library", 33_000, 0.55, 3.2, 27, 1),
    "pq": ("from-scratch", 30_000, 0.40, 2.2, 30, 2),
    "faiss-ivf-pq-fs": ("library", 26_000, 0.42, 2.1, 32, 2),
    "annoy": ("library", 9_000, 0.45, 2.6, 40, 1),
    "lsh": ("from-scratch", 7_000, 0.20, 1.4, 60, 1),
    "kd_tree": ("from-scratch", 5_000, 0.30, 2.0, 45, 1),
    "ball_tree": ("from-scratch", 4_000, 0.30, 2.0, 40, 1),
    "sklearn-kd-tree": ("library", 450, 0.9999, 4.0, 1.4, 1),
    "usearch": ("library", 24_000, 0.68, 3.4, 20, 1),
    "brute_force": ("from-scratch", 900, 1.0, 4.0, 1, 1),
}


def make_world(
    names: tuple[str, ...] = tuple(CURVES), *, settings: int = 15, floor: float | None = 180_000.0, **common: Any
) -> list[Result]:
    """Make results as a whole benchmark would give: curves of many settings, two builds for some, and the floor."""
    out = []
    for number, name in enumerate(names):
        origin, top, first, nines, fall, builds = CURVES.get(name, ("library", 3_000 + 900 * number, 0.5, 2.5, 30, 1))
        points = 1 if fall < 2 else settings
        for variant in range(builds):
            for step in range(points):
                share = step / max(points - 1, 1)
                # recall moves evenly in nines; QPS falls log-linearly
                start = -math.log10(max(1 - first, 1e-4))
                missing = 10 ** -(start + (nines - start) * share * (1 + 0.06 * variant))
                result = make_result(
                    name,
                    {"M": 16 * (variant + 1)},
                    {"ef": 10 * (step + 1)},
                    recall=1 - missing if missing > 1.2e-4 else 1.0,
                    qps=top * (1 - 0.12 * variant) / fall**share,
                    origin=origin,
                    build_seconds=3.0 * (number % 7 + 1) * (1 + 0.7 * variant),
                    index_bytes=int(2e7 * (number % 5 + 1) * (1 + 0.4 * variant)),
                    seed=1000 * variant + step,
                    pass_spread=0.03,
                    **common,
                )
                out.append(result)
    if floor is not None:
        out.append(make_result("noop", recall=0.0, qps=floor, origin="library", purpose="floor", **common))
    return out


def make_failure(algorithm: str = "annoy", reason: str = "timeout", detail: str = "", **spec: Any) -> Failure:
    """Make a failure of a build on the same data and machine as `make_result`."""
    base = make_result(algorithm, queries=10).spec | {"queries": 100, "search": None}
    return Failure(base | spec, reason, detail, stage="build", created="2025-03-01T13:00:00Z")


def write_store(folder: Path, results: list[Result], failures: list[Failure] = ()) -> ResultStore:  # type: ignore[assignment]
    """Write results and failures as a run would."""
    store = ResultStore(folder)
    for number, result in enumerate(results):
        name = slug(freeze({**result.spec["build"], **result.spec["search"]}))
        store.write(store.path(result.spec["dataset"], f"{name}-{number:08x}"), result)
    for number, failure in enumerate(failures):
        store.write_failure(store.path("failures", f"failure-{number:08x}", ".json"), failure)
    return store


def make_joint_row(**parts: Any) -> JointRow:
    """Return a row of the joint table that loses a little."""
    usual: dict[str, Any] = {
        "dataset": "some-data",
        "model": "a model",
        "variant": "full",
        "dimension": 8,
        "algorithm": "hnsw",
        "origin": "library",
        "build": {"M": 16},
        "search": {"ef": 40},
        "queries": 10,
        "recall": 0.9,
        "qps": 1234.5,
        "qps_range": Range(1200.0, 1300.0),
        "ndcg": 0.5,
        "ndcg_range": Range(0.4, 0.6),
        "exact": 0.52,
        "loss": 0.02,
        "loss_range": Range(0.01, 0.03),
        "p_value": 0.01,
        "on_frontier": True,
    }
    return JointRow(**{**usual, **parts})
