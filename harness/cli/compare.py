"""`annbench compare`: which of two is faster at a recall, or that it can't be told."""

from __future__ import annotations

import re
from enum import StrEnum
from pathlib import Path
from typing import TYPE_CHECKING, Annotated, Any, Self

import typer

from harness.cli.options import (
    AnnBenchmarks,
    BuildThreads,
    Data,
    Memory,
    Plugins,
    Results,
    parse_bytes,
    parse_seconds,
)
from harness.cli.run import Group, Mode
from harness.core.errors import ConfigError

if TYPE_CHECKING:
    from rich.console import Console

    from harness.compare.request import Report
DEFAULT_DATASET = "fashion-mnist-784-euclidean"


class Clock(StrEnum):
    """The clock by which speeds are compared."""

    WALL = "wall"
    CPU = "cpu"


def compare(
    a: Annotated[str, typer.Argument(help="What stands on the first side: see below.")],
    b: Annotated[str | None, typer.Argument(help="The second side; left out only with --save-baseline.")] = None,
    dataset: Annotated[
        str | None, typer.Option("--dataset", "-d", help=f"Dataset [default: {DEFAULT_DATASET}, or that of results].")
    ] = None,
    recall: Annotated[
        str | None,
        typer.Option(help="Recalls, with commas [default: 0.9,0.95,0.99; two single settings as they are]."),
    ] = None,
    group: Annotated[Group, typer.Option(help="Grids of an algorithm that is given without parameters.")] = Group.QUICK,
    pairs: Annotated[int, typer.Option(min=1, help="Pairs of child processes, each with builds of its own.")] = 5,
    most_pairs: Annotated[
        int | None, typer.Option(min=1, help="Pairs at most, where it can't be told yet [default: twice as many].")
    ] = None,
    passes: Annotated[int, typer.Option(min=1, help="Rounds in each pair: a pass of every setting of both.")] = 7,
    queries: Annotated[
        int | None, typer.Option(min=1, help="Only the first so many queries [default: 1000, or those of results].")
    ] = None,
    k: Annotated[
        int | None, typer.Option("--k", "-k", min=1, help="Neighbours a query [default: 10, or those of results].")
    ] = None,
    mode: Annotated[
        Mode | None,
        typer.Option(help="One query a call, or all in one call [default: single, or that of results]."),
    ] = None,
    threads: Annotated[
        int | None, typer.Option(min=1, help="Threads of a batch search [default: 1, or those of results].")
    ] = None,
    build_threads: BuildThreads = None,
    clock: Annotated[
        Clock, typer.Option(help="Compare by wall time, or by the CPU time of each pass, which neighbours can't take.")
    ] = Clock.WALL,
    holdout: Annotated[
        bool, typer.Option("--holdout", help="Choose settings on every other query, compare on the rest.")
    ] = False,
    fail_if_slower: Annotated[
        str | None, typer.Option(metavar="SHARE", help="Exit status 1 where B is slower than A by more: 10% or 0.1.")
    ] = None,
    fail_if_recall_drops: Annotated[
        float | None, typer.Option(min=0.0, help="Exit status 1 where B's recall is lower by more: 0.01.")
    ] = None,
    save_baseline: Annotated[
        Path | None, typer.Option(metavar="FILE", help="Write what B gave (A, without B) as a baseline file.")
    ] = None,
    other_machine: Annotated[
        bool, typer.Option("--other-machine", help="Compare results of different machines all the same.")
    ] = False,
    kind: Annotated[str, typer.Option("--format", help="table, markdown, csv or json.")] = "table",
    timeout: Annotated[str, typer.Option(help="Longest time of one build or pass: 90s, 15m, 2h.")] = "2h",
    memory: Memory = None,
    data: Data = None,
    results: Results = None,
    plugin: Plugins = None,
    ann_benchmarks: AnnBenchmarks = None,
) -> None:
    """Say which of two is faster at equal recall, by how much, and how sure that is.

    A side is an algorithm (hnsw), a group of its config (hnsw@full), one with parameters ('hnsw(M=16, ef=40)'), the
    folder of a plug-in, so that two versions of it can meet (old/mine, old/mine::name), a folder of results
    (old/results, old/results::hnsw), or a baseline file. Two algorithms are measured in turns, pass by pass, in pairs
    of pinned children. The same command goes on where it stopped, and with more --pairs adds to those that it has.
    Of results, --dataset, --k, --mode, --threads and --queries choose.

    Example: annbench compare hnsw hnswlib -d digits-64-euclidean --recall 0.95

    Example: annbench compare 'hnsw(M=16, ef=40)' 'hnsw(M=16, ef=44)' -d digits-64-euclidean

    Example: annbench compare before/mine after/mine --fail-if-slower 10% --fail-if-recall-drops 0.01
    """
    from harness.api.comparing import compare as compare_sides
    from harness.core.console import Lines
    from harness.report.comparison import FORMATS, render

    if kind not in FORMATS:
        raise ConfigError(f"--format {kind!r}: choose from {', '.join(FORMATS)}")
    targets = None if recall is None else parse_recalls(recall)
    slower = None if fail_if_slower is None else parse_share(fail_if_slower)
    if most_pairs is not None and most_pairs < pairs:
        raise ConfigError(
            f"--most-pairs {most_pairs} is less than the {pairs} of --pairs; give --pairs {most_pairs} too"
        )
    if b is None and save_baseline is None:
        raise ConfigError("a comparison has two sides; with one alone give --save-baseline FILE")
    console = Lines(stderr=True)
    with _Display(console, pairs) as display:
        try:
            report = compare_sides(
                *(a, b),
                dataset=dataset, recall=targets, group=str(group), pairs=pairs, most_pairs=most_pairs, passes=passes,
                queries=queries, threads=threads, build_threads=build_threads, clock=clock.value, holdout=holdout,
                save_baseline=save_baseline, other_machine=other_machine, timeout=parse_seconds(timeout),
                memory=parse_bytes(memory), plugins=plugin or (), ann_benchmarks=ann_benchmarks or (), data=data,
                results=results, listener=display, k=k, mode=None if mode is None else mode.value,
            ).details  # fmt: skip
        except KeyboardInterrupt:
            display.stop()
            console.print("\n[bold]Interrupted.[/] Every pair that ended is kept; the same command goes on from here.")
            raise typer.Exit(130) from None
    if save_baseline is not None:
        console.print(f"baseline written to {save_baseline}", markup=False)
    if b is None:
        return
    if kind == "table":
        _print(report)
    else:
        typer.echo(render(report, kind), nl=False)
    if breaches := _breaches(report, slower, fail_if_recall_drops):
        for text in breaches:
            typer.echo(f"annbench compare: {text}", err=True)
        raise typer.Exit(1)


def parse_share(text: str) -> float:
    """Read a share such as 10% or 0.1; raise ConfigError for what is none, or not between 0 and 1."""
    match = re.fullmatch(r"\s*(\d+(?:\.\d+)?)\s*(%?)\s*", text)
    share = float(match[1]) / (100 if match[2] else 1) if match else -1.0
    if not 0 <= share < 1:
        raise ConfigError(f"{text!r} is no share; write it like 10% or 0.1")
    return share


def parse_recalls(text: str) -> tuple[float, ...]:
    """Read recalls such as 0.9,0.95; raise ConfigError that names what isn't one."""
    found = []
    for part in text.split(","):
        try:
            value = float(part)
        except ValueError:
            value = -1.0
        if not 0 < value <= 1:
            raise ConfigError(f"{part.strip()!r} is no recall; write them like 0.9,0.95,0.99, each above 0 and up to 1")
        found.append(value)
    return tuple(dict.fromkeys(found))


def _breaches(report: Report, slower: float | None, drops: float | None) -> list[str]:
    """Say what a gate forbids: a slowdown counts where it is beyond the share, and its interval excludes none.

    What B lacks counts under any gate: an index that crashed is no faster, and finds nothing.
    """
    from harness.report.comparison import at_recall

    said = [] if slower is None and drops is None else list(report.missing)
    by = " by CPU time" if report.clock == "cpu" else ""
    for row in report.rows if slower is not None or drops is not None else ():
        verdict = row.comparison.verdict
        where = f"on {row.terms.dataset} at recall {at_recall(row)}"
        a, b = row.comparison.a.relation, row.comparison.b.relation
        if verdict is None and b == "not reached" != a:
            said.append(f"B does not reach what A does {where}")
        elif verdict is not None and verdict.kind == "faster" and slower is not None and 1 - 1 / verdict.ratio > slower:
            said.append(f"B is {1 - 1 / verdict.ratio:.1%} slower than A{by} {where}; at most {slower:.1%} is allowed")
    if drops is not None and report.drop > drops:
        said.append(f"B's recall is {report.drop:.4f} below A's; at most {drops:g} is allowed")
    return said


def _print(report: Report) -> None:
    from harness.core.console import Column, Lines, print_table
    from harness.report.comparison import cells, footnotes, heads

    out = Lines()
    for side, name in zip("AB", report.names, strict=True):
        out.print(f"{side}: {name}", markup=False)
    columns = [Column(head, right=head not in ("dataset", "verdict"), kept=True) for head in heads(report.clock)]
    rows = [cells(row, report.rows) for row in report.rows]
    title = ""
    if len({row[0] for row in rows}) == 1:  # said once, so that the others fit a narrow terminal
        title, columns, rows = rows[0][0], columns[1:], [row[1:] for row in rows]
    print_table(columns, rows, title=title)
    for note in footnotes(report):
        out.print(note, markup=False, style="dim")


class _Display:
    """Shows a comparison: what is built, and a bar over the rounds of a pair."""

    def __init__(self, console: Console, pairs: int) -> None:
        from rich.progress import BarColumn, Progress, TextColumn, TimeElapsedColumn

        columns = (TextColumn("{task.description}"), BarColumn(), TimeElapsedColumn())
        # Two updates a second: the bar must not become a neighbour that disturbs what it shows.
        self._progress = Progress(*columns, console=console, refresh_per_second=2, transient=True)
        self._task = self._progress.add_task("starting", total=pairs)
        self._console = console
        self._where = ""

    def __enter__(self) -> Self:
        self._progress.start()
        return self

    def __exit__(self, *_: object) -> None:
        self.stop()

    def stop(self) -> None:
        """Remove the bar."""
        self._progress.stop()

    def __call__(self, side: str, event: str, content: dict[str, Any]) -> None:
        from rich.markup import escape

        if event == "probe":
            self._console.print(f"{side or 'A'}: {escape(content['text'])}, {content['settings']} settings tried once")
        elif event in ("pair", "kept"):
            done = content["number"] + (event == "kept")
            self._where = f"pair {content['number'] + 1}"
            self._progress.update(self._task, description=self._where, completed=done, total=content["of"])
        elif event == "turn":
            self._progress.update(self._task, description=f"{self._where}, round {content['round'] + 1}")
        elif event == "stage" and content["name"] in ("compile", "fit"):
            self._progress.update(self._task, description=f"{self._where} {side}: {content['name']}".strip())
        elif event in ("search-failed", "build-failed"):
            why = str(content.get("message") or content.get("reason"))
            text = f"{side or 'A'}: a setting failed, {why:.200}"
            self._console.print(f"  [red]{escape(text)}[/]")
        elif event == "note":
            self._console.print(f"  [dim]{escape(str(content['text']))}[/]")
