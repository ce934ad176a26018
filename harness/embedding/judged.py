"""The judgements that stand in a dataset beside its vectors, read without the libraries that made those."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass
from pathlib import Path

import numpy as np
from numpy.typing import NDArray

from harness.core.atomic import reason
from harness.core.errors import DatasetError
from harness.embedding.measures.ranking import Judgements

JUDGEMENTS, DOCUMENTS, QUERIES = "judgements", "train_ids", "test_ids"
"""The tables: rows of query number, document number and relevance; and the ids of both by number."""
_ATTRIBUTES = ("model", "variant", "task", "sha256")


@dataclass(frozen=True, eq=False)
class Judged:
    """What a dataset made of a task says beside its vectors.

    `judgements` are of the queries in the order of the test vectors; `own` (q,) is the document that is the query
    itself, or -1; `exact` (q, depth) are the true neighbours. `sha256` is the vectors', as a result's spec has it.
    """

    dataset: str
    model: str
    variant: str
    task: str
    dimension: int
    judgements: Judgements
    own: NDArray[np.int64]
    exact: NDArray[np.int64]
    sha256: str


def read_judged(path: Path) -> Judged | None:
    """Read what a dataset says of its judgements; None where it has none. Raises DatasetError."""
    import h5py

    try:
        with h5py.File(path, "r") as file:
            if JUDGEMENTS not in file:
                return None
            rows: NDArray[np.int64] = file[JUDGEMENTS][:].astype(np.int64)
            documents: Sequence[str] = file[DOCUMENTS].asstr()[:].tolist()
            queries: Sequence[str] = file[QUERIES].asstr()[:].tolist()
            exact: NDArray[np.int64] = file["neighbors"][:].astype(np.int64)
            said = {key: str(file.attrs.get(key, "")) for key in _ATTRIBUTES}
            dimension = int(file.attrs["dimension"])
        judgements: dict[str, dict[str, int]] = {query: {} for query in queries}
        for query, document, relevance in rows.tolist():
            judgements[queries[query]][documents[document]] = relevance
    except (OSError, RuntimeError, LookupError, ValueError, TypeError, AttributeError) as problem:
        raise DatasetError(f"{path}: its judgements can't be read ({reason(problem)}); embed it again") from None
    built = Judgements.build(judgements, documents, keep_unanswerable=True)
    if len(built.queries) != len(queries):
        raise DatasetError(f"{path}: {len(queries) - len(built.queries)} queries have no judgement; embed it again")
    number = {name: row for row, name in enumerate(documents)}
    return Judged(
        dataset=path.stem,
        dimension=dimension,
        judgements=built,
        own=np.array([number.get(query, -1) for query in queries], np.int64),
        exact=exact,
        **said,
    )
