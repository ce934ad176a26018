"""`annbench embed`: what a model embeds, as a dataset that any index is measured on."""

from __future__ import annotations

from typing import Annotated

import typer

from harness.cli.options import Data, Results


def embed(
    model: Annotated[str, typer.Argument(help="Model by name or folder.")],
    corpus: Annotated[str, typer.Argument(help="Retrieval task by name, or a BEIR folder.")],
    split: Annotated[str, typer.Option(help="Split whose queries become the dataset's.")] = "test",
    variant: Annotated[str, typer.Option(help="prefix-128, pca-64, float16, int8, binary, or a/b.")] = "full",
    documents: Annotated[
        int | None, typer.Option(min=1, help="Keep so many documents; all that have judgements are kept.")
    ] = None,
    name: Annotated[str | None, typer.Option(help="Name of the dataset [default: made of task, model, shape].")] = None,
    data: Data = None,
    results: Results = None,
) -> None:
    """Embed a corpus and its queries, and write an HDF5 dataset: `annbench run --dataset NAME` measures indexes on it.

    Judgements are kept with it, so that `annbench report` tells what each index costs in nDCG.

    Example: annbench embed all-MiniLM-L6-v2 nave-web

    Example: annbench embed my-model my-beir-folder --variant pca-128 --name mine
    """
    from rich.progress import BarColumn, MofNCompleteColumn, Progress, TextColumn, TimeRemainingColumn

    from harness.core.console import Lines
    from harness.embedding.requirements import require_torch

    require_torch()
    from harness.core.errors import ConfigError
    from harness.core.folders import MODELS, data_folder, results_folder
    from harness.embedding.cache import EmbeddingCache
    from harness.embedding.corpus import embed_corpus
    from harness.embedding.evaluation import subset
    from harness.embedding.models import load_model
    from harness.embedding.session import CACHE, find_tasks
    from harness.embedding.tasks import Retrieval
    from harness.embedding.variants import Variant

    tasks = [task for task in find_tasks(corpus, data_folder(data), split) if isinstance(task, Retrieval)]
    if not tasks:
        raise ConfigError(f"{corpus}: is no retrieval task, and an index needs documents and queries")
    task = tasks[0] if documents is None else subset(tasks[0], documents)
    if task.about:
        typer.echo(f"{task.name}: {task.about}", err=True)
    folder = results_folder(results)
    encoder = load_model(model, folder / MODELS)
    columns = (TextColumn("{task.description}"), BarColumn(), MofNCompleteColumn(), TimeRemainingColumn())
    with Progress(*columns, console=Lines(stderr=True), refresh_per_second=2, transient=True) as progress:
        bar = progress.add_task("embedding", total=len(task.documents) + len(task.queries))
        path = embed_corpus(
            task,
            encoder,
            EmbeddingCache(folder / CACHE),
            data_folder(data),
            variant=Variant.parse(variant),
            name=name,
            progress=lambda more: progress.advance(bar, more),
        )
    typer.echo(str(path))
    typer.echo(f"measure indexes on it with: annbench run quick --dataset {path.stem}", err=True)
