"""Proves that X has pushed a body, and answers its challenges: HMAC-SHA256 in base64, keyed by the consumer secret.

No time is signed, so a delivery is told from its repeat by the id of its event.
"""

from __future__ import annotations

import base64
import hashlib
import hmac
from collections.abc import Sequence
from datetime import datetime

from connectors import values
from connectors.contract import Secret
from connectors.signatures import body_base64

_PREFIX = "sha256="
_LONGEST_KEY = 64


def crc_answer(token: str, secret: str) -> str:
    """Return the answer to a challenge: the base64 HMAC-SHA256 of the token, keyed by the app's consumer secret."""
    return _PREFIX + _signed(secret, token.encode())


def verify(header: str | None, body: bytes, secrets: Sequence[Secret], now: datetime) -> None:
    """Verify ``sha256=<base64>`` over the raw body; no time is signed."""
    offered = (header or "").removeprefix(_PREFIX) if (header or "").startswith(_PREFIX) else None
    body_base64(offered, body, secrets, now)


def _signed(secret: str, message: bytes) -> str:
    return base64.b64encode(hmac.digest(secret.encode(), message, hashlib.sha256)).decode()


def event_key(body: bytes) -> str | None:
    """Return the id of the one event of a body; None for the older batches, which have none."""
    found = values.mapping(values.readable(body).get("data")).get("event_uuid")
    fits = isinstance(found, str) and 0 < len(found) <= _LONGEST_KEY and found.isascii() and found.isprintable()
    return f"event:{found}" if fits else None
