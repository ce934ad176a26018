"""What matters when an encoder is trained contrastively: the loss, negatives, the batch, the temperature, what learns?

A bag of token vectors is trained from scratch on topics and verses, each choice from several seeds; a transformer that
others trained is adapted in full, in its upper layers, or by LoRA. Everything else stays as the recipe has it.
"""

from __future__ import annotations

import math
import tempfile
from collections.abc import Sequence
from pathlib import Path
from typing import TYPE_CHECKING, ClassVar, Self

from pydantic import Field

from harness.core.errors import ConfigError
from harness.studies.lab import Lab
from harness.studies.picture import Axis, Line, Panel, Picture
from harness.studies.study import Explanation, Needs, Row, Shown, Step, Study
from harness.studies.study import Settings as StudySettings

if TYPE_CHECKING:
    import pandas as pd

    from harness.embedding.training.recipe import Recipe

LOSS, BATCH, TEMPERATURE, ADAPT = "loss", "batch", "temperature", "what learns"
PARTS = (LOSS, BATCH, TEMPERATURE, ADAPT)
_UNTRAINED = "untrained"
_LEVEL = 0.95


class Settings(StudySettings):
    """What is varied, and from how many seeds; the task is cut to `documents`, all judged ones among them.

    `losses` are recipes; `base` is the one whose batch and temperature vary; `adapted` the transformer's, of which each
    way in `ways` learns. `examples` and `epochs` cut the recipes short where they are given.
    """

    task: str = "nave-web"
    documents: int = Field(default=10_000, ge=1)
    seeds: tuple[int, ...] = Field(default=(0, 1, 2), min_length=2)
    losses: tuple[str, ...] = ("static-contrastive", "static-triplet", "static-infonce", "static-infonce-mined")
    base: str = "static-infonce"
    batches: tuple[int, ...] = (128, 512, 2048)
    temperatures: tuple[float, ...] = (0.02, 0.05, 0.1, 0.2)
    adapted: str = "minilm-lora"
    ways: tuple[str, ...] = ("full", "upper", "lora")
    rates: tuple[float, ...] = (5e-5, 5e-5, 5e-4)
    examples: int | None = None
    epochs: int | None = None

    @classmethod
    def quick(cls) -> Self:
        """Return settings whose study takes a minute: no transformer, and few examples."""
        return cls(
            documents=3000, seeds=(0, 1), losses=("static-triplet", "static-infonce"), batches=(64, 512),
            temperatures=(0.02, 0.1), ways=(), rates=(), examples=3000, epochs=1,
        )  # fmt: skip


class ContrastiveTraining(Study[Settings]):
    """nDCG on held-out topics of encoders that differ in one choice, over several seeds."""

    name: ClassVar[str] = "contrastive-training"
    about: ClassVar[str] = (
        "which loss, batch, temperature and adapted weights make a better encoder, over several seeds"
    )
    settings = Settings

    def needs(self, settings: Settings) -> Needs:  # noqa: ARG002 - the contract's
        """Need no vectors: texts are prepared when they are asked for."""
        return Needs()

    def steps(self, settings: Settings, lab: Lab) -> Sequence[Step]:  # noqa: ARG002 - the contract's
        """Return a step for each choice and seed."""
        choices = [(LOSS, name) for name in settings.losses]
        choices += [(BATCH, str(size)) for size in settings.batches]
        choices += [(TEMPERATURE, str(value)) for value in settings.temperatures]
        steps: list[Step] = [
            {"part": part, "choice": choice, "seed": s} for part, choice in choices for s in settings.seeds
        ]
        if settings.ways:
            steps.append({"part": ADAPT, "choice": _UNTRAINED, "seed": settings.seeds[0]})
        return steps + [{"part": ADAPT, "choice": way, "seed": s} for way in settings.ways for s in settings.seeds]

    def measure(self, step: Step, settings: Settings, lab: Lab) -> list[Row]:
        """Train, and evaluate what came of it."""
        from harness.embedding.requirements import require_torch

        require_torch()
        from harness.core.folders import MODELS
        from harness.embedding.cache import EmbeddingCache
        from harness.embedding.evaluation import evaluate, subset
        from harness.embedding.models import load_model
        from harness.embedding.session import find_tasks
        from harness.embedding.tasks import Retrieval
        from harness.embedding.training.session import train_recipe

        recipe = _recipe(str(step["part"]), str(step["choice"]), int(step["seed"]), settings)
        task = find_tasks(settings.task, lab.data)[0]
        if not isinstance(task, Retrieval):
            raise ConfigError(f"{settings.task}: the study needs a retrieval task, such as nave-web")
        with tempfile.TemporaryDirectory() as folder:
            results = Path(folder)
            trained = train_recipe(recipe, data=lab.data, results=results)
            encoder = load_model(str(trained), results / MODELS)
            record = evaluate(subset(task, settings.documents), encoder, EmbeddingCache(None), geometry=False)[0]
        return [{"ndcg": record.quality.value, "minutes": encoder.minutes, "queries": len(record.values)}]

    def explain(self, table: pd.DataFrame, settings: Settings) -> Explanation:
        """Say which choice is best, and whether its seeds are above those of the next."""
        sentences, tables, panels = [], [], []
        for part in PARTS:
            mine = table[table["part"] == part]
            if not len(mine):
                continue
            choices = summarise(mine)
            sentences.append(_told(part, choices))
            tables.append(_table(part, choices))
            panels.append(_panel(part, choices))
        finding = _finding(table)
        notes = (f"bars: {_LEVEL:.0%} intervals of the mean over seeds (t)", f"{len(settings.seeds)} seeds")
        return Explanation(
            finding,
            tuple(sentences),
            tuple(tables),
            Picture(
                finding,
                f"nDCG@10 on the test topics of {settings.task}, {settings.documents:,} documents",
                panels,
                notes,
            ),
        )


def _recipe(part: str, choice: str, seed: int, settings: Settings) -> Recipe:
    """Return the recipe of one step: the base with one thing changed."""
    from harness.embedding.training.recipe import Recipe, find_recipes

    name = choice if part == LOSS else settings.adapted if part == ADAPT else settings.base
    content = find_recipes(name)[0].model_dump(mode="json")
    content["seed"] = seed
    # What is best on dev would be another choice, made by each run for itself.
    content["data"]["dev"] = None
    if settings.examples is not None:
        content["data"]["examples"] = settings.examples
    if settings.epochs is not None:
        content["optimiser"]["epochs"] = settings.epochs
    if part == BATCH:
        content["optimiser"]["batch"] = int(choice)
    if part == TEMPERATURE:
        content["loss"]["settings"]["temperature"] = float(choice)
    if part == ADAPT and choice == _UNTRAINED:
        content["optimiser"]["epochs"] = 0
    elif part == ADAPT:
        layers = {"upper": 4}.get(choice, 0)
        content["adapt"] = {**content["adapt"], "kind": choice, "layers": layers}
        content["optimiser"]["rate"] = settings.rates[settings.ways.index(choice)]
    return Recipe.model_validate(content)


def summarise(mine: pd.DataFrame) -> pd.DataFrame:
    """Return a row a choice, in their order: mean over seeds, its t interval, seeds and minutes."""
    from scipy.special import stdtrit

    groups = mine.groupby("choice", sort=False)
    found = groups.agg(
        ndcg=("ndcg", "mean"), spread=("ndcg", "std"), seeds=("ndcg", "size"), minutes=("minutes", "mean")
    )
    degrees = (found["seeds"] - 1).clip(lower=1)
    half = stdtrit(degrees, (1 + _LEVEL) / 2) * found["spread"] / found["seeds"] ** 0.5
    return found.assign(low=found["ndcg"] - half, high=found["ndcg"] + half).reset_index()


def _finding(table: pd.DataFrame) -> str:
    losses = table[table["part"] == LOSS]
    if not len(losses):
        return "What matters when an encoder is trained"
    ranked = summarise(losses).sort_values("ndcg")
    worst, best = ranked.iloc[0], ranked.iloc[-1]
    return f"{best['choice']} reaches an nDCG@10 of {best['ndcg']:.3f}, {worst['choice']} {worst['ndcg']:.3f}"


def _told(part: str, choices: pd.DataFrame) -> str:
    ranked = choices.sort_values("ndcg", ascending=False)
    best = ranked.iloc[0]
    said = f"By {part}: {best['choice']} is best with {best['ndcg']:.4f}"
    if len(ranked) == 1:
        return f"{said}."
    second = ranked.iloc[1]
    apart = best["low"] > second["high"]
    sure = (
        "their intervals are apart" if apart else "their intervals overlap, so that seeds alone may make the difference"
    )
    return f"{said}, before {second['choice']} with {second['ndcg']:.4f}; {sure}."


def _table(part: str, choices: pd.DataFrame) -> Shown:
    rows = tuple(
        (
            str(row["choice"]),
            f"{row['ndcg']:.4f}" + ("" if math.isnan(row["low"]) else f" ({row['low']:.4f} to {row['high']:.4f})"),
            f"{row['seeds']:.0f}",
            f"{row['minutes']:.1f}",
        )
        for row in choices.to_dict("records")
    )
    return Shown(f"{part}: nDCG@10, mean over seeds", (part, "nDCG@10", "seeds", "minutes"), rows)


def _panel(part: str, choices: pd.DataFrame) -> Panel:
    numeric = part in (BATCH, TEMPERATURE)
    x = [float(choice) for choice in choices["choice"]] if numeric else [float(i) for i in range(len(choices))]
    low, high = (choices[end].fillna(choices["ndcg"]).tolist() for end in ("low", "high"))
    y = choices["ndcg"].tolist()
    if numeric:
        lines = [Line("", x, y, "first", low=low, high=high)]
        return Panel(Axis(part, log=True, ticks=x), Axis(f"nDCG@10 by {part}"), lines)
    looks = ("first", "second", "third", "fourth")
    lines = [
        Line(str(name), [x[i]], [y[i]], looks[i % 4], kind="dots", low=[low[i]], high=[high[i]])
        for i, name in enumerate(choices["choice"])
    ]
    return Panel(Axis(part, ticks=[], limits=(-0.5, len(x) - 0.5)), Axis(f"nDCG@10 by {part}"), lines)
