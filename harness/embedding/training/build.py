"""Make the towers that a recipe asks for."""

from __future__ import annotations

import copy
from pathlib import Path
from typing import Any

import torch
from torch import Tensor

from harness.core.errors import ConfigError
from harness.embedding.encoder import Encoder
from harness.embedding.layout import explained, load_tower, quiet
from harness.embedding.models import load_towers, locate, manifest
from harness.embedding.towers.heads import Dense, Head
from harness.embedding.towers.image import ImageShape, ImageTower
from harness.embedding.towers.static import StaticTower
from harness.embedding.towers.tower import Tower
from harness.embedding.towers.transformer import TransformerTower
from harness.embedding.training.dual_encoder import DualEncoder
from harness.embedding.training.objectives import Captioning, MaskedTokens, Objective
from harness.embedding.training.parts import ImagePart, TowerPart
from harness.embedding.training.recipe import ClassifierRecipe, Recipe
from harness.embedding.variants import principal_components


def build(recipe: Recipe, models: Path, teacher: Encoder | None, image_shape: ImageShape | None = None) -> DualEncoder:
    """Make the model of a recipe with its first weights, the same ones by the same seed.

    `image_shape` is that of the documents where these are images. Raises AnnbenchError.
    """
    torch.manual_seed(recipe.seed)
    tower = text_tower(recipe.tower, models, seed=recipe.seed, teacher=teacher)
    document = copy.deepcopy(tower) if recipe.asymmetric else tower
    if recipe.image is not None:
        if image_shape is None:
            raise ConfigError(f"{recipe.name}: image is for images, and the documents of its data are texts")
        document = image_tower(recipe.image, models, image_shape, tower.dimension)
        if document.dimension != tower.dimension:
            raise ConfigError(
                f"{recipe.name}: images have {document.dimension} dimensions, captions {tower.dimension}; "
                "they must agree"
            )
    elif image_shape is not None:
        raise ConfigError(f"{recipe.name}: the documents of its data are images; add a part image")
    origin = origin_of(models, recipe.tower, recipe.image)
    return DualEncoder(tower, document, objective=_objective(recipe, tower, document), origin=origin)


def build_classified(recipe: ClassifierRecipe, models: Path, image_shape: ImageShape | None) -> Tower:
    """Make the tower of a classifier with its first weights, the same ones by the same seed. Raises AnnbenchError."""
    torch.manual_seed(recipe.seed)
    if (recipe.image is None) != (image_shape is None):
        asked = "texts" if recipe.image is None else "images"
        raise ConfigError(f"{recipe.name}: its tower is for {asked}, and {recipe.data.train[0]} holds others")
    if recipe.image is not None and image_shape is not None:
        return image_tower(recipe.image, models, image_shape, recipe.image.width)
    assert recipe.tower is not None  # noqa: S101 - for the type checker: the recipe was checked for it
    return text_tower(recipe.tower, models, seed=recipe.seed)


def origin_of(models: Path, *parts: TowerPart | ImagePart | None) -> str:
    """Return the keys of the runs that checkpoints came from; empty where none was trained here."""
    names = [part.checkpoint for part in parts if part is not None and part.checkpoint is not None]
    return " ".join(filter(None, (str(manifest(locate(name, models)).get("key", "")) for name in names)))


def _objective(recipe: Recipe, query: Tower, document: Tower) -> Objective | None:
    part = recipe.objective
    if part.kind == "mlm" and isinstance(query, TransformerTower):
        return MaskedTokens(query, part.masked)
    if part.kind == "coca" and isinstance(document, ImageTower):
        tokenizer: Any = query.tokenizer
        vocabulary = tokenizer.get_vocab_size() if isinstance(query, StaticTower) else len(tokenizer)
        return Captioning(vocabulary, document, layers=part.layers, heads=part.heads, weight=part.weight)
    return None


def image_tower(part: ImagePart, models: Path, shape: ImageShape, dimension: int) -> ImageTower:
    """Make an image tower, of `dimension` unless the part says another, or take that of a model. Raises ConfigError."""
    if part.checkpoint is None:
        return ImageTower.projected(part.config, shape, part.dimension or dimension)
    tower = load_towers(locate(part.checkpoint, models))["document"]
    if not isinstance(tower, ImageTower):
        raise ConfigError(f"{part.checkpoint}: embeds no images; give a model that was trained on some")
    if tower.shape != shape:
        raise ConfigError(f"{part.checkpoint}: embeds images of {tower.shape}, and these are of {shape}")
    return tower


def text_tower(part: TowerPart, models: Path, *, seed: int, teacher: Encoder | None = None) -> Tower:
    """Make a tower of texts; random weights are drawn by `seed`, or from torch's generator. Raises AnnbenchError."""
    return _static(part, models, seed, teacher) if part.kind == "static" else _transformer(part, models)


def _static(part: TowerPart, models: Path, seed: int, teacher: Encoder | None) -> Tower:
    tokenizer = _tokenizer(part, models)
    head = Head(_projection(part, part.dimension), normalised=part.normalised)
    if part.start == "random" or teacher is None:
        return StaticTower.random(tokenizer, part.dimension, seed=seed, head=head, prompts=part.prompts)
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


def _from_config(part: TowerPart, models: Path) -> TransformerTower:
    """Make a transformer with random weights for the tokens of a model."""
    import transformers

    quiet(transformers)
    folder = locate(part.tokenizer or "", models)
    settings = dict(part.config or {})
    kind = str(settings.pop("model_type"))
    with explained(folder):
        options: dict[str, Any] = {"local_files_only": True, "trust_remote_code": False}
        tokenizer: Any = transformers.AutoTokenizer.from_pretrained(folder, use_fast=True, **options)
        config = transformers.AutoConfig.for_model(kind, vocab_size=len(tokenizer), **settings)
        kind_of_model: Any = transformers.AutoModel
        model = kind_of_model.from_config(config)
    return TransformerTower(model, tokenizer)


def _transformer(part: TowerPart, models: Path) -> Tower:
    if part.config is not None:
        return _shaped(_from_config(part, models), part)
    tower = load_tower(locate(part.checkpoint or "", models))
    if not isinstance(tower, TransformerTower):
        raise ConfigError(f"{part.checkpoint}: is no transformer; use kind: static with its tokenizer")
    return _shaped(tower, part)


def _shaped(tower: TransformerTower, part: TowerPart) -> TransformerTower:
    """Return the tower with the pooling, head and prompts that a recipe asks for."""
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
