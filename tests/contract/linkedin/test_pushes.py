"""Webhooks: the challenge, signatures, and what notifications ask for."""

from __future__ import annotations

import hashlib
import hmac
import json
from datetime import timedelta
from typing import Any

import msgspec
import pytest

from connectors.contract import BadPayload, Delivery, Outcome, RefreshHint, Secret, SignatureInvalid
from connectors.linkedin import CONNECTOR
from tests.contract.linkedin.desk import NOW, OPTIONS, parsed, post, source
from tests.contract.reading import drops, pushed
from tests.fakes.linkedin import CLIENT_SECRET, PERSON, batch, notification, signed

SHARE = "urn:li:share:7094637247487995904"
UGC = "urn:li:ugcPost:7094637247487995905"
CODE = "890e4665-4dfe-4ab1-b689-ed553bceeed0"


def answer(challenge: str, secret: str = CLIENT_SECRET) -> dict[str, str]:
    return {
        "challengeCode": challenge,
        "challengeResponse": hmac.digest(secret.encode(), challenge.encode(), hashlib.sha256).hex(),
    }


def key(body: bytes) -> str:
    return CONNECTOR.verify(pushed(body, signed(body)), source(), NOW).key


# ------------------------------------------------------------------------------------------------ challenge, signature


def test_a_challenge_is_answered_with_its_mac() -> None:
    reply = CONNECTOR.handshake(pushed(b"", {}, "GET", challengeCode=CODE, applicationId="5"), source())
    assert reply is not None
    assert (reply.status, json.loads(reply.body)) == (200, answer(CODE))
    assert reply.headers["content-type"] == "application/json"


def test_the_challenge_is_answered_by_the_key_that_stays() -> None:
    ring = (Secret(value="old", valid_until=NOW + timedelta(hours=1)), Secret(value="new"))
    reply = CONNECTOR.handshake(pushed(b"", {}, "GET", challengeCode=CODE), source(secrets=ring))
    assert reply is not None
    assert json.loads(reply.body) == answer(CODE, "new")


@pytest.mark.parametrize("challenge", ["", "x" * 129, "<script>", "a\n", "\xe4", "\ud800"])
def test_what_is_no_challenge_is_forbidden(challenge: str) -> None:
    reply = CONNECTOR.handshake(pushed(b"", {}, "GET", challengeCode=challenge), source())
    assert reply is not None
    assert (reply.status, reply.body) == (403, b"")


def test_without_a_key_nothing_is_answered_and_other_requests_are_none() -> None:
    bare = msgspec.structs.replace(source(secrets=(Secret(value=""),)), credentials={})
    reply = CONNECTOR.handshake(pushed(b"", {}, "GET", challengeCode=CODE), bare)
    assert reply is not None
    assert reply.status == 403
    assert CONNECTOR.handshake(pushed(b"", {}, "GET"), source()) is None
    assert CONNECTOR.handshake(pushed(b"", {}, "POST", challengeCode=CODE), source()) is None


def test_the_prefix_is_part_of_what_is_signed() -> None:
    body = batch(notification("LIKE", SHARE))
    right = signed(body)["x-li-signature"]
    for header in (right, f"hmacsha256={right}"):
        CONNECTOR.verify(pushed(body, {"x-li-signature": header}), source(), NOW)
    without = hmac.digest(CLIENT_SECRET.encode(), body, hashlib.sha256).hex()
    for header in (without, right.upper(), f"sha256={right}", f"hmacsha256=hmacsha256={right}", "", "zz", "\xe4" * 64):
        with pytest.raises(SignatureInvalid):
            CONNECTOR.verify(pushed(body, {"x-li-signature": header}), source(), NOW)
    with pytest.raises(SignatureInvalid):
        CONNECTOR.verify(pushed(body, {}), source(), NOW)


def test_the_bytes_are_signed_and_not_what_they_say() -> None:
    body = batch(notification("LIKE", SHARE) | {"note": "Grüße"})
    rewritten = json.dumps(json.loads(body)).encode()
    assert rewritten != body
    with pytest.raises(SignatureInvalid):
        CONNECTOR.verify(pushed(rewritten, signed(body)), source(), NOW)


def test_the_secret_of_the_app_signs_where_no_ring_is_given() -> None:
    body = batch(notification("LIKE", SHARE))
    bare = msgspec.structs.replace(source(secrets=()), credentials={"client_secret": CLIENT_SECRET})
    CONNECTOR.verify(pushed(body, signed(body)), bare, NOW)


def test_the_key_is_made_of_the_notifications_whatever_their_company() -> None:
    first, second = notification("LIKE", SHARE, 1), notification("COMMENT", SHARE, 2)
    assert key(batch(first, second)) == key(batch(second, first)) == key(batch(first, second, first))
    assert key(batch(first)) != key(batch(second))
    without = {name: value for name, value in first.items() if name != "notificationId"}
    assert key(batch(without)) != key(batch(without, without))
    assert key(b"no JSON") != key(b"no JSON at all")


def test_a_wrong_signature_is_told_apart_and_the_rest_is_thanked_for() -> None:
    assert CONNECTOR.reply(Outcome.BAD_SIGNATURE).status == 401
    assert {CONNECTOR.reply(one).status for one in (Outcome.STORED, Outcome.DUPLICATE)} == {200}


# ------------------------------------------------------------------------------------------------ notifications


@pytest.mark.parametrize("action", ["LIKE", "COMMENT", "COMMENT_EDIT", "COMMENT_DELETE", "SHARE", "ADMIN_COMMENT"])
def test_an_action_asks_for_its_post_by_the_posts_own_urn(action: str) -> None:
    assert parsed(batch(notification(action, UGC))) == [RefreshHint(subject=post(UGC), reason=action)]


@pytest.mark.parametrize(
    ("changes", "drop"),
    [
        ({"action": "SHARE_MENTION"}, ("not_mapped", "SHARE_MENTION")),
        ({"action": "BRAND_NEW"}, ("unknown_type", "BRAND_NEW")),
        ({"action": 5}, ("unknown_type", "a name that is none")),
        ({"decoratedSourcePost": None}, ("missing_id", "decoratedSourcePost.entity")),
        ({"decoratedSourcePost": {"owner": PERSON, "entity": SHARE}}, ("not_mapped", "decoratedSourcePost.owner")),
    ],
)
def test_what_asks_for_nothing_of_ours_is_a_drop(changes: dict[str, Any], drop: tuple[str, str]) -> None:
    good = notification("LIKE", UGC, 2)
    items = parsed(batch({**notification("LIKE", SHARE), **changes}, good))
    assert drops(items) == [drop]
    assert items[-1] == RefreshHint(subject=post(UGC), reason="LIKE")


def test_a_thousand_notifications_ask_once_for_each_post() -> None:
    many = [notification("LIKE", f"urn:li:share:{number % 500}", number) for number in range(1000)]
    assert len(parsed(batch(*many))) == 500


def test_another_type_of_push_is_told() -> None:
    assert drops(parsed(b'{"type":"LEAD_ACTION","notifications":[]}')) == [("unknown_type", "LEAD_ACTION")]


@pytest.mark.parametrize(
    "body", [b"", b"[]", b'{"type":"ORGANIZATION_SOCIAL_ACTION_NOTIFICATIONS","notifications":{}}']
)
def test_what_is_no_batch_is_refused(body: bytes) -> None:
    with pytest.raises(BadPayload):
        parsed(body)


def test_what_is_uploaded_is_refused() -> None:
    with pytest.raises(BadPayload):
        list(CONNECTOR.parse(Delivery(channel="upload", body=b"{}", received_at=NOW), OPTIONS))
