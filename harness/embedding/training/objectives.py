"""What a step may minimise beside the loss of pairs, or instead of it: guessing masked tokens, writing captions."""

from __future__ import annotations

from abc import abstractmethod
from collections.abc import Callable, Sequence
from typing import Any, Protocol

import torch
from torch import Tensor, nn
from torch.nn.functional import cross_entropy, linear

from harness.core.errors import ConfigError
from harness.embedding.towers.image import ImageTower
from harness.embedding.towers.tower import Role, Tower
from harness.embedding.towers.transformer import TransformerTower

Items = Sequence[Sequence[Any]]
Contrastive = Callable[..., Tensor]
_UNSEEN = -100  # a target that cross_entropy passes over
_LONGEST = 64  # tokens of a caption


class Embeds(Protocol):
    """A dual encoder, as far as an objective needs to know."""

    query: Tower
    document: Tower

    def embed(self, prepared: Sequence[Any], role: Role) -> Tensor:
        """Embed prepared items (b) with the tower of a role: (b, dimension)."""


class Objective(nn.Module):
    """A loss with weights of its own, which learn with the towers and aren't needed afterwards.

    `alone`: it looks at the queries only, which need no documents then.
    """

    alone: bool

    @abstractmethod
    def forward(self, model: Embeds, items: Items, contrastive: Contrastive) -> Tensor:
        """Return the loss of a batch.

        `items` are the prepared queries, then documents and hard negatives where the loss of pairs takes them;
        `contrastive` is that loss, of their embeddings in this order.
        """


class MaskedTokens(Objective):
    """Masked language modelling (Devlin et al. 2019): guess tokens from those around them.

    Of the `share` of tokens that is drawn, 80% become the mask, 10% any token, and 10% stay. The guess goes through a
    layer and the vectors of the tower's own tokens. Raises ConfigError for a tokenizer without a mask.
    """

    alone = True

    def __init__(self, tower: TransformerTower, share: float) -> None:
        super().__init__()
        tokenizer, body = tower.tokenizer, tower.model
        if tokenizer.mask_token_id is None:
            raise ConfigError("objective mlm: the tokenizer has no mask; use that of an encoder such as BERT")
        self.share = share
        self.mask = int(tokenizer.mask_token_id)
        tokens: Any = body.get_input_embeddings()  # type: ignore[operator]
        self.vocabulary, width = tokens.weight.shape
        hidden = int(body.config.hidden_size)  # type: ignore[union-attr, arg-type]
        self.layer = nn.Sequential(nn.Linear(hidden, width), nn.GELU(), nn.LayerNorm(width))
        self.bias = nn.Parameter(torch.zeros(self.vocabulary))
        self.special: Tensor
        self.register_buffer("special", torch.tensor(sorted(tokenizer.all_special_ids)), persistent=False)

    def forward(self, model: Embeds, items: Items, contrastive: Contrastive) -> Tensor:  # noqa: ARG002 - the contract's
        """Return the mean cross entropy of the tokens that were drawn."""
        tower = model.query
        assert isinstance(tower, TransformerTower)  # noqa: S101 - for the type checker: the recipe was checked for it
        inputs = {key: value.to(tower.device) for key, value in tower.collate(items[0]).items()}
        ids = inputs["input_ids"]
        masked, drawn = self.draw(ids, inputs["attention_mask"])
        states = tower.model(**{**inputs, "input_ids": masked}).last_hidden_state[drawn]
        tokens: Any = tower.model.get_input_embeddings()  # type: ignore[operator]
        logits = linear(self.layer(states), tokens.weight, self.bias)
        return cross_entropy(logits, ids[drawn], reduction="sum") / drawn.sum().clamp_min(1)

    def draw(self, ids: Tensor, mask: Tensor) -> tuple[Tensor, Tensor]:
        """Draw tokens to be guessed: what stands in their place in `ids` (b, t), and which they are, (b, t) bool."""
        chance, lot = torch.rand(ids.shape, device=ids.device), torch.rand(ids.shape, device=ids.device)
        drawn = (chance < self.share) & (mask == 1) & ~torch.isin(ids, self.special)
        others = torch.randint_like(ids, self.vocabulary)
        replaced = torch.where(lot < 0.8, self.mask, torch.where(lot < 0.9, others, ids))
        return torch.where(drawn, replaced, ids), drawn


class Captioning(Objective):
    """CoCa's objective (Yu et al. 2022): the loss of pairs, and `weight` times that of writing the caption.

    A causal decoder reads the caption so far and looks at the image's tokens. CoCa's decoder is the upper half of its
    text tower; here it is one of its own, so that any tower of texts may stand beside it.
    """

    alone = False

    def __init__(self, vocabulary: int, image: ImageTower, *, layers: int, heads: int, weight: float) -> None:
        super().__init__()
        width = image.config.width
        if width % heads:
            raise ConfigError(f"objective coca: {heads} heads don't divide the image tower's width, {width}")
        self.weight = weight
        self.vocabulary = vocabulary
        self.tokens = nn.Embedding(vocabulary + 2, width)  # the last two are start and end
        nn.init.normal_(self.tokens.weight, std=0.02)
        self.places = nn.Parameter(torch.randn(_LONGEST + 1, width) * 0.02)
        self.layers = nn.ModuleList(
            nn.TransformerDecoderLayer(
                width, heads, 4 * width, dropout=0.0, activation="gelu", batch_first=True, norm_first=True
            )
            for _ in range(layers)
        )
        self.norm = nn.LayerNorm(width)

    def forward(self, model: Embeds, items: Items, contrastive: Contrastive) -> Tensor:
        """Return the sum of both losses; the image tower runs once for the two."""
        captions, images, *negatives = items
        tower = model.document
        assert isinstance(tower, ImageTower)  # noqa: S101 - for the type checker: the recipe was checked for it
        tokens = tower.tokens({key: value.to(tower.device) for key, value in tower.collate(images).items()})
        others = [model.embed(some, "document") for some in negatives]
        pairs = contrastive(model.embed(captions, "query"), tower.embed_tokens(tokens), *others)
        return pairs + self.weight * self.caption_loss(captions, tokens)

    def caption_loss(self, captions: Sequence[Sequence[int]], images: Tensor) -> Tensor:
        """Return the mean cross entropy of the tokens of captions, and their ends, given image tokens (b, t, width)."""
        read, wanted = (side.to(images.device) for side in self.shifted(captions))
        return cross_entropy(self.logits(read, images).flatten(0, 1), wanted.flatten(), ignore_index=_UNSEEN)

    def shifted(self, captions: Sequence[Sequence[int]]) -> tuple[Tensor, Tensor]:
        """Return what is read and what should come next, both (b, t) int64; padding stands on the right."""
        cut = [list(caption[:_LONGEST]) for caption in captions]
        longest = max(map(len, cut)) + 1
        start, end = self.vocabulary, self.vocabulary + 1
        read = [[start, *caption] + [end] * (longest - 1 - len(caption)) for caption in cut]
        wanted = [[*caption, end] + [_UNSEEN] * (longest - 1 - len(caption)) for caption in cut]
        return torch.tensor(read), torch.tensor(wanted)

    def logits(self, read: Tensor, images: Tensor) -> Tensor:
        """Return the logits (b, t, vocabulary + 2) of what follows each token of `read` (b, t)."""
        states = self.tokens(read) + self.places[: read.shape[1]]
        later = torch.triu(torch.ones(read.shape[1], read.shape[1], dtype=torch.bool, device=read.device), 1)
        for layer in self.layers:
            states = layer(states, images, tgt_mask=later)
        return linear(self.norm(states), self.tokens.weight)
