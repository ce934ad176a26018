"""What every tower is: it prepares items once, collates some of them into tensors, and embeds those."""

from __future__ import annotations

import hashlib
import json
from abc import abstractmethod
from collections.abc import Mapping, Sequence
from typing import Any, Literal

import numpy as np
import torch
from numpy.typing import NDArray
from torch import Tensor, nn

from harness.core.errors import PluginError

Role = Literal["query", "document"]
Inputs = dict[str, Tensor]
Ids = NDArray[np.int64]


class Tower(nn.Module):
    """A module that embeds texts or images.

    Items are prepared once (tokenised, say), however often they are then collated and embedded: training sees a text
    in every epoch, and encoding sorts by length first.
    """

    dimension: int
    """Of the embeddings."""
    prompts: Mapping[Role, str]
    """What is put before a text by its role."""
    padded: bool = False
    """Whether each item of a batch costs what the largest one does."""
    budget: int = 1 << 15
    """What is embedded at once, in the unit of `size`, padding included; more would gain nothing."""

    @abstractmethod
    def prepare(self, items: Sequence[Any], role: Role = "document") -> list[Any]:
        """Turn items into what `collate` takes, one for one."""

    @abstractmethod
    def size(self, prepared: Any) -> int:
        """Return what embedding a prepared item costs, in any unit: its number of tokens."""

    def pieces(self, prepared: Sequence[Any], most: int | None = None) -> list[Ids]:
        """Cut prepared items into parts of like size to be embedded at once, by their numbers, the largest ones first.

        Each is within the budget, or holds one item; with `most`, it holds so many at most whatever the budget says.
        """
        sizes = np.fromiter(map(self.size, prepared), np.int64, len(prepared))
        order = np.argsort(-sizes, kind="stable")
        found, start = [], 0
        while start < len(order):
            count = most or max(1, self.budget // max(1, int(sizes[order[start]])))
            found.append(order[start : start + count])
            start += count
        return found

    @abstractmethod
    def collate(self, prepared: Sequence[Any]) -> Inputs:
        """Put prepared items (b) into tensors."""

    @abstractmethod
    def forward(self, inputs: Inputs) -> Tensor:
        """Embed a batch: (b, dimension) float32."""

    @abstractmethod
    def settings(self) -> Mapping[str, Any]:
        """Return all that embeddings depend on beside the weights, as JSON holds it."""

    @property
    def parameter_count(self) -> int:
        """How many weights there are, shared ones once."""
        return sum(parameter.numel() for parameter in self.parameters())

    @property
    def device(self) -> torch.device:
        """Where the weights are."""
        return next(self.parameters()).device

    def fingerprint(self) -> str:
        """Hash the weights and settings: towers that embed differently have different ones (SHA-256, hexadecimal)."""
        digest = hashlib.sha256(json.dumps(self.settings(), sort_keys=True, default=str).encode())
        for name, tensor in sorted(self.state_dict().items()):
            digest.update(f"{name} {tensor.dtype} {tuple(tensor.shape)}".encode())
            digest.update(tensor.detach().cpu().contiguous().flatten().view(torch.uint8).numpy().data)
        return digest.hexdigest()


def item_bytes(item: Any) -> bytes:
    """Return a text or an array as bytes that no other item has, for hashes."""
    if isinstance(item, np.ndarray):
        return f"{item.dtype} {item.shape}\n".encode() + item.tobytes()
    return str(item).encode()


def with_prompt(texts: Sequence[str], prompt: str) -> list[str]:
    """Put the prompt before each text, which stays as it is, blanks at its ends included.

    Raises PluginError for what is no text.
    """
    for number, text in enumerate(texts):
        if not isinstance(text, str):
            raise PluginError(f"item {number}: this tower embeds texts; given {type(text).__name__}")
    return [prompt + text for text in texts]


def told(prompts: Mapping[Role, str]) -> dict[Role, str]:
    """Return the prompts that say something: an empty one is none."""
    return {role: prompt for role, prompt in prompts.items() if prompt}
