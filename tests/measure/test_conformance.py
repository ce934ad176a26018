"""The rules of conformance: each catches a plug-in that breaks it, and no other one is blamed."""

from __future__ import annotations

import re
from dataclasses import replace
from pathlib import Path

import pytest

from harness.core.errors import ConfigError, UnknownNameError
from harness.engines.conformance import CHECKS, Check, Verdict, examine, find_checks
from harness.engines.registry import load_registry
from harness.measure.checking import check_job, check_limits, verdicts
from harness.measure.subject import subject_of

PLUGIN = Path(__file__).parents[1] / "plugins" / "breaking"
REGISTRY = load_registry([PLUGIN, PLUGIN.with_name("unable")])
NAMES = [check.name for check in CHECKS]

# What each plug-in breaks, and words of the sentence that says so. Dependent rules are not blamed: they aren't run.
BREACHES = {
    "builds": ("builds", "raised RuntimeError: no luck today"),
    "valid-ids": ("valid ids", "id 10000000, which is outside 0..599"),
    "inputs-unchanged": ("inputs unchanged", "search changed the queries"),
    "finds-neighbours": ("finds neighbours", "near that of guessing"),
    "k-ids": ("k ids where there are k", "fewer than k = 10 of 600"),
    "nearest-first": ("nearest first", "set `ordered: false`"),
    "same-answer-twice": ("same answer twice", "another answer the second time"),
    "settings-apart": ("settings kept apart", "another setting was bound"),
    "earlier-answers-stay": ("earlier answers stay", "a later call changed"),
    "index-bytes": ("index_bytes", "should be a count of bytes"),
    "counters": ("counters", "whole number of 0 or more"),
    "counters-from-before": ("counters", "since the last bind"),
    "more-than-there-are": ("k > n", "k = 10 is too much"),
    "one-vector": ("one vector", "too little to build on"),
    "every-vector-twice": ("every vector twice", "no neighbour at all"),
    "constant-data": ("constant data", "raised ZeroDivisionError: no spread"),
    "another-k": ("another k", "after a call with k = 1"),
    "read-only-views": ("read-only views", "not mine"),
    "several-threads": ("several threads", "one thread is enough"),
    "grids": ("its grids", "(copies=3), which it refuses: copies = 3; use 1 or 2"),
    "unknown-build-parameter": ("unknown build parameter", "passed over in silence"),
    "unknown-search-parameter": ("unknown search parameter", "passed over in silence"),
    "unclaimed-metrics": ("unclaimed metrics", "angular, ip, hamming, jaccard"),
    "exact-neighbours": ("exact neighbours", "query 0 has distance"),
    "grows-not": ("grows", "that were added"),
    "saves-not": ("saves and loads", "other answers than the one that was saved"),
    "saves-elsewhere": ("saves and loads", "the folder holds index.npy"),
    "deletes-not": ("deletes", "after it was deleted"),
    "deletes-twice": ("deletes", "an id that is deleted already was deleted in silence"),
    "filters-not": ("filters", "which doesn't match"),
    "filters-late": ("filters", "near that of guessing"),
    "refuses-in-silence": ("filters", "is refused without the name of its column: that predicate can't"),
    "ranges-not": ("ranges", "lie within the radius"),
    "flushes-not": ("flushes", "after flush: 0.0"),
    "clients-share-state": ("clients at once", "at once got other answers than one alone"),
    "clients-copied": ("clients at once", "a copy by pickle gives other answers"),
    "boasts": ("explains", "indexed_rows = 1000000000"),
    "closes-not": ("closes", "close left a process running: sleep"),
}
# A plug-in with a fault so broad that other rules see it, too.
ALSO = {
    "valid-ids": {"constant data", "several threads"},
    "inputs-unchanged": {"read-only views"},
    "finds-neighbours": {"read-only views", "several threads", "grows"},
    "another-k": {"saves and loads"},
    "settings-apart": {"saves and loads"},
    "more-than-there-are": {"one vector"},
}


def _verdicts(name: str, checks: list[Check] | None = None) -> dict[str, Verdict]:
    """Check a plug-in in this process, which it doesn't crash."""
    job = check_job(REGISTRY[name], "euclidean", (), ())
    return {verdict.check: verdict for verdict in examine(subject_of(job), checks or list(CHECKS))}


def test_a_good_plugin_keeps_every_rule() -> None:
    """A plug-in with every ability is held to every rule, and keeps it."""
    found = _verdicts("able")
    assert list(found) == NAMES
    assert all(verdict.kept for verdict in found.values()), found


@pytest.mark.parametrize("name", BREACHES)
def test_each_rule_catches_its_breach(name: str) -> None:
    """A plug-in that breaks one rule is blamed for that one, in words that tell what was wrong."""
    rule, words = BREACHES[name]
    found = _verdicts(name)
    assert words in " ".join(found[rule].breaches)
    assert {check for check, verdict in found.items() if verdict.breaches} == {rule} | ALSO.get(name, set())


def test_every_rule_has_a_plugin_that_breaks_it() -> None:
    """No rule is there that was never seen to catch anything; each is told in one sentence."""
    assert {rule for rule, _ in BREACHES.values()} == set(NAMES)
    assert all(re.fullmatch(r"[A-Z`].*[^.]\.", check.rule) for check in CHECKS)
    assert len({check.rule for check in CHECKS}) == len(NAMES) == len(set(NAMES))


def test_rules_wait_for_what_they_look_at() -> None:
    """A rule whose object failed is reported as not checked, with the reason, and isn't called kept."""
    found = _verdicts("builds")
    assert found["nearest first"].not_run == "'builds' failed"
    assert not found["nearest first"].kept
    assert found["unclaimed metrics"].kept  # it needs no index


def test_rules_need_only_earlier_ones() -> None:
    """Each rule's needs stand before it, and are checked before timing where it is."""
    for place, check in enumerate(CHECKS):
        for need in check.needs:
            assert need in NAMES[:place]
            assert CHECKS[NAMES.index(need)].before_timing or not check.before_timing


def test_a_name_that_is_no_rule() -> None:
    """A misspelt rule is an error that suggests the right one."""
    with pytest.raises(UnknownNameError, match="did you mean nearest first"):
        find_checks(["nearest frist"])


def test_a_crash_is_the_breach_of_one_rule() -> None:
    """A plug-in that crashes at one rule is blamed there by the signal's name, and the rules after it are checked."""
    found = {v.check: v for v in verdicts(REGISTRY["crashes-at-the-edge"], "euclidean", check_limits())}
    assert sorted(found) == sorted(NAMES)
    assert found["one vector"].breaches[0].startswith("one vector: crashed (SIGSEGV) during the check")
    assert "no spread" in found["constant data"].breaches[0]
    rest = [v for v in found.values() if v.promised and v.check not in ("one vector", "constant data")]
    assert all(v.kept for v in rest)


def test_a_crash_at_once_is_told_once() -> None:
    """Where no index can be built without a crash, one rule says so and the others are not checked, crashing again."""
    found = {v.check: v for v in verdicts(REGISTRY["crashes-at-once"], "euclidean", check_limits())}
    assert found["builds"].breaches[0].startswith("builds: crashed (SIGSEGV) during the check")
    assert found["nearest first"].not_run == "crashed (SIGSEGV) at 'builds'"
    assert found["unclaimed metrics"].kept


def test_findings_name_the_source_line() -> None:
    """A breach, an exception and a crash each show file, line and source line of the plug-in."""
    file = re.escape(str(PLUGIN / "__init__.py"))
    for name, rule in (("nearest-first", "nearest first"), ("builds", "builds")):
        assert re.search(rf"\[{file}:\d+: \w.*\]$", _verdicts(name)[rule].breaches[0]), rule
    limits = replace(check_limits(), seconds=5.0)
    builds = find_checks(["builds"])
    (crashed,) = verdicts(REGISTRY["crashes-at-once"], "euclidean", limits, checks=builds)
    assert re.search(rf"\[{file}:\d+: .*string_at.*\]$", crashed.breaches[0])


def test_a_hang_ends_the_check() -> None:
    """A plug-in that hangs is ended at the limit of one rule, blamed for it, and not waited for again."""
    limits = replace(check_limits(), seconds=5.0)
    found = {v.check: v for v in verdicts(REGISTRY["hangs-at-the-edge"], "euclidean", limits)}
    assert found["one vector"].breaches[0].startswith("one vector: timeout (5 s) during the check")
    assert found["k > n"].kept
    assert "time.sleep" in found["one vector"].breaches[0]  # the line at which it hung
    assert found["constant data"].not_run == "timeout (5 s) at 'one vector'"


def test_a_missing_library_is_an_error() -> None:
    """A plug-in that can't be imported is an error with the way out, not a plug-in without breaches."""
    with pytest.raises(ConfigError, match="pip install no-such-distribution"):
        list(verdicts(REGISTRY["missing"], "euclidean", check_limits()))


def test_parameters_that_are_wrong_say_nothing_of_others(bench):
    """A slip in --build is refused before a build, and doesn't stand against the algorithm's own parameters."""
    with pytest.raises(UnknownNameError, match="no build parameter of exact is called 'M'"):
        bench.run("exact", grids={"exact": {"build": {"M": "oops"}}})
    assert bench.settings("exact") == []
    assert bench.run("exact").failed == 0
    assert bench.settings("exact")
