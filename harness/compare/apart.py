"""Sides that never met: results that are there already, and an algorithm that is measured beside them."""

from __future__ import annotations

import os
from collections.abc import Mapping, Sequence
from dataclasses import replace

from harness.analyse.targets import DEFAULT_TARGETS
from harness.analyse.unpaired import compare_speeds
from harness.compare.choose import check, matches
from harness.compare.live import FOLDER, measure_alone
from harness.compare.meet import in_words, meet, read_asked
from harness.compare.recall import Recalls, recall_drop
from harness.compare.request import JUDGING, Report, Request, Row
from harness.compare.sides import LiveSide, StoredSide
from harness.compare.stored import Setting, Stored, Terms, content_key, setting_of, terms_of, write_baseline
from harness.compare.turns import choose_for, expand, single
from harness.core.errors import ConfigError
from harness.core.library_kernels import kernel_variables
from harness.data.dataset import read_header
from harness.measure.duel import Told
from harness.measure.machine import describe_machine
from harness.measure.session import alone
from harness.store.result import Result
from harness.store.spec import label, measured_on


def compare_apart(request: Request, told: Told) -> Report:
    """Compare two sides of which at least one is results that are there."""
    report = Report((request.sides[0].text, request.sides[1].text), clock=request.clock)
    if request.save is not None and isinstance(request.sides[1], StoredSide):
        raise ConfigError(f"{request.sides[1].text}: nothing of it is measured, so there is no baseline to save")
    there = [read_asked(side, request) for side in request.sides if isinstance(side, StoredSide)]
    known = iter(there)
    first, second = (
        next(known) if isinstance(side, StoredSide) else _measured(request, side, there[0], told)
        for side in request.sides
    )
    met = meet(first, second, request)
    report.notes += met.notes
    report.missing += met.missing
    for a, b in met.pairs:
        lines = a.line(request.clock), b.line(request.clock)
        as_they_are = request.targets is None and len(a.settings) == len(b.settings) == 1
        targets = () if as_they_are else request.targets or DEFAULT_TARGETS
        for target in targets or (None,):
            ours, theirs = ([one.speeds(request.clock) for one in line] for line in lines)
            labels = (_labels(lines[0]), _labels(lines[1]))
            compared = compare_speeds(ours, theirs, target)
            report.rows.append(Row(b.terms, (a.algorithm, b.algorithm), labels, compared))
        recalls = [_recalls(side) for side in (a, b)]
        report.drop = max(report.drop, recall_drop(recalls[0], recalls[1], targets))
    report.notes = list(dict.fromkeys(report.notes))
    report.notes.append(
        "the sides were not measured in turns: what the machine did meanwhile, and how a build was laid out in memory, "
        "is in the ratio; for a difference of a few per cent compare two algorithms live"
    )
    return report


def _recalls(side: Stored) -> Recalls:
    compared = {_label(one): one.recall for one in side.settings}
    return Recalls(compared, {**side.tried, **compared})


def _labels(line: Sequence[Setting]) -> tuple[str, ...]:
    return tuple(_label(one) for one in line)


def _label(setting: Setting) -> str:
    return label({**setting.build, **setting.search})


def _measured(request: Request, side: LiveSide, others: list[Stored], told: Told) -> list[Stored]:
    """Measure the live side of a comparison under the terms of what the other side holds."""
    if len({one.algorithm for one in others}) > 1:
        others = [one for one in others if one.algorithm == side.entry.name]
        if not others:
            raise ConfigError(
                f"{side.text}: the other side holds several algorithms, and none is {side.entry.name}; choose one of "
                "them: FOLDER::ALGORITHM"
            )
    terms = _measurable({one.terms for one in others}, request)
    if len(terms) != 1:
        several = "; ".join(sorted(f"{one.dataset}, {in_words(one)}" for one in terms))
        raise ConfigError(
            f"{side.text} is measured under the terms of the other side, which holds several ({several}); choose with "
            "--dataset, --k, --mode, --threads, --queries or FOLDER::ALGORITHM"
        )
    theirs = terms.pop()
    against = content_key(one for one in others if one.terms == theirs)
    suite = request.suite.changed(
        datasets=(theirs.dataset,), workload=theirs.workload, queries=theirs.queries, **theirs.own
    )
    options = replace(request.options, threads=theirs.threads)
    halved = theirs.half is not None
    measured = replace(request, suite=suite, options=options, holdout=halved)
    results, tried = _alone(measured, side, told, against)
    if request.save is not None:
        write_baseline(request.save, results)
    settings = tuple(setting_of(result) for result in results)
    # What was tried on one half of the queries says nothing of the recall that the other side has on the other half.
    return [Stored(terms_of(results[0]), side.entry.name, settings, {} if halved else tried)]


def _measurable(terms: set[Terms], request: Request) -> set[Terms]:
    """Leave, where there are several, those of this machine, and of the dataset as it is here, if any are."""
    if len(terms) > 1:
        kernels = kernel_variables(os.environ)
        here = measured_on({"machine": describe_machine()["key"], "kernels": kernels})
        terms = {one for one in terms if one.machine == here} or terms
    names = {one.dataset for one in terms}
    if len(names) == 1 and len({one.dataset_sha256 for one in terms}) > 1:
        version = read_header(request.options.data, names.pop()).sha256
        terms = {one for one in terms if one.dataset_sha256 == version} or terms
    return terms


def _alone(request: Request, side: LiveSide, told: Told, against: str = "") -> tuple[list[Result], Mapping[str, float]]:
    """Measure a side by itself; return its results, and the recall of each setting that was tried to choose them.

    `against` names the content of the baseline that it meets: what was measured for another is not taken again.
    """
    found = expand(request, side)
    tried: Mapping[str, float] = {}
    check(side, found[0], request.suite, request.options)
    with alone(request.options.results / FOLDER):
        if not (request.targets is None and single(found)):
            targets = request.targets or DEFAULT_TARGETS
            chosen = choose_for(request, side, found, targets, told, "")
            found, tried = [match.builds[0] for match in matches([chosen.builds, chosen.builds], targets)], chosen.tried
        half = JUDGING if request.holdout else None
        results = measure_alone(
            side, found, request.pairs, request.suite, request.options, told, half=half, against=against
        )
        return results, tried


def measure_baseline(request: Request, told: Told) -> Report:
    """Measure one side by itself, and write its baseline."""
    (side,) = request.sides
    if not isinstance(side, LiveSide) or request.save is None:
        raise ConfigError(f"{side.text}: one side alone is an algorithm to be measured, with --save-baseline FILE")
    results, _ = _alone(request, side, told)
    write_baseline(request.save, results)
    return Report((side.text, ""), pairs=request.pairs)
