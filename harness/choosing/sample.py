"""A sample of the rows, on which every engine is scouted before any is built on all of them."""

from __future__ import annotations

from dataclasses import replace

import numpy as np

from harness.choosing.request import Request
from harness.data.dataset import dataset_path, open_dataset, read_header, write_dataset
from harness.data.truth import exact_neighbors

# A sample this small builds in seconds; below the lower bound, sub-linear search has nothing to gain over a scan.
_SHARE, _MIN_ROWS, _MAX_ROWS = 8, 2_000, 50_000
# Scouting passes on the sample rank engines; they don't have to be as precise as those on all rows.
_QUERIES, _PASS_SECONDS = 300, 0.5
_SEED = 0


def sample_rows(n: int) -> int:
    """Return how many of `n` rows the sample has: an eighth, but no fewer than 2,000 and no more than 50,000."""
    return min(n, max(_MIN_ROWS, min(n // _SHARE, _MAX_ROWS)))


def sampled(request: Request) -> Request:
    """Return the same request for a sample of the rows, which is written to the request's folder if it isn't there.

    Its true neighbours are computed anew. Builds on it get their parameters from its own number of rows.
    """
    folder = request.folder / "sample"
    rows = sample_rows(request.header.n)
    name = f"{request.header.name}-sample-{rows}"
    if not dataset_path(folder, name).exists():
        _write(request, name, rows)
    suite = request.suite.model_copy(
        update={"datasets": (name,), "queries": _QUERIES, "pass_seconds": _PASS_SECONDS, "least_pass_seconds": 0.0}
    )
    options = replace(request.options, data=folder, results=folder / "results")
    return replace(request, header=read_header(folder, name), suite=suite, options=options)


def _write(request: Request, name: str, rows: int) -> None:
    dataset = open_dataset(request.options.data, request.header.name)
    chosen = np.random.default_rng(_SEED).choice(request.header.n, rows, replace=False, shuffle=False)
    train, test = dataset.train[np.sort(chosen)], dataset.test[:_QUERIES]
    k = int(request.suite.terms.model_dump()["k"])
    neighbors, distances = exact_neighbors(dataset.metric, train, test, k, dimension=dataset.dimension, progress=False)
    folder = request.folder / "sample"
    folder.mkdir(parents=True, exist_ok=True)
    write_dataset(
        dataset_path(folder, name),
        metric=dataset.metric,
        train=train,
        test=test,
        neighbors=neighbors,
        distances=distances,
        dimension=dataset.dimension,
        source=f"{rows} rows of {request.header.name}",
    )
