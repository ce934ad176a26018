"""SigLIP against the loss inside transformers' own model, by hand, and at the edges."""

from __future__ import annotations

import math

import pytest

torch = pytest.importorskip("torch")
from torch.nn.functional import softplus  # noqa: E402 - torch first: without it there is no test

from harness.embedding.losses.siglip import INITIAL_BIAS, INITIAL_LOG_SCALE, siglip  # noqa: E402


@pytest.mark.parametrize("seed", range(3))
def test_equals_transformers(agree, seed: int) -> None:
    """On the embeddings of a tiny random SiglipModel, the loss is its own, in the gradient of every parameter."""
    transformers = pytest.importorskip("transformers")
    torch.manual_seed(seed)
    tiny = {"hidden_size": 8, "intermediate_size": 8, "num_hidden_layers": 1, "num_attention_heads": 2}
    ids = {"vocab_size": 20, "bos_token_id": 0, "eos_token_id": 1, "pad_token_id": 1}
    config = transformers.SiglipConfig(
        text_config={**tiny, **ids, "max_position_embeddings": 4, "projection_size": 8},
        vision_config={**tiny, "image_size": 4, "patch_size": 2},
    )
    model = transformers.SiglipModel(config).eval()
    with torch.no_grad():
        model.logit_scale.fill_(1.7)
        model.logit_bias.fill_(-3.0)
    text, images = torch.randint(20, (5, 4)), torch.randn(5, 3, 4, 4)

    def ours(*_):
        seen = model(text, images)
        return siglip(seen.text_embeds, seen.image_embeds, log_scale=model.logit_scale, bias=model.logit_bias)

    agree(ours, lambda *_: model(text, images, return_loss=True).loss, *model.parameters())


def test_hard_and_false_negatives(normal) -> None:
    """Hard negatives are further pairs that don't match; masked ones cost nothing; the diagonal can't be masked."""
    q, p, n = normal(0, 3, 4, double=True), normal(1, 3, 4, double=True), normal(2, 3, 2, 4, double=True)
    mask = torch.eye(3, 9, dtype=torch.bool)
    mask[0, 1] = mask[2, 7] = True
    expected = 0.0
    candidates = [*p, *n.flatten(0, 1)]
    for i in range(3):
        for j, candidate in enumerate(candidates):
            logit = 10 * torch.nn.functional.cosine_similarity(q[i], candidate, 0) - 10
            if i == j:
                expected += softplus(-logit)
            elif not mask[i, j]:
                expected += softplus(logit)
    torch.testing.assert_close(siglip(q, p, n, mask), expected / 3)


def test_gradients_are_those_of_the_value(normal) -> None:
    """Finite differences in float64 agree: of both sides, hard negatives, scale and bias."""
    scalars = [torch.tensor(v, dtype=torch.float64, requires_grad=True) for v in (1.2, -2.0)]
    inputs = (normal(0, 3, 4, double=True), normal(1, 3, 4, double=True), normal(2, 3, 2, 4, double=True), *scalars)
    assert torch.autograd.gradcheck(lambda q, p, n, t, b: siglip(q, p, n, log_scale=t, bias=b), inputs)


def test_the_start_is_the_papers(normal) -> None:
    """Scale 10 and bias -10 by default: orthogonal pairs that don't match cost next to nothing."""
    assert math.exp(INITIAL_LOG_SCALE) == pytest.approx(10)
    assert INITIAL_BIAS == -10
    x = torch.eye(6)
    value = siglip(x[:3], x[3:])
    assert value.item() == pytest.approx(math.log1p(math.exp(10)) + 2 * math.log1p(math.exp(-10)), rel=1e-6)


def test_a_batch_of_one_still_learns(normal) -> None:
    """A lone pair has its positive question, unlike under InfoNCE."""
    q, p = normal(0, 1, 4), normal(1, 1, 4)
    (gradient,) = torch.autograd.grad(siglip(q, p), q)
    assert gradient.any()
