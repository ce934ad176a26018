"""What follows pooling: projections, and the length of 1."""

from __future__ import annotations

from collections.abc import Sequence

import torch
from torch import Tensor, nn

from harness.core.errors import UnknownNameError

ACTIVATIONS: dict[str, type[nn.Module]] = {
    "Identity": nn.Identity,
    "Tanh": nn.Tanh,
    "ReLU": nn.ReLU,
    "GELU": nn.GELU,
    "SiLU": nn.SiLU,
}


class Dense(nn.Module):
    """A linear map and an activation, named as torch names it."""

    def __init__(self, inputs: int, outputs: int, *, bias: bool = True, activation: str = "Identity") -> None:
        super().__init__()
        if activation not in ACTIVATIONS:
            raise UnknownNameError("activation", activation, ACTIVATIONS)
        self.linear = nn.Linear(inputs, outputs, bias=bias)
        self.activation_name = activation
        self.activation = ACTIVATIONS[activation]()

    def forward(self, vectors: Tensor) -> Tensor:
        """Map (b, inputs) to (b, outputs)."""
        mapped: Tensor = self.activation(self.linear(vectors))
        return mapped


class Head(nn.Module):
    """Projections in turn, then length 1 if `normalised`."""

    def __init__(self, projections: Sequence[Dense] = (), *, normalised: bool = True) -> None:
        super().__init__()
        self.projections = nn.ModuleList(projections)
        self.normalised = normalised

    def forward(self, vectors: Tensor) -> Tensor:
        """Map pooled vectors (b, dim) to embeddings."""
        for projection in self.projections:
            vectors = projection(vectors)
        return torch.nn.functional.normalize(vectors, dim=-1) if self.normalised else vectors

    def outputs(self, inputs: int) -> int:
        """Return the dimension of the embeddings of pooled vectors of dimension `inputs`."""
        for projection in self.projections:
            assert isinstance(projection, Dense)  # noqa: S101 - for the type checker: nothing else is put there
            inputs = projection.linear.out_features
        return inputs
