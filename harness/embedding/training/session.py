"""Train what recipes say: data found, model made, and the run gone on with where an earlier one stopped."""

from __future__ import annotations

import shutil
from pathlib import Path
from typing import Any

from harness.embedding.cache import EmbeddingCache
from harness.embedding.evaluation import subset
from harness.embedding.losses.registry import find_loss
from harness.embedding.models import manifest
from harness.embedding.session import CACHE, MODELS, Listener, find_folder, find_tasks
from harness.embedding.tasks import Retrieval
from harness.embedding.training.adapt import adapt
from harness.embedding.training.build import build
from harness.embedding.training.examples import read_examples
from harness.embedding.training.judge import Judge
from harness.embedding.training.loop import Trainer, run_key
from harness.embedding.training.recipe import Recipe
from harness.embedding.training.teacher import load_teacher
from harness.errors import ConfigError
from harness.lock import held_alone


def train_recipe(
    recipe: Recipe, *, data: Path, results: Path, force: bool = False, listener: Listener | None = None
) -> Path:
    """Train a recipe's model into `results/models/<name>` and return that folder; a finished one is left as it is.

    A run that was interrupted goes on at its last checkpoint; one of another recipe or other data by the same name is
    begun anew. `force` begins anew in any case. Raises AnnbenchError.
    """
    tell = listener or (lambda _event, _content: None)
    models = results / MODELS
    folder, work = models / recipe.name, models / f".{recipe.name}.run"
    work.mkdir(parents=True, exist_ok=True)
    with held_alone(work / "lock", f"{recipe.name} is being trained", ConfigError):
        if force:
            (work / "checkpoint.pt").unlink(missing_ok=True)
        tell("data", {"recipe": recipe.name})
        examples = read_examples([find_folder(name, data) for name in recipe.data.train])
        examples = examples.suited(find_loss(recipe.loss.name).needs).first(recipe.data.examples, recipe.seed)
        encoder, make_teacher = None, None
        if recipe.teacher is not None:
            cache = EmbeddingCache(results / CACHE)
            encoder, make_teacher = load_teacher(recipe.teacher, models, examples, cache, results / CACHE)
        model = build(recipe, models, encoder)
        adapt(model, recipe.adapt)
        judge = None if recipe.data.dev is None else Judge(_dev_task(recipe, data), model)
        if not force and manifest(folder).get("key") == run_key(recipe, examples, judge):
            tell("known", {"folder": str(folder)})
            shutil.rmtree(work, ignore_errors=True)
            return folder
        teacher = None if make_teacher is None else make_teacher()
        Trainer(recipe, model, examples, folder, work, judge, teacher, tell).run()
        shutil.rmtree(work, ignore_errors=True)
    return folder


def _dev_task(recipe: Recipe, data: Path) -> Retrieval:
    name = recipe.data.dev or ""
    found: list[Any] = [task for task in find_tasks(name, data, recipe.data.dev_split) if isinstance(task, Retrieval)]
    if not found:
        raise ConfigError(f"{recipe.name}: dev is judged by a retrieval task, and {name} is none")
    task: Retrieval = found[0]
    return task if recipe.data.dev_documents is None else subset(task, recipe.data.dev_documents, seed=recipe.seed)
