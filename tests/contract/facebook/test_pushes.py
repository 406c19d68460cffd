"""Webhooks of a page: what is fetched again, what is gone, what is not read."""

from __future__ import annotations

from datetime import UTC, datetime, timedelta
from typing import Any

import pytest

from connectors.contract import BadPayload, Outcome, RefreshHint, SignatureInvalid, SubjectSeen, WebhookRequest
from connectors.facebook import CONNECTOR
from tests.contract.facebook.desk import APP_SECRET, NOW, RECORDINGS, VERIFY_TOKEN, fetch, parsed, post, source, task
from tests.contract.facebook.test_fetching import full
from tests.contract.reading import drops, sight
from tests.fakes.facebook import ACCOUNT, feed, push
from tests.fakes.graph import escaped, signed

SENT_SECONDS = 1_786_000_000
SENT = datetime.fromtimestamp(SENT_SECONDS, tz=UTC)
POST = f"{ACCOUNT}_1"


def body(*entries: Any) -> bytes:
    return escaped(push(*entries))


def test_what_happens_to_a_post_is_one_hint_however_often_it_happens() -> None:
    entries = [
        feed(item="comment", verb="add", post_id=POST, comment_id="1_1", created_time=SENT_SECONDS),
        feed(item="comment", verb="remove", post_id=POST, comment_id="1_1"),
        feed(item="like", verb="add", post_id=POST),
        feed(item="reaction", verb="add", post_id=POST, reaction_type="like"),
        feed(item="reaction", verb="add", post_id=f"{ACCOUNT}_2", reaction_type="love"),
    ]
    assert parsed(body(*entries)) == [
        RefreshHint(subject=post(1), reason="comment add"),
        RefreshHint(subject=post(2), reason="reaction add"),
    ]


@pytest.mark.parametrize("item", ["post", "status", "photo", "video", "share", "reel"])
@pytest.mark.parametrize("verb", ["add", "edited", "hide", "unhide"])
def test_a_post_that_is_new_or_changed_is_fetched(item: str, verb: str) -> None:
    items = parsed(body(feed(item=item, verb=verb, post_id=POST, author=ACCOUNT)))
    assert items == [RefreshHint(subject=post(1), reason=f"{item} {verb}")]


def test_a_post_that_is_taken_down_is_gone_from_then_on() -> None:
    (seen,) = parsed(body(feed(at=SENT_SECONDS, item="post", verb="remove", post_id=POST)))
    assert seen == SubjectSeen(subject=post(1), observed_at=SENT, removed_at=SENT)
    (hint,) = parsed(body(feed(at=None, item="post", verb="remove", post_id=POST)))
    assert hint == RefreshHint(subject=post(1), reason="post remove")


@pytest.mark.parametrize(
    ("entry", "drop"),
    [
        (feed(item="post", verb="add", post_id=POST, author="5"), ("not_mapped", "post")),
        (feed(item="photo", verb="add", post_id=POST, sender_id="5"), ("not_mapped", "photo")),
        (feed(item="post", verb="add", post_id=POST, published=0), ("not_mapped", "post")),
        (feed(item="like", verb="add"), ("not_mapped", "like")),
        (feed(item="comment", verb="add"), ("missing_id", "comment")),
        (feed(item="comment", verb="add", post_id=5), ("malformed", "comment")),
        (feed(item="brand_new", verb="add", post_id=POST), ("unknown_type", "brand_new")),
        (feed(verb="add", post_id=POST), ("unknown_type", "a name that is none")),
        (feed(field_name="ratings", item="rating"), ("not_mapped", "ratings")),
        (feed(field_name="brand_new"), ("unknown_type", "brand_new")),
        ({"id": "0", "time": 1, "changes": [{"field": "feed", "value": {}}]}, ("test_event", "id")),
        ({"id": ACCOUNT, "time": 1_786_000_000_123, "messaging": [{"message": {}}]}, ("not_mapped", "messaging")),
        ({"id": ACCOUNT, "time": 1, "changed_fields": ["feed"]}, ("not_mapped", "changed_fields")),
        ({"id": ACCOUNT, "changes": [{"field": "feed", "value": 7}]}, ("unknown_type", "a name that is none")),
        (7, ("malformed", "id")),
    ],
)
def test_what_is_not_about_a_post_of_the_page_is_a_drop_and_its_neighbour_counts(
    entry: Any, drop: tuple[str, str]
) -> None:
    items = parsed(body(entry, feed(item="reaction", verb="add", post_id=f"{ACCOUNT}_9")))
    assert drops(items) == [drop]
    assert [item for item in items if isinstance(item, RefreshHint)] == [
        RefreshHint(subject=post(9), reason="reaction add")
    ]


def test_a_thousand_changes_of_one_push() -> None:
    entry = feed(item="reaction", verb="add", post_id=POST)
    entry["changes"] = [
        {"field": "feed", "value": {"item": "reaction", "verb": "add", "post_id": f"{ACCOUNT}_{number % 300}"}}
        for number in range(1000)
    ]
    assert len(parsed(body(entry))) == 300


def test_an_array_of_bodies_says_the_same() -> None:
    one = push(feed(item="comment", verb="add", post_id=POST))
    assert parsed(escaped([one])) == parsed(escaped(one))


@pytest.mark.parametrize("sent", [b"7", b"", b"{", b"[" * 100_000, b"\xff\xfe"])
def test_a_body_that_is_no_webhook(sent: bytes) -> None:
    with pytest.raises(BadPayload):
        parsed(sent)


def test_another_object_is_a_drop() -> None:
    assert drops(parsed(b'{"object":"instagram","entry":[]}')) == [("unknown_type", "object")]


async def test_a_hint_leads_to_the_subject_that_a_fetch_reads() -> None:
    (hint,) = parsed(body(feed(item="comment", verb="add", post_id=POST)))
    assert isinstance(hint, RefreshHint)
    pages = await fetch(full(), task("post_insights", hint.subject))
    read_again = [one for page in pages for one in parsed(page.body, page.request)]
    assert {one.subject for one in sight(read_again)} == {hint.subject}


# ------------------------------------------------------------------------------------------------ signatures


def test_a_signature_stands_on_the_raw_bytes_with_their_escapes() -> None:
    # Computed once with: openssl dgst -sha256 -hmac app-secret-0123456789 feed_escaped.json
    raw = (RECORDINGS / "feed_escaped.json").read_bytes()
    assert b"\\u00f6" in raw
    header = {"x-hub-signature-256": "sha256=6c1ef70abd85af4f57f8dd7c4408d3c80e7f1374643d976937cd266cb0c788bc"}
    request = WebhookRequest(method="POST", headers=header, query={}, body=raw)
    assert CONNECTOR.verify(request, source(), NOW).key == CONNECTOR.verify(request, source(), NOW).key
    plain = WebhookRequest(
        method="POST", headers=header, query={}, body=raw.replace(b"\\u00f6", b"\xc3\xb6").replace(b"\\/", b"/")
    )
    with pytest.raises(SignatureInvalid):
        CONNECTOR.verify(plain, source(), NOW)


@pytest.mark.parametrize("header", [None, "", "sha256=", "sha1=da39a3ee", "sha256=\xe4", "sha256=" + "0" * 64])
def test_a_header_that_is_no_right_signature(header: str | None) -> None:
    headers = {} if header is None else {"x-hub-signature-256": header}
    with pytest.raises(SignatureInvalid):
        CONNECTOR.verify(WebhookRequest(method="POST", headers=headers, query={}, body=b"{}"), source(), NOW)


def test_a_replay_after_days_is_the_same_delivery() -> None:
    raw = body(feed(item="comment", verb="add", post_id=POST))
    request = WebhookRequest(method="POST", headers=signed(raw, APP_SECRET), query={}, body=raw)
    first = CONNECTOR.verify(request, source(), NOW)
    assert CONNECTOR.verify(request, source(), NOW + timedelta(days=30)) == first


def test_a_challenge_is_echoed_as_plain_text_and_a_wrong_one_forbidden() -> None:
    query = {"hub.mode": "subscribe", "hub.challenge": "1158201444", "hub.verify_token": VERIFY_TOKEN}
    right = CONNECTOR.handshake(WebhookRequest(method="GET", headers={}, query=query), source())
    assert right is not None
    assert (right.status, right.body) == (200, b"1158201444")
    wrong = CONNECTOR.handshake(
        WebhookRequest(method="GET", headers={}, query={**query, "hub.verify_token": "x"}), source()
    )
    assert wrong is not None
    assert wrong.status == 403


def test_a_wrong_signature_is_told_apart_and_the_rest_is_thanked_for() -> None:
    assert CONNECTOR.reply(Outcome.BAD_SIGNATURE).status == 401
    assert {CONNECTOR.reply(one).status for one in (Outcome.STORED, Outcome.DUPLICATE)} == {200}
