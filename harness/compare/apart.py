"""Sides that never met: results that are there already, and an algorithm that is measured beside them."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import replace

from harness.analyse.table import DEFAULT_TARGETS
from harness.analyse.unpaired import compare_speeds
from harness.compare.choose import check, matches
from harness.compare.live import FOLDER, measure_alone
from harness.compare.recall import Recalls, recall_drop
from harness.compare.request import ANY_DATASET, JUDGING, Report, Request, Row
from harness.compare.sides import LiveSide, StoredSide
from harness.compare.stored import (
    Setting,
    Stored,
    Terms,
    differences,
    read_stored,
    setting_of,
    terms_of,
    write_baseline,
)
from harness.compare.turns import choose_for, expand, single
from harness.errors import ConfigError
from harness.measure.duel import Told
from harness.measure.session import alone
from harness.spec import label
from harness.store import Result


def compare_apart(request: Request, told: Told) -> Report:
    """Compare two sides of which at least one is results that are there."""
    report = Report((request.sides[0].text, request.sides[1].text))
    if request.save is not None and isinstance(request.sides[1], StoredSide):
        raise ConfigError(f"{request.sides[1].text}: nothing of it is measured, so there is no baseline to save")
    known = [_read(side, request) for side in request.sides if isinstance(side, StoredSide)]
    first, second = (
        _read(side, request) if isinstance(side, StoredSide) else _measured(request, side, known[0], told)
        for side in request.sides
    )
    for a, b in _paired_up(first, second, request):
        report.notes += _allowed(a.terms, b.terms, request)
        lines = a.line(), b.line()
        as_they_are = request.targets is None and len(a.settings) == len(b.settings) == 1
        targets = () if as_they_are else request.targets or DEFAULT_TARGETS
        for target in targets or (None,):
            ours, theirs = ([one.speeds() for one in line] for line in lines)
            labels = (_labels(lines[0]), _labels(lines[1]))
            compared = compare_speeds(ours, theirs, target)
            report.rows.append(Row(b.terms, (a.algorithm, b.algorithm), labels, compared))
        recalls = [Recalls({_label(one): one.recall for one in side.settings}, {}) for side in (a, b)]
        report.drop = max(report.drop, recall_drop(recalls[0], recalls[1], targets))
    report.notes = list(dict.fromkeys(report.notes))
    report.notes.append(
        "the sides were not measured in turns: what the machine did meanwhile, and how a build was laid out in memory, "
        "is in the ratio; for a difference of a few per cent compare two algorithms live"
    )
    return report


def _read(side: StoredSide, request: Request) -> list[Stored]:
    """Read a stored side, of the datasets that are asked for."""
    wanted = request.suite.datasets
    found = [one for one in read_stored(side) if wanted == ANY_DATASET or one.terms.dataset in wanted]
    if not found:
        raise ConfigError(f"{side.text}: no result there is of {', '.join(wanted)}")
    return found


def _labels(line: Sequence[Setting]) -> tuple[str, ...]:
    return tuple(_label(one) for one in line)


def _label(setting: Setting) -> str:
    return label({**setting.build, **setting.search})


def _measured(request: Request, side: LiveSide, others: list[Stored], told: Told) -> list[Stored]:
    """Measure the live side of a comparison under the terms of what the other side holds."""
    terms = {one.terms for one in others}
    if len(terms) != 1:
        raise ConfigError(
            f"{side.text} can be measured beside results of one dataset, k and mode; choose them with --dataset and "
            "FOLDER::ALGORITHM"
        )
    theirs = terms.pop()
    suite = request.suite.model_copy(
        update={"datasets": (theirs.dataset,), "k": theirs.k, "mode": theirs.mode, "queries": theirs.queries}
    )
    options = replace(request.options, threads=theirs.threads)
    results = _alone(replace(request, suite=suite, options=options, holdout=theirs.half is not None), side, told)
    if request.save is not None:
        write_baseline(request.save, results)
    settings = tuple(setting_of(result) for result in results)
    return [Stored(terms_of(results[0]), side.entry.name, settings)]


def _alone(request: Request, side: LiveSide, told: Told) -> list[Result]:
    found = expand(request, side)
    check(side, found[0], request.suite, request.options)
    with alone(request.options.results / FOLDER):
        if not (request.targets is None and single(found)):
            targets = request.targets or DEFAULT_TARGETS
            chosen = choose_for(request, side, found, targets, told, "")
            found = [match.builds[0] for match in matches([chosen.builds, chosen.builds], targets)]
        half = JUDGING if request.holdout else None
        return measure_alone(side, found, request.pairs, request.suite, request.options, told, half=half)


def measure_baseline(request: Request, told: Told) -> Report:
    """Measure one side by itself, and write its baseline."""
    (side,) = request.sides
    if not isinstance(side, LiveSide) or request.save is None:
        raise ConfigError(f"{side.text}: one side alone is an algorithm to be measured, with --save-baseline FILE")
    results = _alone(request, side, told)
    write_baseline(request.save, results)
    return Report((side.text, ""), pairs=request.pairs)


def _paired_up(a: list[Stored], b: list[Stored], request: Request) -> list[tuple[Stored, Stored]]:
    """Pair what can be compared: the same algorithm under like terms, or the one algorithm of each side."""
    alike = len({one.algorithm for one in a}) > 1 or len({one.algorithm for one in b}) > 1
    found = [
        (one, other)
        for one in a
        for other in b
        if _meet(one.terms, other.terms) and (not alike or one.algorithm == other.algorithm)
    ]
    if not found:
        raise ConfigError(
            f"{request.sides[0].text} and {request.sides[1].text} have no algorithm on the same dataset, k and mode in "
            "common; choose with FOLDER::ALGORITHM"
        )
    return found


def _meet(a: Terms, b: Terms) -> bool:
    return (a.dataset, a.k, a.mode, a.threads) == (b.dataset, b.k, b.mode, b.threads)


def _allowed(a: Terms, b: Terms, request: Request) -> list[str]:
    """Raise ConfigError where two sides must not be compared; return what a reader should know where they may."""
    differ = differences(a, b)
    if "dataset_sha256" in differ:
        raise ConfigError(f"{a.dataset}: the sides have different versions of it, so their recalls can't be compared")
    if "queries" in differ or "half" in differ:
        raise ConfigError(
            f"{a.dataset}: {a.queries} queries on one side, {b.queries} on the other; measure both on the same "
            "(--queries)"
        )
    if "machine" not in differ:
        return []
    names = " and ".join(f"{terms.machine_name or 'unknown'} ({terms.machine})" for terms in (a, b))
    if not request.other_machine:
        raise ConfigError(
            f"the sides were measured on different machines, {names}: their speeds say nothing of the algorithms; "
            "--other-machine compares them all the same"
        )
    return [f"measured on different machines, {names}"]
