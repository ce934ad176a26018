"""Every loss through the registry: what it needs, what it refuses, and that no input makes it nan."""

from __future__ import annotations

from dataclasses import replace

import pytest

from harness.core.errors import AnnbenchError, UnknownNameError

torch = pytest.importorskip("torch")
from harness.embedding.losses.batch import Batch  # noqa: E402 - torch first: without it there is no test
from harness.embedding.losses.registry import LOSSES, find_loss  # noqa: E402

EMBEDDINGS = ("queries", "positives", "negatives")


def whole(make) -> Batch:
    """Return a batch of six examples with every field; `make(index, *shape)` draws its embeddings."""
    return Batch(
        make(0, 6, 4),
        make(1, 6, 4),
        make(2, 6, 2, 4),
        labels=torch.tensor([0, 1, 0, 1, 1, 0]),
        teacher_scores=torch.arange(18.0).reshape(6, 3),
        teacher_embeddings=torch.ones(6, 4),
        false_negatives=torch.ones(6, 6).triu(4).bool(),
    )


def only(batch: Batch, *names: str) -> Batch:
    """Return the batch without any other field."""
    return replace(batch, **{name: None for name in vars(batch) if name not in {"queries", *names}})


@pytest.mark.parametrize("name", LOSSES)
def test_a_loss_needs_what_it_says(normal, name: str) -> None:
    """With just the fields it names it gives a scalar with a gradient; without one of them it says which is missing."""
    # Small vectors: all lie within any margin of each other.
    loss, batch = LOSSES[name], whole(lambda seed, *shape: 0.1 * normal(seed, *shape))
    assert loss.name == name
    value = loss(only(batch, *loss.needs))
    assert value.ndim == 0
    assert torch.autograd.grad(value, batch.queries)[0].any()
    for field in set(loss.needs) - {"queries"}:
        with pytest.raises(AnnbenchError, match=f"{name} needs .*: {field} missing"):
            loss(only(batch, *(set(loss.needs) - {field})))


@pytest.mark.parametrize("name", [name for name, loss in LOSSES.items() if loss.takes])
def test_what_a_loss_takes_changes_it(normal, name: str) -> None:
    """Each optional field makes a difference where it is given."""
    loss, batch = LOSSES[name], whole(normal)
    for field in loss.takes:
        assert loss(only(batch, *loss.needs, field)) != loss(only(batch, *loss.needs))


@pytest.mark.parametrize("name", LOSSES)
@pytest.mark.parametrize("fill", [0.0, 1.0], ids=["zero vectors", "equal vectors"])
def test_vectors_without_a_direction_give_no_nan(name: str, fill: float) -> None:
    """All zeros, and all alike: value and gradients are finite, and no gradient is larger than a step could bear."""
    batch = whole(lambda _, *shape: torch.full(shape, fill, requires_grad=True))
    value = LOSSES[name](batch)
    inputs = [getattr(batch, field) for field in EMBEDDINGS]
    gradients = [g for g in torch.autograd.grad(value, inputs, allow_unused=True) if g is not None]
    assert value.isfinite()
    assert all(g.abs().max() < 1000 for g in gradients)


@pytest.mark.parametrize("name", LOSSES)
def test_one_zero_vector_among_others_gives_no_nan(normal, name: str) -> None:
    """A single empty text doesn't spoil the batch."""
    rows = torch.ones(6, 1)
    rows[2] = 0
    batch = whole(lambda seed, *shape: normal(seed, *shape).detach() * rows.view(-1, *[1] * (len(shape) - 1)))
    inputs = [getattr(batch, field).requires_grad_() for field in EMBEDDINGS]
    value = LOSSES[name](batch)
    assert value.isfinite()
    for gradient in torch.autograd.grad(value, inputs, allow_unused=True):
        assert gradient is None or gradient.isfinite().all()


@pytest.mark.parametrize("name", LOSSES)
def test_half_precision_is_widened(normal, name: str) -> None:
    """Embeddings in bfloat16, under autocast, give float32, and what their float32 copies give."""
    coarse = whole(lambda seed, *shape: normal(seed, *shape).detach().bfloat16())
    fine = replace(coarse, **{field: getattr(coarse, field).float() for field in EMBEDDINGS})
    with torch.autocast("cpu", torch.bfloat16):
        value = LOSSES[name](coarse)
    assert value.dtype == torch.float32
    torch.testing.assert_close(value, LOSSES[name](fine))


@pytest.mark.parametrize("name", [name for name, loss in LOSSES.items() if loss.learnable])
def test_learnable_settings_learn(normal, name: str) -> None:
    """Each setting named as learnable may be a scalar with a gradient."""
    loss = LOSSES[name]
    learnt = {key: torch.tensor(start, requires_grad=True) for key, start in loss.learnable.items()}
    gradients = torch.autograd.grad(loss(whole(normal), learnt), list(learnt.values()))
    assert all(g != 0 for g in gradients)


def test_unknown_names_suggest_the_nearest(normal) -> None:
    """A loss or a setting that doesn't exist is answered with those that do."""
    with pytest.raises(UnknownNameError, match="no loss is called 'infonce'; did you mean info_nce"):
        find_loss("infonce")
    assert find_loss("siglip") is LOSSES["siglip"]
    with pytest.raises(UnknownNameError, match="no setting of info_nce is called 'temprature'; did you mean temp"):
        LOSSES["info_nce"](whole(normal), {"temprature": 1.0})


def test_a_batch_has_a_row_a_query(normal) -> None:
    """A field with another number of rows is named when the batch is made, and so is a scalar."""
    with pytest.raises(AnnbenchError, match=r"labels must have 6 rows, one a query: given shape \(5,\)"):
        Batch(normal(0, 6, 4), labels=torch.arange(5))
    with pytest.raises(AnnbenchError, match=r"teacher_scores must have 6 rows, one a query: given shape \(\)"):
        Batch(normal(0, 6, 4), teacher_scores=torch.tensor(1.0))
