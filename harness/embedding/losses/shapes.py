"""Shapes that the losses ask for, and the message where a tensor has another."""

from __future__ import annotations

from torch import Tensor

from harness.core.errors import AnnbenchError


def check_rows(count: int, **tensors: Tensor | None) -> None:
    """Raise AnnbenchError for a tensor that doesn't have `count` rows; None is passed over."""
    for name, tensor in tensors.items():
        if tensor is not None and (tensor.ndim == 0 or len(tensor) != count):
            raise AnnbenchError(f"{name} must have {count} rows, one a query: given shape {tuple(tensor.shape)}")


def check_shape(shape: tuple[int, ...], **tensors: Tensor | None) -> None:
    """Raise AnnbenchError for a tensor of another shape; None is passed over."""
    for name, tensor in tensors.items():
        if tensor is not None and tuple(tensor.shape) != shape:
            raise AnnbenchError(f"{name} must have shape {shape}: given {tuple(tensor.shape)}")
