"""Train what recipes say: data found, model made, and the run gone on with where an earlier one stopped."""

from __future__ import annotations

import shutil
from collections.abc import Sequence
from pathlib import Path
from typing import Any

from harness.core.errors import ConfigError
from harness.core.folders import MODELS
from harness.core.lock import held_alone
from harness.embedding.cache import EmbeddingCache
from harness.embedding.evaluation import subset
from harness.embedding.formats.images import is_images, read_image_classes
from harness.embedding.formats.pairs import read_pairs
from harness.embedding.losses.registry import find_loss
from harness.embedding.models import manifest
from harness.embedding.session import CACHE, Listener, find_folder, find_tasks
from harness.embedding.tasks import Classification, ImageText, Retrieval
from harness.embedding.towers.image import ImageShape
from harness.embedding.training.adapt import adapt
from harness.embedding.training.build import build, build_classified, origin_of
from harness.embedding.training.classifier import classifier_key, draw_examples, fit_classifiers
from harness.embedding.training.examples import Examples, read_examples, read_texts
from harness.embedding.training.judge import Judge
from harness.embedding.training.loop import Trainer, run_key
from harness.embedding.training.recipe import AnyRecipe, ClassifierRecipe, Recipe
from harness.embedding.training.teacher import load_teacher


def train_recipe(
    recipe: AnyRecipe, *, data: Path, results: Path, force: bool = False, listener: Listener | None = None
) -> Path:
    """Train a recipe's model into `results/models/<name>` and return that folder; a finished one is left as it is.

    A run that was interrupted goes on at its last checkpoint; one of another recipe or other data by the same name is
    begun anew; so is a classifier, which keeps no checkpoint. `force` begins anew in any case. Raises AnnbenchError.
    """
    tell = listener or (lambda _event, _content: None)
    folder = results / MODELS / recipe.name
    work = folder.with_name(f".{recipe.name}.run")
    work.mkdir(parents=True, exist_ok=True)
    with held_alone(work / "lock", f"{recipe.name} is being trained", ConfigError):
        if force:
            (work / "checkpoint.pt").unlink(missing_ok=True)
        tell("data", {"recipe": recipe.name})
        if isinstance(recipe, ClassifierRecipe):
            _train_classifier(recipe, data, folder, tell, force=force)
        else:
            _train_dual_encoder(recipe, data, results, folder, work, tell, force=force)
        shutil.rmtree(work, ignore_errors=True)
    return folder


def _train_dual_encoder(
    recipe: Recipe, data: Path, results: Path, folder: Path, work: Path, tell: Listener, *, force: bool
) -> None:
    models = folder.parent
    examples = _examples(recipe, data)
    encoder, make_teacher = None, None
    if recipe.teacher is not None:
        cache = EmbeddingCache(results / CACHE)
        encoder, make_teacher = load_teacher(recipe.teacher, models, examples, cache, results / CACHE)
    model = build(recipe, models, encoder, _image_shape(examples.documents))
    adapt(model, recipe.adapt)
    judge = None if recipe.data.dev is None else Judge(_dev_task(recipe, data, tell), model)
    if not force and manifest(folder).get("key") == run_key(recipe, examples, judge, model.origin):
        tell("known", {"folder": str(folder)})
        return
    teacher = None if make_teacher is None else make_teacher()
    Trainer(recipe, model, examples, folder, work, judge, teacher, tell).run()


def _train_classifier(recipe: ClassifierRecipe, data: Path, folder: Path, tell: Listener, *, force: bool) -> None:
    name, models = recipe.data.train[0], folder.parent
    texts = find_folder(name, data)
    found = read_image_classes(texts) if is_images(texts) else read_pairs(texts)
    if not isinstance(found, Classification):
        raise ConfigError(f"{recipe.name}: a classifier learns from labelled texts or images, and {name} holds none")
    task = draw_examples(found, recipe.data.examples, recipe.seed)
    tower = build_classified(recipe, models, _image_shape(task.train))
    key = classifier_key(recipe, task, origin_of(models, recipe.tower, recipe.image))
    if not force and manifest(folder).get("key") == key:
        tell("known", {"folder": str(folder)})
        return
    fit_classifiers(recipe, tower, task, folder, key, tell)


def _examples(recipe: Recipe, data: Path) -> Examples:
    folders = [find_folder(name, data) for name in recipe.data.train]
    if recipe.objective.kind in ("mlm", "simcse"):
        texts = read_texts(folders)
        examples = texts.twice() if recipe.objective.kind == "simcse" else texts
        return examples.first(recipe.data.examples, recipe.seed)
    examples = read_examples(folders).suited(find_loss(recipe.loss.name).needs)
    return examples.first(recipe.data.examples, recipe.seed)


def _image_shape(items: Sequence[Any]) -> ImageShape | None:
    """Return what items are as images; None where they are texts, or there are none."""
    first = items[0] if len(items) else ""
    return None if isinstance(first, str) else ImageShape.of(first[None])


def _dev_task(recipe: Recipe, data: Path, tell: Listener) -> Retrieval:
    name = recipe.data.dev or ""
    tasks = find_tasks(name, data, recipe.data.dev_split)
    either = [task.by_caption() if isinstance(task, ImageText) else task for task in tasks]
    found = [task for task in either if isinstance(task, Retrieval)]
    if not found:
        raise ConfigError(f"{recipe.name}: dev is judged by a retrieval task, and {name} is none")
    task = found[0]
    if recipe.data.dev_documents is not None:
        task = subset(task, recipe.data.dev_documents, seed=recipe.seed)
    if task.about:
        tell("note", {"text": f"{task.name}: {task.about}"})
    return task
