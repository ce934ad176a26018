"""A tower from any Hugging Face transformer: encoders (BERT), encoders of pairs (T5), decoders (GPT)."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from typing import Any

import torch
from torch import Tensor, nn

from harness.embedding.towers.heads import Head
from harness.embedding.towers.pooling import Pooling, pool
from harness.embedding.towers.tower import Inputs, Role, Tower, with_prompt

_LONGEST = 512


class TransformerTower(Tower):
    """A transformer, the pooling of its last states, and a head.

    `tokenizer` is a fast tokenizer of transformers; texts are cut after `max_length` tokens. Padding stands on the
    right whatever the tokenizer says: no state depends on it, under the mask.
    """

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
        longest_one = max(map(len, prepared))
        ids = torch.full((len(prepared), longest_one), self._pad)
        mask = torch.zeros_like(ids)
        for row, tokens in enumerate(prepared):
            ids[row, : len(tokens)] = torch.tensor(tokens)
            mask[row, : len(tokens)] = 1
        return {"input_ids": ids, "attention_mask": mask}

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
            "tokenizer": self.tokenizer.backend_tokenizer.to_str(),
            "pooling": self.pooling,
            "activations": [projection.activation_name for projection in self.head.projections],
            "normalised": self.head.normalised,
            "max_length": self.max_length,
            "prompts": dict(self.prompts),
            "lower_case": self.lower_case,
        }


def longest(config: Any, tokenizer: Any) -> int:
    """Return how many tokens a text may have: what model and tokenizer allow, and no more than 512 unless told."""
    allowed = [_LONGEST, int(min(tokenizer.model_max_length, 1 << 30))]
    positions = getattr(config, "max_position_embeddings", None)
    if positions:
        # RoBERTa counts positions from its padding's number on.
        offset = (
            int(config.pad_token_id or 0) + 1 if config.model_type in ("roberta", "xlm-roberta", "camembert") else 0
        )
        allowed.append(int(positions) - offset)
    return min(allowed)


def _architecture(config: Any) -> dict[str, Any]:
    """Return a model's configuration without where it came from and what wrote it."""
    content: dict[str, Any] = config.to_dict()
    return {key: content[key] for key in sorted(content) if not key.startswith("_") and key != "transformers_version"}
