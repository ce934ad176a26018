"""Anisotropic vector quantisation, as in ScaNN: leaves, 4-bit codes scanned in registers, the best ranked again.

A vector's code may be wrong across the vector, which queries that lie near it hardly notice, but not along it: the
loss of codes and codebooks weighs the two by what they do to the inner products that matter.
"""

from __future__ import annotations

from typing import Any

from algorithms.anisotropic_vq.coder import AnisotropicCoder, soar
from algorithms.kernels.codes.scalar_quantizer import sample_rows, train_quantizer
from algorithms.kernels.codes.scaling import angle_limit, length_limit, typical_length
from algorithms.kernels.codes.storage import Storage
from algorithms.kernels.lists.build import Shape, build
from algorithms.kernels.lists.index import (
    ITERATIONS,
    LISTS_SHARE,
    LOSS,
    MAX_POSITIONS,
    Auto,
    ListIndex,
)
from algorithms.kernels.lists.inverted_file import Spill
from algorithms.kernels.lists.partition import NARROW
from algorithms.kernels.parameters import check_choice, check_flag, check_number, check_whole, is_auto, whole
from algorithms.kernels.saved import Saved
from harness.data.metric import Metric
from harness.engines.contract import Search, Vectors

# Rows that train the codebooks.
_SAMPLE = 40_000
# The threshold that Guo et al. (2020) use for vectors of length 1.
_THRESHOLD = 0.2


class AnisotropicVQ(ListIndex):
    """Score-aware quantisation (Guo et al. 2020) in a partition, with spilling by SOAR (Sun et al. 2023).

    `n_leaves` leaves ("auto": twice the root of n), codes of 4 bits for every `dims_per_block` dimensions ("auto": 2,
    more where there are more than 2048), and the `threshold` T of the loss, in lengths of a typical row; None is the
    plain loss, "auto" is 0.2 under angular and ip, None under euclidean, where a bias a vector makes up for errors
    along it. `spill` puts each row into a second leaf, chosen with the weight `soar_lambda`. `storage`, `rerank` and
    `n_components` say what candidates are ranked by, as in `hnsw`: "sq8", a byte a dimension, then with `rerank` the
    rows themselves; or "float32". `spherical` clusters directions.
    """

    name = "anisotropic_vq"

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
        super().__init__(metric, n_components=n_components, seed=seed)
        if not is_auto(n_leaves):
            check_whole(self.name, "n_leaves", n_leaves, 1, "usually 1 to 4 times sqrt(n)")
        if threshold is not None and not is_auto(threshold):
            hint = "a share between 0 and 1, such as 0.2, or null"
            check_number(self.name, "threshold", threshold, 0.0, hint, above=True, below=1.0)
        if not is_auto(dims_per_block):
            check_whole(self.name, "dims_per_block", dims_per_block, 1, "usually 2 to 4")
        check_number(self.name, "soar_lambda", soar_lambda, 0.0, "0 or more, usually 1 to 1.5")
        check_choice(self.name, "storage", storage, ("sq8", "float32"))
        for flag, value in (("spill", spill), ("spherical", spherical), ("rerank", rerank)):
            check_flag(self.name, flag, value)
        self._n_leaves, self._block = whole(n_leaves), whole(dims_per_block)
        self._threshold: float | None = self._typical_threshold() if threshold == "auto" else threshold
        self._spilled, self._lambda, self._spherical = spill, soar_lambda, spherical
        self._wanted, self._rerank = storage, rerank

    def _typical_threshold(self) -> float | None:
        return _THRESHOLD if self._inner else None

    def compile(self, sample: Vectors) -> None:
        """Compile all kernels that building and searching rows like the sample call."""
        warm = AnisotropicVQ(
            self._metric,
            threshold=self._threshold,
            spill=self._spilled,
            spherical=self._spherical,
            storage=self._wanted,
            rerank=self._rerank,
            n_components=self._n_components,
        )
        warm.fit(sample)
        warm.searcher()(sample[:1], 1)

    def fit(self, train: Vectors, *, threads: int = 1) -> None:
        """Build over `train` (n, dim) float32."""
        n, dim = train.shape
        rows = self._rows(train)
        storage = Storage.choose(
            rows, self._wanted, self._n_components, rerank=self._rerank, inner=self._inner, loss=LOSS, fine=True
        )
        quantizer = storage.quantizer or train_quantizer(rows, None, inner=self._inner)
        n_leaves = max(1, min(round(2 * n**0.5) if self._n_leaves == "auto" else self._n_leaves, n))
        block = max(2, -(-quantizer.dim // MAX_POSITIONS)) if self._block == "auto" else self._block
        block = min(block, quantizer.dim)
        self._coded_dim = quantizer.dim
        self._scale = typical_length(rows if self._inner else sample_rows(rows) - quantizer.mean)
        shape = Shape(
            n_leaves,
            block,
            ITERATIONS,
            _SAMPLE,
            spherical=self._spherical,
            by_direction=self._metric is Metric.ANGULAR,
            seed=self._seed,
        )
        index = build(rows, storage, quantizer, shape, self._coder(), self._spill(), threads)
        self._hold(index, dim, self._query_length(rows, quantizer), storage.rerank_factor(rows))
        self.effective = {"n_leaves": n_leaves, "dims_per_block": block, "threshold": self._threshold}
        if storage.n_components is not None:
            self.effective["n_components"] = storage.n_components
        if storage.kind != self._wanted:
            self.effective["storage"] = storage.kind
        if self._metric is Metric.ANGULAR:
            self.effective |= angle_limit(rows)
        else:
            self.effective |= length_limit(rows, centred=self._metric is Metric.EUCLIDEAN)

    def searcher(  # type: ignore[override]
        self, *, threads: int = 1, n_leaves_to_search: int | Auto = "auto", n_reorder: int = 100
    ) -> Search:
        """Bind how many leaves are searched, and how many of the vectors in them are ranked again.

        `n_reorder` is at least k; with 0, the codes of 4 bits alone rank. Where the leaves hold fewer than k vectors,
        more are searched. What is bound searches the index as it is now: bind again after `fit`, `add` and `load`.
        """
        if not is_auto(n_leaves_to_search):
            check_whole(self.name, "n_leaves_to_search", n_leaves_to_search, 1, "usually 1 to 10% of the leaves")
        check_whole(self.name, "n_reorder", n_reorder, 0, "usually 3 to 30 times k")
        usual = max(1, round(LISTS_SHARE * len(self._index.centroids)))
        return self._bind(usual if n_leaves_to_search == "auto" else n_leaves_to_search, n_reorder, threads)

    def _coder(self) -> AnisotropicCoder:
        return AnisotropicCoder(self._threshold, self._coded_dim, self._scale, self._seed)

    def _spill(self) -> Spill | None:
        return soar(self._lambda) if self._spilled else None

    def _parameters(self) -> dict[str, Any]:
        return {
            **super()._parameters(),
            "n_leaves": self._n_leaves,
            "threshold": self._threshold,
            "dims_per_block": self._block,
            "spill": self._spilled,
            "soar_lambda": self._lambda,
            "spherical": self._spherical,
            "storage": self._wanted,
            "rerank": self._rerank,
        }

    def _state(self) -> dict[str, Any]:
        return {**super()._state(), "coded_dim": self._coded_dim, "scale": self._scale}

    def _restore(self, saved: Saved) -> None:
        super()._restore(saved)
        self._coded_dim, self._scale = saved.state.integer("coded_dim", 1), saved.state.number("scale")
        if self._index.codebooks.shape[2] != NARROW:
            raise ValueError(f"codebooks of {self._index.codebooks.shape[2]} words are not those of 4 bits")
