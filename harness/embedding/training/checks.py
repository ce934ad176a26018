"""What in a recipe doesn't go together, or would be ignored: said before anything is loaded."""

from __future__ import annotations

from collections.abc import Iterator, Mapping
from typing import TYPE_CHECKING, Any, get_type_hints

from pydantic import ConfigDict, TypeAdapter, ValidationError

from harness.embedding.losses.registry import LOSSES, Loss

if TYPE_CHECKING:
    from harness.embedding.training.recipe import Recipe


def check_settings(loss: Loss, settings: Mapping[str, Any]) -> None:
    """Raise ValueError for a setting of another type than the loss's function declares."""
    hints = get_type_hints(loss.function)
    for name, value in settings.items():
        wanted: TypeAdapter[Any] = TypeAdapter(hints[name], config=ConfigDict(arbitrary_types_allowed=True))
        try:
            wanted.validate_python(value, strict=True)
        except ValidationError as problem:
            said = problem.errors()[0]["msg"]
            hint = " (YAML takes 1e-2 for a text; write 1.0e-2)" if isinstance(value, str) and "number" in said else ""
            raise ValueError(f"{name} of {loss.name} can't be {value!r}: {said}{hint}") from None


def check_together(recipe: Recipe) -> None:
    """Raise ValueError for parts of a recipe that don't fit each other, the first that is found."""
    for problem in _problems(recipe):
        raise ValueError(problem)


def _problems(recipe: Recipe) -> Iterator[str]:
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
    if tower.kind == "static":
        given = {"checkpoint": tower.checkpoint, "pooling": tower.pooling, "max_length": tower.max_length}
        yield from (f"{name} is for transformers; leave it out" for name, value in given.items() if value is not None)
        if max(recipe.loss.matryoshka, default=0) > (tower.projection or tower.dimension):
            yield f"matryoshka asks for more dimensions than the tower's {tower.projection or tower.dimension}"
    elif tower.start == "teacher":
        yield "start: teacher is for static towers; leave it out"
    if recipe.evaluate_every is not None and recipe.data.dev is None:
        yield "evaluate_every needs something to judge by; add dev to data"
