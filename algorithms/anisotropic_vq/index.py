"""Anisotropic vector quantisation, as in ScaNN: leaves, 4-bit codes scanned in registers, the best ranked again.

A vector's code may be wrong across the vector, which queries that lie near it hardly notice, but not along it: the
loss of codes and codebooks weighs the two by what they do to the inner products that matter.
"""

from __future__ import annotations

import json
import zipfile
import zlib
from collections.abc import Mapping
from pathlib import Path
from typing import Any, Literal

import numpy as np
from numpy.typing import NDArray

from algorithms.anisotropic_vq.coder import AnisotropicCoder, soar
from algorithms.kernels.inverted_file import InvertedFile
from algorithms.kernels.inverted_file_build import Shape, build
from algorithms.kernels.leaf_worker import Effort, Worker, bind
from algorithms.kernels.scalar_quantizer import Loss, ScalarQuantizer, sample_rows, train_quantizer
from algorithms.kernels.storage import Storage
from harness.contract import Algorithm, Grows, Saves, Search, Vectors
from harness.errors import ParameterError, PluginError
from harness.metric import Metric, normalise

Auto = Literal["auto"]

# Codes of more positions lose precision in the tables.
_MOST_POSITIONS = 256
# Rows that train the codebooks, and iterations of k-means for the leaves.
_SAMPLE = 40_000
_ITERATIONS = 10
# The threshold that Guo et al. (2020) use for vectors of length 1.
_THRESHOLD = 0.2
# The codes that rank candidates may lose so many neighbours, as these are ranked again by the rows.
_LOSS = Loss(factor=3, share=0.998)
# A share of the leaves that finds nine in ten neighbours of common data.
_LEAVES_SHARE = 0.025
_FORMAT = 1
# What reading a file raises that was written by something else, or only in part.
_NO_INDEX = (
    *(OSError, EOFError, ValueError, TypeError, AttributeError, KeyError, IndexError),
    *(zipfile.BadZipFile, zlib.error),
)


class AnisotropicVQ(Algorithm, Saves, Grows):
    """Score-aware quantisation (Guo et al. 2020) in a partition, with spilling by SOAR (Sun et al. 2023).

    `n_leaves` leaves ("auto": twice the root of n), codes of 4 bits for every `dims_per_block` dimensions, and the
    `threshold` T of the loss, in lengths of a typical row; None is the plain loss, "auto" is 0.2 under angular and ip,
    None under euclidean, where a bias a vector makes up for errors along it. `spill` puts each row into a second leaf,
    chosen with the weight `soar_lambda`. `storage`, `rerank` and `n_components` say what candidates are ranked by, as
    in `hnsw`: "sq8", a byte a dimension, then with `rerank` the rows themselves; or "float32". `spherical` clusters
    directions.
    """

    def __init__(
        self,
        metric: Metric,
        *,
        n_leaves: int | Auto = "auto",
        threshold: float | Auto | None = "auto",
        dims_per_block: int | Auto = "auto",
        spill: bool = False,
        soar_lambda: float = 1.0,
        spherical: bool = False,
        storage: str = "sq8",
        rerank: bool = True,
        n_components: int | Auto | None = "auto",
        seed: int = 0,
    ) -> None:
        self._metric = Metric(metric)
        if not self._metric.is_dense:
            raise ParameterError(f"anisotropic_vq: metric {metric} is not supported; use euclidean, angular or ip")
        if n_leaves != "auto" and n_leaves < 1:
            raise ParameterError(f"anisotropic_vq: n_leaves = {n_leaves}; use at least 1, usually 1 to 4 times sqrt(n)")
        if threshold is not None and threshold != "auto" and not 0.0 < threshold < 1.0:
            raise ParameterError(
                f"anisotropic_vq: threshold = {threshold}; use a share between 0 and 1, such as 0.2, or null"
            )
        if dims_per_block != "auto" and dims_per_block < 1:
            raise ParameterError(f"anisotropic_vq: dims_per_block = {dims_per_block}; use at least 1, usually 2 to 4")
        if not soar_lambda >= 0.0:
            raise ParameterError(f"anisotropic_vq: soar_lambda = {soar_lambda}; use 0 or more, usually 1 to 1.5")
        if storage not in ("sq8", "float32"):
            raise ParameterError(f"anisotropic_vq: storage {storage!r} is not known; use one of sq8, float32")
        if not (n_components in ("auto", None) or (isinstance(n_components, int) and n_components >= 1)):
            raise ParameterError(
                f"anisotropic_vq: n_components = {n_components!r}; use 'auto', null or a whole number from 1 on"
            )
        self._n_leaves, self._block, self._threshold = n_leaves, dims_per_block, threshold
        self._spill, self._lambda, self._spherical = spill, soar_lambda, spherical
        self._wanted, self._rerank, self._n_components, self._seed = storage, rerank, n_components, seed
        self._workers: list[Worker] = []
        self.effective: dict[str, Any] = {}

    def compile(self, sample: Vectors) -> None:
        """Compile all kernels that building and searching rows like the sample call."""
        warm = AnisotropicVQ(
            self._metric,
            threshold=self._threshold,
            spill=self._spill,
            spherical=self._spherical,
            storage=self._wanted,
            rerank=self._rerank,
            n_components=self._n_components,
        )
        warm.fit(sample)
        warm.searcher()(sample[:1], 1)

    def fit(self, train: Vectors, *, threads: int = 1) -> None:
        """Build over `train` (n, dim) float32."""
        n, self._dim = train.shape
        rows = self._rows(train)
        inner = self._metric is not Metric.EUCLIDEAN
        storage = Storage.choose(rows, self._wanted, self._n_components, rerank=self._rerank, inner=inner, loss=_LOSS)
        quantizer = storage.quantizer or train_quantizer(rows, None, inner=inner)
        n_leaves = round(2 * n**0.5) if self._n_leaves == "auto" else self._n_leaves
        n_leaves = max(1, min(n_leaves, n))
        block = max(2, -(-quantizer.dim // _MOST_POSITIONS)) if self._block == "auto" else self._block
        block = min(block, quantizer.dim)
        threshold = (_THRESHOLD if inner else None) if self._threshold == "auto" else self._threshold
        self._scale = _typical_length(rows if inner else sample_rows(rows) - quantizer.mean)
        self._length = self._scale * _stretch(rows, quantizer) if inner else 0.0
        self._coder = AnisotropicCoder(threshold, quantizer.dim, self._scale, self._seed)
        shape = Shape(
            n_leaves, block, _ITERATIONS, _SAMPLE, self._spherical, self._metric is Metric.ANGULAR, self._seed
        )
        self._index = build(rows, storage, quantizer, shape, self._coder, self._second(), threads)
        self._factor = storage.spare_factor(rows)
        self.effective = {"n_leaves": n_leaves, "dims_per_block": block, "threshold": threshold}
        if storage.n_components is not None:
            self.effective["n_components"] = storage.n_components
        if storage.kind != self._wanted:
            self.effective["storage"] = storage.kind
        self._workers = []

    def add(self, vectors: Vectors, *, threads: int = 1) -> None:
        """Add `vectors` (m, dim) float32 to the leaves as they are; their ids go on from the highest."""
        if vectors.ndim != 2 or vectors.shape[1] != self._dim:
            raise ParameterError(
                f"anisotropic_vq: vectors of shape {vectors.shape} given, but the index has dimension {self._dim}"
            )
        if self._index.size == 0:
            self.fit(vectors, threads=threads)
            return
        self._index.add(self._rows(vectors), self._coder, self._second(), threads)
        self._workers = []

    def searcher(  # type: ignore[override]
        self, *, threads: int = 1, n_leaves_to_search: int | Auto = "auto", n_reorder: int = 100
    ) -> Search:
        """Bind how many leaves are searched, and how many of the vectors in them are ranked again.

        `n_reorder` is at least k; with 0, the codes of 4 bits alone rank. Where the leaves hold fewer than k vectors,
        more are searched. What is bound searches the index as it is now: bind again after `fit`, `add` and `load`.
        """
        if n_leaves_to_search != "auto" and n_leaves_to_search < 1:
            raise ParameterError(
                f"anisotropic_vq: n_leaves_to_search = {n_leaves_to_search}; use at least 1, usually 1 to 10% of leaves"
            )
        if n_reorder < 0:
            raise ParameterError(f"anisotropic_vq: n_reorder = {n_reorder}; use 0 or more, usually 3 to 30 times k")
        n_leaves = len(self._index.centroids)
        wanted = max(1, round(_LEAVES_SHARE * n_leaves)) if n_leaves_to_search == "auto" else n_leaves_to_search
        self._workers = []
        effort = Effort(
            wanted, n_reorder, n_reorder > 0, self._factor, self._length, self._metric is not Metric.EUCLIDEAN
        )
        return bind(self._index, effort, self._dim, threads, self._workers, "anisotropic_vq")

    def index_bytes(self) -> int:
        """Return the size of leaves and codes, centroids, codebooks, ids, and all rows that are kept."""
        return self._index.nbytes()

    def counters(self) -> Mapping[str, int]:
        """Return, since the last bind, vectors scanned, and those ranked by codes of 8 bits and by rows."""
        totals = sum((worker.counters for worker in self._workers), np.zeros(3, np.int64))
        scanned, by_codes, by_rows = totals.tolist()
        return {"scanned": scanned, "ranked_by_codes": by_codes, "distance_computations": by_rows}

    def save(self, path: Path) -> None:
        """Write one file of NumPy arrays (.npz, whatever its name)."""
        facts = {
            "format": _FORMAT,
            "metric": str(self._metric),
            "dim": self._dim,
            "scale": self._scale,
            "length": self._length,
            "factor": self._factor,
            "spill": self._spill,
            "soar_lambda": self._lambda,
            "seed": self._seed,
            "effective": self.effective,
        }
        with path.open("wb") as file:
            np.savez(file, allow_pickle=False, about=np.array(json.dumps(facts)), **self._index.arrays())

    def load(self, path: Path) -> None:
        """Read what `save` wrote, its parameters included; raises PluginError where the file is of another kind."""
        try:
            with path.open("rb") as opened, np.load(opened, allow_pickle=False) as file:
                arrays = {name: file[name] for name in file.files}
            facts = json.loads(str(arrays.pop("about")))
            if facts["format"] != _FORMAT or facts["metric"] != self._metric:
                raise PluginError(
                    f"{path} holds an anisotropic_vq index of format {facts['format']} under {facts['metric']}, not "
                    f"{_FORMAT} under {self._metric}; build the index again"
                )
            index = InvertedFile.of_arrays(arrays)
            if len(index.quantizer.mean) != facts["dim"]:
                raise ValueError(f"its rows have dimension {len(index.quantizer.mean)}, not {facts['dim']}")
            effective = facts["effective"]
            coder = AnisotropicCoder(effective["threshold"], index.quantizer.dim, facts["scale"], facts["seed"])
            self._dim, self._scale, self._length = facts["dim"], facts["scale"], facts["length"]
            self._factor, self._seed = facts["factor"], facts["seed"]
            self._spill, self._lambda = facts["spill"], facts["soar_lambda"]
        except _NO_INDEX as problem:
            raise PluginError(f"{path} holds no anisotropic_vq index ({problem}); build the index again") from problem
        self.effective, self._index, self._coder, self._workers = effective, index, coder, []

    def _second(self) -> Any:
        return soar(self._lambda) if self._spill else None

    def _rows(self, vectors: Vectors) -> NDArray[np.float32]:
        """Return what is indexed: the vectors, under angular scaled to length 1."""
        return normalise(vectors) if self._metric is Metric.ANGULAR else vectors


def _typical_length(rows: NDArray[np.float32]) -> float:
    squares = np.einsum("ij,ij->i", rows, rows, dtype=np.float64)
    return float(np.sqrt(squares.mean())) if squares.any() else 1.0


def _stretch(rows: NDArray[np.float32], quantizer: ScalarQuantizer) -> float:
    """Return what queries as long as `rows` (n, dim) must be multiplied by for their codes to fill a byte.

    The codes of rows do, but for small whole numbers, which are their own codes.
    """
    most = max(float(rows.max(initial=0.0)), -float(rows.min(initial=0.0)))
    return 127.0 / most if quantizer.exact and most > 0.0 else 1.0
