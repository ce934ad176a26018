"""Evaluate several models on several tasks, and keep each figure as soon as it is there."""

from __future__ import annotations

import platform
from collections.abc import Callable, Sequence
from importlib.metadata import PackageNotFoundError, version
from pathlib import Path
from typing import Any

from harness.core.errors import ConfigError
from harness.core.folders import MODELS
from harness.embedding.cache import EmbeddingCache
from harness.embedding.evaluation import evaluate, evaluate_bm25, hash_task
from harness.embedding.formats.recognise import read_tasks
from harness.embedding.models import BM25, load_model
from harness.embedding.records import Record, write_record
from harness.embedding.tasks import Retrieval, Task
from harness.embedding.variants import Variant

CACHE = ".embeddings"
"""The folder, within that of results, of embeddings that were computed before."""
Listener = Callable[[str, dict[str, Any]], None]


def find_tasks(name: str, data: Path, split: str = "test") -> list[Task]:
    """Read the tasks of a folder, or of a dataset of texts by name, which is prepared where it isn't there.

    Raises AnnbenchError.
    """
    return read_tasks(find_folder(name, data), split)


def find_folder(name: str, data: Path) -> Path:
    """Return a folder of texts: the one given, or that of a dataset of texts by name, prepared where it isn't there."""
    if Path(name).is_dir():
        return Path(name)
    if (data / name).is_dir():
        return data / name
    from harness.data.sources.texts.prepare import prepare_texts

    return prepare_texts(name, folder=data)


def evaluate_models(
    models: Sequence[str],
    tasks: Sequence[Task],
    *,
    results: Path,
    variants: Sequence[Variant] = (Variant(),),
    geometry: bool = True,
    cached: bool = True,
    listener: Listener | None = None,
) -> list[Record]:
    """Evaluate each model on each task, write the records below `results`, and return them.

    What was embedded is kept, so an interrupted evaluation goes on where it stopped. Raises AnnbenchError for a model
    that isn't there, or has too few dimensions for a variant, and for two models or tasks of one name, before any is
    evaluated.
    """
    tell = listener or (lambda _event, _content: None)
    cache = EmbeddingCache(results / CACHE if cached else None)
    encoders = {name: None if name == BM25 else load_model(name, results / MODELS) for name in dict.fromkeys(models)}
    loaded = [encoder for encoder in encoders.values() if encoder is not None]
    _check_names("models", [(model.name, model.fingerprint) for model in loaded])
    _check_names("tasks", [(f"{task.name} ({type(task).__name__.lower()})", hash_task(task)) for task in tasks])
    for model in loaded:
        for variant in variants:
            variant.dimension(model.dimension)
    records: list[Record] = []
    versions = _versions()
    for name, encoder in encoders.items():
        for task in tasks:
            tell("task", {"model": name, "task": task.name, "texts": _count(task)})
            if encoder is None:
                found = _by_words(task, tell)
            else:
                found = evaluate(
                    task,
                    encoder,
                    cache,
                    variants=variants,
                    geometry=geometry,
                    minutes=encoder.minutes,
                    progress=lambda more: tell("embedded", {"more": more}),
                )
            for record in found:
                kept = record.model_copy(update={"versions": versions})
                write_record(results, kept)
                records.append(kept)
    return records


def _check_names(kind: str, named: Sequence[tuple[str, str]]) -> None:
    """Refuse different things of one name: their records would take each other's place."""
    known: dict[str, str] = {}
    for name, content in named:
        if known.setdefault(name, content) != content:
            raise ConfigError(f"two {kind} are called {name}, and their figures would be mixed up: rename a folder")


def _by_words(task: Task, tell: Listener) -> list[Record]:
    if not isinstance(task, Retrieval):
        tell("skipped", {"model": BM25, "task": task.name, "why": "it ranks documents, and has no embeddings"})
        return []
    return [evaluate_bm25(task)]


def _count(task: Task) -> int:
    return sum(
        len(getattr(task, name))
        for name in ("documents", "queries", "first", "second", "train", "test", "texts", "captions", "images")
        if hasattr(task, name)
    )


def _versions() -> dict[str, str]:
    found = {"python": platform.python_version()}
    for package in ("annbench", "torch", "transformers", "numpy"):
        try:
            found[package] = version(package)
        except PackageNotFoundError:
            continue
    return found


def parse_variants(texts: Sequence[str]) -> list[Variant]:
    """Read variants as they are written, each once; the full embeddings always come first."""
    return list(dict.fromkeys([Variant(), *(Variant.parse(text) for text in texts)]))
