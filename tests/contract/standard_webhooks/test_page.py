"""The page for senders: its examples are valid, read without a drop, and sign as it says."""

from __future__ import annotations

import json
import re
import shutil
import subprocess
from datetime import UTC, datetime
from pathlib import Path
from typing import Any

import pytest

from connectors.contract import WebhookRequest
from connectors.items_schema import FIELDS
from connectors.signatures import TOLERANCE
from connectors.standard_webhooks import CONNECTOR
from tests.contract.reading import drops
from tests.contract.standard_webhooks.desk import NOW, OPTIONS, SECRET, STAMP, parsed, source
from tests.contract.standard_webhooks.test_document import VALID

PAGE = (Path(__file__).parents[3] / "docs" / "standard_webhooks.md").read_text(encoding="utf-8")
BLOCKS = re.findall(r"^```(\w+)\n(.*?)^```$", PAGE, re.MULTILINE | re.DOTALL)
EXAMPLES: list[dict[str, Any]] = [json.loads(text) for language, text in BLOCKS if language == "json"]
TOOLS = ("bash", "openssl", "base64", "od")


def whole(example: dict[str, Any]) -> dict[str, Any]:
    """Return an example as a body: an item goes into a batch."""
    if "data" in example:
        return example
    return {"type": "tallybook.batch", "timestamp": STAMP, "data": {"items": [example]}}


def block(language: str) -> str:
    (text,) = [text for found, text in BLOCKS if found == language]
    return str(text)


@pytest.mark.parametrize("example", EXAMPLES, ids=lambda example: str(example["type"]))
def test_every_example_is_valid_and_read_without_a_drop(example: dict[str, Any]) -> None:
    body = whole(example)
    VALID.validate(body)
    items = parsed(json.dumps(body).encode())
    assert items
    assert drops(items) == []


def test_every_item_type_has_a_section_with_examples_of_it() -> None:
    for kind in FIELDS:
        section = PAGE.partition(f"\n### {kind}\n")[2].partition("\n### ")[0]
        assert re.search(rf'"type": "{kind}"', section), kind


def test_every_field_and_option_is_named() -> None:
    fields = {name for names in FIELDS.values() for name in names} | set(OPTIONS.__struct_fields__)
    assert [name for name in sorted(fields) if f"`{name}`" not in PAGE and f'"{name}"' not in PAGE] == []


def test_the_python_example_signs_as_the_connector_asks() -> None:
    names: dict[str, Any] = {}
    exec(block("python"), names)  # noqa: S102 - the page's own example
    body = b'{"type": "tallybook.click"}'
    headers = names["sign"](SECRET, "msg_9", int(NOW.timestamp()), body)
    request = WebhookRequest(method="POST", headers=headers, query={}, body=body)
    assert CONNECTOR.verify(request, source(), NOW).key == "msg_9"


@pytest.mark.skipif(not all(map(shutil.which, TOOLS)), reason="needs bash, openssl, base64 and od")
def test_the_shell_example_signs_as_the_connector_asks(tmp_path: Path) -> None:
    sent = tmp_path / "sent"
    curl = f'curl() {{ printf "%s\\0" "$@" > "{sent}"; }}\n'
    setting = f"SECRET={SECRET}\nURL=http://localhost/hook\n"
    subprocess.run(["bash", "-euc", curl + setting + block("sh")], check=True, cwd=tmp_path)
    arguments = sent.read_text(encoding="utf-8").split("\0")[:-1]
    pairs = [arguments[at + 1].split(": ", 1) for at, word in enumerate(arguments) if word == "-H"]
    body = arguments[arguments.index("--data-binary") + 1].encode()
    request = WebhookRequest(method="POST", headers=dict(pairs), query={}, body=body)
    stamped = datetime.fromtimestamp(int(request.headers["webhook-timestamp"]), UTC)
    assert CONNECTOR.verify(request, source(), stamped + TOLERANCE / 2).key == "ord-1001"
    assert drops(parsed(body)) == []
    assert arguments[-1] == "http://localhost/hook"
