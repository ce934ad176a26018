"""Train on a large batch in the memory of a small one (Gao et al. 2021; github.com/luyug/GradCache).

A contrastive loss needs the embeddings of the whole batch at once, but their graphs only one at a time, for

    dL / dtheta = sum over chunks of (dL / dembeddings of the chunk) (dembeddings of the chunk / dtheta)

So a step embeds all chunks without a graph, takes the loss and its gradient with respect to the embeddings, and then
embeds chunk by chunk again, now with a graph, and feeds each one its share of that gradient. It costs one more forward
pass, and keeps the activations of one chunk.
"""

from __future__ import annotations

import contextlib
from collections.abc import Callable, Iterator, Mapping, Sequence
from contextlib import AbstractContextManager, nullcontext
from typing import Any, NamedTuple, TypeVar

import torch
from torch import Tensor

from harness.core.errors import AnnbenchError, ParameterError
from harness.embedding.losses.similarity import wide

Inputs = TypeVar("Inputs", Tensor, Mapping[str, Tensor])


class Side(NamedTuple):
    """One side of the loss: `encode` turns each of the `chunks` into embeddings (rows of the chunk, d).

    Sides may share one encoder (a Siamese pair) or not. What an encoder draws must come from torch's generators, since
    it runs twice on each chunk; running statistics, as of BatchNorm, see each chunk twice.
    """

    encode: Callable[[Any], Tensor]
    chunks: Sequence[Any]


def split(inputs: Inputs, size: int) -> list[Inputs]:
    """Cut a tensor, or each one of a mapping such as a tokeniser's, into chunks of `size` rows; the last may be less.

    Raises ParameterError for a size below 1, AnnbenchError for tensors of different lengths.
    """
    if size < 1:
        raise ParameterError(f"a chunk must have 1 row or more, e.g. 64: given {size}")
    if isinstance(inputs, Tensor):
        return list(torch.split(inputs, size))
    lengths = {name: len(tensor) for name, tensor in inputs.items()}
    if len(set(lengths.values())) > 1:
        raise AnnbenchError(f"the tensors of a batch must have as many rows each: given {lengths}")
    parts = zip(*(torch.split(tensor, size) for tensor in inputs.values()), strict=True)
    return [dict(zip(inputs, part, strict=True)) for part in parts]


def step(
    sides: Sequence[Side],
    loss: Callable[..., Tensor],
    *,
    autocast: Callable[[], AbstractContextManager[Any]] = nullcontext,
) -> Tensor:
    """Add the gradient of one batch to `.grad`, as `loss(...).backward()` would; return the loss, a scalar, detached.

    `loss` is called once, with the (n, d) embeddings of each side in turn, in float32 or wider, outside autocast. It
    may hold parameters of its own, such as a temperature: they get their gradient too. `autocast` makes the context in
    which encoders run, e.g. `lambda: torch.autocast("cuda", torch.bfloat16)`; under float16, let `loss` return a
    scaled one, as a GradScaler does. Dropout draws the same masks both times, and afterwards the generators stand where
    one pass over all chunks leaves them. Raises AnnbenchError for a step without sides, a side without chunks, or a
    loss that isn't a scalar.
    """
    if not sides:
        raise AnnbenchError("a step needs at least one side, e.g. queries and positives: given none")
    encoded = [_embed(side, number, autocast) for number, side in enumerate(sides)]
    value, gradients = _differentiate(loss, [parts for parts, _ in encoded])
    for side, (_, states), gradient in zip(sides, encoded, gradients, strict=True):
        if gradient is not None:
            _backpropagate(side, states, gradient, autocast)
    return value


class _Generators:
    """The states of torch's generators, of the CPU and of the current accelerator, when this was made."""

    def __init__(self) -> None:
        self._cpu = torch.get_rng_state()
        self._device = torch.get_device_module().get_rng_state() if torch.accelerator.is_available() else None

    def restore(self) -> None:
        """Bring the generators back to these states."""
        torch.set_rng_state(self._cpu)
        if self._device is not None:
            torch.get_device_module().set_rng_state(self._device)

    @contextlib.contextmanager
    def replayed(self) -> Iterator[None]:
        """Draw within the block what was drawn after these states; then go on as if the block had drawn nothing."""
        now = _Generators()
        self.restore()
        try:
            yield
        finally:
            now.restore()


def _embed(
    side: Side, number: int, autocast: Callable[[], AbstractContextManager[Any]]
) -> tuple[list[Tensor], list[_Generators]]:
    """Embed a side without a graph; return the embeddings of each chunk, and the generators' states before it."""
    if not side.chunks:
        raise AnnbenchError(f"side {number} has no chunks: a batch needs at least one row on each side")
    parts, states = [], []
    with torch.no_grad():
        for chunk in side.chunks:
            states.append(_Generators())
            with autocast():
                parts.append(side.encode(chunk))
    # An autocast around the step would hand the second pass weights that it cast here, without a graph, in versions of
    # torch before pytorch/pytorch#165068.
    torch.clear_autocast_cache()
    return parts, states


def _differentiate(
    loss: Callable[..., Tensor], parts: list[list[Tensor]]
) -> tuple[Tensor, list[Sequence[Tensor] | None]]:
    """Return the loss, and its gradient with respect to each chunk of each side: None where it doesn't read the side.

    Parameters of the loss's own get their gradient here.
    """
    whole = [wide(torch.cat(chunks)).requires_grad_() for chunks in parts]
    with _full_precision(whole[0]):
        value = loss(*whole)
        if value.ndim:
            raise AnnbenchError(f"a loss must be a scalar: given shape {tuple(value.shape)}")
        torch.autograd.backward(value)
    gradients: list[Sequence[Tensor] | None] = []
    for x, chunks in zip(whole, parts, strict=True):
        gradients.append(None if x.grad is None else torch.split(x.grad, [len(chunk) for chunk in chunks]))
    return value.detach(), gradients


def _backpropagate(
    side: Side,
    states: Sequence[_Generators],
    gradients: Sequence[Tensor],
    autocast: Callable[[], AbstractContextManager[Any]],
) -> None:
    """Embed a side again, with a graph, and feed each chunk its gradient."""
    for chunk, state, gradient in zip(side.chunks, states, gradients, strict=True):
        with state.replayed(), autocast():
            embeddings = side.encode(chunk)
        if not embeddings.requires_grad:  # a frozen encoder: nothing to train with the other chunks either
            return
        with _full_precision(embeddings):
            torch.autograd.backward(embeddings, gradient.to(embeddings.dtype))


def _full_precision(x: Tensor) -> AbstractContextManager[Any]:
    """Switch off an autocast that is on around a step: in a backward pass it would halve what the forward one kept."""
    return torch.autocast(x.device.type, enabled=False)
