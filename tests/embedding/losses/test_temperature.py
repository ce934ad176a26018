"""Temperatures: fixed, learnt, and kept within CLIP's bounds."""

from __future__ import annotations

import math

import pytest

from harness.core.errors import ParameterError

torch = pytest.importorskip("torch")
from harness.embedding.losses.temperature import clamp_log_scale, scale_of  # noqa: E402 - torch first


@pytest.mark.parametrize(("log_scale", "scale"), [(-3.0, 1.0), (0.0, 1.0), (2.0, math.exp(2)), (9.0, 100.0)])
def test_a_log_scale_counts_within_bounds_and_keeps_its_gradient(log_scale: float, scale: float) -> None:
    """Outside 0 .. log 100 the bound counts, yet its gradient leads back."""
    parameter = torch.tensor(log_scale, dtype=torch.float64, requires_grad=True)
    found = scale_of(parameter)
    assert found.item() == pytest.approx(scale)
    assert torch.autograd.grad(found, parameter)[0].item() == pytest.approx(scale)


def test_clamping_works_in_place() -> None:
    """A parameter beyond the bounds is brought to them; one within stays, and all still learn."""
    parameter = torch.nn.Parameter(torch.tensor([-1.0, 2.0, 5.0]))
    clamp_log_scale(parameter)
    assert parameter.tolist() == pytest.approx([0, 2, math.log(100)])
    assert parameter.requires_grad


def test_a_fixed_temperature_divides() -> None:
    """A float is a temperature: similarities are divided by it; 0, and nan, are refused."""
    assert scale_of(0.25) == 4
    for bad in (0.0, -1.0, math.nan):
        with pytest.raises(ParameterError, match="must be above 0"):
            scale_of(bad)
