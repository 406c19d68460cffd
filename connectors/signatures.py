"""Signatures over raw bytes: the schemes that platforms share.

A connector calls the one function that is its platform's scheme; a header never chooses. Every function takes the
header as it came, the raw body, the key ring of the source and the time, and raises
:class:`~connectors.contract.SignatureInvalid` unless a valid signature by a key that is still active is there.
Decoded bytes are compared in constant time, and whatever a sender may put into a header ends in that one error.
This is not the place for tokens of calls that we make, nor for the challenge of a subscription.

Standard Webhooks: https://www.standardwebhooks.com (symmetric ``v1`` and asymmetric ``v1a``).
"""

from __future__ import annotations

import base64
import binascii
import hmac
import re
from collections.abc import Mapping, Sequence
from datetime import datetime, timedelta

from cryptography.exceptions import InvalidSignature
from cryptography.hazmat.primitives.asymmetric.ed25519 import Ed25519PublicKey

from connectors.contract import Secret, SignatureInvalid

TOLERANCE = timedelta(seconds=300)
"""How far a signed time may lie from now, in both directions."""
_TOLERANCE_SECONDS = TOLERANCE.total_seconds()
MAX_EXAMINED = 8
"""How many signatures of one header are looked at: a ring needs two, a long list is an attempt to make us work."""

_SYMMETRIC = "whsec_"
_PUBLIC = "whpk_"
_SHORTEST_KEY = 24
_PUBLIC_KEY_LENGTH = 32
_ID = re.compile(r"[!-\-/-~]{1,256}")  # printable ASCII but for the full stop, which separates the signed parts
_LONGEST_SECONDS = 12


# ------------------------------------------------------------------------------------------------ the key ring


def active(secrets: Sequence[Secret], now: datetime) -> tuple[str, ...]:
    """Return the values of the keys that are valid at ``now``; an empty key is none."""
    return tuple([s.value for s in secrets if s.value and (s.valid_until is None or now < s.valid_until)])


def standard_secret_problem(value: str) -> str | None:
    """Say in one line what is wrong with a Standard Webhooks key, or None: asked when a source is set up."""
    if value.startswith(_PUBLIC):
        return None if _public_key(value) else f"a key that begins with {_PUBLIC} is base64 of 32 bytes"
    key = _symmetric_key(value)
    if key is None:
        return f"the secret is base64, with or without {_SYMMETRIC} in front"
    if len(key) < _SHORTEST_KEY:
        return f"the secret has {len(key)} bytes, at least {_SHORTEST_KEY} are asked for"
    return None


def _symmetric_key(value: str) -> bytes | None:
    return _base64(value.removeprefix(_SYMMETRIC)) or None


def _public_key(value: str) -> Ed25519PublicKey | None:
    raw = _base64(value.removeprefix(_PUBLIC))
    return Ed25519PublicKey.from_public_bytes(raw) if raw and len(raw) == _PUBLIC_KEY_LENGTH else None


# ------------------------------------------------------------------------------------------------ schemes


def standard_webhooks(headers: Mapping[str, str], body: bytes, secrets: Sequence[Secret], now: datetime) -> str:
    """Verify a Standard Webhooks request and return its message id, the same on every retry.

    ``headers`` have lower-case names, ``webhook-*`` or the older ``svix-*``. A key that begins with ``whpk_`` checks
    ``v1a`` (ed25519) signatures, any other one ``v1`` (HMAC-SHA256).
    """
    family = "webhook" if "webhook-id" in headers else "svix"
    message_id = headers.get(f"{family}-id", "")
    timestamp = headers.get(f"{family}-timestamp", "")
    if not _ID.fullmatch(message_id):
        raise SignatureInvalid("the message id is missing or malformed")
    _require_fresh(timestamp, now)
    offered = headers.get(f"{family}-signature", "").split()[:MAX_EXAMINED]
    signed = f"{message_id}.{timestamp}.".encode("ascii") + body
    keys = active(secrets, now)
    public = [key for key in keys if key.startswith(_PUBLIC)]
    expected = [_mac(key, signed) for value in keys if (key := _symmetric_key(value))]
    matches = _compare(expected, _entries(offered, "v1,"))
    if public:
        matches += _verify(public, signed, _entries(offered, "v1a,"))
    _require(matches)
    return message_id


def sign_standard_webhooks(secret: str, message_id: str, sent_at: datetime, body: bytes) -> dict[str, str]:
    """Return the three ``webhook-*`` headers with a ``v1`` signature, as a sender makes them.

    Raises :class:`ValueError` for a secret that :func:`standard_secret_problem` finds unreadable.
    """
    key = _symmetric_key(secret)
    if key is None:
        raise ValueError("the secret is not base64")
    timestamp = str(int(sent_at.timestamp()))
    digest = _mac(key, f"{message_id}.{timestamp}.".encode() + body)
    signature = f"v1,{base64.b64encode(digest).decode()}"
    return {"webhook-id": message_id, "webhook-timestamp": timestamp, "webhook-signature": signature}


def hub_sha256(header: str | None, body: bytes, secrets: Sequence[Secret], now: datetime) -> None:
    """Verify ``sha256=<hex>`` over the body, keyed by the text of the secret: Meta and those who sign like GitHub."""
    _require(_compare(_by_text(secrets, now, body), _hex_after("sha256=", header)))


def hub_sha1(header: str | None, body: bytes, secrets: Sequence[Secret], now: datetime) -> None:
    """Verify ``sha1=<hex>`` over the body, keyed by the text of the secret: hubs of WebSub, which know no other."""
    expected = [hmac.digest(key.encode(), body, "sha1") for key in active(secrets, now)]
    _require(_compare(expected, _hex_after("sha1=", header)))


def body_base64(header: str | None, body: bytes, secrets: Sequence[Secret], now: datetime) -> None:
    """Verify a bare base64 HMAC-SHA256 over the body, keyed by the text of the secret: Shopify and WooCommerce."""
    offered = _base64(header or "")
    _require(_compare(_by_text(secrets, now, body), [offered] if offered else []))


def timed_hex(header: str | None, body: bytes, secrets: Sequence[Secret], now: datetime, version: str = "v1") -> None:
    """Verify ``t=<seconds>,v1=<hex>`` over ``<seconds>.<body>``, keyed by the whole text of the secret.

    Stripe, and TikTok under another name (``version``).
    """
    pairs = [part.partition("=") for part in (header or "").split(",")[: MAX_EXAMINED + 1]]
    timestamp = next((value for name, _, value in pairs if name == "t"), "")
    _require_fresh(timestamp, now)
    offered = [raw for name, _, value in pairs if name == version and (raw := _hex(value))]
    _require(_compare(_by_text(secrets, now, f"{timestamp}.".encode("ascii") + body), offered))


# ------------------------------------------------------------------------------------------------ parts


def _require_fresh(timestamp: str, now: datetime) -> None:
    # Strictly digits: what int() takes besides (signs, spaces, underscores) was never sent by an honest sender.
    if not (timestamp.isdigit() and timestamp.isascii() and len(timestamp) <= _LONGEST_SECONDS):
        raise SignatureInvalid("the signed time is missing or malformed")
    if abs(now.timestamp() - int(timestamp)) > _TOLERANCE_SECONDS:
        raise SignatureInvalid("the signed time is too far from now")


def _require(matches: Sequence[bool]) -> None:
    if not any(matches):
        raise SignatureInvalid("no signature matches an active key")


def _compare(expected: Sequence[bytes], offered: Sequence[bytes]) -> list[bool]:
    """Compare every pair, so that the time taken does not tell which key was near."""
    return [hmac.compare_digest(one, other) for one in expected for other in offered]


def _verify(keys: Sequence[str], signed: bytes, offered: Sequence[bytes]) -> list[bool]:
    return [_verifies(key, signature, signed) for value in keys if (key := _public_key(value)) for signature in offered]


def _verifies(key: Ed25519PublicKey, signature: bytes, signed: bytes) -> bool:
    try:
        key.verify(signature, signed)
    except InvalidSignature:
        return False
    return True


def _by_text(secrets: Sequence[Secret], now: datetime, signed: bytes) -> list[bytes]:
    return [_mac(key.encode(), signed) for key in active(secrets, now)]


def _mac(key: bytes, signed: bytes) -> bytes:
    return hmac.digest(key, signed, "sha256")


def _entries(offered: Sequence[str], version: str) -> list[bytes]:
    return [raw for entry in offered if entry.startswith(version) and (raw := _base64(entry[len(version) :]))]


def _base64(text: str) -> bytes | None:
    """Decode the one canonical text of some bytes: a decoder ignores the last bits, and one MAC has one text."""
    try:
        given = text.encode("ascii")
        raw = binascii.a2b_base64(given, strict_mode=True)
    except (UnicodeEncodeError, binascii.Error):
        return None
    return raw if binascii.b2a_base64(raw, newline=False) == given else None


def _hex_after(prefix: str, header: str | None) -> list[bytes]:
    raw = _hex(header.removeprefix(prefix)) if header and header.startswith(prefix) else None
    return [raw] if raw else []


def _hex(text: str) -> bytes | None:
    try:
        return binascii.unhexlify(text.encode("ascii"))
    except (UnicodeEncodeError, binascii.Error):
        return None
