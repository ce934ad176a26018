"""A tower from any Hugging Face transformer: encoders (BERT), encoders of pairs (T5), decoders (GPT)."""

from __future__ import annotations

import json
from collections.abc import Mapping, Sequence
from itertools import chain
from typing import Any

import numpy as np
import torch
from torch import Tensor, nn

from harness.embedding.towers.heads import Head
from harness.embedding.towers.pooling import Pooling, pool
from harness.embedding.towers.tower import Inputs, Role, Tower, told, with_prompt

_LONGEST = 512
_NO_LIMIT = 1 << 30
# What a configuration says of where a model comes from and how it is kept, not of what it computes.
_PROVENANCE = {"architectures", "dtype", "torch_dtype", "transformers_version"}


class TransformerTower(Tower):
    """A transformer, the pooling of its last states, and a head.

    `tokenizer` is a fast tokenizer of transformers; texts are cut after `max_length` tokens. Padding stands on the
    right whatever the tokenizer says: no state depends on it, under the mask.
    """

    padded = True
    budget = 1024

    def __init__(
        self,
        model: nn.Module,
        tokenizer: Any,
        *,
        pooling: Pooling = "mean",
        head: Head | None = None,
        max_length: int | None = None,
        prompts: Mapping[Role, str] | None = None,
        lower_case: bool = False,
    ) -> None:
        super().__init__()
        self.model = model
        self.tokenizer = tokenizer
        self.pooling: Pooling = pooling
        self.head = head if head is not None else Head()
        config: Any = model.config
        self.max_length = max_length or longest(config, tokenizer)
        self.prompts = dict(prompts or {})
        self.lower_case = lower_case
        self.dimension = self.head.outputs(int(getattr(config, "hidden_size", 0) or config.d_model))
        pad = tokenizer.pad_token_id
        if pad is None:  # decoders have none; what stands under the mask doesn't matter, if it is a token
            pad = tokenizer.eos_token_id
        self._pad = 0 if pad is None else int(pad)

    def prepare(self, items: Sequence[str], role: Role = "document") -> list[list[int]]:
        """Tokenise texts: the ids of each, special tokens included."""
        texts = with_prompt(items, self.prompts.get(role, ""))
        if self.lower_case:
            texts = [text.lower() for text in texts]
        if not texts:
            return []
        coded = self.tokenizer(
            texts,
            truncation=True,
            max_length=self.max_length,
            padding=False,
            return_attention_mask=False,
            return_token_type_ids=False,
        )
        # A decoder has no special token that would stand for an empty text.
        return [ids or [self._pad] for ids in coded["input_ids"]]

    def size(self, prepared: Sequence[int]) -> int:
        """Return the number of tokens."""
        return len(prepared)

    def collate(self, prepared: Sequence[Sequence[int]]) -> Inputs:
        """Pad to the longest: `input_ids` and `attention_mask` (b, t) int64."""
        lengths = np.fromiter(map(len, prepared), np.int64, len(prepared))
        mask = np.arange(lengths.max()) < lengths[:, None]
        ids = np.full(mask.shape, self._pad)
        ids[mask] = np.fromiter(chain.from_iterable(prepared), np.int64, lengths.sum())
        return {"input_ids": torch.from_numpy(ids), "attention_mask": torch.from_numpy(mask.astype(np.int64))}

    def forward(self, inputs: Inputs) -> Tensor:
        """Embed a batch: (b, dimension) float32."""
        states = self.model(**inputs).last_hidden_state
        embedded: Tensor = self.head(pool(states, inputs["attention_mask"], self.pooling).float())
        return embedded

    def settings(self) -> Mapping[str, Any]:
        """Return what embeddings depend on beside the weights."""
        return {
            "kind": "transformer",
            "config": _architecture(self.model.config),
            "tokenizer": _tokens(self.tokenizer),
            "pooling": self.pooling,
            "activations": [projection.activation_name for projection in self.head.projections],
            "normalised": self.head.normalised,
            "max_length": self.max_length,
            "prompts": told(self.prompts),
            "lower_case": self.lower_case,
        }


def longest(config: Any, tokenizer: Any, *, published: bool = False) -> int:
    """Return how many tokens a text may have: what model and tokenizer allow, and no more than 512.

    A `published` limit of the tokenizer, set for embedding, may be longer.
    """
    limit = int(min(tokenizer.model_max_length, _NO_LIMIT))
    allowed = [limit] if published and limit < _NO_LIMIT else [limit, _LONGEST]
    positions = getattr(config, "max_position_embeddings", None)
    if positions:
        # RoBERTa counts positions from its padding's number on.
        offset = (
            int(config.pad_token_id or 0) + 1 if config.model_type in ("roberta", "xlm-roberta", "camembert") else 0
        )
        allowed.append(int(positions) - offset)
    return min(allowed)


def _architecture(config: Any) -> dict[str, Any]:
    content: dict[str, Any] = config.to_dict()
    return {key: value for key, value in content.items() if not key.startswith("_") and key not in _PROVENANCE}


def _tokens(tokenizer: Any) -> dict[str, Any]:
    """Return how texts become tokens, without how many at once: using a tokenizer changes what it says of that."""
    content: dict[str, Any] = json.loads(tokenizer.backend_tokenizer.to_str())
    kept = {key: value for key, value in content.items() if key not in ("truncation", "padding")}
    return {**kept, "truncation_side": tokenizer.truncation_side}
