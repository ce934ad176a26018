"""The items of `pytest --annbench PLUGIN`: one for each algorithm, metric and rule.

An algorithm is checked under one metric by one child process, started when the first of its items runs: a plug-in that
crashes or hangs fails its items, and pytest goes on.
"""

from __future__ import annotations

import os
from collections.abc import Generator, Iterator, Sequence
from pathlib import Path
from typing import Any

import pytest

from harness.core.errors import AnnbenchError
from harness.engines.conformance import CHECKS, Check, Verdict
from harness.engines.registry import Entry, Registry, load_registry, plugin_entries
from harness.measure.checking import check_limits, verdicts


class Conformance:
    """Adds the items of the plug-ins that were named to those that pytest finds by itself."""

    def __init__(self, named: Sequence[str]) -> None:
        self._named = tuple(named)

    @pytest.hookimpl(wrapper=True)
    def pytest_make_collect_report(
        self, collector: pytest.Collector
    ) -> Generator[None, pytest.CollectReport, pytest.CollectReport]:
        """Put a collector of them beside the session's files."""
        report = yield
        if isinstance(collector, pytest.Session) and report.passed:
            report.result.append(
                PluginCollector.from_parent(collector, name="annbench", nodeid="annbench", named=self._named)
            )
        return report


class PluginCollector(pytest.Collector):
    """What the words after `--annbench` stand for: the algorithms of configs, and installed ones."""

    def __init__(self, *, named: Sequence[str], **of_pytest: Any) -> None:
        super().__init__(**of_pytest)
        self._named = named

    def collect(self) -> Iterator[pytest.Collector]:
        """Yield a collector for each algorithm and metric."""
        entries = [entry for word in self._named for entry in self._entries(word)]
        # As a registry they are told apart by name: two of one name would have the same items.
        for entry in Registry(entries).values():
            for metric in entry.config.metrics:
                yield SubjectCollector.from_parent(
                    self, name=f"{entry.name}[{metric}]", entry=entry, metric=str(metric)
                )

    def _entries(self, word: str) -> Sequence[Entry]:
        path = self.config.invocation_params.dir / word
        if path.is_dir() or path.suffix in (".yml", ".yaml") or "/" in word or os.sep in word:
            return plugin_entries(path)
        return [load_registry()[word]]

    def repr_failure(self, excinfo: pytest.ExceptionInfo[BaseException]) -> Any:  # type: ignore[override]
        """Show an error of ours in one line."""
        return _in_one_line(excinfo) or super().repr_failure(excinfo)


class SubjectCollector(pytest.Collector):
    """One algorithm under one metric, with an item for each rule."""

    def __init__(self, *, entry: Entry, metric: str, **of_pytest: Any) -> None:
        super().__init__(**of_pytest)
        self.entry, self.metric = entry, metric
        self._found: dict[str, Verdict] | None = None

    def collect(self) -> Iterator[pytest.Item]:
        """Yield the rules in the order in which they are checked."""
        for check in CHECKS:
            yield RuleItem.from_parent(self, name=check.name, check=check)

    def verdict(self, check: Check) -> Verdict:
        """Return what a rule's check found; the first call checks all that were selected and what they need."""
        if self._found is None:
            chosen = [item.check for item in self.session.items if isinstance(item, RuleItem) and item.parent is self]
            names = {check.name for check in chosen} | {need for check in chosen for need in check.needs}
            checks = [check for check in CHECKS if check.name in names]
            self._found = {v.check: v for v in verdicts(self.entry, self.metric, check_limits(), checks=checks)}
        return self._found[check.name]

    def fails_elsewhere(self) -> bool:
        """Say whether a rule that was selected is broken: those that depend on it need not fail, too."""
        chosen = {item.check.name for item in self.session.items if isinstance(item, RuleItem) and item.parent is self}
        return any(verdict.breaches for name, verdict in (self._found or {}).items() if name in chosen)


class RuleItem(pytest.Item):
    """One rule of the contract, checked on one algorithm under one metric."""

    parent: SubjectCollector

    def __init__(self, *, check: Check, **of_pytest: Any) -> None:
        super().__init__(**of_pytest)
        self.check = check
        self.add_marker("annbench")

    def runtest(self) -> None:
        """Fail with the breaches of the rule; skip it where it needs one that failed.

        Where no item shows that failure, it fails, too: a rule that could not be checked isn't to be taken for kept.
        """
        found = self.parent.verdict(self.check)
        if not found.promised or (found.not_run and self.parent.fails_elsewhere()):
            pytest.skip(found.not_run)
        if not found.kept:
            raise BreachError(found.breaches or (f"not checked: {found.not_run}",))

    def repr_failure(self, excinfo: pytest.ExceptionInfo[BaseException], style: Any = None) -> Any:
        """Show the rule and its breaches, without a traceback of ours."""
        if isinstance(excinfo.value, BreachError):
            where = f"{self.parent.entry.name} under {self.parent.metric}"
            return "\n".join([f"{where}: {self.check.rule}", *(f"  - {breach}" for breach in excinfo.value.args[0])])
        return _in_one_line(excinfo) or super().repr_failure(excinfo, style)

    def reportinfo(self) -> tuple[Path, None, str]:
        """Say where the plug-in is, and which rule is checked."""
        return self.parent.entry.file, None, f"{self.parent.name}: {self.name}"


class BreachError(Exception):
    """A rule is broken, or could not be checked; the argument is a tuple of sentences."""

    def __str__(self) -> str:
        """Join the sentences, for pytest's summary of failures."""
        return "; ".join(self.args[0])


def _in_one_line(excinfo: pytest.ExceptionInfo[BaseException]) -> str | None:
    return str(excinfo.value) if isinstance(excinfo.value, AnnbenchError) else None
