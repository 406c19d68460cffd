"""Webhooks of Threads: flat envelopes, in both shapes, and what they ask for."""

from __future__ import annotations

from datetime import UTC, datetime
from typing import Any

import pytest

from connectors.contract import BadPayload, RefreshHint, SignatureInvalid, SubjectSeen, WebhookRequest
from connectors.threads import CONNECTOR
from tests.contract.reading import drops, sight
from tests.contract.threads.desk import NOW, RECORDINGS, VERIFY_TOKEN, fetch, parsed, post, source, task
from tests.contract.threads.test_fetching import full
from tests.fakes.graph import escaped
from tests.fakes.threads import push

SENT_SECONDS = 1_786_000_000
SENT = datetime.fromtimestamp(SENT_SECONDS, tz=UTC)
REPLY = {"id": "77", "root_post": {"id": "1", "owner_id": "5"}, "replied_to": {"id": "9"}}


@pytest.mark.parametrize("listed", [False, True])
@pytest.mark.parametrize("wrapped", [False, True])
def test_both_shapes_of_values_say_the_same(listed: bool, wrapped: bool) -> None:
    sent = push("replies", REPLY, listed=listed)
    assert parsed(escaped([sent] if wrapped else sent)) == [
        RefreshHint(subject=post(1), reason="replies"),
        RefreshHint(subject=post(9), reason="replies"),
    ]


def test_a_reply_to_the_first_post_is_one_hint_and_one_without_names_is_about_its_target() -> None:
    same = {"id": "77", "root_post": {"id": "1"}, "replied_to": {"id": "1"}}
    assert parsed(escaped(push("replies", same))) == [RefreshHint(subject=post(1), reason="replies")]
    bare = push("replies", {"id": "77"}, target="1")
    assert parsed(escaped(bare)) == [RefreshHint(subject=post(1), reason="replies")]


def test_what_is_published_is_seen_and_fetched() -> None:
    seen, hint = parsed(escaped(push("publish", {"id": "1", "text": "#One", "timestamp": "2026-07-01T00:00:00+0000"})))
    assert isinstance(seen, SubjectSeen)
    assert (seen.subject, seen.observed_at, seen.hashtags) == (post(1), SENT, ("one",))
    assert seen.published_at == datetime(2026, 7, 1, tzinfo=UTC)
    assert hint == RefreshHint(subject=post(1), reason="publish")
    assert parsed(escaped(push("publish", {"id": "1"}, at=None))) == [hint]


@pytest.mark.parametrize(
    ("value", "at", "gone_at"),
    [
        ({"id": "1", "deleted_at": "2026-08-01T00:00:00+0000"}, SENT_SECONDS, datetime(2026, 8, 1, tzinfo=UTC)),
        ({"id": "1"}, SENT_SECONDS, SENT),
        ({"id": "1", "deleted_at": "yesterday"}, SENT_SECONDS, SENT),
        ({"id": "1", "deleted_at": "2999-08-01T00:00:00+0000"}, SENT_SECONDS, SENT),
        ({"id": "1"}, None, None),
        ({"id": "1"}, 2**70, None),
    ],
)
def test_what_is_deleted_is_gone_from_then_on(value: Any, at: int | None, gone_at: datetime | None) -> None:
    (item,) = parsed(escaped(push("delete", value, at=at)))
    if gone_at is None:
        assert item == RefreshHint(subject=post(1), reason="delete")
    else:
        assert isinstance(item, SubjectSeen)
        assert (item.subject, item.removed_at) == (post(1), gone_at)


@pytest.mark.parametrize(
    ("sent", "drop"),
    [
        (push("mentions", {"id": "9"}), ("not_mapped", "mentions")),
        (push("brand_new", {"id": "9"}), ("unknown_type", "brand_new")),
        (push("publish", {"text": "x"}), ("missing_id", "publish")),
        (push("publish", {"id": 7}), ("malformed", "publish")),
        (push("delete", {"id": {}}), ("malformed", "delete")),
        (push("replies", {"id": "7"}, target="not an id"), ("missing_id", "replies")),
        (push("replies", REPLY, target="0"), ("test_event", "target_id")),
        ({"target_id": "1", "time": 1}, ("unknown_type", "values")),
        ({"target_id": "1", "time": 1, "values": []}, ("unknown_type", "values")),
        ({"target_id": "1", "time": 1, "values": [7]}, ("unknown_type", "a name that is none")),
        (7, ("unknown_type", "values")),
    ],
)
def test_what_is_not_read_is_a_drop_and_its_neighbour_counts(sent: Any, drop: tuple[str, str]) -> None:
    items = parsed(escaped([sent, push("delete", {"id": "3"})]))
    assert drops(items) == [drop]
    assert [one.subject for one in sight(items)] == [post(3)]


@pytest.mark.parametrize("sent", [b"7", b"", b"{", b"[" * 100_000, b"\xff\xfe"])
def test_a_body_that_is_no_webhook(sent: bytes) -> None:
    with pytest.raises(BadPayload):
        parsed(sent)


async def test_a_published_post_is_the_one_that_a_fetch_reads() -> None:
    fake = full()
    fake.posts[0].published = datetime(2026, 7, 1, tzinfo=UTC)
    node = fake.posts[0].node(["id", "text", "media_type", "permalink", "timestamp"])
    pushed = sight(parsed(escaped(push("publish", node))))[0]
    fetched = sight(one for page in await fetch(fake, task("posts")) for one in parsed(page.body, page.request))[0]
    for name in ("subject", "title", "url", "content_type", "hashtags", "published_at"):
        assert getattr(pushed, name) == getattr(fetched, name)


# ------------------------------------------------------------------------------------------------ signatures


def test_a_signature_stands_on_the_raw_bytes_with_their_escapes() -> None:
    # Computed once with: openssl dgst -sha256 -hmac app-secret-0123456789 reply_pushed.json
    header = {"x-hub-signature-256": "sha256=6c5e8de63ea9a145c014c30a89133ef88b1f74af951fe6ba8152731cff9bce84"}
    raw = (RECORDINGS / "reply_pushed.json").read_bytes()
    assert b"\\u00f6" in raw
    CONNECTOR.verify(WebhookRequest(method="POST", headers=header, query={}, body=raw), source(), NOW)
    other = raw.replace(b"\\u00f6", b"\xc3\xb6")
    with pytest.raises(SignatureInvalid):
        CONNECTOR.verify(WebhookRequest(method="POST", headers=header, query={}, body=other), source(), NOW)


def test_a_challenge_is_echoed_and_a_wrong_one_forbidden() -> None:
    query = {"hub.mode": "subscribe", "hub.challenge": "1158201444", "hub.verify_token": VERIFY_TOKEN}
    right = CONNECTOR.handshake(WebhookRequest(method="GET", headers={}, query=query), source())
    assert right is not None
    assert (right.status, right.body) == (200, b"1158201444")
    wrong = {**query, "hub.verify_token": "x"}
    refused = CONNECTOR.handshake(WebhookRequest(method="GET", headers={}, query=wrong), source())
    assert refused is not None
    assert refused.status == 403
