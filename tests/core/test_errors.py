"""Which names a message suggests."""

from __future__ import annotations

import pytest

from harness.core.errors import UnknownNameError, nearest

KNOWN = ["brute_force", "digits-64-euclidean", "glove-100-angular", "glove-25-angular", "hnsw", "hnswlib", "scann"]


@pytest.mark.parametrize(
    ("name", "meant"),
    [
        ("HNSW", ["hnsw"]),
        ("brute-force", ["brute_force"]),
        ("digits", ["digits-64-euclidean"]),
        ("glove", ["glove-100-angular", "glove-25-angular"]),
        ("hnswlb", ["hnswlib", "hnsw"]),
        ("25-angular", ["glove-25-angular"]),
        ("zzz", []),
        ("", []),
    ],
)
def test_the_nearest_names(name: str, meant: list[str]) -> None:
    """Another case, a beginning, a part and a slip of the finger are understood, in this order."""
    assert nearest(name, KNOWN)[: len(meant) or 1] == meant


def test_what_is_here_comes_first() -> None:
    """Names of one's own are suggested before those of the catalogue."""
    problem = UnknownNameError("dataset", "vectors", ["vectors-a", "vectors-b", "vectors-c"], ["vectors-mine"])
    assert str(problem) == "no dataset is called 'vectors'; did you mean vectors-mine or vectors-a or vectors-b?"
