"""The README: its tour is run against a service of its own, its commands and metrics exist."""

from __future__ import annotations

import json
import os
import re
import shutil
import signal
import subprocess
import sys
import tempfile
import time
from collections.abc import Iterator, Mapping
from pathlib import Path
from typing import Any

import pytest
from typer.main import get_command

from service import telemetry
from service.cli import application

ROOT = Path(__file__).resolve().parents[2]
README = (ROOT / "README.md").read_text(encoding="utf-8")
MARK = "---- the next block ----"
START_SECONDS = 90.0
TOUR_SECONDS = 180.0


# ------------------------------------------------------------------------------------------------ the tour


def blocks() -> list[tuple[str, str | None]]:
    """Return the shell blocks of the tour, each with the output that the README shows below it, or None."""
    tour = README.partition("\n## A tour\n")[2].partition("\n## ")[0]
    found: list[tuple[str, str | None]] = []
    for language, text in re.findall(r"^```(\w+)\n(.*?)^```$", tour, re.MULTILINE | re.DOTALL):
        if language == "sh":
            found.append((text, None))
        else:
            assert language == "text"
            assert found[-1][1] is None
            found[-1] = (found[-1][0], text)
    return found


def environment(data_dir: str) -> dict[str, str]:
    """Return an environment with nothing of ours but where the books are; the tests' Python comes first."""
    kept = {name: value for name, value in os.environ.items() if not name.startswith(("TALLYBOOK_", "PG"))}
    path = f"{Path(sys.executable).parent}{os.pathsep}{kept.get('PATH', os.defpath)}"
    return kept | {"PATH": path, "TALLYBOOK_DATA_DIR": data_dir}


def address_in(log: Path, process: subprocess.Popen[bytes]) -> str:
    """Return where the service says that it listens."""
    end = time.monotonic() + START_SECONDS
    while process.poll() is None and time.monotonic() < end:
        for line in log.read_text(encoding="utf-8").splitlines():
            if "serve.listening" in line:
                address: str = json.loads(line)["address"]
                return address
        time.sleep(0.1)
    raise AssertionError(f"the service did not start: {log.read_text(encoding='utf-8')}")


@pytest.fixture
def service(tmp_path: Path) -> Iterator[Mapping[str, str]]:
    """Run a service with books of its own; yield the environment of somebody who follows the tour."""
    log = tmp_path / "log"
    with tempfile.TemporaryDirectory(prefix="tbk-tour-", ignore_cleanup_errors=True) as data_dir:
        given = environment(data_dir)
        command = ["tallybook", "serve", "--port", "0"]
        with log.open("wb") as errors, subprocess.Popen(command, cwd=ROOT, env=given, stderr=errors) as process:
            try:
                yield given | {"URL": address_in(log, process)}
                process.send_signal(signal.SIGTERM)
                assert process.wait(60) == 0
            finally:
                process.kill()


def lacking() -> list[str]:
    path = environment("")["PATH"]
    return [name for name in ("bash", "curl", "openssl", "tallybook") if shutil.which(name, path=path) is None]


@pytest.mark.skipif(bool(lacking()), reason=f"the tour needs {', '.join(lacking())}, which this machine has not")
def test_the_tour_does_what_it_shows(service: Mapping[str, str]) -> None:
    tour = blocks()
    script = "".join(f"{text}\necho '{MARK}'\n" for text, _ in tour)
    done = subprocess.run(
        ["bash", "-euo", "pipefail", "-c", script],
        cwd=ROOT,
        env=dict(service),
        capture_output=True,
        text=True,
        timeout=TOUR_SECONDS,
        check=False,
    )
    shown = done.stdout.split(f"{MARK}\n")
    for (text, expected), output in zip(tour, shown, strict=False):
        assert expected is None or output == expected, f"{text}{done.stderr}"
    assert done.returncode == 0, done.stderr
    assert len(shown) == len(tour) + 1


def test_the_tour_shows_what_it_promises() -> None:
    assert sum(expected is not None for _, expected in blocks()) >= 5


# ------------------------------------------------------------------------------------------------ names


def code() -> str:
    """Return everything in the README that is code, a snippet per line; lines that go on are joined."""
    fenced = re.findall(r"^```\w*\n(.*?)^```$", README, re.MULTILINE | re.DOTALL)
    inline = re.findall(r"`([^`\n]+)`", re.sub(r"^```.*?^```$", "", README, flags=re.MULTILINE | re.DOTALL))
    return "\n".join([*fenced, *inline]).replace("\\\n", " ")


def test_targets_of_make_exist() -> None:
    makefile = (ROOT / "Makefile").read_text(encoding="utf-8")
    targets = set(re.findall(r"^([a-z]+):", makefile, re.MULTILINE))
    named = set(re.findall(r"\bmake ([a-z]+)", code()))
    assert {"demo", "test"} <= named <= targets


def command_of(words: list[str]) -> Any:
    """Return the command that words name: ``key create`` is one of a group. Fails for what there is not."""
    group: Any = get_command(application())
    _, command, rest = group.resolve_command(group.make_context("tallybook", words, resilient_parsing=True), words)
    assert command is not None, words
    while hasattr(command, "commands") and rest and not rest[0].startswith("-"):
        command = command.commands[rest.pop(0)]
    return command


def called() -> list[tuple[str, ...]]:
    """Return the words of every call of the command in the README, up to a pipe or the end of the line."""
    found = re.findall(r"(?<![\w./-])tallybook ([a-z]+(?: [\w=.-]+)*)", code())
    return sorted({tuple(text.split()) for text in found})


@pytest.mark.parametrize("words", called(), ids=" ".join)
def test_commands_and_options_exist(words: tuple[str, ...]) -> None:
    command = command_of(list(words))
    options = {option for parameter in command.params for option in parameter.opts}
    assert {word for word in words if word.startswith("--")} <= options | {"--help"}


def test_metrics_exist() -> None:
    exposed = telemetry.exposition()[0].decode()
    named = set(re.findall(r"\btallybook_[a-z_]+", re.sub(r"tallybook_make_partitions", "", code())))
    assert named
    assert all(f"# HELP {name} " in exposed for name in named), named
