"""Two algorithms, measured in turns."""

from __future__ import annotations

import math
from collections.abc import Mapping, Sequence
from dataclasses import replace
from typing import Any

from harness.analyse.figures import query_recall
from harness.analyse.paired import compare_pairs
from harness.analyse.targets import DEFAULT_TARGETS
from harness.analyse.verdict import Verdict
from harness.compare.choose import Choice, Match, builds, check, enclosing, matches, probe
from harness.compare.join import join
from harness.compare.live import FOLDER, Measured, measure_pairs
from harness.compare.recall import Recalls, recall_drop
from harness.compare.request import CHOOSING, JUDGING, Report, Request, Row
from harness.compare.sides import LiveSide
from harness.compare.stored import terms_of, write_baseline
from harness.data.dataset import Half, read_header
from harness.measure.duel import Told
from harness.measure.session import alone, settings_for
from harness.store.result import Result
from harness.store.spec import BuildSpec, label


def compare_in_turns(request: Request, sides: tuple[LiveSide, LiveSide], told: Told) -> Report:
    """Compare two algorithms that are measured in turns."""
    report = Report((sides[0].text, sides[1].text), clock=request.clock)
    half = JUDGING if request.holdout else None
    results: list[Result] = []
    with alone(request.options.results / FOLDER):
        found, choices = _matches(request, sides, told)
        report.missing += [
            f"B failed with {setting}, which A was measured with: see annbench results list --results "
            f"{request.options.results / FOLDER / 'probe'}"
            for setting in choices[1].failed
            if setting in choices[0].tried
        ]
        for match in found:
            measured = _settled(request, sides, match, told, half)
            report.rows += _rows(request, measured)
            report.pairs = max(report.pairs, len(measured.pairs))
            recalls = [
                Recalls(mean, choice.tried) for mean, choice in zip(_mean_recalls(measured), choices, strict=True)
            ]
            report.drop = max(report.drop, recall_drop(recalls[0], recalls[1], match.targets))
            results += [result for pair in measured.pairs for result in pair.b]
    if request.holdout:
        report.notes.append("settings were chosen on every other query, and compared on the rest")
    if request.save is not None:
        write_baseline(request.save, _joined(results))
    return report


def _settled(
    request: Request, sides: tuple[LiveSide, LiveSide], match: Match, told: Told, half: Half | None
) -> Measured:
    """Measure a match until every verdict is one, or as many pairs as are allowed were made."""
    for count in request.looks:
        measured = measure_pairs(sides, match, count, request.suite, request.options, told, half=half)
        if not any(_would_tell(row.comparison.verdict) for row in _rows(request, measured)):
            break
    return measured


def _would_tell(verdict: Verdict | None) -> bool:
    """Say whether more pairs could settle a verdict that is open; of one query they could not."""
    return verdict is not None and verdict.kind == "unsure" and not math.isnan(verdict.interval.low)


def _matches(request: Request, sides: Sequence[LiveSide], told: Told) -> tuple[list[Match], Sequence[Choice]]:
    """Choose what is measured: one setting against one as they are, or those that enclose each recall.

    With that goes what was chosen of either side, and from what.
    """
    expanded = [expand(request, side) for side in sides]
    for side, found in zip(sides, expanded, strict=True):
        check(side, found[0], request.suite, request.options)
    if request.targets is None and all(single(found) for found in expanded):
        return [Match((expanded[0][0], expanded[1][0]), ())], (Choice({}), Choice({}))
    targets = request.targets or DEFAULT_TARGETS
    chosen = [
        choose_for(request, side, found, targets, told, name)
        for side, found, name in zip(sides, expanded, ("A", "B"), strict=True)
    ]
    return matches([choice.builds for choice in chosen], targets), chosen


def expand(request: Request, side: LiveSide) -> list[BuildSpec]:
    """Expand a side's grids over the dataset of the request."""
    settings = settings_for(request.options, CHOOSING if request.holdout else None)
    header = read_header(request.options.data, request.suite.datasets[0])
    return builds(side, request.suite, header, settings)


def single(found: Sequence[BuildSpec]) -> bool:
    """Say whether a side is one setting, which can be compared as it is."""
    return len(found) == 1 and len(found[0].searches) == 1


def choose_for(
    request: Request, side: LiveSide, found: list[BuildSpec], targets: Sequence[float], told: Told, name: str
) -> Choice:
    """Return for each recall the build, with its settings, that a side is measured with there."""
    if single(found):
        return Choice(dict.fromkeys(targets, found[0]))
    options = replace(request.options, results=request.options.results / FOLDER / "probe")
    told(name, "probe", {"text": side.text, "settings": sum(len(build.searches) for build in found)})
    points = probe(
        side, found, request.suite, options, lambda event, content: told(name, event, content), request.clock
    )
    tried = {_named(dict(point.build.params), dict(point.search.params)): point.recall for point in points}
    every = [_named(dict(build.params), dict(search.params)) for build in found for search in build.searches]
    return Choice(
        {target: enclosing(points, target) for target in targets},
        tried,
        tuple(one for one in every if one not in tried),
    )


def _rows(request: Request, measured: Measured) -> list[Row]:
    match, pairs = measured.match, measured.pairs
    first = pairs[0].a[0]
    return [
        Row(
            terms=terms_of(first),
            names=(match.builds[0].algorithm, match.builds[1].algorithm),
            settings=(_labels(pairs[0].a), _labels(pairs[0].b)),
            comparison=compare_pairs(pairs, target, looks=request.looks, clock=request.clock),
        )
        for target in match.targets or (None,)
    ]


def _labels(results: Sequence[Result]) -> tuple[str, ...]:
    return tuple(_label(result) for result in results)


def _label(result: Result) -> str:
    return _named(result.spec["build"], result.spec["search"])


def _named(build: Mapping[str, Any], search: Mapping[str, Any] | None) -> str:
    return label({**build, **(search or {})})


def _mean_recalls(measured: Measured) -> tuple[dict[str, float], dict[str, float]]:
    """Return the recall of every setting of both sides, by its parameters, over all pairs."""
    found = []
    for side in (0, 1):
        sums: dict[str, list[float]] = {}
        for pair in measured.pairs:
            for result in pair[side]:
                sums.setdefault(_label(result), []).append(float(query_recall(result).mean()))
        found.append({key: sum(values) / len(values) for key, values in sums.items()})
    return found[0], found[1]


def _joined(results: Sequence[Result]) -> list[Result]:
    """Join the results that pairs of children gave of each setting into one, its children numbered through."""
    groups: dict[str, list[Result]] = {}
    for result in results:
        groups.setdefault(_label(result), []).append(result)
    return [join(group) for group in groups.values()]
