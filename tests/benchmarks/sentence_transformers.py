"""Encoding and training against sentence-transformers: `python tests/benchmarks/sentence_transformers.py`.

Texts are those of nave-web, which is prepared where it isn't there. Both sides have the same weights, batches, threads
and precision; a step is InfoNCE (MultipleNegativesRankingLoss there), its gradient, clipped, and the same AdamW. Runs
take turns, so that what else the machine does falls on both alike. Required: a ratio of 1.0 or more, ours the faster.

A step of sentence-transformers tokenises, as its trainer's collator does in each epoch; ours tokenised each text once,
before the first step. "collated" gives it its batch as tensors, and so compares what is left.
"""

from __future__ import annotations

import argparse
import itertools
import statistics
import sys
import time
from collections.abc import Callable, Sequence
from pathlib import Path
from typing import Any

# This file's own folder would stand before the library of its name.
sys.path[:] = [folder for folder in sys.path if Path(folder).resolve() != Path(__file__).parent]

import numpy as np  # noqa: E402
import torch  # noqa: E402
from sentence_transformers import SentenceTransformer  # noqa: E402
from sentence_transformers.sentence_transformer.losses import MultipleNegativesRankingLoss  # noqa: E402

from harness.embedding.encoder import encode  # noqa: E402
from harness.embedding.formats.beir import read_beir  # noqa: E402
from harness.embedding.models import load_model, locate  # noqa: E402
from harness.embedding.session import find_folder  # noqa: E402
from harness.embedding.towers.static import StaticTower  # noqa: E402
from harness.embedding.training.dual_encoder import DualEncoder, save_dual_encoder  # noqa: E402
from harness.embedding.training.examples import Examples  # noqa: E402
from harness.embedding.training.loop import Trainer  # noqa: E402
from harness.embedding.training.optimise import make_optimiser  # noqa: E402
from harness.embedding.training.recipe import Recipe  # noqa: E402

TEMPERATURE, CLIP = 0.05, 1.0
# Texts that are encoded, and examples a training step.
MODELS = {"all-MiniLM-L6-v2": (512, 32), "static": (20_000, 512)}


def folder_of(name: str, work: Path) -> Path:
    """Return the folder of a model; the static one has all-MiniLM-L6-v2's tokens and random vectors."""
    if name != "static":
        return locate(name, work)
    from tokenizers import Tokenizer

    tokenizer = Tokenizer.from_file(str(locate("all-MiniLM-L6-v2", work) / "tokenizer.json"))
    tower = StaticTower.random(tokenizer, 256)
    save_dual_encoder(DualEncoder(tower, tower), work / "static", {})
    return work / "static"


def median_seconds(runs: dict[str, Callable[[], Any]], rounds: int) -> dict[str, float]:
    """Time each run once a round, in turn, after one round to warm up; return their medians.

    On one thread it is the processor's time, which other work on the machine changes little.
    """
    clock = time.process_time if torch.get_num_threads() == 1 else time.perf_counter
    seconds: dict[str, list[float]] = {name: [] for name in runs}
    for number in range(rounds + 1):
        for name, run in runs.items():
            started = clock()
            run()
            if number:
                seconds[name].append(clock() - started)
    return {name: statistics.median(some) for name, some in seconds.items()}


def encoding(folder: Path, texts: Sequence[str], rounds: int) -> dict[str, float]:
    """Time encoding; raises where the embeddings differ."""
    theirs = SentenceTransformer(str(folder), device="cpu", local_files_only=True)
    tower = load_model(str(folder), folder).towers["document"]
    differ = np.abs(encode(tower, texts[:100]) - theirs.encode(list(texts[:100]))).max()
    if differ > 1e-4:
        raise RuntimeError(f"embeddings differ by {differ}")
    return median_seconds({"ours": lambda: encode(tower, texts), "theirs": lambda: theirs.encode(list(texts))}, rounds)


class Theirs:
    """A training step as sentence-transformers' trainer takes it."""

    def __init__(self, folder: Path, recipe: Recipe, pairs: Sequence[tuple[str, str]]) -> None:
        self.model = SentenceTransformer(str(folder), device="cpu", local_files_only=True)
        self._pairs = pairs
        self._loss = MultipleNegativesRankingLoss(self.model, scale=1 / TEMPERATURE)
        self._optimiser = make_optimiser([self.model], {}, recipe.optimiser)

    def collate(self, rows: Any) -> list[dict[str, Any]]:
        """Tokenise both sides of some pairs."""
        return [self.model.preprocess([self._pairs[row][side] for row in rows]) for side in (0, 1)]

    def learn(self, features: list[dict[str, Any]]) -> float:
        """Learn from a batch; return its loss."""
        self.model.train()
        self._optimiser.zero_grad(set_to_none=True)
        value = self._loss([dict(side) for side in features], None)
        value.backward()
        torch.nn.utils.clip_grad_norm_(self.model.parameters(), CLIP)
        self._optimiser.step()
        return float(value.detach())


def training(folder: Path, pairs: Sequence[tuple[str, str]], batch: int, rounds: int) -> dict[str, float]:
    """Time a training step over the same batches; raises where the losses of the first one, without dropout, differ."""
    recipe = Recipe.model_validate(
        {
            "name": "speed",
            "data": {"train": "nave-web"},
            "tower": {"kind": "transformer", "checkpoint": str(folder)},
            "loss": {"name": "info_nce", "settings": {"temperature": TEMPERATURE}},
            "optimiser": {"batch": batch, "clip": CLIP},
        }
    )
    towers = load_model(str(folder), folder).towers
    model = DualEncoder(towers["query"], towers["document"])
    number = np.arange(len(pairs))
    examples = Examples([query for query, _ in pairs], [text for _, text in pairs], np.stack([number, number], axis=1))
    trainer, theirs = Trainer(recipe, model, examples, folder, folder), Theirs(folder, recipe, pairs)
    draws = np.random.default_rng(0).permutation(len(pairs))[: len(pairs) // batch * batch].reshape(-1, batch)
    dropped = [part for side in (model, theirs.model) for part in side.modules() if isinstance(part, torch.nn.Dropout)]
    shares = [part.p for part in dropped]
    for part in dropped:
        part.p = 0.0
    first = trainer._step(draws[0]), theirs.learn(theirs.collate(draws[0]))
    if abs(first[0] - first[1]) > 1e-3:
        raise RuntimeError(f"the losses differ: {first[0]} and {first[1]}")
    for part, share in zip(dropped, shares, strict=True):
        part.p = share
    ours, other, third = (itertools.cycle(draws[1:]) for _ in range(3))
    collated = itertools.cycle([theirs.collate(next(third)) for _ in range(rounds + 1)])
    return median_seconds(
        {
            "ours": lambda: trainer._step(next(ours)),
            "theirs": lambda: theirs.learn(theirs.collate(next(other))),
            "theirs, collated": lambda: theirs.learn(next(collated)),
        },
        rounds,
    )


def main() -> None:
    """Print medians and ratios for each model."""
    parser = argparse.ArgumentParser(description=__doc__.splitlines()[0])
    parser.add_argument("--data", type=Path, default=Path("datasets"), help="folder of datasets")
    parser.add_argument("--work", type=Path, default=Path("results") / ".speed", help="folder for the static model")
    parser.add_argument("--rounds", type=int, default=9)
    given = parser.parse_args()
    task = read_beir(find_folder("nave-web", given.data), "train")
    number = {document: row for row, document in enumerate(task.document_ids)}
    pairs = [
        (query, task.documents[number[document]])
        for name, query in zip(task.query_ids, task.queries, strict=True)
        for document in list(task.judgements[name])[:1]
    ]
    sys.stdout.write(f"torch {torch.__version__}, {torch.get_num_threads()} threads\n")
    for name, (texts, batch) in MODELS.items():
        folder = folder_of(name, given.work)
        found = encoding(folder, task.documents[:texts], given.rounds)
        _tell(f"{name}, encode {texts:,} texts", found)
        found = training(folder, pairs, batch, given.rounds)
        _tell(f"{name}, a step of {batch}", found)


def _tell(what: str, seconds: dict[str, float]) -> None:
    for name, median in seconds.items():
        ratio = "" if name == "ours" else f", ours {median / seconds['ours']:.2f}x as fast"
        sys.stdout.write(f"{what:40} {name:17} {median * 1000:10.1f} ms{ratio}\n")
    sys.stdout.flush()


if __name__ == "__main__":
    main()
