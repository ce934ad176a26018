"""A small dataset under a name that ann-benchmarks knows, and made-up results over it."""

from __future__ import annotations

from collections.abc import Callable
from pathlib import Path
from typing import Any

import numpy as np
import pytest

from harness.data.dataset import Dataset, read_dataset, write_dataset
from harness.data.metric import Metric, neighbour_distances
from harness.store.document import SCHEMA_VERSION, Document, Process
from harness.store.result import Result
from harness.store.spec import BuildSpec, Provenance, SearchSpec, freeze
from harness.workloads.knn.workload import Knn, Terms

NAME = "fashion-mnist-784-euclidean"


@pytest.fixture(scope="session")
def digits(tmp_path_factory: pytest.TempPathFactory) -> Dataset:
    """Handwritten digits, 1,597 + 200 x 64, small integers with many ties, filed as Fashion-MNIST."""
    from sklearn.datasets import load_digits

    rows = load_digits().data.astype(np.float32)
    train, test = rows[:1597], rows[1597:]
    every = np.tile(np.arange(len(train)), (len(test), 1))
    distances = neighbour_distances(Metric.EUCLIDEAN, test, train, every)
    order = np.argsort(distances, axis=1, kind="stable")[:, :100]
    path = tmp_path_factory.mktemp("data") / f"{NAME}.hdf5"
    write_dataset(
        path, metric=Metric.EUCLIDEAN, train=train, test=test, neighbors=order,
        distances=np.take_along_axis(distances, order, 1), dimension=64, source="scikit-learn",
    )  # fmt: skip
    return read_dataset(path)


@pytest.fixture(scope="session")
def measured(digits: Dataset) -> Callable[..., tuple[Path, Result]]:
    """Return a maker of results: (path in the store, result) for an algorithm, its `ef`, and how often it errs."""

    def make(
        algorithm: str = "hnsw", ef: int = 10, k: int = 10, mode: Any = "single", queries: int = 200, passes: int = 3
    ) -> tuple[Path, Result]:
        rng = np.random.default_rng([ef, k, len(algorithm)])
        spec = BuildSpec(
            dataset=digits.name, metric="euclidean", workload="knn", terms=freeze({"k": k, "mode": mode}),
            folder=Knn().folder(digits.name, algorithm, Terms(k=k, mode=mode)),
            threads=1, build_threads=1, queries=queries,
            algorithm=algorithm, params=freeze({"M": 16}), provenance=Provenance(digits.sha256, "0", (), "here"),
            searches=(SearchSpec(freeze({"ef": ef})),),
        )  # fmt: skip
        ids = digits.neighbors[:queries, :k].astype(np.int64)
        wrong = rng.random(ids.shape) < 1.0 / ef  # a wrong answer is one of those after the k nearest
        ids[wrong] = digits.neighbors[:queries, k : 2 * k][wrong]
        ids[rng.random(queries) < 0.02, k - 1] = -1
        columns = queries if mode == "single" else 1
        kth = digits.neighbors[:queries, k - 1 : k].astype(np.int64)
        result = Result(
            document=Document(
                schema_version=SCHEMA_VERSION,
                workload="knn",
                queries=queries,
                spec=spec.identity(spec.searches[0]),
                arrays=["distances", "kth_distance", "kth_distance_file", "neighbors"],
                processes=[Process(pid=1, started="", build_seconds=2.5, index_bytes=4_096_000)],
                counters={"distance_computations": 30 * queries},
            ),
            latencies_ns=rng.integers(1_000, 90_000, (2 * passes, columns)) * ef,
            repetition_pass=np.repeat(np.arange(passes, dtype=np.int32), 2),
            pass_disturbed=np.zeros(passes, np.bool_),
            pass_process=np.zeros(passes, np.int32),
            arrays={
                "neighbors": ids,
                "distances": digits.distances_to(ids),
                "kth_distance": digits.distances_to(kth)[:, 0],
                "kth_distance_file": digits.distances[:queries, k - 1],
            },
        )
        return Path(spec.folder) / f"{spec.stem(spec.searches[0])}.hdf5", result

    return make
