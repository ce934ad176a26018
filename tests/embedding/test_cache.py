"""Kept embeddings: what is found again, what is not, and that damage costs time but no figure."""

from __future__ import annotations

import io
import json
from collections.abc import Sequence
from dataclasses import dataclass, replace
from pathlib import Path
from typing import Any

import numpy as np
import pytest

pytest.importorskip("torch")

from harness.embedding.cache import EmbeddingCache

TEXTS = ["one", "two", "three"]


@dataclass
class Counting:
    """An encoder that counts what it embeds; its vectors depend on its fingerprint, the role and the text."""

    fingerprint: str = "a"
    name: str = "counting"
    dimension: int = 4
    parameter_count: int = 0
    calls: int = 0

    def encode(self, items: Sequence[Any], role: str = "document", *, progress: Any = None) -> Any:
        """Embed items, by a generator that is seeded with all that counts."""
        self.calls += 1
        seeds = [list(f"{self.fingerprint} {role} {item}".encode()) for item in items]
        rows = [np.random.default_rng(seed).standard_normal(self.dimension) for seed in seeds]
        return np.array(rows, np.float32).reshape(len(rows), self.dimension)


def test_a_hit_equals_a_miss(tmp_path: Path) -> None:
    """What was kept is what was computed, bit by bit, with the seconds that it took then."""
    encoder, cache, told = Counting(), EmbeddingCache(tmp_path), []
    first = cache.embed(encoder, TEXTS, "query")
    again = cache.embed(encoder, TEXTS, "query", progress=told.append)
    np.testing.assert_array_equal(first.vectors, again.vectors)
    assert again.vectors.dtype == np.float32
    assert (first.seconds, encoder.calls, told) == (again.seconds, 1, [3])


@pytest.mark.parametrize(
    ("texts", "role", "fingerprint"),
    [
        (TEXTS, "document", "a"),
        (["one", "two", "threE"], "query", "a"),
        (["one", "twothree", ""], "query", "a"),
        (["two", "one", "three"], "query", "a"),
        (TEXTS[:2], "query", "a"),
        (TEXTS, "query", "b"),
    ],
)
def test_the_key_depends_on_texts_role_and_weights(
    tmp_path: Path, texts: list[str], role: Any, fingerprint: str
) -> None:
    """Other texts, another order, another role or other weights are another key."""
    encoder, cache = Counting(), EmbeddingCache(tmp_path)
    cache.embed(encoder, TEXTS, "query")
    other = replace(encoder, fingerprint=fingerprint)
    before = other.calls
    found = cache.embed(other, texts, role)
    assert other.calls == before + 1
    np.testing.assert_array_equal(found.vectors, Counting(fingerprint).encode(texts, role))


def as_npy(array: Any, **options: Any) -> bytes:
    """Return an array as a file holds it."""
    stream = io.BytesIO()
    np.save(stream, array, **options)
    return stream.getvalue()


@pytest.mark.parametrize(
    "content",
    [
        b"",
        b"PK\x03\x04 an archive, it seems",
        b"\x93NUMPY\x01\x00\x76\x00{'descr': '<f4', 'fortran_order': False, 'shape': (3,",
        as_npy(np.zeros((3, 4), np.float32))[:-5],
        as_npy(np.zeros((3, 5), np.float32)),
        as_npy(np.zeros((3, 4))),
        as_npy(np.array([[{}]], object), allow_pickle=True),
    ],
)
def test_damaged_arrays_are_computed_again(tmp_path: Path, content: bytes) -> None:
    """A file that is cut short, no array, of another shape or kind, or a pickle is replaced."""
    encoder, cache = Counting(), EmbeddingCache(tmp_path)
    expected = cache.embed(encoder, TEXTS)
    (path,) = tmp_path.glob("*.npy")
    path.write_bytes(content)
    np.testing.assert_array_equal(cache.embed(encoder, TEXTS).vectors, expected.vectors)
    cache.embed(encoder, TEXTS)
    assert encoder.calls == 2


@pytest.mark.parametrize("content", [None, "", "[]", "{}", json.dumps({"seconds": None})])
def test_an_array_without_its_seconds_is_computed_again(tmp_path: Path, content: str | None) -> None:
    """The seconds are written last: an array without them may be from a run that was stopped."""
    encoder, cache = Counting(), EmbeddingCache(tmp_path)
    cache.embed(encoder, TEXTS)
    (path,) = tmp_path.glob("*.json")
    if content is None:
        path.unlink()
    else:
        path.write_text(content)
    cache.embed(encoder, TEXTS)
    assert encoder.calls == 2


def test_without_a_folder_nothing_is_kept(tmp_path: Path) -> None:
    """No folder, no files: each time is the first."""
    encoder, cache = Counting(), EmbeddingCache(None)
    cache.embed(encoder, TEXTS)
    cache.embed(encoder, [])
    assert cache.embed(encoder, TEXTS).vectors.shape == (3, 4)
    assert encoder.calls == 3
    assert not list(tmp_path.iterdir())
