"""The command `annbench`: one file a verb, and errors of ours in one line."""

from __future__ import annotations

import contextlib
import os
import re
import signal
import sys
import warnings
from collections.abc import Iterator
from typing import Annotated, Any

import typer

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
from harness.cli.streams import drop, flush_streams, secure_streams
from harness.core.errors import AnnbenchError, DamagedResult
from harness.core.version import __version__
from harness.core.waiting import wait_briefly

# `ClickException`, which newer versions of typer keep a copy of: every mistake in how a verb is called.
_UsageError: type[Exception] = typer.BadParameter.__mro__[2]

# What typer and the libraries under it say, which differs by their version, in words of ours.
_PHRASES = {
    r"\. Did you mean ": "; did you mean ",
    r" \(Possible options?: (.+)\)$": r"; did you mean \1?",
    r"Value error, ": "",
    r"Input should be ": "it must be ",
}

app = typer.Typer(
    name="annbench",
    help="Measure approximate nearest-neighbour indexes on real data, and draw figures that say how far to trust them.",
    no_args_is_help=True,
    rich_markup_mode="markdown",
    pretty_exceptions_enable=False,
    epilog="Example: annbench run quick && annbench report",
    context_settings={"help_option_names": ["-h", "--help"]},
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
    """Run the command line; what goes wrong ends in one line on standard error, a user's mistake in exit status 2."""
    # A polite end is an interruption: children are ended, and what was measured is kept.
    signal.signal(signal.SIGTERM, signal.default_int_handler)
    wait_briefly()
    secure_streams()
    with _telling_of_damage() as damaged:
        status, said = _status()
    status = status or int(bool(damaged))
    try:
        if said:
            typer.echo(f"annbench: {said}", err=True)
        flush_streams()
    except BrokenPipeError:  # a pager or `head` closed the pipe: nothing is wrong
        pass
    except OSError as problem:
        status = status or 1
        with contextlib.suppress(OSError):
            typer.echo(f"annbench: can't write: {problem.strerror}", err=True)
            flush_streams()
    if status:
        sys.exit(status)


@contextlib.contextmanager
def _telling_of_damage() -> Iterator[set[str]]:
    """Print a line for each file of results that can't be read and was passed over; yield those lines."""
    told: set[str] = set()

    def show(message: Warning | str, category: type[Warning], *rest: Any) -> None:
        if not issubclass(category, DamagedResult):
            before(message, category, *rest)
        elif str(message) not in told:
            told.add(str(message))
            typer.echo(f"annbench: passed over: {message}", err=True)

    with warnings.catch_warnings():
        warnings.simplefilter("always", DamagedResult)
        before = warnings.showwarning
        warnings.showwarning = show  # type: ignore[assignment]
        yield told


def _status() -> tuple[int, str]:
    """Run the verb; return the exit status and what there is to say at the end."""
    try:
        # A verb's `typer.Exit` is returned as its number.
        return int(app(prog_name="annbench", standalone_mode=False) or 0), ""
    except AnnbenchError as problem:
        return 2, str(problem)
    except _UsageError as problem:
        return 2, _usage(problem)
    except typer.Abort:
        return 1, "stopped; nothing was changed"
    except KeyboardInterrupt:
        return 130, "interrupted"
    except OSError as problem:
        return _failed(problem)


def _failed(problem: OSError) -> tuple[int, str]:
    """Say which file, or else which standard stream, could not be used."""
    if problem.filename is not None:
        return 1, f"{os.fsdecode(problem.filename)}: {problem.strerror}"
    drop(1)
    # A pager or `head` that closed the pipe: nothing is wrong.
    return (0, "") if isinstance(problem, BrokenPipeError) else (1, f"can't write: {problem.strerror or problem}")


def _usage(problem: Any) -> str:
    """Say what is wrong with how a verb was called; where nothing was asked for, print its help instead."""
    if type(problem).__name__ == "NoArgsIsHelpError":
        problem.show()
        return ""
    message = problem.format_message().rstrip(".")
    for theirs, ours in _PHRASES.items():
        message = re.sub(theirs, ours, message)
    context = getattr(problem, "ctx", None)
    path = context.command_path if context else "annbench"
    see = " See" if message.endswith("?") else "; see"
    return f"{message[:1].lower()}{message[1:]}{see}: {path} --help"


if __name__ == "__main__":
    main()
