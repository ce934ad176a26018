"""Recipes: all that a training run depends on, in YAML, checked before anything is loaded."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from pathlib import Path
from typing import Literal, Self

import yaml
from pydantic import Field, ValidationError, model_validator

from harness.core.errors import ConfigError, UnknownNameError
from harness.core.validation import describe, read_yaml
from harness.embedding.losses.registry import LOSSES
from harness.embedding.training.checks import check_together, check_tower
from harness.embedding.training.parts import (
    AdaptPart,
    ClassifierPart,
    DataPart,
    ImagePart,
    LossPart,
    NegativesPart,
    ObjectivePart,
    OptimiserPart,
    Part,
    TeacherPart,
    TowerPart,
)

RECIPES = Path(__file__).parents[1] / "recipes"
SETS = RECIPES / "sets.yml"
_NAME = r"^[\w][\w.+-]*$"


class Recipe(Part):
    """A training run. `asymmetric` gives queries and documents a tower each, which start alike.

    With `image` the documents are images, which have that tower; `tower` is that of their captions.
    `evaluate_every` and `save_every` count steps; by default both happen after each epoch.
    """

    name: str = Field(pattern=_NAME)
    about: str = ""
    data: DataPart
    tower: TowerPart
    asymmetric: bool = False
    image: ImagePart | None = None
    objective: ObjectivePart = ObjectivePart()
    loss: LossPart = LossPart()
    negatives: NegativesPart = NegativesPart()
    adapt: AdaptPart = AdaptPart()
    teacher: TeacherPart | None = None
    optimiser: OptimiserPart = OptimiserPart()
    evaluate_every: int | None = Field(default=None, ge=1)
    save_every: int | None = Field(default=None, ge=1)
    seed: int = Field(default=0, ge=0)

    @model_validator(mode="after")
    def _fits(self) -> Self:
        needs = LOSSES[self.loss.name].needs
        if ("teacher_scores" in needs or "teacher_embeddings" in needs) and self.teacher is None:
            raise ValueError(f"the loss {self.loss.name} needs a teacher")
        if self.tower.start == "teacher" and (self.teacher is None or self.teacher.cross):
            raise ValueError("start: teacher needs a teacher that embeds")
        if self.tower.kind == "static" and self.adapt.kind != "full":
            raise ValueError(f"adapt: {self.adapt.kind} is for transformers; a static tower learns in full")
        if self.asymmetric and self.adapt.kind == "lora":
            raise ValueError("LoRA adapts one tower; leave asymmetric out")
        check_together(self)
        return self


class ClassifierRecipe(Part):
    """A classifier of texts (`tower`) or of images (`image`), in one way or several, which are compared.

    `data.train` is one folder of labelled texts or images; both ways learn from the same `data.examples` of it.
    """

    kind: Literal["classifier"]
    name: str = Field(pattern=_NAME)
    about: str = ""
    data: DataPart
    tower: TowerPart | None = None
    image: ImagePart | None = None
    classifier: ClassifierPart = ClassifierPart()
    optimiser: OptimiserPart = OptimiserPart()
    seed: int = Field(default=0, ge=0)

    @model_validator(mode="after")
    def _fits(self) -> Self:
        if (self.tower is None) == (self.image is None):
            raise ValueError("a classifier needs a tower, for texts, or an image, for images")
        if self.tower is not None and self.tower.start == "teacher":
            raise ValueError("a classifier has no teacher; start from a checkpoint, or at random")
        if len(self.data.train) != 1 or self.data.dev is not None:
            raise ValueError("a classifier learns from one folder, and has no dev; it is judged on the split test")
        if self.optimiser.chunk is not None or self.optimiser.labels_a_batch is not None:
            raise ValueError("chunk and labels_a_batch are for losses over pairs; leave them out")
        if self.tower is not None:
            check_tower(self.tower)
        return self


AnyRecipe = Recipe | ClassifierRecipe


def read_recipe(path: Path) -> AnyRecipe:
    """Read a recipe; raises ConfigError in one line that names the file, the key and the value."""
    content = read_yaml(path)
    if not isinstance(content, dict):
        raise ConfigError(f"{path}: a recipe is a mapping: data, tower, loss, ...")
    try:
        kind: type[AnyRecipe] = ClassifierRecipe if "kind" in content else Recipe
        return kind.model_validate({"name": path.stem, **content})
    except ValidationError as problem:
        raise ConfigError(f"{path}: {describe(problem)}") from None


def find_recipes(name: str) -> list[AnyRecipe]:
    """Return the recipe of that name or file, or all of a set of recipes. Raises ConfigError or UnknownNameError."""
    if name.endswith((".yml", ".yaml")):
        return [read_recipe(Path(name))]
    sets = recipe_sets()
    if name in sets:
        return [_named(one) for one in sets[name]]
    return [_named(name)]


def _named(name: str) -> AnyRecipe:
    path = RECIPES / f"{name}.yml"
    if path == SETS or not path.is_file():
        raise UnknownNameError("recipe", name, [*recipe_names(), *recipe_sets()])
    return read_recipe(path)


def recipe_names() -> list[str]:
    """List the recipes that come with annbench."""
    return sorted(path.stem for path in RECIPES.glob("*.yml") if path != SETS)


def recipe_sets() -> Mapping[str, Sequence[str]]:
    """Return the sets of recipes: name -> recipes."""
    content: Mapping[str, Sequence[str]] = yaml.safe_load(SETS.read_text(encoding="utf-8"))
    return content
