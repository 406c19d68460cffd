"""The contract's own suite over the recordings and signed requests, symmetric and asymmetric."""

from __future__ import annotations

import base64

import msgspec
import pytest
from cryptography.hazmat.primitives.asymmetric.ed25519 import Ed25519PrivateKey
from cryptography.hazmat.primitives.serialization import Encoding, PublicFormat

from connectors.contract import Http, Outcome, Response
from connectors.items import Defaults
from connectors.signatures import TOLERANCE
from connectors.standard_webhooks import CONNECTOR
from connectors.testing import Check, Recording, Signed, contract_suite
from tests.contract.standard_webhooks.desk import NOW, SECRET, delivery, recording, request, source

HEADERS = ("webhook-id", "webhook-timestamp", "webhook-signature")
EURO = Defaults(currency="EUR", zone="Europe/Berlin")
PRIVATE = Ed25519PrivateKey.from_private_bytes(bytes(range(32)))
RECORDINGS = [
    Recording(name=f"{name}{kept}", delivery=delivery(recording(name)), options=options)
    for name in ("batch", "bad_neighbours", "single_order", "without_time", "other_event")
    for kept, options in (("", None), (" in euros", EURO))
]


def symmetric() -> Signed:
    return Signed(
        request=request(recording("single_order")), source=source(), now=NOW, headers=HEADERS, tolerance=TOLERANCE
    )


def older() -> Signed:
    """Return the same request with the names that older senders give the headers."""
    new = symmetric()
    headers = {name.replace("webhook-", "svix-"): value for name, value in new.request.headers.items()}
    names = tuple(name.replace("webhook-", "svix-") for name in HEADERS)
    changed = msgspec.structs.replace(new.request, headers=headers)
    return msgspec.structs.replace(new, name="older names", request=changed, headers=names)


def asymmetric() -> Signed:
    new = symmetric()
    signed = f"msg_1.{new.request.headers['webhook-timestamp']}.".encode() + new.request.body
    headers = {**new.request.headers, "webhook-signature": f"v1a,{base64.b64encode(PRIVATE.sign(signed)).decode()}"}
    public = PRIVATE.public_key().public_bytes(Encoding.Raw, PublicFormat.Raw)
    return msgspec.structs.replace(
        new,
        name="public key",
        request=msgspec.structs.replace(new.request, headers=headers),
        source=source("whpk_" + base64.b64encode(public).decode()),
    )


SUITE = contract_suite(CONNECTOR, RECORDINGS, signed=[symmetric(), older(), asymmetric()])


@pytest.mark.parametrize("check", SUITE, ids=str)
async def test_contract(check: Check) -> None:
    await check()


def test_the_key_is_the_message_id_on_every_retry() -> None:
    first = CONNECTOR.verify(request(b"{}", "msg_7"), source(), NOW)
    again = CONNECTOR.verify(request(b"{}", "msg_7", NOW + TOLERANCE), source(), NOW + TOLERANCE)
    assert (first.key, first) == ("msg_7", again)


@pytest.mark.parametrize(("outcome", "status"), [("stored", 200), ("duplicate", 200), ("bad_signature", 401)])
def test_answers_are_a_status_and_nothing_more(outcome: str, status: int) -> None:
    reply = CONNECTOR.reply(Outcome(outcome))
    assert (reply.status, reply.body) == (status, b"")


class Nowhere:
    """A client of no platform: the connector asks none."""

    async def get(self, path: str, params: object = None, **more: object) -> Response:
        raise AssertionError(path)

    async def post(self, path: str, params: object = None, body: bytes = b"", **more: object) -> Response:
        raise AssertionError(path)

    async def put(self, path: str, params: object = None, body: bytes = b"", **more: object) -> Response:
        raise NotImplementedError

    def at(self, host: str) -> Http:
        raise NotImplementedError


@pytest.mark.parametrize(
    ("secrets", "said"),
    [
        ((SECRET,), [(True, "well-formed")]),
        (("hunter2!", SECRET), [(False, "base64"), (True, "well-formed")]),
        (("whsec_QUFB",), [(False, "at least 24")]),
    ],
)
async def test_a_check_looks_at_every_key_and_shows_none(
    secrets: tuple[str, ...], said: list[tuple[bool, str]]
) -> None:
    findings = await CONNECTOR.check(Nowhere(), source(*secrets))
    assert [finding.ok for finding in findings] == [ok for ok, _ in said]
    for finding, (_, text) in zip(findings, said, strict=True):
        assert text in finding.text
        assert not any(secret in finding.text for secret in secrets)


async def test_a_source_without_a_key_is_found() -> None:
    bare = msgspec.structs.replace(source(), secrets=())
    (finding,) = await CONNECTOR.check(Nowhere(), bare)
    assert not finding.ok
