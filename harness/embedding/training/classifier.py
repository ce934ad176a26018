"""Classifiers on embeddings: a logistic head on a frozen tower, or tower and head trained together, compared.

Both start alike: the tuned one begins with the head of the frozen one, lest a random head distort what the tower knows
(Kumar et al. 2022, "Fine-Tuning can Distort Pretrained Features", LP-FT).
"""

from __future__ import annotations

import copy
import hashlib
import json
import time
from collections.abc import Callable, Sequence
from dataclasses import asdict, dataclass
from functools import partial
from pathlib import Path
from typing import Any, NamedTuple

import numpy as np
import torch
from numpy.typing import NDArray
from torch import Tensor, nn
from torch.nn.functional import cross_entropy

from harness.analyse.statistics import mean_range
from harness.core.atomic import write_text
from harness.core.errors import AnnbenchError, ConfigError
from harness.embedding.curve import Step, write_curve
from harness.embedding.encoder import encode
from harness.embedding.evaluation import hash_task
from harness.embedding.layout import explained, load_tower
from harness.embedding.measures.classification import macro_f1, macro_f1_range
from harness.embedding.records import Figure
from harness.embedding.tasks import Classification
from harness.embedding.threads import adjust_threads
from harness.embedding.towers.tower import Tower
from harness.embedding.training.dual_encoder import DualEncoder, save_dual_encoder
from harness.embedding.training.optimise import make_optimiser, rate_at, set_rate
from harness.embedding.training.recipe import ClassifierRecipe
from harness.embedding.training.sampling import batches

SUMMARY = "classifier.json"
_HEAD = "head.safetensors"
_STEPS = 1000  # of the solver of the logistic regression
Labels = NDArray[np.int64]
Listener = Callable[[str, dict[str, Any]], None]


class Outcome(NamedTuple):
    """How well one way tells labels apart, and what it took: `seconds` of training, `learnt` weights."""

    way: str
    accuracy: Figure
    macro_f1: Figure
    seconds: float
    learnt: int


@dataclass(frozen=True)
class Summary:
    """What a recipe's classifiers reached on a task, with `train` and `test` items."""

    name: str
    task: str
    train: int
    test: int
    labels: int
    outcomes: tuple[Outcome, ...]

    @classmethod
    def read(cls, folder: Path) -> Summary:
        """Read it from the folder of a model; raises ConfigError."""
        with explained(folder):
            content = json.loads((folder / SUMMARY).read_text(encoding="utf-8"))
            outcomes = [
                Outcome(**{**one, "accuracy": Figure(**one["accuracy"]), "macro_f1": Figure(**one["macro_f1"])})
                for one in content["outcomes"]
            ]
            return cls(**{**content["summary"], "outcomes": tuple(outcomes)})


class Classifier(nn.Module):
    """A tower and a linear layer over its embeddings; `names` are the labels, in the order of the layer's outputs."""

    def __init__(self, tower: Tower, head: nn.Linear, names: Sequence[str]) -> None:
        super().__init__()
        self.tower = tower
        self.head = head
        self.names = tuple(names)

    def predict(self, items: Sequence[Any]) -> list[str]:
        """Return the most probable label of each text or image."""
        return [self.names[number] for number in self.numbers(items)]

    def numbers(self, items: Sequence[Any]) -> Labels:
        """Return the number of the most probable label of each item, (n,)."""
        with torch.inference_mode():
            logits = self.head(torch.from_numpy(encode(self.tower, items)))
        found: Labels = logits.argmax(dim=1).numpy()
        return found


def load_classifier(folder: Path) -> Classifier:
    """Load what `fit_classifiers` saved; raises ConfigError where the folder holds no classifier."""
    from safetensors.torch import load_file

    if not (folder / SUMMARY).is_file():
        raise ConfigError(f"{folder}: holds no classifier; train one with: annbench train --recipe classifier")
    tower = load_tower(folder)
    with explained(folder):
        names = json.loads((folder / SUMMARY).read_text(encoding="utf-8"))["names"]
        head = nn.Linear(tower.dimension, len(names))
        head.load_state_dict(load_file(folder / _HEAD))
    return Classifier(tower, head, names).eval()


def draw_examples(task: Classification, count: int | None, seed: int) -> Classification:
    """Keep `count` items of train, drawn by `seed` with one of each label among them, and all of test."""
    if count is None or count >= len(task.train):
        return task
    order = np.random.default_rng((seed, 5)).permutation(len(task.train))
    _, first = np.unique(np.array(task.train_labels)[order], return_index=True)
    # Rare labels would often be missed; the places of first ones come before all others.
    kept = np.sort(np.concatenate([order[first], np.delete(order, first)])[:count])
    train, labels = [task.train[row] for row in kept], [task.train_labels[row] for row in kept]
    return Classification(task.name, train, labels, task.test, task.test_labels)


def classifier_key(recipe: ClassifierRecipe, task: Classification, origin: str) -> str:
    """Hash what a classifier's weights depend on: recipe, data, and the run that its tower comes from."""
    content = recipe.model_dump(mode="json", exclude={"about", "name"})
    return hashlib.sha256(f"{json.dumps(content, sort_keys=True)} {hash_task(task)} {origin}".encode()).hexdigest()


def fit_classifiers(
    recipe: ClassifierRecipe, tower: Tower, task: Classification, folder: Path, key: str, listener: Listener
) -> Summary:
    """Fit a classifier in each way of the recipe, judge it on test, and save the last one with the figures of all.

    Raises AnnbenchError for fewer than two labels, or labels of test that train lacks.
    """
    names = sorted(set(task.train_labels))
    if len(names) < 2:
        raise AnnbenchError(f"{task.name}: a classifier tells two labels or more apart; train has only {names}")
    if new := sorted(set(task.test_labels) - set(names)):
        raise AnnbenchError(f"{task.name}: the drawn examples of train lack the label {new[0]!r}; draw more of them")
    wanted, truth = (np.searchsorted(names, labels) for labels in (task.train_labels, task.test_labels))
    started = time.perf_counter()
    probe = Classifier(tower, _logistic(recipe, encode(tower, task.train), wanted), names).eval()
    probing = time.perf_counter() - started
    outcomes, fitted = [], probe
    steps: list[Step] = []
    for way in recipe.classifier.ways:
        seconds = probing
        if way == "tuned":
            started = time.perf_counter()
            fitted = _tune(recipe, copy.deepcopy(probe), task.train, torch.from_numpy(wanted), listener, steps)
            seconds += time.perf_counter() - started
        learnt = sum(weight.numel() for weight in (fitted if way == "tuned" else fitted.head).parameters())
        outcomes.append(_judge(way, fitted.numbers(task.test), truth, seconds, learnt))
        listener("way", outcomes[-1]._asdict())
    summary = Summary(recipe.name, task.name, len(wanted), len(truth), len(names), tuple(outcomes))
    _save(fitted, summary, folder, {"recipe": recipe.model_dump(mode="json"), "key": key}, steps)
    return summary


def _logistic(recipe: ClassifierRecipe, vectors: NDArray[np.float32], wanted: Labels) -> nn.Linear:
    """Return the head of a logistic regression on embeddings (n, dim)."""
    from sklearn.linear_model import LogisticRegression

    found = LogisticRegression(C=1 / recipe.classifier.penalty, max_iter=_STEPS).fit(vectors, wanted)
    weight, bias = found.coef_, found.intercept_
    if len(weight) == 1:  # two labels have one row: the second's logit, the first's being 0
        weight, bias = np.concatenate([0 * weight, weight]), np.concatenate([0 * bias, bias])
    head = nn.Linear(weight.shape[1], len(weight))
    with torch.no_grad():
        head.weight.copy_(torch.from_numpy(weight))
        head.bias.copy_(torch.from_numpy(bias))
    return head


def _tune(
    recipe: ClassifierRecipe,
    model: Classifier,
    items: Sequence[Any],
    wanted: Tensor,
    listener: Listener,
    curve: list[Step],
) -> Classifier:
    """Train tower and head by cross entropy, in place; each step is added to `curve`."""
    part = recipe.optimiser
    torch.manual_seed(recipe.seed)
    optimiser = make_optimiser([model], {}, part)
    prepared = model.tower.prepare(items)
    sizes = np.array([model.tower.size(one) for one in prepared], np.int64)
    drawn = partial(batches, sizes, part.batch, seed=recipe.seed)
    steps, done = part.epochs * len(drawn(epoch=0)), 0
    listener("start", {"recipe": recipe.name, "steps": steps, "done": 0})
    model.train()
    for epoch in range(part.epochs):
        for rows in drawn(epoch=epoch):
            adjust_threads()
            rate = rate_at(done, steps, part)
            set_rate(optimiser, rate)
            optimiser.zero_grad(set_to_none=True)
            inputs = model.tower.collate([prepared[row] for row in rows])
            moved = {name: value.to(model.tower.device) for name, value in inputs.items()}
            loss = cross_entropy(model.head(model.tower(moved)), wanted[torch.from_numpy(rows)])
            if not torch.isfinite(loss):
                raise AnnbenchError(f"{recipe.name}: the loss is {float(loss)} at step {done}; use a lower rate")
            loss.backward()  # type: ignore[no-untyped-call]
            nn.utils.clip_grad_norm_(model.parameters(), part.clip)
            optimiser.step()
            done += 1
            curve.append(Step(rate, float(loss.detach())))
            listener("step", {"loss": curve[-1].loss, "step": done})
    return model.eval()


def _judge(way: str, guess: Labels, truth: Labels, seconds: float, learnt: int) -> Outcome:
    right = (guess == truth).astype(np.float64)
    accuracy, f1 = mean_range(right), macro_f1_range(truth, guess)
    return Outcome(
        way,
        Figure(value=float(right.mean()), low=accuracy.low, high=accuracy.high),
        Figure(value=macro_f1(truth, guess), low=f1.low, high=f1.high),
        round(seconds, 3),
        learnt,
    )


def _save(model: Classifier, summary: Summary, folder: Path, manifest: dict[str, Any], steps: Sequence[Step]) -> None:
    """Save the tower as any model, and beside it the head and the figures; the manifest is written last."""
    from safetensors.torch import save_file

    outcomes = [
        {**one._asdict(), "accuracy": one.accuracy.model_dump(), "macro_f1": one.macro_f1.model_dump()}
        for one in summary.outcomes
    ]
    about = {name: value for name, value in asdict(summary).items() if name != "outcomes"}
    content = {"names": model.names, "summary": about, "outcomes": outcomes}

    def write_rest(temporary: Path) -> None:
        save_file(dict(model.head.state_dict()), temporary / _HEAD)
        write_text(temporary / SUMMARY, json.dumps(content, indent=1) + "\n")
        if steps:
            write_curve(temporary, steps)

    minutes = round(summary.outcomes[-1].seconds / 60, 3)
    save_dual_encoder(DualEncoder(model.tower, model.tower), folder, {**manifest, "minutes": minutes}, write_rest)
