"""The one training loop: examples to batches, batches to a loss, and what is kept on the way."""

from __future__ import annotations

import hashlib
import json
import math
import platform
import time
from collections.abc import Callable, Sequence
from dataclasses import dataclass
from functools import partial
from importlib.metadata import version
from pathlib import Path
from typing import Any

import numpy as np
import torch
from numpy.typing import NDArray
from torch import Tensor, nn

from harness.core.errors import AnnbenchError, ConfigError
from harness.data.metric import normalise
from harness.embedding.curve import Step, write_curve
from harness.embedding.encoder import embed_prepared
from harness.embedding.grad_cache import Side, step
from harness.embedding.losses.batch import Batch, LossFunction
from harness.embedding.losses.matryoshka import matryoshka
from harness.embedding.losses.registry import find_loss
from harness.embedding.losses.temperature import clamp_log_scale
from harness.embedding.models import load_towers
from harness.embedding.threads import adjust_threads
from harness.embedding.towers.tower import Role
from harness.embedding.training.adapt import merged
from harness.embedding.training.checkpoint import Progress, kept_whole, load_checkpoint, save_checkpoint
from harness.embedding.training.dual_encoder import DualEncoder, save_dual_encoder
from harness.embedding.training.examples import Examples
from harness.embedding.training.judge import Judge
from harness.embedding.training.negatives import Embedded, draw_negatives, due
from harness.embedding.training.optimise import make_optimiser, rate_at, set_rate
from harness.embedding.training.recipe import Recipe
from harness.embedding.training.sampling import batches, labelled_batches
from harness.embedding.training.teacher import CrossTeacher, EmbeddingTeacher

Ids = NDArray[np.int64]
Listener = Callable[[str, dict[str, Any]], None]
CHECKPOINT, BEST = "checkpoint.pt", "best"


@dataclass(eq=False)
class Trainer:
    """One run of a recipe: `run` goes on where an earlier one stopped, to the same weights as if it had not.

    `folder` is where the finished model appears, `work` where checkpoint and best model so far are until then.
    """

    recipe: Recipe
    model: DualEncoder
    examples: Examples
    folder: Path
    work: Path
    judge: Judge | None = None
    teacher: EmbeddingTeacher | CrossTeacher | None = None
    listener: Listener = lambda _event, _content: None

    def __post_init__(self) -> None:
        """Prepare every text once, and everything that learns."""
        self.key = run_key(self.recipe, self.examples, self.judge, self.model.origin)
        loss = find_loss(self.recipe.loss.name)
        self._objective = self.model.objective
        alone = self._objective is not None and self._objective.alone
        self._needs = {"queries"} if alone else {*loss.needs, *loss.takes}
        # A loss of labelled pairs sees each positive as a pair of label 1 and each negative as one of label 0.
        self._in_pairs = {"positives", "labels"} <= self._needs and self.examples.labels is None
        self._takes_negatives = "negatives" in self._needs or self._in_pairs
        self._scalars = {
            name: nn.Parameter(torch.tensor(loss.learnable[name], dtype=torch.float32))
            for name in self.recipe.loss.learn
        }
        self._loss: LossFunction = loss
        if self.recipe.loss.matryoshka:
            width = self.model.query.dimension
            if max(self.recipe.loss.matryoshka) > width:
                raise ConfigError(f"{self.recipe.name}: matryoshka asks for more dimensions than the tower's {width}")
            self._loss = matryoshka(loss, self.recipe.loss.matryoshka)
        self._optimiser = make_optimiser([self.model], self._scalars, self.recipe.optimiser)
        self._prepared: dict[Role, list[Any]] = {
            "query": self.model.query.prepare(self.examples.queries, "query"),
            "document": self.model.document.prepare(self.examples.documents, "document"),
        }
        self._known = self.examples.known()
        self._twins = self._teacher_embeddings()
        self._sizes = self._example_sizes()
        self._negatives: Ids | None = None
        self._progress = Progress()

    def run(self) -> dict[str, Any]:
        """Train, save the model that was best on dev (the last one without dev), and return the manifest.

        Interrupted, it goes on from the last checkpoint when it is called again. Raises AnnbenchError.
        """
        self._restore()
        total = self.recipe.optimiser.epochs * self._batches_an_epoch()
        self.listener("start", {"recipe": self.recipe.name, "steps": total, "done": self._progress.step})
        started = time.perf_counter() - self._progress.seconds
        for epoch in range(self._progress.epoch, self.recipe.optimiser.epochs):
            self._begin_epoch(epoch)
            for number, rows in enumerate(self._batches(epoch)):
                if number < self._progress.batch:
                    continue
                adjust_threads()
                rate = rate_at(self._progress.step, total, self.recipe.optimiser)
                set_rate(self._optimiser, rate)
                value = self._step(rows)
                self._progress.steps.append(Step(rate, value))
                self._progress.step += 1
                self._progress.batch = number + 1
                self._progress.seconds = time.perf_counter() - started
                self.listener("step", {"loss": value, "step": self._progress.step})
                self._between(within=True)
            self._progress.epoch, self._progress.batch = epoch + 1, 0
            self._between(within=False)
        return self._finish()

    # --- one step ----------------------------------------------------------------------------------------------------

    def _step(self, rows: Ids) -> float:
        """Learn from some examples; return the loss. Raises AnnbenchError where it isn't finite."""
        self.model.train()
        self._optimiser.zero_grad(set_to_none=True)
        roles, items = self._items(rows)
        chunk = self.recipe.optimiser.chunk
        whole = partial(self._value, rows)
        if chunk is not None and chunk < len(rows):
            sides = [
                Side(partial(self.model.embed, role=role), [some[i : i + chunk] for i in range(0, len(some), chunk)])
                for role, some in zip(roles, items, strict=True)
            ]
            value = step(sides, whole)
        elif self._objective is not None:
            value = self._objective(self.model, items, whole)
            value.backward()
        else:
            value = whole(*self.model.embed_sides(roles, items))
            value.backward()  # type: ignore[no-untyped-call]
        loss = float(value.detach())
        if not math.isfinite(loss):
            raise AnnbenchError(
                f"{self.recipe.name}: the loss is {loss} at step {self._progress.step}; use a lower rate"
            )
        learning = [weight for group in self._optimiser.param_groups for weight in group["params"]]
        nn.utils.clip_grad_norm_(learning, self.recipe.optimiser.clip)
        self._optimiser.step()
        with torch.no_grad():
            for name in ("temperature", "log_scale"):
                if name in self._scalars:
                    clamp_log_scale(self._scalars[name])
        return loss

    def _items(self, rows: Ids) -> tuple[list[Role], list[list[Any]]]:
        """Return the sides of a batch: their roles, and their prepared items."""
        queries, documents = self.examples.pairs[rows].T
        roles: list[Role] = ["query"]
        items = [[self._prepared["query"][row] for row in queries]]
        if "positives" in self._needs:
            roles.append("document")
            items.append([self._prepared["document"][row] for row in documents])
        if self._takes_negatives and self._negatives is not None:
            roles.append("document")
            items.append([self._prepared["document"][row] for row in self._negatives[rows].ravel()])
        return roles, items

    def _value(self, rows: Ids, queries: Tensor, *others: Tensor) -> Tensor:
        """Return the loss of a batch's embeddings; what else it needs is looked up by the rows."""
        if self._in_pairs:
            return self._loss(_as_pairs(queries, *others), {**self.recipe.loss.settings, **self._scalars})
        negatives = others[1].reshape(len(rows), -1, others[1].shape[1]) if len(others) > 1 else None
        labels = self.examples.labels
        batch = Batch(
            queries=queries,
            positives=others[0] if others else None,
            negatives=negatives,
            labels=None if labels is None else torch.from_numpy(labels[rows]),
            teacher_scores=self._scores(rows) if "teacher_scores" in self._needs else None,
            teacher_embeddings=None
            if self._twins is None
            else self._twins[torch.from_numpy(self.examples.pairs[rows, 0])],
            false_negatives=self._false_negatives(rows) if "false_negatives" in self._needs else None,
        )
        return self._loss(batch, {**self.recipe.loss.settings, **self._scalars})

    def _false_negatives(self, rows: Ids) -> Tensor:
        """Tell which candidates (b, b + b h) are known to answer a query, its own positive and any copy among them."""
        queries, documents = self.examples.pairs[rows].T
        negatives = [] if self._negatives is None else [self._negatives[rows].ravel()]
        return torch.from_numpy(self._known.table(queries, np.concatenate([documents, *negatives])))

    def _scores(self, rows: Ids) -> Tensor:
        assert self.teacher is not None  # noqa: S101 - for the type checker: the recipe was checked for it
        queries, documents = self.examples.pairs[rows].T
        if self._negatives is None:
            raise AnnbenchError(f"{self.recipe.name}: {self.recipe.loss.name} needs negatives; add a part `negatives`")
        candidates = np.concatenate([documents[:, None], self._negatives[rows]], axis=1)
        return torch.from_numpy(self.teacher.scores(queries, candidates))

    def _teacher_embeddings(self) -> Tensor | None:
        if "teacher_embeddings" not in self._needs:
            return None
        if not isinstance(self.teacher, EmbeddingTeacher):
            raise AnnbenchError(f"{self.recipe.name}: {self.recipe.loss.name} needs a teacher that embeds")
        return torch.from_numpy(np.ascontiguousarray(self.teacher.embeddings(self.model.query.dimension)[0]))

    # --- epochs ------------------------------------------------------------------------------------------------------

    def _begin_epoch(self, epoch: int) -> None:
        """Draw the epoch's negatives, unless a checkpoint brought them."""
        if self._progress.batch or not due(self.recipe.negatives, epoch):
            return
        self.listener("negatives", {"epoch": epoch, "kind": self.recipe.negatives.kind})
        self._negatives = draw_negatives(
            self.recipe.negatives, self.examples, self._embed_all, seed=self.recipe.seed, epoch=epoch
        )

    def _embed_all(self) -> Embedded:
        sides = {role: embed_prepared(self.model.towers[role], self._prepared[role]) for role in self._prepared}
        return Embedded(normalise(sides["query"]), normalise(sides["document"]))

    def _batches(self, epoch: int) -> Sequence[Ids]:
        part, seed = self.recipe.optimiser, self.recipe.seed
        if part.labels_a_batch is not None:
            if self.examples.labels is None:
                raise AnnbenchError(f"{self.recipe.name}: labels_a_batch is for labelled examples, and these have none")
            return labelled_batches(self.examples.labels, part.batch, part.labels_a_batch, seed=seed, epoch=epoch)
        return batches(self._sizes, part.batch, seed=seed, epoch=epoch)

    def _example_sizes(self) -> Ids:
        """Return what each example costs: the longer of its two sides."""
        sides = []
        for column, role in enumerate(self._prepared):
            sizes = np.array([self.model.towers[role].size(one) for one in self._prepared[role]], np.int64)
            if len(sizes):
                sides.append(sizes[self.examples.pairs[:, column]])
        longer: Ids = np.max(sides, axis=0)
        return longer

    def _batches_an_epoch(self) -> int:
        return len(self._batches(0))

    # --- between steps -----------------------------------------------------------------------------------------------

    def _between(self, *, within: bool) -> None:
        """Evaluate and save where it is time to: after so many steps, or after the epoch."""
        if self._due(self.recipe.evaluate_every, within=within):
            self._evaluate()
        if self._due(self.recipe.save_every, within=within):
            self._save()

    def _due(self, every: int | None, *, within: bool) -> bool:
        if within:
            return every is not None and self._progress.step % every == 0
        return every is None or self._progress.epoch == self.recipe.optimiser.epochs

    def _evaluate(self) -> None:
        """Judge the model on dev, keep it if it is the best so far, and raise the alarm where it collapses."""
        history = self._progress.history
        if self.judge is None or (history and history[-1]["step"] == self._progress.step):
            return
        found = self.judge.judge(self.model)
        history.append({"step": self._progress.step, **found})
        self.listener("dev", {"step": self._progress.step, **found})
        if found["ndcg@10"] > self._progress.best:
            self._progress.best, self._progress.best_step = found["ndcg@10"], self._progress.step
            with kept_whole(self.work / BEST):
                save_dual_encoder(
                    merged(self.model, self.recipe.adapt), self.work / BEST, {"step": self._progress.step}
                )

    def _save(self) -> None:
        """Write what going on from here needs; a teacher's scores too, which depend on what was scored beside them."""
        self._keep_scores()
        self._write_curve(self.work)
        save_checkpoint(
            self.work / CHECKPOINT,
            self.key,
            self._progress,
            self.model,
            self._optimiser,
            self._scalars,
            self._negatives,
        )

    def _restore(self) -> None:
        found = load_checkpoint(self.work / CHECKPOINT, self.key, self.model, self._optimiser, self._scalars)
        if found is not None:
            self._progress, self._negatives = found

    def _finish(self) -> dict[str, Any]:
        """Put the best model in its place with its manifest, which is written last."""
        self._keep_scores()
        manifest = {
            "recipe": self.recipe.model_dump(mode="json"),
            "key": self.key,
            "data": self.examples.content_hash(),
            "examples": len(self.examples),
            "minutes": round(self._progress.seconds / 60, 3),
            "steps": self._progress.step,
            "best_step": self._progress.best_step if self._progress.best_step >= 0 else self._progress.step,
            "best_dev": self._progress.best if math.isfinite(self._progress.best) else None,
            "history": self._progress.history,
            "learnt": {name: float(scalar.detach()) for name, scalar in self._scalars.items()},
            "versions": {
                "python": platform.python_version(),
                **{name: version(name) for name in ("torch", "transformers")},
            },
        }
        best = merged(self.model, self.recipe.adapt)
        if self._progress.best_step >= 0:
            towers = load_towers(self.work / BEST)
            best = DualEncoder(towers["query"], towers["document"])
        with kept_whole(self.folder):
            save_dual_encoder(best, self.folder, manifest, self._write_curve)
        self.listener("done", {"folder": str(self.folder), **manifest})
        return manifest

    def _write_curve(self, folder: Path) -> None:
        steps = self._progress.steps
        write_curve(folder, steps, self._progress.history, first=self._progress.step - len(steps) + 1)

    def _keep_scores(self) -> None:
        if isinstance(self.teacher, CrossTeacher):
            with kept_whole(self.work):
                self.teacher.keep()


def _as_pairs(queries: Tensor, positives: Tensor, negatives: Tensor | None = None) -> Batch:
    """Return queries (b, d) with their positives (b, d) and negatives (b h, d) as pairs of label 1 and 0."""
    if negatives is None:
        raise AnnbenchError("a loss of labelled pairs needs pairs that don't belong together; add a part `negatives`")
    others = len(negatives) // len(queries)
    labels = torch.cat([torch.ones(len(queries)), torch.zeros(len(negatives))])
    asked = torch.cat([queries, queries.repeat_interleave(others, dim=0)])
    return Batch(asked, positives=torch.cat([positives, negatives]), labels=labels)


def run_key(recipe: Recipe, examples: Examples, judge: Judge | None, origin: str = "") -> str:
    """Hash what a run's weights depend on: recipe, data, what progress is judged by, and the run before it."""
    content = recipe.model_dump(mode="json", exclude={"about", "name"})
    digest = hashlib.sha256(json.dumps(content, sort_keys=True).encode())
    digest.update(examples.content_hash().encode())
    digest.update(b"-" if judge is None else judge.task_hash.encode())
    digest.update(origin.encode())
    return digest.hexdigest()
