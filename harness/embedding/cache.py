"""Embeddings kept between evaluations, under a hash of all that they depend on."""

from __future__ import annotations

import hashlib
import json
import time
from collections.abc import Sequence
from pathlib import Path
from typing import Any, NamedTuple

import numpy as np

from harness.core.atomic import reason, replacing, write_text
from harness.core.errors import StoreError
from harness.embedding.encoder import Encoder, Progress, Vectors
from harness.embedding.towers.tower import Role, item_bytes


class Embedded(NamedTuple):
    """Embeddings (n, dim) float32, and how many seconds it took when they were computed."""

    vectors: Vectors
    seconds: float


class EmbeddingCache:
    """A folder of arrays; any of them may be deleted at any time. Without a folder nothing is kept."""

    def __init__(self, folder: Path | None) -> None:
        self._folder = folder

    def embed(
        self, encoder: Encoder, texts: Sequence[Any], role: Role = "document", *, progress: Progress | None = None
    ) -> Embedded:
        """Embed texts or images, or find them embedded by the same weights, settings and role before."""
        path = None if self._folder is None else self._folder / f"{_key(encoder, texts, role)}.npy"
        if path is not None:
            known = _read(path, (len(texts), encoder.dimension))
            if known is not None:
                if progress is not None:
                    progress(len(texts))
                return known
        started = time.perf_counter()
        vectors = encoder.encode(texts, role, progress=progress)
        embedded = Embedded(vectors, time.perf_counter() - started)
        if path is not None:
            _write(path, embedded)
        return embedded


def _key(encoder: Encoder, texts: Sequence[Any], role: Role) -> str:
    digest = hashlib.sha256(f"{encoder.fingerprint} {role} {len(texts)}\n".encode())
    for text in texts:
        coded = item_bytes(text)
        digest.update(len(coded).to_bytes(8, "little"))
        digest.update(coded)
    return digest.hexdigest()


def _read(path: Path, shape: tuple[int, int]) -> Embedded | None:
    """Read what was kept; what is damaged is as good as absent."""
    try:
        seconds = float(json.loads(path.with_suffix(".json").read_text(encoding="utf-8"))["seconds"])
        with path.open("rb") as stream:
            # Not np.load, which would take a damaged file for an archive or a pickle.
            vectors: Any = np.lib.format.read_array(stream, allow_pickle=False)
    except (OSError, ValueError, KeyError, TypeError, EOFError):
        return None
    if vectors.shape != shape or vectors.dtype != np.float32:
        return None
    return Embedded(vectors, seconds)


def _write(path: Path, embedded: Embedded) -> None:
    try:
        with replacing(path) as temporary, temporary.open("wb") as stream:
            np.save(stream, embedded.vectors, allow_pickle=False)
        write_text(path.with_suffix(".json"), json.dumps({"seconds": embedded.seconds}))
    except OSError as refused:
        raise StoreError(
            f"{path}: embeddings could not be kept ({reason(refused)}); free disk space, or empty that folder"
        ) from None
