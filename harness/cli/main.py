"""The command `annbench`: one file a verb, and errors of ours in one line."""

from __future__ import annotations

import signal
import sys
from typing import Annotated

import typer

from harness import __version__
from harness.cli import (
    check,
    choose,
    compare,
    embed,
    evaluate,
    export,
    listing,
    new_plugin,
    prepare,
    report,
    results,
    run,
    study,
    synthesise,
    train,
    tune,
)
from harness.errors import AnnbenchError
from harness.waiting import wait_briefly

app = typer.Typer(
    name="annbench",
    help="Measure approximate nearest-neighbour indexes on real data, and draw figures that say how far to trust them.",
    no_args_is_help=True,
    rich_markup_mode="markdown",
    pretty_exceptions_enable=False,
    epilog="Example: annbench run quick && annbench report",
)
app.command("list")(listing.show)
app.command("prepare")(prepare.prepare)
app.command("run")(run.run)
app.command("choose")(choose.choose)
app.command("compare")(compare.compare)
app.command("tune")(tune.tune)
app.add_typer(results.app, name="results")
app.command("report")(report.report)
app.command("export")(export.export)
app.command("study")(study.study)
app.command("check")(check.check)
app.command("new-plugin")(new_plugin.new_plugin)
app.command("embed")(embed.embed)
app.command("train")(train.train)
app.command("synthesise")(synthesise.synthesise)
app.command("evaluate")(evaluate.evaluate)


def _version(wanted: bool) -> None:
    if wanted:
        typer.echo(f"annbench {__version__}")
        raise typer.Exit


@app.callback()
def options(
    version: Annotated[bool, typer.Option("--version", callback=_version, is_eager=True, help="Show it.")] = False,
) -> None:
    """Measure approximate nearest-neighbour indexes on real data, and draw figures that say how far to trust them."""


def main() -> None:
    """Run the command line; a user's mistake ends in one line on standard error and exit status 2."""
    # A polite end is an interruption: children are ended, and what was measured is kept.
    signal.signal(signal.SIGTERM, signal.default_int_handler)
    wait_briefly()
    try:
        app()
    except AnnbenchError as problem:
        typer.echo(f"annbench: {problem}", err=True)
        sys.exit(2)
    except KeyboardInterrupt:
        typer.echo("annbench: interrupted", err=True)
        sys.exit(130)
    except BrokenPipeError:  # a pager or `head` closed the pipe: nothing is wrong
        sys.stderr.close()
        sys.exit(0)


if __name__ == "__main__":
    main()
