"""Encoding many items: their order, progress, modes, and what is refused."""

from __future__ import annotations

from collections.abc import Callable
from typing import Any

import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

torch = pytest.importorskip("torch")

from harness.core.errors import PluginError  # noqa: E402
from harness.embedding.encoder import TowerEncoder, embed_prepared, encode  # noqa: E402
from harness.embedding.towers.static import StaticTower  # noqa: E402


@pytest.fixture(scope="module")
def tower(word_tokenizer: Callable[[], Any]) -> StaticTower:
    """Return a static tower of eight dimensions."""
    return StaticTower.random(word_tokenizer(), 8, seed=1)


@settings(max_examples=30, deadline=None)
@given(items=st.lists(st.text(alphabet="catdog .é", max_size=30), max_size=20), batch=st.integers(1, 7))
def test_embeddings_stand_in_the_order_of_the_items(tower: StaticTower, items: list[str], batch: int) -> None:
    """Whatever their lengths and the size of a batch, row i is the embedding of item i alone."""
    done: list[int] = []
    found = encode(tower, items, batch=batch, progress=done.append)
    assert found.shape == (len(items), 8)
    assert found.dtype == np.float32
    assert sum(done) == len(items)
    for item, row in zip(items, found, strict=True):
        np.testing.assert_allclose(encode(tower, [item])[0], row, atol=1e-6)


def test_what_is_no_text_is_refused(tower: StaticTower) -> None:
    """A tower of texts names the item that is none, and what it is."""
    with pytest.raises(PluginError, match="item 1: this tower embeds texts; given int"):
        encode(tower, ["cat", 5])


@pytest.mark.parametrize("training", [True, False])
def test_a_tower_is_left_in_its_mode(tower: StaticTower, training: bool) -> None:
    """Training goes on as training, even where encoding fails."""
    tower.train(training)
    encode(tower, ["cat"])
    assert tower.training is training
    with pytest.raises(RuntimeError, match="valid range"):
        embed_prepared(tower, [[tower.embedding.num_embeddings]])
    assert tower.training is training
    tower.eval()


def test_what_is_not_finite_is_refused(word_tokenizer: Callable[[], Any]) -> None:
    """An embedding that holds NaN is an error that names the item."""
    tower = StaticTower.random(word_tokenizer(), 4)
    with torch.no_grad():
        tower.embedding.weight[:] = torch.nan
    with pytest.raises(PluginError, match=r"item 1 holds NaN or infinity: 'the cat'"):
        encode(tower, ["", "the cat"])


def test_one_tower_or_two(word_tokenizer: Callable[[], Any]) -> None:
    """A Siamese model counts its weights once; two towers must agree in dimension, and each does its own role."""
    tokenizer = word_tokenizer()
    asks, tells, wide = (StaticTower.random(tokenizer, dim, seed=dim + i) for i, dim in enumerate((4, 4, 6)))
    one = TowerEncoder("one", {"query": asks, "document": asks})
    two = TowerEncoder("two", {"query": asks, "document": tells})
    other = TowerEncoder("other", {"query": tells, "document": asks})
    assert two.parameter_count == 2 * one.parameter_count
    assert one.dimension == 4
    assert len({one.fingerprint, two.fingerprint, other.fingerprint}) == 3
    np.testing.assert_array_equal(two.encode(["cat"], "query"), encode(asks, ["cat"]))
    np.testing.assert_array_equal(two.encode(["cat"]), encode(tells, ["cat"]))
    with pytest.raises(PluginError, match=r"embed in \[4, 6\] dimensions"):
        TowerEncoder("wrong", {"query": asks, "document": wide})
