"""Checks of webhook signatures: what is authentic passes, everything near it does not, and no secret is shown.

Part of the suite of :mod:`connectors.testing`. It changes an authentic request in every place that matters; it
computes no signature itself, so it fits every scheme.
"""

from __future__ import annotations

from collections.abc import Iterator
from contextlib import suppress
from datetime import datetime, timedelta
from typing import Any

import msgspec

from connectors.contract import Connector, Delivery, Secret, SignatureInvalid, Source, Verified, WebhookRequest
from connectors.testing_items import ContractBroken, During, outcome, require, require_hidden, require_line, secrets_of
from connectors.testing_logs import nothing_shown

_SECOND = timedelta(seconds=1)
_OTHER_KEY = Secret(value="b3RoZXIta2V5LW90aGVyLWtleS1vdGhlci1rZXk=")


class Signed(msgspec.Struct, frozen=True, kw_only=True):
    """An authentic webhook request of ``source`` at ``now``.

    ``headers`` names the headers that the signature stands on: a change of any of their bytes must be refused.
    ``tolerance`` is how far ``now`` may be from the signed time, None where the scheme signs none; then the signed
    time of ``request`` must be ``now``, to the second.
    """

    name: str = "webhook"
    request: WebhookRequest
    source: Source
    now: datetime
    headers: tuple[str, ...]
    tolerance: timedelta | None = None


def _authentic(connector: Connector, one: Signed) -> None:
    first = _believed(connector, one, "as it is")
    require(first.key, "a verified delivery has a key")
    require(first == _believed(connector, one, "again"), "a retry has another key")
    ring = (_OTHER_KEY, *one.source.secrets)
    require(first == _believed(connector, one, "with a second key", ring=ring), "the key of a delivery depends on keys")
    ending = tuple(msgspec.structs.replace(key, valid_until=one.now + _SECOND) for key in one.source.secrets)
    _believed(connector, one, "just before the end of its key", ring=ending)


def _believed(
    connector: Connector, one: Signed, what: str, *, ring: tuple[Secret, ...] | None = None, now: datetime | None = None
) -> Verified:
    source = one.source if ring is None else _keyed(one, ring)
    try:
        return connector.verify(one.request, source, now or one.now)
    except SignatureInvalid as refusal:
        raise ContractBroken(f"an authentic request is refused {what}: {refusal}") from refusal


def _tampered(connector: Connector, one: Signed) -> None:
    body = one.request.body
    for at in range(len(body)):
        changed = body[:at] + bytes([body[at] ^ 1]) + body[at + 1 :]
        _require_refused(connector, one, f"byte {at} of the body", body=changed)
    _require_refused(connector, one, "a longer body", body=body + b" ")
    for name in one.headers:
        for value, what in _wrong_values(one.request.headers[name]):
            headers = {**one.request.headers, name: value}
            _require_refused(connector, one, f"{name}, {what}", headers=headers)
        rest = {key: value for key, value in one.request.headers.items() if key != name}
        _require_refused(connector, one, f"{name} absent", headers=rest)


def _wrong_values(value: str) -> Iterator[tuple[str, str]]:
    for at, letter in enumerate(value):
        yield value[:at] + chr(ord(letter) ^ 1) + value[at + 1 :], f"byte {at}"
        yield value[:at], f"cut at byte {at}"
    yield "ü" + value[1:], "not ASCII"
    yield "\ud800", "no text at all"
    yield "x" * 100_000, "very long"


def _unkeyed(connector: Connector, one: Signed) -> None:
    wrong = (_OTHER_KEY, Secret(value="whsec_"), Secret(value="no key"))
    ended = tuple(msgspec.structs.replace(key, valid_until=one.now) for key in one.source.secrets)
    for ring, what in ((wrong, "wrong keys"), ((Secret(value=""),), "an empty key"), (ended, "keys that have ended")):
        _require_refused(connector, one, what, source=_keyed(one, ring))
    bare = msgspec.structs.replace(one.source, secrets=(), credentials={})
    _require_refused(connector, one, "no key", source=bare)


def _stale(connector: Connector, one: Signed) -> None:
    if one.tolerance is None:
        return
    for sign in (-1, 1):
        _believed(connector, one, "within its tolerance", now=one.now + sign * (one.tolerance - _SECOND))
        for late in (_SECOND, timedelta(days=1), timedelta(days=10_000)):
            _require_refused(connector, one, "a time far from now", now=one.now + sign * (one.tolerance + late))


def _secretive(connector: Connector, one: Signed) -> None:
    hidden = secrets_of(one.source)
    for thing in (connector, one.source, *one.source.secrets):
        require_hidden(repr(thing), hidden, f"the repr of {type(thing).__name__}")
    bad = msgspec.structs.replace(one.request, body=one.request.body + b"x")
    try:
        connector.verify(bad, one.source, one.now)
    except SignatureInvalid as refusal:
        require_line(str(refusal), "a refusal")
        require_hidden(str(refusal), hidden, "a refusal")
        signatures = [one.request.headers[name] for name in one.headers]
        require_hidden(str(refusal), signatures, "a refusal")


def _silent(connector: Connector, one: Signed) -> None:
    forged = msgspec.structs.replace(one.request, body=one.request.body + b"x")
    delivery = Delivery(channel="webhook", body=one.request.body, received_at=one.now, headers=one.request.headers)
    with nothing_shown(secrets_of(one.source)):
        for request in (one.request, forged):
            with suppress(SignatureInvalid):
                connector.handshake(request, one.source)
                connector.verify(request, one.source, one.now)
        outcome(connector, delivery, one.source.options)


SIGNATURE_CHECKS = (
    ("authentic", _authentic),
    ("tampered with", _tampered),
    ("without the key", _unkeyed),
    ("at another time", _stale),
    ("secrets", _secretive),
    ("logs", _silent),
)


def _keyed(one: Signed, ring: tuple[Secret, ...]) -> Source:
    return msgspec.structs.replace(one.source, secrets=ring)


def _require_refused(connector: Connector, one: Signed, what: str, **changes: Any) -> None:
    """Try the request with another body, headers, source or time."""
    source, now = changes.pop("source", one.source), changes.pop("now", one.now)
    with During(f"tried: {what}"):
        try:
            connector.verify(msgspec.structs.replace(one.request, **changes), source, now)
        except SignatureInvalid:
            return
        raise ContractBroken(f"a request is believed that is not authentic: {what}")
