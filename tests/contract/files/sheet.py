"""What the tests of the files connector share: an upload, its items, and ways to ask for parts of them."""

from __future__ import annotations

from datetime import UTC, datetime
from pathlib import Path
from typing import Any

import msgspec
import pytest

from connectors.contract import BadPayload, Delivery, Drop, DropReason, Item, Observation, SubjectSeen
from connectors.files import CONNECTOR, FilesOptions

DATA = Path(__file__).parents[3] / "service" / "data"
UCI = (DATA / "uci_facebook.csv").read_bytes()
GB = (DATA / "gb_youtube.csv").read_bytes()
NOW = datetime(2026, 8, 20, 12, tzinfo=UTC)


def upload(body: bytes | str) -> Delivery:
    raw = body.encode() if isinstance(body, str) else body
    return Delivery(channel="upload", body=raw, received_at=NOW, request={"filename": "export.csv"})


def chosen(**given: Any) -> FilesOptions:
    """Return options; unless said otherwise, ids in ``id`` and views in ``views``."""
    if "preset" not in given:
        given = {"id_column": "id", "columns": {"views": "views"}} | given
    return msgspec.convert(given, FilesOptions)


def read(body: bytes | str, **given: Any) -> list[Item]:
    return list(CONNECTOR.parse(upload(body), chosen(**given)))


def observations(items: list[Item]) -> list[Observation]:
    return [item for item in items if isinstance(item, Observation)]


def facts(items: list[Item]) -> list[SubjectSeen]:
    return [item for item in items if isinstance(item, SubjectSeen)]


def numbers(items: list[Item]) -> dict[str, dict[str, int]]:
    """Return the metrics by external id; every subject stands once."""
    seen = observations(items)
    found = {item.subject.external_id: item.metrics for item in seen}
    assert len(found) == len(seen)
    return found


def drops(items: list[Item]) -> list[tuple[DropReason, int | None]]:
    return [(item.reason, item.row) for item in items if isinstance(item, Drop)]


def refusal(body: bytes | str, **given: Any) -> str:
    """Return the one line with which the whole file is refused."""
    with pytest.raises(BadPayload) as caught:
        read(body, **given)
    message = str(caught.value)
    assert message
    assert message.isprintable()
    assert len(message) <= 300
    return message
