"""Proves that X has pushed a body, and answers its challenges: HMAC-SHA256 in base64, keyed by the consumer secret.

No time is signed, so a delivery is told from its repeat by the id of its event.
"""

from __future__ import annotations

import base64
import binascii
import hashlib
import hmac
from collections.abc import Sequence
from datetime import datetime

from connectors import x_values as values
from connectors.contract import BadPayload, Secret, SignatureInvalid
from connectors.signatures import active

_PREFIX = "sha256="
_LONGEST_KEY = 64


def crc_answer(token: str, secret: str) -> str:
    """Return the answer to a challenge: the base64 HMAC-SHA256 of the token, keyed by the app's consumer secret."""
    return _PREFIX + _signed(secret, token.encode())


def verify(header: str | None, body: bytes, secrets: Sequence[Secret], now: datetime) -> None:
    """Verify ``sha256=<base64>`` over the raw body. Raises :class:`SignatureInvalid`; no time is signed."""
    offered = _decoded((header or "").removeprefix(_PREFIX)) if (header or "").startswith(_PREFIX) else b""
    expected = [hmac.digest(key.encode(), body, hashlib.sha256) for key in active(secrets, now)]
    # A list, so that every key is compared: the time taken does not tell which one was near.
    if not any([hmac.compare_digest(one, offered) for one in expected]):  # noqa: C419
        raise SignatureInvalid("no signature matches an active key")


def _signed(secret: str, message: bytes) -> str:
    return base64.b64encode(hmac.digest(secret.encode(), message, hashlib.sha256)).decode()


def _decoded(text: str) -> bytes:
    """Decode the one canonical text of some bytes; empty, which matches nothing, for any other."""
    try:
        raw = base64.b64decode(text.encode("ascii"), validate=True)
    except (UnicodeEncodeError, binascii.Error):
        return b""
    return raw if base64.b64encode(raw).decode() == text else b""


def event_key(body: bytes) -> str | None:
    """Return the id of the one event of a body; None for the older batches, which have none."""
    try:
        found = values.mapping(values.document(body).get("data")).get("event_uuid")
    except BadPayload:
        return None
    fits = isinstance(found, str) and 0 < len(found) <= _LONGEST_KEY and found.isascii() and found.isprintable()
    return f"event:{found}" if fits else None
