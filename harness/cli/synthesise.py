"""`annbench synthesise`: training examples that a language model writes."""

from __future__ import annotations

from pathlib import Path
from typing import Annotated, Any

import typer

from harness.cli.options import Data, Results


def synthesise(
    corpus: Annotated[
        str, typer.Argument(help="Retrieval task by name, or a BEIR folder; only its documents are read.")
    ],
    out: Annotated[Path, typer.Option("--out", help="Folder that the examples are written into.")],
    writer: Annotated[
        str, typer.Option(help="Language model: a folder of transformers or GGUF, or one that a package ships.")
    ] = "SmolLM2-135M-Instruct",
    model: Annotated[str, typer.Option(help="Embedding model that finds candidates, by name or folder.")] = (
        "all-MiniLM-L6-v2"
    ),
    teacher: Annotated[
        str | None, typer.Option(help="Model that labels candidates [default: the writer, by likelihood].")
    ] = None,
    cross: Annotated[bool, typer.Option("--cross", help="The teacher is a cross-encoder.")] = False,
    passages: Annotated[int, typer.Option(min=1, help="Passages that queries are written for.")] = 100,
    queries: Annotated[int, typer.Option(min=1, help="Queries tried for each passage.")] = 1,
    candidates: Annotated[int, typer.Option(min=3, help="Documents labelled for each query.")] = 20,
    negatives: Annotated[int, typer.Option(min=1, help="Hard negatives of each query.")] = 1,
    temperature: Annotated[float, typer.Option(min=0.0, help="Of the writer; 0 takes the most probable words.")] = 0.8,
    seed: Annotated[int, typer.Option(min=0, help="Seed of all that is drawn.")] = 0,
    data: Data = None,
    results: Results = None,
) -> None:
    """Write queries for passages, find candidates, and label them: `train.jsonl` for a recipe's `data: {train: OUT}`.

    What was interrupted goes on where it stopped. After Gecko (Lee et al. 2024).

    Example: annbench synthesise nave-web --out datasets/nave-written --passages 500
    """
    from harness.core.console import Lines
    from harness.embedding.requirements import require_torch

    require_torch()
    from harness.core.errors import ConfigError
    from harness.core.folders import MODELS, data_folder, results_folder
    from harness.embedding.cache import EmbeddingCache
    from harness.embedding.formats.beir import read_corpus
    from harness.embedding.language_model import load_language_model
    from harness.embedding.models import load_model
    from harness.embedding.session import CACHE, find_folder
    from harness.embedding.synthesis import EXAMPLES, Corpus, Settings

    if cross and teacher is None:
        raise ConfigError("--cross says what the teacher is; add --teacher MODEL")
    label = "" if teacher is None else f"{teacher} (cross)" if cross else teacher
    settings = Settings(passages, queries, candidates, negatives, temperature, seed, label)
    folder = find_folder(corpus, data_folder(data))
    models, kept = results_folder(results) / MODELS, results_folder(results) / CACHE
    about = _run(
        Lines(stderr=True),
        Corpus(folder.name, *read_corpus(folder)),
        load_language_model(writer),
        load_model(model, models),
        settings,
        out,
        cache=EmbeddingCache(kept),
        make_teacher=None if teacher is None else _maker(teacher, models, kept, cross=cross),
    )
    typer.echo(str(out / EXAMPLES))
    typer.echo(
        f"{about['queries']:,} queries of {about['tries']:,} tries; the positive of {about['moved']:,} is another "
        "passage than they were written for",
        err=True,
    )


def _maker(teacher: str, models: Path, kept: Path, *, cross: bool) -> Any:
    from harness.embedding.cache import EmbeddingCache
    from harness.embedding.training.parts import TeacherPart
    from harness.embedding.training.teacher import load_teacher

    part = TeacherPart(model=teacher, cross=cross)
    return lambda examples: load_teacher(part, models, examples, EmbeddingCache(kept), kept)[1]()


def _run(console: Any, *parts: Any, **options: Any) -> Any:
    from rich.markup import escape
    from rich.progress import BarColumn, MofNCompleteColumn, Progress, TextColumn, TimeRemainingColumn

    from harness.embedding.synthesis import synthesise as make

    columns = (TextColumn("{task.description}"), BarColumn(), MofNCompleteColumn(), TimeRemainingColumn())
    with Progress(*columns, console=console, refresh_per_second=2, transient=True) as progress:
        bar = progress.add_task("loading", total=None)

        def listen(event: str, content: dict[str, Any]) -> None:
            if event == "written":
                shown = f"writing {' / '.join(content['queries'])[:60]}"
                progress.update(bar, description=escape(shown), completed=content["done"], total=content["total"])
            elif event == "labelled":
                progress.update(bar, description="labelling", completed=content["done"], total=content["total"])
            elif event == "known":
                console.print(f"[dim]{escape(content['folder'])}: made before[/]")

        try:
            return make(*parts, listener=listen, **options)
        except KeyboardInterrupt:
            progress.stop()
            console.print("\n[bold]Interrupted.[/] What was written is kept; the same command goes on from here.")
            raise typer.Exit(130) from None
