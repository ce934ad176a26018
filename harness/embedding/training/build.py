"""Make the towers that a recipe asks for."""

from __future__ import annotations

import copy
from pathlib import Path
from typing import Any

import torch
from torch import Tensor

from harness.embedding.encoder import Encoder
from harness.embedding.layout import load_tower
from harness.embedding.models import locate
from harness.embedding.towers.heads import Dense, Head
from harness.embedding.towers.static import StaticTower
from harness.embedding.towers.tower import Tower
from harness.embedding.towers.transformer import TransformerTower
from harness.embedding.training.dual_encoder import DualEncoder
from harness.embedding.training.recipe import Recipe, TowerPart
from harness.embedding.variants import principal_components
from harness.errors import ConfigError


def build(recipe: Recipe, models: Path, teacher: Encoder | None) -> DualEncoder:
    """Make the model of a recipe with its first weights, the same ones by the same seed. Raises AnnbenchError."""
    torch.manual_seed(recipe.seed)
    tower = _static(recipe, models, teacher) if recipe.tower.kind == "static" else _transformer(recipe.tower, models)
    return DualEncoder(tower, copy.deepcopy(tower) if recipe.asymmetric else tower)


def _static(recipe: Recipe, models: Path, teacher: Encoder | None) -> Tower:
    part = recipe.tower
    tokenizer = _tokenizer(part, models)
    head = Head(_projection(part, part.dimension), normalised=part.normalised)
    if part.start == "random" or teacher is None:
        return StaticTower.random(tokenizer, part.dimension, seed=recipe.seed, head=head, prompts=part.prompts)
    return StaticTower(tokenizer, _from_teacher(tokenizer, part.dimension, teacher), head=head, prompts=part.prompts)


def _tokenizer(part: TowerPart, models: Path) -> Any:
    from tokenizers import Tokenizer

    folder = locate(part.tokenizer or "", models)
    if (folder / "tokenizer.json").is_file():
        return Tokenizer.from_file(str(folder / "tokenizer.json"))
    raise ConfigError(f"{part.tokenizer}: has no tokenizer.json; choose a model with a fast tokenizer")


def _from_teacher(tokenizer: Any, dimension: int, teacher: Encoder) -> Tensor:
    """Return what the teacher makes of each token alone, in principal components (Model2Vec, Minish Lab 2024).

    A token of rank r in the vocabulary, which is ordered by frequency, is scaled by log(1 + r): rare ones say more.
    """
    vocabulary = tokenizer.get_vocab_size()
    words = [tokenizer.decode([token]) or tokenizer.id_to_token(token) for token in range(vocabulary)]
    vectors = teacher.encode(words)
    centred = vectors - vectors.mean(axis=0)
    reduced = torch.from_numpy(centred @ principal_components(centred, min(dimension, vectors.shape[1])).T)
    scaled = reduced * torch.log1p(torch.arange(vocabulary, dtype=torch.float32))[:, None] / 10
    if scaled.shape[1] < dimension:
        raise ConfigError(f"start: teacher has only {scaled.shape[1]} dimensions, and dimension is {dimension}")
    return scaled.contiguous()


def _transformer(part: TowerPart, models: Path) -> Tower:
    tower = load_tower(locate(part.checkpoint or "", models))
    if not isinstance(tower, TransformerTower):
        raise ConfigError(f"{part.checkpoint}: is no transformer; use kind: static with its tokenizer")
    return TransformerTower(
        tower.model,
        tower.tokenizer,
        pooling=part.pooling or tower.pooling,
        head=Head([*_dense(tower.head), *_projection(part, tower.dimension)], normalised=part.normalised),
        max_length=part.max_length or tower.max_length,
        prompts=part.prompts or tower.prompts,
        lower_case=tower.lower_case,
    )


def _dense(head: Head) -> list[Dense]:
    return [projection for projection in head.projections if isinstance(projection, Dense)]


def _projection(part: TowerPart, width: int) -> list[Dense]:
    return [] if part.projection is None else [Dense(width, part.projection, bias=False)]
