"""Smaller forms of the same embeddings: fewer dimensions, fewer bits; and what a search sees of them."""

from __future__ import annotations

import re
from dataclasses import dataclass
from typing import Literal, NamedTuple

import numpy as np
from numpy.typing import NDArray

from harness.core.errors import ConfigError
from harness.data.metric import normalise
from harness.embedding.encoder import Vectors

Reduction = Literal["prefix", "pca"]
Precision = Literal["float32", "float16", "int8", "binary"]
_BITS: dict[Precision, int] = {"float32": 32, "float16": 16, "int8": 8, "binary": 1}
_PART = re.compile(r"(?:(prefix|pca)-(\d+)|(float32|float16|int8|binary)(\+rescore)?)")
_LEVELS = 255
RESCORED = 4
"""Candidates ranked again for each neighbour asked for, where binary codes are rescored."""


@dataclass(frozen=True)
class Variant:
    """How embeddings are reduced, and then stored.

    `dims` first dimensions ("prefix", as Matryoshka training makes them useful) or principal components of the
    documents ("pca"); then length 1 again. int8 has 255 steps a dimension over the documents' range, binary the sign.
    Queries stay float32, but for plain binary, where bits are compared with bits; `rescore` ranks the best of these
    again by the float32 query and the documents' bits.
    """

    reduction: Reduction | None = None
    dims: int | None = None
    precision: Precision = "float32"
    rescore: bool = False

    @classmethod
    def parse(cls, text: str) -> Variant:
        """Read a variant such as prefix-128, pca-64, int8, binary+rescore or pca-128/int8; raises ConfigError."""
        reduction: Reduction | None = None
        dims: int | None = None
        precision: Precision | None = None
        rescore = False
        for part in [] if text == "full" else text.split("/"):
            found = _PART.fullmatch(part)
            again = found is not None and (dims if found[1] else precision) is not None
            if found is None or again or (found[4] and found[3] != "binary"):
                raise ConfigError(
                    f"variant {text!r}: use full, prefix-DIMS or pca-DIMS, float16, int8, binary or binary+rescore, "
                    "or two of them as in pca-128/int8"
                )
            if found[1]:
                reduction, dims = "pca" if found[1] == "pca" else "prefix", int(found[2])
            else:
                precision = next(name for name in _BITS if name == found[3])
                rescore = bool(found[4])
        if dims == 0:
            raise ConfigError(f"variant {text!r}: at least 1 dimension must be left")
        return cls(reduction, dims, precision or "float32", rescore)

    @property
    def label(self) -> str:
        """The variant as it is written."""
        parts = [f"{self.reduction}-{self.dims}"] if self.reduction else []
        if self.precision != "float32":
            parts.append(self.precision + ("+rescore" if self.rescore else ""))
        return "/".join(parts) or "full"

    def dimension(self, full: int) -> int:
        """Return the dimensions that are left of `full`; raises ConfigError where there are not so many."""
        if self.dims is not None and self.dims > full:
            raise ConfigError(f"variant {self.label}: the model has only {full} dimensions")
        return self.dims or full

    def bytes_a_vector(self, full: int) -> int:
        """Return what a stored document takes."""
        return -(-self.dimension(full) * _BITS[self.precision] // 8)

    def fit(self, documents: Vectors) -> Codec:
        """Learn what the variant needs from the documents (n, dim): components and ranges."""
        dims = self.dimension(documents.shape[1])
        basis = principal_components(documents, dims) if self.reduction == "pca" else None
        codec = Codec(self, dims, basis, None)
        if self.precision != "int8":
            return codec
        reduced = codec.reduce(documents)
        return Codec(self, dims, basis, Ranges(reduced.min(axis=0), reduced.max(axis=0)))


class Ranges(NamedTuple):
    """The least and greatest value of each dimension, (dim,) float32."""

    low: Vectors
    high: Vectors


@dataclass(frozen=True, eq=False)
class Codec:
    """A variant fitted to documents: what they look like after being stored, and queries beside them."""

    variant: Variant
    dims: int
    basis: Vectors | None
    ranges: Ranges | None

    def reduce(self, vectors: Vectors) -> Vectors:
        """Reduce to the dimensions left, of length 1: (n, dims)."""
        reduced: Vectors = normalise(vectors @ self.basis.T if self.basis is not None else vectors[:, : self.dims])
        return reduced

    def documents(self, vectors: Vectors) -> Vectors:
        """Return documents as their codes say, (n, dims) float32."""
        reduced = self.reduce(vectors)
        if self.variant.precision == "float16":
            return reduced.astype(np.float16).astype(np.float32)
        if self.variant.precision == "int8" and self.ranges is not None:
            low, high = self.ranges
            step = np.maximum((high - low) / _LEVELS, np.finfo(np.float32).tiny)
            codes: Vectors = np.clip(np.rint((reduced - low) / step), 0, _LEVELS).astype(np.float32)
            return low + codes * step
        if self.variant.precision == "binary":
            return signs(reduced)
        return reduced

    def queries(self, vectors: Vectors) -> Vectors:
        """Return queries as the first search compares them, (q, dims) float32."""
        reduced = self.reduce(vectors)
        return signs(reduced) if self.variant.precision == "binary" else reduced


def signs(vectors: Vectors) -> Vectors:
    """Return 1 where a value is above 0, else -1, scaled to length 1: products then rank as Hamming distances do."""
    scale = np.float32(vectors.shape[1] ** -0.5)
    return np.where(vectors > 0, scale, -scale)


def principal_components(vectors: Vectors, dims: int) -> Vectors:
    """Return the directions (dims, dim) that hold most of the squares of `vectors`, not centred: products remain."""
    moments: NDArray[np.float64] = vectors.T.astype(np.float64) @ vectors.astype(np.float64)
    _, directions = np.linalg.eigh(moments)
    return np.ascontiguousarray(directions[:, ::-1][:, :dims].T.astype(np.float32))
