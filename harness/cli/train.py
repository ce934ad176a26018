"""`annbench train`: dual encoders and classifiers by recipe."""

from __future__ import annotations

from typing import TYPE_CHECKING, Annotated, Any

import typer

from harness.cli.options import Data, Results

if TYPE_CHECKING:
    from rich.console import Console


def train(
    recipe: Annotated[
        list[str] | None,
        typer.Option("--recipe", "-r", help="Recipe or set of recipes by name, or a YAML file; repeatable."),
    ] = None,
    force: Annotated[bool, typer.Option("--force", help="Train again what is done.")] = False,
    data: Data = None,
    results: Results = None,
) -> None:
    """Train encoders by recipe; without one, list those that come with annbench.

    Checkpoints are kept: an interrupted run goes on where it stopped, to the same weights. `annbench evaluate NAME`
    then evaluates what was trained. Classifiers are compared in a table.

    Example: annbench train --recipe static-infonce

    Example: annbench train --recipe my-recipe.yml --data my-datasets
    """
    from harness.core.console import Lines
    from harness.embedding.requirements import require_torch

    require_torch()
    if not recipe:
        _list()
        return
    from harness.core.folders import data_folder, results_folder
    from harness.embedding.training.recipe import ClassifierRecipe, find_recipes

    console = Lines(stderr=True)
    recipes = [one for name in recipe for one in find_recipes(name)]
    classifiers = []
    for one in recipes:
        folder = _train(console, one, data=data_folder(data), results=results_folder(results), force=force)
        typer.echo(str(folder))
        if isinstance(one, ClassifierRecipe):
            classifiers.append(folder)
    if classifiers:
        from harness.embedding.training.classifier import Summary
        from harness.report.classifiers import render_classifiers

        typer.echo(render_classifiers([Summary.read(folder) for folder in classifiers]), nl=False)


def _list() -> None:
    from harness.core.console import Column, print_table
    from harness.embedding.training.recipe import find_recipes, recipe_names, recipe_sets

    rows = [(name, find_recipes(name)[0].about) for name in recipe_names()]
    rows += [(name, f"the set of {', '.join(members)}") for name, members in recipe_sets().items()]
    print_table((Column("recipe"), Column("about", prose=True)), rows)


def _train(console: Console, recipe: Any, **options: Any) -> Any:
    from rich.markup import escape
    from rich.progress import BarColumn, MofNCompleteColumn, Progress, TextColumn, TimeRemainingColumn

    from harness.embedding.training.session import train_recipe

    columns = (TextColumn("{task.description}"), BarColumn(), MofNCompleteColumn(), TimeRemainingColumn())
    with Progress(*columns, console=console, refresh_per_second=2, transient=True) as progress:
        bar = progress.add_task(escape(recipe.name), total=None)
        said = {"loss": "", "dev": ""}

        def listen(event: str, content: dict[str, Any]) -> None:
            if event == "start":
                progress.update(bar, total=content["steps"], completed=content["done"])
                if content["done"]:
                    console.print(f"[dim]{escape(recipe.name)}: going on at step {content['done']:,}[/]")
            elif event == "step":
                said["loss"] = f"loss {content['loss']:.4f}"
                shown = " ".join(text for text in (recipe.name, *said.values()) if text)
                progress.update(bar, completed=content["step"], description=escape(shown))
            elif event == "dev":
                said["dev"] = f"dev nDCG@10 {content['ndcg@10']:.4f}"
                console.print(f"[dim]{escape(recipe.name)}: step {content['step']:,}, {said['dev']}[/]")
                if content["collapsed"]:
                    console.print(
                        f"[bold]{escape(recipe.name)}: the embeddings collapse[/] (mean cosine "
                        f"{content['mean_cosine']:.2f}, effective rank {content['effective_rank']:.1f}); "
                        "a lower rate or a higher temperature may help"
                    )
            elif event == "way":
                accuracy = content["accuracy"].value
                console.print(f"[dim]{escape(recipe.name)}: {content['way']}, accuracy {accuracy:.4f}[/]")
            elif event == "note":
                console.print(f"[dim]{escape(recipe.name)}: {escape(content['text'])}[/]", soft_wrap=True)
            elif event == "known":
                console.print(f"[dim]{escape(recipe.name)}: trained before[/]")

        try:
            return train_recipe(recipe, listener=listen, **options)
        except KeyboardInterrupt:
            progress.stop()
            console.print("\n[bold]Interrupted.[/] The same command goes on from the last checkpoint, if there is one.")
            raise typer.Exit(130) from None
