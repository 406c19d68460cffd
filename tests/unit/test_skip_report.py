from __future__ import annotations

import textwrap
from pathlib import Path

import pytest

from tests import skip_report

ROOT = Path(skip_report.__file__).parent.parent
SKIPS = """
    import pytest

    def test_runs():
        pass

    @pytest.mark.skip(reason="no browser here")
    def test_skipped():
        pass

    @pytest.mark.parametrize("n", [1, 2])
    def test_cases(n):
        pytest.skip("no engine")

    @pytest.mark.xfail(reason="known", strict=True)
    def test_expected():
        assert False
"""
IN_PROCESS = pytest.param((), id="one process")
IN_WORKERS = pytest.param(("-p", "xdist", "-n", "2"), id="xdist")


@pytest.fixture
def project(pytester: pytest.Pytester, monkeypatch: pytest.MonkeyPatch) -> pytest.Pytester:
    monkeypatch.setenv("PYTHONPATH", str(ROOT))
    monkeypatch.setenv("PYTEST_DISABLE_PLUGIN_AUTOLOAD", "1")
    monkeypatch.delenv("PYTEST_ADDOPTS", raising=False)
    monkeypatch.delenv(skip_report.ALL_TESTS, raising=False)
    pytester.makeini("[pytest]\nmarkers = slow\n")
    pytester.makeconftest("pytest_plugins = ['tests.skip_report']")
    return pytester


def run(project: pytest.Pytester, body: str, *arguments: str) -> tuple[int, list[str]]:
    """Return the exit code and the lines below pytest's closing line."""
    project.makepyfile(test_sample=textwrap.dedent(body))
    result = project.runpytest_inprocess("-p", "no:cacheprovider", *arguments)
    closing = max(i for i, line in enumerate(result.outlines) if " in " in line and line.startswith("="))
    return int(result.ret), result.outlines[closing + 1 :]


@pytest.mark.parametrize("processes", [IN_PROCESS, IN_WORKERS])
def test_skips_are_named_and_harmless(project: pytest.Pytester, processes: tuple[str, ...]) -> None:
    code, lines = run(project, SKIPS, *processes)
    assert code == 0
    assert lines == [
        "not run: test_sample.py::test_cases (2 cases): no engine",
        "not run: test_sample.py::test_skipped: no browser here",
    ]


@pytest.mark.parametrize("processes", [IN_PROCESS, IN_WORKERS])
def test_skips_fail_where_every_test_must_run(
    project: pytest.Pytester, monkeypatch: pytest.MonkeyPatch, processes: tuple[str, ...]
) -> None:
    monkeypatch.setenv(skip_report.ALL_TESTS, "1")
    code, lines = run(project, SKIPS, *processes)
    assert code == 1
    assert lines[-1] == "TALLYBOOK_ALL_TESTS=1: every test must run"


@pytest.mark.parametrize("processes", [IN_PROCESS, IN_WORKERS])
@pytest.mark.parametrize("required", [False, True])
def test_a_marker_that_deselects_counts(
    project: pytest.Pytester, monkeypatch: pytest.MonkeyPatch, processes: tuple[str, ...], *, required: bool
) -> None:
    monkeypatch.setenv(skip_report.ALL_TESTS, "1" if required else "0")
    body = "import pytest\n\n@pytest.mark.slow\ndef test_slow(): pass\n\ndef test_fast(): pass\n"
    code, lines = run(project, body, *processes, "-m", "not slow")
    assert code == int(required)
    assert lines[0] == "not run: test_sample.py::test_slow: deselected by -m 'not slow'"


@pytest.mark.parametrize("processes", [IN_PROCESS, IN_WORKERS])
def test_a_skipped_file_is_named(project: pytest.Pytester, processes: tuple[str, ...]) -> None:
    project.makepyfile(test_other="import pytest\npytest.importorskip('no_such_module', reason='not installed')\n")
    code, lines = run(project, "def test_runs(): pass", *processes)
    assert code == 0
    assert lines == ["not run: test_other.py: not installed"]


@pytest.mark.parametrize("processes", [IN_PROCESS, IN_WORKERS])
def test_an_expected_failure_that_never_ran_is_named(project: pytest.Pytester, processes: tuple[str, ...]) -> None:
    body = "import pytest\n\n@pytest.mark.xfail(run=False, reason='hangs')\ndef test_a(): pass\n\ndef test_b(): pass\n"
    code, lines = run(project, body, *processes)
    assert code == 0
    assert len(lines) == 1
    assert lines[0].startswith("not run: test_sample.py::test_a: ")
    assert lines[0].endswith("hangs")


@pytest.mark.parametrize("processes", [IN_PROCESS, IN_WORKERS])
def test_a_whole_run_says_so(
    project: pytest.Pytester, monkeypatch: pytest.MonkeyPatch, processes: tuple[str, ...]
) -> None:
    monkeypatch.setenv(skip_report.ALL_TESTS, "1")
    assert run(project, "def test_runs(): pass", *processes) == (0, ["not run: none"])


def test_long_selections_are_shortened(project: pytest.Pytester) -> None:
    body = "import pytest\n\n@pytest.mark.parametrize('n', range(30))\ndef test_a(n): pass\n\ndef test_b(): pass\n"
    _, lines = run(project, body, "-k", "test_b")
    assert len(lines) == 11
    assert lines[-1] == "not run: 20 more: deselected by -k 'test_b'"


def test_a_failure_keeps_its_own_code(project: pytest.Pytester, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv(skip_report.ALL_TESTS, "1")
    assert run(project, SKIPS, "-k", "no_such_test")[0] == pytest.ExitCode.NO_TESTS_COLLECTED
