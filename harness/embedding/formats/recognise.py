"""Tell what a folder holds by its files, and read it."""

from __future__ import annotations

from pathlib import Path

from harness.core.errors import DatasetError
from harness.embedding.formats.beir import is_beir, read_beir
from harness.embedding.formats.images import is_images, read_image_text
from harness.embedding.formats.pairs import find_split, read_pairs
from harness.embedding.tasks import Classification, Clustering, Task


def read_tasks(folder: Path, split: str = "test") -> list[Task]:
    """Read the tasks in a folder: one, or for labelled texts two, to classify and to cluster them.

    `corpus.jsonl` tells a BEIR folder; `images.npy` images with captions; `{train,dev,test}.{csv,tsv,jsonl}` STS, pairs
    or labelled texts. Raises DatasetError.
    """
    if not folder.is_dir():
        raise DatasetError(f"{folder}: no such folder")
    if is_beir(folder):
        return [read_beir(folder, split)]
    if is_images(folder):
        return [read_image_text(folder, split)]
    if find_split(folder, split) is None:
        raise DatasetError(
            f"{folder}: no task is recognised; it should hold corpus.jsonl (BEIR), or {split}.csv, .tsv or .jsonl"
        )
    task = read_pairs(folder, split)
    if isinstance(task, Classification):
        return [task, Clustering(task.name, task.test, task.test_labels)]
    return [task]
