"""The connector in CONTRIBUTING.md works as it stands there, and so does its test."""

from __future__ import annotations

import base64
import importlib.util
import os
import re
import shutil
import subprocess
import sys
from collections.abc import Iterator
from pathlib import Path
from types import ModuleType

import pytest

from connectors.contract import BadPayload, Connector, Delivery
from connectors.testing import ContractBroken
from service import plugins

PAGE = Path(__file__).resolve().parents[2] / "CONTRIBUTING.md"
NAMES = ("connectors.shortlink", "example_test_contract")
ROOT = PAGE.parent


@pytest.fixture(scope="module")
def example(tmp_path_factory: pytest.TempPathFactory) -> Iterator[tuple[ModuleType, ModuleType]]:
    """Import the connector and its test as the modules that a reader would make of them."""
    texts = re.findall(r"^```python\n(.*?)^```$", PAGE.read_text(encoding="utf-8"), re.MULTILINE | re.DOTALL)
    folder = tmp_path_factory.mktemp("example")
    with pytest.MonkeyPatch.context() as patch:
        modules = [_imported(name, text, folder, patch) for name, text in zip(NAMES, texts, strict=True)]
        yield modules[0], modules[1]


def _imported(name: str, text: str, folder: Path, patch: pytest.MonkeyPatch) -> ModuleType:
    path = folder / f"{name}.py"
    path.write_text(text, encoding="utf-8")
    spec = importlib.util.spec_from_file_location(name, path)
    assert spec is not None
    assert spec.loader is not None
    module = importlib.util.module_from_spec(spec)
    patch.setitem(sys.modules, name, module)
    spec.loader.exec_module(module)
    return module


def test_the_service_takes_it(example: tuple[ModuleType, ModuleType]) -> None:
    assert plugins.problems(example[0].CONNECTOR, "shortlink") == []


async def test_its_test_passes(example: tuple[ModuleType, ModuleType]) -> None:
    (marked,) = example[1].test_contract.pytestmark
    name, checks = marked.args
    assert name == "check"
    assert len(checks) > 5
    for check in checks:
        await example[1].test_contract(check)


async def test_its_test_can_fail(example: tuple[ModuleType, ModuleType]) -> None:
    connector, desk = example[0].CONNECTOR, example[1]
    wrong = desk.Recording(name="wrong", delivery=desk.LINKS.delivery, items=())
    (reading,) = [check for check in desk.contract_suite(connector, [wrong]) if check.name == "wrong: reading"]
    with pytest.raises(ContractBroken):
        await reading()


@pytest.mark.parametrize(
    "body",
    [b"", b"[]", b"\xff", b'{"links": 1}', b"[" * 100_000],
    ids=["empty", "list", "binary", "shape", "deep"],
)
def test_what_cannot_be_read_is_a_bad_payload(example: tuple[ModuleType, ModuleType], body: bytes) -> None:
    connector: Connector = example[0].CONNECTOR
    with pytest.raises(BadPayload):
        list(connector.parse(Delivery(channel="webhook", body=body, received_at=example[1].NOW), connector.options()))


def test_the_commands_about_somebody_elses_connector_work(tmp_path: Path, database_url: str) -> None:
    """Run the block from a folder that has of the checkout what it names: the package and an environment."""
    section = (
        PAGE.read_text(encoding="utf-8").partition("\n## A connector of somebody else's\n")[2].partition("\n## ")[0]
    )
    (block,) = re.findall(r"^```sh\n(.*?)^```$", section, re.MULTILINE | re.DOTALL)
    theirs = Path("tests", "thirdparty", "pebble")
    shutil.copytree(ROOT / theirs, tmp_path / theirs, ignore=shutil.ignore_patterns("__pycache__"))
    (tmp_path / ".venv").symlink_to(sys.prefix)
    kept = {name: value for name, value in os.environ.items() if not name.startswith(("TALLYBOOK_", "PYTEST_", "PIP_"))}
    books = {"TALLYBOOK_DATABASE_URL": database_url, "TALLYBOOK_MASTER_KEY": base64.b64encode(b"k" * 32).decode()}
    environ = kept | books | {"PIP_NO_INDEX": "1", "PIP_DISABLE_PIP_VERSION_CHECK": "1"}
    done = subprocess.run(
        ["bash", "-euo", "pipefail", "-c", block],
        cwd=tmp_path,
        env=environ,
        text=True,
        capture_output=True,
        check=False,
    )
    assert (done.returncode, done.stderr) == (0, ""), done.stdout
    assert re.search(r"^\d+ passed", done.stdout, re.MULTILINE)
    assert re.search(r"^ ?pebble +3 +pebble +webhook, fetch pebbles, fetch pond_days", done.stdout, re.MULTILINE)
    assert "/v1/webhooks/" in done.stdout
