"""A tower without layers: the mean of the vectors of a text's tokens, whatever their order."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from itertools import chain
from typing import Any

import numpy as np
import torch
from torch import Tensor, nn

from harness.embedding.towers.heads import Head
from harness.embedding.towers.tower import Inputs, Role, Tower, told, with_prompt


class StaticTower(Tower):
    """A bag of token vectors, as in sentence-transformers' StaticEmbedding and in Model2Vec, and a head.

    `tokenizer` is one of the library tokenizers; special tokens are not added, and a text is cut only where it says so.
    `vectors` (vocabulary, dim) float32 are its tokens' first vectors. A text without tokens is embedded as zeros.
    """

    def __init__(
        self,
        tokenizer: Any,
        vectors: Tensor,
        *,
        head: Head | None = None,
        prompts: Mapping[Role, str] | None = None,
    ) -> None:
        super().__init__()
        self.tokenizer = tokenizer
        self.tokenizer.no_padding()
        self.embedding = nn.EmbeddingBag.from_pretrained(vectors, freeze=False, mode="mean")
        self.head = head if head is not None else Head()
        self.prompts = dict(prompts or {})
        self.dimension = self.head.outputs(vectors.shape[1])

    @classmethod
    def random(cls, tokenizer: Any, dimension: int, *, seed: int = 0, **options: Any) -> StaticTower:
        """Make a tower of random vectors, of length about 1, that reads texts to their ends."""
        tokenizer.no_truncation()
        generator = torch.Generator().manual_seed(seed)
        vectors = torch.randn(tokenizer.get_vocab_size(), dimension, generator=generator) / dimension**0.5
        return cls(tokenizer, vectors, **options)

    def prepare(self, items: Sequence[str], role: Role = "document") -> list[list[int]]:
        """Tokenise texts: the ids of each."""
        texts = with_prompt(items, self.prompts.get(role, ""))
        return [coded.ids for coded in self.tokenizer.encode_batch_fast(texts, add_special_tokens=False)]

    def size(self, prepared: Sequence[int]) -> int:
        """Return the number of tokens."""
        return len(prepared)

    def collate(self, prepared: Sequence[Sequence[int]]) -> Inputs:
        """Lay the ids of all end to end: `ids` (t,) int64, and where each text begins, `starts` (b,) int64."""
        lengths = np.fromiter(map(len, prepared), np.int64, len(prepared))
        ids = np.fromiter(chain.from_iterable(prepared), np.int64, lengths.sum())
        return {"ids": torch.from_numpy(ids), "starts": torch.from_numpy(lengths.cumsum() - lengths)}

    def forward(self, inputs: Inputs) -> Tensor:
        """Embed a batch: (b, dimension) float32."""
        embedded: Tensor = self.head(self.embedding(inputs["ids"], inputs["starts"]))
        return embedded

    def settings(self) -> Mapping[str, Any]:
        """Return what embeddings depend on beside the weights."""
        return {
            "kind": "static",
            "tokenizer": self.tokenizer.to_str(),
            "activations": [projection.activation_name for projection in self.head.projections],
            "normalised": self.head.normalised,
            "prompts": told(self.prompts),
        }
