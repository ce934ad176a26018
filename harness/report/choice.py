"""A choice as one screen of text, as HTML for a notebook, and as the page of what was measured for it."""

from __future__ import annotations

import html
from collections.abc import Iterator
from dataclasses import dataclass
from pathlib import Path
from typing import TYPE_CHECKING

from harness.choosing.outcome import Decision, Pick
from harness.choosing.request import finals_folder, scouted_folder
from harness.report.derived import derive
from harness.report.html.page import Content, write_page
from harness.store.results import ResultStore
from harness.store.spec import label

if TYPE_CHECKING:
    import pandas as pd

# Engines that lost are named as far as a line or two go.
_MAX_BEATEN = 6


@dataclass(frozen=True)
class Choice:
    """What `choose` returns: the decision, the snippet that uses it, and the page of all that was measured.

    `snippet` is empty and `page` None where no index reached the recall. `str` gives the screen that the command line
    prints; a notebook shows the same.
    """

    decision: Decision
    snippet: str
    page: Path | None

    @property
    def best(self) -> Pick | None:
        """Return the index to take."""
        return self.decision.best

    @property
    def table(self) -> pd.DataFrame:
        """Return all that was tried, a row a search setting, with one pass each."""
        import pandas as pd

        return pd.DataFrame(
            [
                {
                    "algorithm": tried.algorithm,
                    "build": tried.build,
                    "search": point.params,
                    "recall": point.recall,
                    "qps": point.qps,
                    "build_seconds": tried.build_seconds,
                    "index_bytes": tried.index_bytes,
                }
                for tried in self.decision.tried
                for point in tried.points
            ],
            columns=["algorithm", "build", "search", "recall", "qps", "build_seconds", "index_bytes"],
        )

    def __str__(self) -> str:
        """Return the screen."""
        return "\n".join(_lines(self))

    def _repr_html_(self) -> str:
        return f"<pre>{html.escape(str(self))}</pre>"


def write_choice_page(decision: Decision, plots: Path, data: Path) -> Path:
    """Write the page of what was measured for a decision into a folder of its own; return its path.

    Of the finalists it shows the finals alone: a single pass of scouting would stand beside them as if it were as sure.
    """
    request = decision.request
    derived = derive(ResultStore(request.folder))
    finals, table = str(finals_folder(request)), derived.table
    final = table["path"].str.startswith(finals)
    scouted = table["path"].str.startswith(str(scouted_folder(request)))
    shown = table[final | (scouted & ~table["algorithm"].isin(set(table["algorithm"][final])))]
    return write_page(
        Content(shown.reset_index(drop=True), derived.details, data=data), plots / f"choose-{request.header.name}"
    )


def _lines(choice: Choice) -> Iterator[str]:
    decision = choice.decision
    request, best = decision.request, decision.best
    header = request.header
    yield (
        f"{header.name}: {header.n:,} x {header.dimension}, {header.metric}; recall {request.wish.recall:g} at "
        f"{request.suite.words}, one query a call, one thread"
    )
    if best is None:
        name, recall = decision.nearest()
        yield f"no index reached it: {name or 'nothing was measured'}" + (f" came to {recall:.4f}" if name else "")
        yield "allow more with --minutes, --memory or --build, or ask for a lower --recall"
        yield from _others(decision)
        return
    yield ""
    yield f"{'fastest ' if decision.doubt else 'take    '}    {_named(best)}"
    yield f"            {_figures(best)}"
    for pick in decision.tied:
        yield f"tied        {_named(pick)}"
        yield f"            {_figures(pick)}"
    for pick in decision.unsure:
        yield f"can't tell  {_named(pick)}"
        yield f"            {_figures(pick)}"
    if decision.lean is not None:
        yield f"half memory {_named(decision.lean)}"
        yield f"            {_figures(decision.lean)}"
    if decision.doubt:
        yield f"no winner: {decision.doubt}; more --minutes on a quiet machine settle it"
    yield from _others(decision)
    if choice.snippet:
        yield ""
        yield choice.snippet.rstrip()
    if choice.page is not None:
        yield ""
        yield f"all that was measured: {choice.page}"


def _others(decision: Decision) -> Iterator[str]:
    beaten = decision.beaten()
    if beaten:
        shown = ", ".join(f"{name} {qps:,.0f}" for name, qps in beaten[:_MAX_BEATEN])
        more = f" and {len(beaten) - _MAX_BEATEN} more" if len(beaten) > _MAX_BEATEN else ""
        yield f"slower, QPS of one pass: {shown}{more}"
    reasons: dict[str, list[str]] = {}
    for name, why in {**decision.not_tried, **decision.left_out}.items():
        reasons.setdefault(why, []).append(name)
    for why, names in reasons.items():
        yield f"not tried: {', '.join(names)} ({why})"


def _named(pick: Pick) -> str:
    params = {**pick.build, **pick.search}
    return f"{pick.algorithm} ({label(params)})" if params else pick.algorithm


def _figures(pick: Pick) -> str:
    size = "size unknown" if pick.index_bytes is None else f"{pick.index_bytes / 2**20:,.1f} MiB"
    return (
        f"{pick.qps:,.0f} QPS ({pick.qps_range.low:,.0f} to {pick.qps_range.high:,.0f}), recall {pick.recall:.4f} "
        f"({pick.recall_range.low:.4f} to {pick.recall_range.high:.4f}), built in {pick.build_seconds:.1f} s, {size}"
    )
