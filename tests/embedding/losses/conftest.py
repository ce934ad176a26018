"""What tests of losses share: random embeddings, and the comparison with an oracle in value and gradient."""

from __future__ import annotations

from collections.abc import Callable
from typing import Any

import pytest

TOLERANCE = 1e-5


@pytest.fixture(scope="session")
def normal() -> Callable[..., Any]:
    """Return a function that draws a tensor from the normal distribution, with a gradient, by seed and shape."""
    torch = pytest.importorskip("torch")

    def draw(seed: int, *shape: int, double: bool = False) -> Any:
        generator = torch.Generator().manual_seed(seed)
        drawn = torch.randn(*shape, generator=generator, dtype=torch.float64)
        return drawn.to(torch.float64 if double else torch.float32).requires_grad_()

    return draw


@pytest.fixture(scope="session")
def agree() -> Callable[..., None]:
    """Return a function that asks two losses for the same value and the same gradients, to 1e-5."""
    torch = pytest.importorskip("torch")

    def compare(ours: Callable[..., Any], theirs: Callable[..., Any], *inputs: Any) -> None:
        values, gradients = [], []
        for loss in (ours, theirs):
            value = loss(*inputs)
            assert value.ndim == 0
            values.append(value.detach().double())
            gradients.append(torch.autograd.grad(value, inputs))
        torch.testing.assert_close(*values, rtol=TOLERANCE, atol=TOLERANCE)
        for mine, other in zip(*gradients, strict=True):
            torch.testing.assert_close(mine, other, rtol=TOLERANCE, atol=TOLERANCE)

    return compare
