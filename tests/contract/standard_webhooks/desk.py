"""What the tests of Standard Webhooks share: a time, a key, and readings of bodies."""

from __future__ import annotations

import json
from collections.abc import Iterable
from datetime import UTC, datetime
from pathlib import Path
from typing import Any

from connectors.contract import Delivery, Item, Observation, Secret, Source, WebhookRequest
from connectors.items import Defaults
from connectors.signatures import sign_standard_webhooks
from connectors.standard_webhooks import CONNECTOR

RECORDINGS = Path(__file__).parents[2] / "recordings" / "standard_webhooks"
NOW = datetime(2025, 3, 2, 18, tzinfo=UTC)
STAMP = "2025-03-02T18:00:00Z"
SECRET = "whsec_dGhpcnR5LXR3byBieXRlcyBvZiBhIHRlc3QgcmluZyE="
OPTIONS = Defaults()


def source(*secrets: str) -> Source:
    ring = tuple(Secret(value=value) for value in secrets or (SECRET,))
    return Source(id="src_1", platform="shop", account="", options=OPTIONS, secrets=ring)


def request(body: bytes, message_id: str = "msg_1", at: datetime = NOW) -> WebhookRequest:
    headers = sign_standard_webhooks(SECRET, message_id, at, body)
    return WebhookRequest(method="POST", headers={"content-type": "application/json", **headers}, query={}, body=body)


def delivery(body: bytes) -> Delivery:
    return Delivery(channel="webhook", body=body, received_at=NOW)


def recording(name: str) -> bytes:
    return (RECORDINGS / f"{name}.json").read_bytes()


def parsed(body: bytes, options: Defaults = OPTIONS) -> list[Item]:
    return list(CONNECTOR.parse(delivery(body), options))


def batch(*items: object, timestamp: object = STAMP, options: Defaults = OPTIONS) -> list[Item]:
    """Return the items read from a batch."""
    body = {"type": "tallybook.batch", "timestamp": timestamp, "data": {"items": items}}
    return parsed(json.dumps(body).encode(), options)


def one(kind: str, **fields: Any) -> Item:
    """Return the one item read from an item."""
    (item,) = batch({"type": kind, **fields})
    return item


def metrics(items: Iterable[Item]) -> list[dict[str, int]]:
    return [item.metrics for item in items if isinstance(item, Observation)]
