"""GradCache against plain backpropagation: the same gradients, the same dropout, one graph at a time."""

from __future__ import annotations

import math
import weakref
from collections.abc import Callable
from typing import Any

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from harness.core.errors import AnnbenchError, ParameterError

torch = pytest.importorskip("torch")
from harness.embedding.grad_cache import Side, split, step  # noqa: E402 - torch first: without it there is no test
from harness.embedding.losses.info_nce import info_nce  # noqa: E402
from harness.embedding.losses.siglip import siglip  # noqa: E402

WORDS, LENGTH, WIDTH = 50, 6, 8


class Bag(torch.nn.Module):
    """The mean of word vectors, through dropout and a layer."""

    def __init__(self, seed: int = 0, dropout: float = 0.0) -> None:
        super().__init__()
        torch.manual_seed(seed)
        self.words = torch.nn.EmbeddingBag(WORDS, WIDTH)
        self.dropout = torch.nn.Dropout(dropout)
        self.out = torch.nn.Linear(WIDTH, WIDTH)

    def forward(self, ids):
        return self.out(self.dropout(self.words(ids)).tanh())


class Bert(torch.nn.Module):
    """A tiny BERT with random weights, averaged over the words that count."""

    def __init__(self, dropout: float = 0.0) -> None:
        super().__init__()
        transformers = pytest.importorskip("transformers")
        torch.manual_seed(0)
        config = transformers.BertConfig(
            vocab_size=WORDS,
            hidden_size=WIDTH,
            num_hidden_layers=2,
            num_attention_heads=2,
            intermediate_size=16,
            max_position_embeddings=LENGTH,
            hidden_dropout_prob=dropout,
            attention_probs_dropout_prob=dropout,
        )
        self.bert = transformers.BertModel(config, add_pooling_layer=False)

    def forward(self, words):
        weight = words["attention_mask"][..., None]
        return (self.bert(**words).last_hidden_state * weight).sum(1) / weight.sum(1)


def ids(seed: int, rows: int):
    return torch.randint(WORDS, (rows, LENGTH), generator=torch.Generator().manual_seed(seed))


def texts(seed: int, rows: int) -> dict[str, Any]:
    """Return a tokeniser's output: ids, and a mask under which texts have 2 words or more."""
    lengths = 2 + ids(seed + 1, rows)[:, :1] % (LENGTH - 1)
    return {"input_ids": ids(seed, rows), "attention_mask": (torch.arange(LENGTH) < lengths).long()}


def gradients(run: Callable[[], Any], *owners: Any) -> tuple[Any, list[Any]]:
    """Return what `run` returns, and the gradients that it leaves with parameters of modules and with tensors."""
    parameters = [p for owner in owners for p in ([owner] if isinstance(owner, torch.Tensor) else owner.parameters())]
    for parameter in parameters:
        parameter.grad = None
    value = run().detach()
    return value, [None if p.grad is None else p.grad.clone() for p in parameters]


def plainly(sides: list[Side], loss: Callable[..., Any]) -> Any:
    """Keep the graphs of all chunks, and backpropagate once."""
    value = loss(*(torch.cat([side.encode(chunk) for chunk in side.chunks]).float() for side in sides))
    value.backward()
    return value


def log_scale():
    return torch.tensor(math.log(10), requires_grad=True)


@given(rows=st.integers(1, 12), size=st.integers(1, 13), siamese=st.booleans(), seed=st.integers(0, 1000))
@settings(deadline=None, max_examples=40)
def test_bags_get_the_gradients_of_the_whole_batch(rows: int, size: int, siamese: bool, seed: int) -> None:
    """For any chunk size, with one tower or two, loss and gradients are the batch's own; the temperature's too."""
    query = Bag(seed)
    other = query if siamese else Bag(seed + 1)
    temperature = log_scale()

    def loss(x, y):
        return info_nce(x, y, temperature=temperature, symmetric=True)

    inputs = [(query, ids(seed, rows)), (other, ids(seed + 1, rows))]
    whole = [Side(encode, [x]) for encode, x in inputs]
    cached = [Side(encode, split(x, size)) for encode, x in inputs]
    expected = gradients(lambda: plainly(whole, loss), query, other, temperature)
    found = gradients(lambda: step(cached, loss), query, other, temperature)
    torch.testing.assert_close(found, expected, rtol=1e-5, atol=1e-6)


@pytest.mark.parametrize("size", [1, 4, 5, 100])
def test_bert_gets_the_gradients_of_the_whole_batch(size: int) -> None:
    """Query, positive and hard negatives through one BERT in chunks: all gradients are those of the batch, to 1e-5."""
    model, temperature = Bert(), log_scale()

    def loss(q, p, n):
        return info_nce(q, p, n.view(10, 2, -1), temperature=temperature)

    inputs = [texts(0, 10), texts(2, 10), texts(4, 20)]
    expected = gradients(lambda: plainly([Side(model, [x]) for x in inputs], loss), model, temperature)
    found = gradients(lambda: step([Side(model, split(x, size)) for x in inputs], loss), model, temperature)
    assert max(g.abs().max() for g in expected[1]) > 0.1
    torch.testing.assert_close(found, expected, rtol=1e-5, atol=1e-5)


@pytest.mark.parametrize("make", [Bag, Bert], ids=["bag", "bert"])
def test_dropout_draws_the_same_masks_twice(make: Callable[..., Any]) -> None:
    """From one seed, gradients are those of a plain pass over the same chunks, and so is what is drawn next."""
    model = make(dropout=0.3).train()
    texts_or_ids = ids if make is Bag else texts
    sides = [Side(model, split(texts_or_ids(seed, 10), 3)) for seed in (0, 2)]

    def seeded(run: Callable[..., Any], seed: int) -> tuple[Any, Any]:
        torch.manual_seed(seed)
        return gradients(lambda: run(sides, info_nce), model), torch.rand(3)

    expected, found, another = seeded(plainly, 7), seeded(step, 7), seeded(plainly, 8)
    torch.testing.assert_close(found, expected, rtol=1e-5, atol=1e-5)
    assert not torch.allclose(expected[0][1][0], another[0][1][0], rtol=1e-2)


def test_gradients_add_up() -> None:
    """Two steps without clearing leave twice the gradient, as two calls of backward do."""
    model = Bag()
    sides = [Side(model, split(ids(seed, 8), 3)) for seed in (0, 1)]
    _, once = gradients(lambda: step(sides, siglip), model)
    _, twice = gradients(lambda: (step(sides, siglip), step(sides, siglip))[1], model)
    torch.testing.assert_close(twice, [2 * g for g in once])


def half():
    return torch.autocast("cpu", torch.bfloat16)


def test_autocast_around_encoders() -> None:
    """Encoders in bfloat16: gradients are those of plain passes in it, and the loss sees float32."""
    model, seen = Bag(), []

    def encode(chunk):
        with half():
            return model(chunk)

    def loss(x, y):
        seen.append(x.dtype)
        return info_nce(x, y)

    chunks = [split(ids(seed, 8), 3) for seed in (0, 1)]
    _, expected = gradients(lambda: plainly([Side(encode, c) for c in chunks], loss), model)
    _, found = gradients(lambda: step([Side(model, c) for c in chunks], loss, autocast=half), model)
    _, exact = gradients(lambda: step([Side(model, c) for c in chunks], loss), model)
    torch.testing.assert_close(found, expected, rtol=1e-5, atol=1e-5)
    assert not any(torch.equal(a, b) for a, b in zip(found, exact, strict=True))
    assert set(seen) == {torch.float32}


def test_autocast_around_the_step() -> None:
    """Weights that an outer autocast keeps from the first pass don't cut the second one off from its gradient."""
    model = Bag()
    sides = [Side(model, split(ids(seed, 8), 3)) for seed in (0, 1)]

    def inside():
        with half():
            return step(sides, info_nce)

    _, outside = gradients(lambda: step(sides, info_nce, autocast=half), model)
    _, found = gradients(inside, model)
    torch.testing.assert_close(found, outside, rtol=1e-5, atol=1e-5)


def test_one_graph_at_a_time() -> None:
    """When a chunk is embedded with its graph, no embedding of an earlier chunk is alive any more."""
    model, alive, counts = Bag(), weakref.WeakSet(), []

    def encode(chunk):
        counts.append(len(alive))
        embeddings = model(chunk)
        if embeddings.requires_grad:
            alive.add(embeddings)
        return embeddings

    step([Side(encode, split(ids(seed, 12), 3)) for seed in (0, 1)], info_nce)
    assert len(counts) == 2 * (4 + 4)
    assert max(counts) <= 1


def test_frozen_and_unread_sides() -> None:
    """A frozen encoder gets no gradient and doesn't stop the others'; neither does a side that the loss ignores."""
    query, frozen, ignored = Bag(0), Bag(1).requires_grad_(requires_grad=False), Bag(2)
    inputs = [(query, ids(0, 6)), (frozen, ids(1, 6)), (ignored, ids(2, 6))]

    def loss(x, y, _):
        return info_nce(x, y)

    whole, cached = ([Side(encode, split(x, size)) for encode, x in inputs] for size in (6, 4))
    expected = gradients(lambda: plainly(whole, loss), query, frozen, ignored)
    found = gradients(lambda: step(cached, loss), query, frozen, ignored)
    torch.testing.assert_close(found, expected)
    assert [g is None for g in found[1]] == [False] * 3 + [True] * 6


def test_splitting() -> None:
    """Chunks hold all rows in order, the last what is left; tensors of a mapping are cut alike."""
    batch = texts(0, 7)
    parts = split(batch, 3)
    assert [len(part["input_ids"]) for part in parts] == [3, 3, 1]
    for name, tensor in batch.items():
        assert torch.equal(torch.cat([part[name] for part in parts]), tensor)
    assert [len(part) for part in split(ids(0, 6), 3)] == [3, 3]


def test_bad_input_is_refused() -> None:
    """A chunk of 0 rows, uneven tensors, no sides, a side without chunks and a loss a row are named."""
    model = Bag()
    with pytest.raises(ParameterError, match="1 row or more"):
        split(ids(0, 4), 0)
    with pytest.raises(AnnbenchError, match=r"as many rows each: given \{'a': 4, 'b': 3\}"):
        split({"a": ids(0, 4), "b": ids(0, 3)}, 2)
    with pytest.raises(AnnbenchError, match="at least one side"):
        step([], info_nce)
    with pytest.raises(AnnbenchError, match="side 1 has no chunks"):
        step([Side(model, [ids(0, 4)]), Side(model, [])], info_nce)
    with pytest.raises(AnnbenchError, match=r"a loss must be a scalar: given shape \(4,\)"):
        step([Side(model, [ids(0, 4)])], lambda x: x.sum(1))
