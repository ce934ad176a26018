"""What in a recipe doesn't go together, or would be ignored: said before anything is loaded."""

from __future__ import annotations

from collections.abc import Iterator, Mapping
from itertools import chain
from typing import TYPE_CHECKING, Any, get_type_hints

from pydantic import ConfigDict, TypeAdapter, ValidationError

from harness.core.validation import said
from harness.embedding.losses.registry import LOSSES, Loss

if TYPE_CHECKING:
    from harness.embedding.training.parts import TowerPart
    from harness.embedding.training.recipe import Recipe


def check_settings(loss: Loss, settings: Mapping[str, Any]) -> None:
    """Raise ValueError for a setting of another type than the loss's function declares."""
    hints = get_type_hints(loss.function)
    for name, value in settings.items():
        wanted: TypeAdapter[Any] = TypeAdapter(hints[name], config=ConfigDict(arbitrary_types_allowed=True))
        try:
            wanted.validate_python(value, strict=True)
        except ValidationError as problem:
            wrong = said(problem.errors()[0])
            hint = " (YAML takes 1e-2 for a text; write 1.0e-2)" if isinstance(value, str) and "number" in wrong else ""
            raise ValueError(f"{name} of {loss.name} can't be {value!r}: it {wrong}{hint}") from None


def check_together(recipe: Recipe) -> None:
    """Raise ValueError for parts of a recipe that don't fit each other, the first that is found."""
    for problem in chain(_image(recipe), _objective(recipe), _loss(recipe), _tower(recipe.tower)):
        raise ValueError(problem)


def check_tower(tower: TowerPart) -> None:
    """Raise ValueError for settings of a tower that are for towers of the other kind, the first that is found."""
    for problem in _tower(tower):
        raise ValueError(problem)


def _image(recipe: Recipe) -> Iterator[str]:
    if recipe.image is None:
        return
    if recipe.asymmetric or recipe.adapt.kind != "full":
        yield "image makes two towers, which learn in full; leave asymmetric and adapt out"
    if recipe.teacher is not None:
        yield "a teacher reads texts, and the documents are images; leave one of the two out"
    if recipe.negatives.kind == "bm25":
        yield "bm25 ranks documents by their words, and images have none; use random or mined"
    if "positives" not in LOSSES[recipe.loss.name].needs:
        yield f"images are learnt from with their captions, and {recipe.loss.name} takes no pairs; use another loss"


def _objective(recipe: Recipe) -> Iterator[str]:
    kind, given = recipe.objective.kind, recipe.negatives.kind == "given"
    if kind in ("mlm", "coca") and recipe.optimiser.chunk is not None:
        yield f"objective {kind} does not go by chunks; leave chunk out"
    if kind in ("mlm", "simcse") and (recipe.tower.kind != "transformer" or recipe.image is not None):
        yield f"objective {kind} is for transformers over texts"
    if kind == "simcse" and not (given and tuple(LOSSES[recipe.loss.name].needs) == ("queries", "positives")):
        yield "objective simcse tells texts of a batch apart: use info_nce, and no negatives"
    if kind == "mlm" and (recipe.asymmetric or recipe.teacher is not None or not given):
        yield "objective mlm trains one tower by itself; leave asymmetric, teacher and negatives out"
    if kind == "mlm" and (recipe.loss != type(recipe.loss)() or recipe.adapt.kind == "head"):
        yield "objective mlm looks at tokens, not at embeddings: leave the loss and adapt: head out"
    if kind == "coca" and recipe.image is None:
        yield "objective coca writes captions of images; add a part image"


def _loss(recipe: Recipe) -> Iterator[str]:
    loss = LOSSES[recipe.loss.name]
    tower, needs = recipe.tower, loss.needs
    pairs = "positives" in needs
    takes_negatives = "negatives" in (*needs, *loss.takes) or (pairs and "labels" in needs)
    if recipe.negatives.kind != "given" and not takes_negatives:
        yield f"the loss {loss.name} takes no negatives; leave them out"
    if recipe.optimiser.labels_a_batch is not None and (pairs or "labels" not in needs):
        yield f"labels_a_batch is for losses over labelled texts, and {loss.name} is none; leave it out"
    if recipe.asymmetric and not pairs:
        yield f"the loss {loss.name} trains one tower; leave asymmetric out"
    if recipe.teacher is not None:
        if recipe.teacher.cross and "teacher_embeddings" in needs:
            yield f"the loss {loss.name} needs a teacher that embeds; leave cross out"
        if not {"teacher_scores", "teacher_embeddings"} & set(needs) and tower.start != "teacher":
            yield f"the teacher would be ignored: neither the loss {loss.name} nor the tower's start asks for one"
    width = tower.projection or tower.dimension
    if tower.kind == "static" and max(recipe.loss.matryoshka, default=0) > width:
        yield f"matryoshka asks for more dimensions than the tower's {width}"
    if recipe.evaluate_every is not None and recipe.data.dev is None:
        yield "evaluate_every needs something to judge by; add dev to data"


def _tower(tower: TowerPart) -> Iterator[str]:
    if tower.kind == "static":
        for name in ("checkpoint", "config", "pooling", "max_length"):
            if getattr(tower, name) is not None:
                yield f"{name} is for transformers; leave it out"
    elif tower.start == "teacher":
        yield "start: teacher is for static towers; leave it out"
