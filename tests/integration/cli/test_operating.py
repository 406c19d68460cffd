"""``serve``, ``migrate``, ``check``, ``connectors``, ``fetch``: what operators and machines call."""

from __future__ import annotations

import json
import signal
import socket
import subprocess
import sys
import time
import urllib.error
import urllib.request
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path

import msgspec
import pytest

from service import capabilities, plugins
from service.cli import COMMANDS, main
from service.commands.endings import Code
from service.commands.fetching import code_of
from service.fetch.plan import TaskState
from service.fetch.pull import Pulled
from tests.integration.cli.conftest import ROOT, Result, Simulated, Tallybook, finished, process

# ------------------------------------------------------------------------------------------------ help


def test_help_names_every_command_and_loads_none_of_them() -> None:
    script = "import sys; from service.cli import main; main(['--help']); print(*sys.modules, file=sys.stderr)"
    done = subprocess.run([sys.executable, "-c", script], cwd=ROOT, capture_output=True, text=True, check=True)
    assert not [name for name in COMMANDS if f"  {name} " not in done.stdout]
    heavy = {"scipy", "numpy", "sqlalchemy", "fastapi", "pydantic", "service.app"}
    assert heavy.isdisjoint(done.stderr.split())


def test_asking_for_health_loads_no_database_and_no_framework() -> None:
    script = (
        "import sys; from service.cli import main; main(['check', '--health']); print(*sys.modules, file=sys.stderr)"
    )
    done = subprocess.run([sys.executable, "-c", script], cwd=ROOT, capture_output=True, text=True, check=True)
    assert {"scipy", "numpy", "sqlalchemy", "fastapi", "service.app"}.isdisjoint(done.stderr.split())


def test_every_command_explains_itself(capsys: pytest.CaptureFixture[str]) -> None:
    for name in COMMANDS:
        assert main([name, "--help"]) == 0
        assert capsys.readouterr().out.startswith(f"Usage: tallybook {name} ")


@pytest.mark.parametrize(
    ("arguments", "word"),
    [
        (("verfy",), "No such command 'verfy'. Did you mean 'verify'?"),
        (("verify", "--jsn"), "No such option: --jsn"),
        (("import",), "Missing argument 'FILE'"),
        (("key", "creat"), "No such command 'creat'."),
    ],
)
def test_wrong_usage_is_one_line(capsys: pytest.CaptureFixture[str], arguments: tuple[str, ...], word: str) -> None:
    assert main(list(arguments)) == 2
    said = capsys.readouterr()
    assert said.err.startswith(f"tallybook: {word}")
    assert (said.err.count("\n"), said.out) == (1, "")


def test_the_version_is_told(capsys: pytest.CaptureFixture[str]) -> None:
    assert main(["--version"]) == 0
    assert capsys.readouterr().out.startswith("tallybook ")


# ------------------------------------------------------------------------------------------------ settings, database


def test_a_machine_that_is_ready_is_found_so(tallybook: Tallybook) -> None:
    tallybook.workspace()
    found = tallybook("check", "--json").json()
    assert found["ok"], found
    words = [finding["text"].partition(":")[0] for finding in found["findings"]]
    assert words == ["settings", "database", "role", "migrations", "partitions", "master key", "connectors"]
    assert tallybook("check").out.count("\nok") == len(words) - 1


WRONG: tuple[tuple[dict[str, str], int, str], ...] = (
    ({"TALLYBOOK_MASTER_KEY": ""}, 1, "TALLYBOOK_MASTER_KEY must be base64 of 32 bytes"),
    ({"TALLYBOOK_MASTER_KEY": "bm90IHRoaXMgb25l"}, 1, "TALLYBOOK_MASTER_KEY must be base64 of 32 bytes"),
    ({"TALLYBOOK_PORT": "many"}, 1, "TALLYBOOK_PORT"),
    ({"TALLYBOOK_DATABASE_URL": "postgresql://nobody@127.0.0.1:1/nothing"}, 75, "does not answer"),
    ({"TALLYBOOK_DATABASE_URL": "mysql://a@b/c"}, 1, "must begin with postgresql://"),
)


def test_what_is_missing_is_named_and_nothing_works_without(
    tallybook: Tallybook, monkeypatch: pytest.MonkeyPatch
) -> None:
    for changes, code, word in WRONG:
        with monkeypatch.context() as patched:
            for name, value in changes.items():
                patched.setenv(name, value)
            checked = tallybook("check", code=code)
            assert word in checked.out + checked.err
            assert word in tallybook("workspace", "list", code=code).word


def test_in_prod_there_is_no_embedded_database(tallybook: Tallybook, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv("TALLYBOOK_ENV", "prod")
    assert tallybook("migrate", code=1).word == "TALLYBOOK_MIGRATE_URL is needed: the owner's address of the database"
    monkeypatch.delenv("TALLYBOOK_DATABASE_URL")
    for command in (("workspace", "list"), ("serve",)):
        assert tallybook(*command, code=1).word.startswith("TALLYBOOK_DATABASE_URL is needed in prod")


def test_the_owner_may_not_serve(tallybook: Tallybook, monkeypatch: pytest.MonkeyPatch, owner_url: str) -> None:
    monkeypatch.setenv("TALLYBOOK_DATABASE_URL", owner_url)
    assert "names the owner of the tables" in tallybook("workspace", "list", code=1).word


def test_migrating_twice_changes_nothing(tallybook: Tallybook, monkeypatch: pytest.MonkeyPatch, owner_url: str) -> None:
    monkeypatch.setenv("TALLYBOOK_MIGRATE_URL", owner_url)
    first = tallybook("migrate").out
    assert first.startswith("the database is at migration ")
    assert tallybook("migrate").out == first


def test_a_database_that_was_never_migrated_is_said(
    tallybook: Tallybook, monkeypatch: pytest.MonkeyPatch, database_url: str
) -> None:
    empty = database_url.replace(database_url.partition("?")[0].rpartition("/")[2], "tallybook_none")
    monkeypatch.setenv("TALLYBOOK_DATABASE_URL", empty)
    assert tallybook("workspace", "list", code=1).word == "there is no such database"


def test_connectors_are_listed(tallybook: Tallybook) -> None:
    listed = tallybook("connectors", "--json").json()
    assert {"files", "standard_webhooks", "synthetic"} <= {one["name"] for one in listed["connectors"]}
    assert listed["connectors"] == capabilities.plain(plugins.load().values())
    assert listed["broken"] == {}
    assert "synthetic, simulated" in tallybook("connectors").out


# ------------------------------------------------------------------------------------------------ fetch, check


@pytest.fixture
def connected(tallybook: Tallybook, simulated: Simulated, monkeypatch: pytest.MonkeyPatch, tmp_path: Path) -> Tallybook:
    """Connect a source to a simulated platform that runs."""
    monkeypatch.setenv("TALLYBOOK_CONNECTOR_URLS", f"synthetic={simulated.address}")
    tallybook.workspace()
    (tmp_path / "token").write_text(simulated.token)
    words = ("--credential", f"access_token=@{tmp_path / 'token'}")
    tallybook("source", "add", "synthetic", "--name", "Sim", *words)
    return tallybook


def test_a_source_is_pulled_and_read(connected: Tallybook) -> None:
    done = connected("fetch", "Sim", "--json").json()
    assert {(one["kind"], one["state"]) for one in done["pulled"]} == {
        ("posts", "done"),
        ("metrics", "done"),
        ("daily", "done"),
    }
    assert done["summary"]["posted"] == sum(one["pages"] for one in done["pulled"])
    assert done["summary"]["entries"] > 0
    again = connected("fetch", "Sim", "--json").json()
    assert again["summary"]["entries"] == 0
    assert "posted" in connected("fetch", "Sim").out
    assert connected("verify", "--json").json()["workspaces"][0]["report"]["total_differences"] == 0


def test_a_round_pulls_what_is_due_and_nothing_twice(connected: Tallybook) -> None:
    assert len(connected("fetch", "--due", "--json").json()["pulled"]) == 3
    assert connected("fetch", "--due").out.startswith("nothing is due\n")


def test_a_source_is_checked_at_its_platform(connected: Tallybook, simulated: Simulated) -> None:
    assert "the simulated platform knows the token" in connected("check", "Sim").out
    simulated.token = "another"
    assert connected("check", "Sim", "--json").json()["ok"]


def test_a_wrong_token_is_said_and_the_source_waits_for_a_person(connected: Tallybook, tmp_path: Path) -> None:
    (tmp_path / "wrong").write_text("wrong")
    words = ("--name", "Other", "--account", "b", "--credential", f"access_token=@{tmp_path / 'wrong'}")
    connected("source", "add", "synthetic", *words)
    assert not connected("check", "Other", "--json", code=1).json()["ok"]
    assert "refuses the token" in connected("fetch", "Other", code=1).out
    assert "needs_reauth" in connected("source", "list").out
    assert "not active" in connected("fetch", "Other", code=2).word


def test_a_platform_that_is_away_is_tried_later(connected: Tallybook, monkeypatch: pytest.MonkeyPatch) -> None:
    with socket.socket() as unused:
        unused.bind(("127.0.0.1", 0))
        port = unused.getsockname()[1]
    monkeypatch.setenv("TALLYBOOK_CONNECTOR_URLS", f"synthetic=http://127.0.0.1:{port}")
    assert {one["state"] for one in connected("fetch", "Sim", "--json", code=75).json()["pulled"]} == {"waiting"}


def test_a_fetch_of_nothing_is_said(tallybook: Tallybook) -> None:
    tallybook.workspace()
    tallybook("source", "add", "files", "--platform", "x", "--option", "preset=gb-youtube")
    for arguments, code, word in (
        ((), 2, "name a source or say --due"),
        (("files", "--due"), 2, "name a source or say --due"),
        (("nobody",), 1, "no such source: nobody"),
        (("files",), 2, "files is not fetched"),
    ):
        assert tallybook("fetch", *arguments, code=code).word == word


@pytest.mark.parametrize(
    ("states", "dead", "code"),
    [
        ([], 0, Code.DONE),
        ([TaskState.DONE, None], 0, Code.DONE),
        ([TaskState.DONE], 1, Code.PARTLY),
        ([TaskState.DONE, TaskState.FAILED], 0, Code.PARTLY),
        ([TaskState.FAILED, TaskState.WAITING], 0, Code.FAILED),
        ([TaskState.DONE, TaskState.WAITING], 0, Code.LATER),
    ],
)
def test_a_round_ends_by_what_became_of_its_tasks(states: list[TaskState | None], dead: int, code: Code) -> None:
    plain = msgspec.convert(
        {"source_id": "0" * 32, "kind": "posts", "slot": "2026-01-01T00:00:00Z", "state": None}, Pulled
    )
    pulled = [msgspec.structs.replace(plain, state=state) for state in states]
    assert code_of(pulled, dead=dead) is code


# ------------------------------------------------------------------------------------------------ serve


def free_port() -> int:
    with socket.socket() as found:
        found.bind(("127.0.0.1", 0))
        port: int = found.getsockname()[1]
        return port


@contextmanager
def serving(port: int, *arguments: str) -> Iterator[subprocess.Popen[str]]:
    started = process("serve", "--port", str(port), *arguments)
    try:
        assert status(port, "/readyz", started) == 200
        yield started
    finally:
        if started.poll() is None:
            started.kill()
        if started.stdout is not None and started.stderr is not None:
            started.stdout.close()
            started.stderr.close()
        started.wait()


def status(port: int, path: str, started: subprocess.Popen[str]) -> int:
    """Ask until there is an answer."""
    for _ in range(600):
        try:
            with urllib.request.urlopen(f"http://127.0.0.1:{port}{path}") as answer:
                return int(answer.status)
        except urllib.error.HTTPError as error:
            return error.code
        except OSError:
            assert started.poll() is None, started.stderr.read() if started.stderr else ""
            time.sleep(0.1)
    raise AssertionError("no answer")


@pytest.mark.parametrize("number", [signal.SIGTERM, signal.SIGINT])
def test_a_service_that_is_told_to_stop_ends_well(environment: None, number: signal.Signals) -> None:
    with serving(free_port()) as started:
        started.send_signal(number)
        done = finished(started)
    assert (done.code, done.out) == (0, "")
    events = [json.loads(line)["event"] for line in done.err.splitlines()]
    assert events[0] == "serve.listening"
    assert events[-1] == "serve.stopping"


def test_a_running_service_is_alive(environment: None, monkeypatch: pytest.MonkeyPatch) -> None:
    port = free_port()
    monkeypatch.setenv("TALLYBOOK_PORT", str(port))
    with serving(port, "--role", "worker") as started:
        assert finished(process("check", "--health")) == Result(code=0, out="", err="")
        assert status(port, "/v1/capabilities", started) == 404
        taken = finished(process("serve"))
    assert (taken.code, taken.word) == (1, f"cannot listen on 127.0.0.1 port {port}: Address already in use")
    gone = finished(process("check", "--health"))
    assert (gone.code, gone.word) == (1, f"no answer from 127.0.0.1 port {port}: ConnectionRefusedError")


def test_a_role_that_nobody_has_is_said(tallybook: Tallybook) -> None:
    assert tallybook("serve", "--role", "all,boss", code=1).word == "a role is one of all, api, worker, scheduler"


def test_an_error_that_nobody_expected_is_one_line_too() -> None:
    script = "import service.cli as c; c.get_command = lambda app: 1 / 0; import sys; sys.exit(c.main())"
    done = subprocess.run([sys.executable, "-c", script], cwd=ROOT, capture_output=True, text=True, check=False)
    assert (done.returncode, done.stderr.count("\n")) == (1, 1)
    assert done.stderr.startswith("tallybook: internal error: ZeroDivisionError")
