"""Names at the very end of a run every test that did not run, and why; `TALLYBOOK_ALL_TESTS=1` makes that a failure.

A pytest plugin. It knows skips (of a test or of a whole file), `xfail(run=False)` and deselection by -m or -k, also
where pytest-xdist runs the tests in other processes. An expected failure that ran is no skip.
"""

from __future__ import annotations

import os
from collections import Counter
from collections.abc import Generator, Mapping, Sequence
from typing import Any

import pytest

ALL_TESTS = "TALLYBOOK_ALL_TESTS"
_DESELECTED = "tallybook_deselected"
_SHOWN = 10  # names shown of each deselection: who selects by hand knows the others


class SkipReport:
    """Collects during one run what did not run, as pairs of name and reason."""

    def __init__(self, config: pytest.Config, environ: Mapping[str, str]) -> None:
        self._config = config
        self._required = environ.get(ALL_TESTS) == "1"
        self._output: dict[str, Any] | None = getattr(config, "workeroutput", None)
        self._skipped: Counter[tuple[str, str]] = Counter()
        self._deselected: set[str] = set()

    def pytest_runtest_logreport(self, report: pytest.TestReport) -> None:
        self._note(report)

    def pytest_collectreport(self, report: pytest.CollectReport) -> None:
        self._note(report)

    def pytest_deselected(self, items: Sequence[pytest.Item]) -> None:
        self._deselected.update(item.nodeid for item in items)
        if self._output is not None:
            self._output[_DESELECTED] = sorted(self._deselected)

    @pytest.hookimpl(optionalhook=True)
    def pytest_testnodedown(self, node: Any) -> None:
        # A worker that crashed has no output; the run has failed then anyway.
        self._deselected.update((getattr(node, "workeroutput", None) or {}).get(_DESELECTED, ()))

    @pytest.hookimpl(wrapper=True, tryfirst=True)
    def pytest_sessionfinish(self, session: pytest.Session) -> Generator[None, object, object]:
        """Write the report below pytest's own closing line."""
        result = yield
        if self._output is None:
            incomplete = bool(self._skipped or self._deselected)
            if incomplete and self._required and session.exitstatus == pytest.ExitCode.OK:
                session.exitstatus = pytest.ExitCode.TESTS_FAILED
            terminal = self._config.pluginmanager.get_plugin("terminalreporter")
            if terminal is not None:
                for line in self._lines():
                    terminal.write_line(line, red=incomplete and self._required)
        return result

    def _note(self, report: pytest.TestReport | pytest.CollectReport) -> None:
        expected = getattr(report, "wasxfail", "")
        if not report.skipped or (expected and "[NOTRUN]" not in expected):
            return
        reason = expected or _reason(report.longrepr)
        self._skipped[report.nodeid.partition("[")[0], reason] += 1

    def _lines(self) -> list[str]:
        if not self._skipped and not self._deselected:
            return ["not run: none"]
        lines = [f"not run: {name}{_times(n)}: {reason}" for (name, reason), n in sorted(self._skipped.items())]
        chosen = _selection(self._config)
        lines += [f"not run: {name}: deselected by {chosen}" for name in sorted(self._deselected)[:_SHOWN]]
        if len(self._deselected) > _SHOWN:
            lines.append(f"not run: {len(self._deselected) - _SHOWN} more: deselected by {chosen}")
        if self._required:
            lines.append(f"{ALL_TESTS}=1: every test must run")
        return lines


def _selection(config: pytest.Config) -> str:
    given = {"-m": config.getoption("markexpr"), "-k": config.getoption("keyword")}
    return " ".join(f"{flag} {text!r}" for flag, text in given.items() if text) or "another option"


def _times(count: int) -> str:
    return f" ({count} cases)" if count > 1 else ""


def _reason(longrepr: object) -> str:
    text = str(longrepr[2]) if isinstance(longrepr, tuple) else str(longrepr)
    return text.removeprefix("Skipped: ")


def pytest_configure(config: pytest.Config) -> None:
    config.pluginmanager.register(SkipReport(config, os.environ), "tallybook-skip-report")
