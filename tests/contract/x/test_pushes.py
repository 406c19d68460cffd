"""Webhooks: the challenge, signatures, events of both generations, and that a push agrees with a fetch."""

from __future__ import annotations

import base64
import hashlib
import hmac
import json
from datetime import UTC, datetime, timedelta
from typing import Any

import msgspec
import pytest

from connectors.contract import (
    BadPayload,
    CreatorSeen,
    Delivery,
    Item,
    Outcome,
    RefreshHint,
    Secret,
    SignatureInvalid,
    SubjectSeen,
)
from connectors.x import CONNECTOR
from connectors.x_account import XOptions
from tests.contract.reading import drops, observations, pushed
from tests.contract.x.desk import NOW, OWNER, PROFILE, fetch, parsed, post, read, source, task
from tests.fakes.x import ACCOUNT, CONSUMER_SECRET, OTHER, FakeX, Post, batch, event, signed, snowflake

AT = datetime(2026, 7, 24, 21, 5, 48, tzinfo=UTC)
POST = snowflake(AT)
NEW = {"id": POST, "author_id": ACCOUNT, "created_at": "2026-07-24T21:05:48.000Z", "text": "Guten Morgen #Köln ☕"}
REPLY = {"id": "99", "author_id": OTHER, "in_reply_to_user_id": ACCOUNT}


def replied(kind: str, to: str = POST) -> dict[str, Any]:
    return {**REPLY, "referenced_tweets": [{"type": kind, "id": to}]}


# ------------------------------------------------------------------------------------------------ challenge, signature


def test_a_challenge_is_answered_with_its_mac() -> None:
    reply = CONNECTOR.handshake(pushed(b"", {}, "GET", crc_token="token ü?"[:6]), source())
    assert reply is not None
    mac = hmac.digest(CONSUMER_SECRET.encode(), b"token ", hashlib.sha256)
    assert (reply.status, json.loads(reply.body)) == (
        200,
        {"response_token": "sha256=" + base64.b64encode(mac).decode()},
    )
    assert reply.headers["content-type"] == "application/json"


def test_the_challenge_is_answered_by_the_key_that_stays() -> None:
    ring = (Secret(value="old", valid_until=NOW + timedelta(hours=1)), Secret(value="new"))
    reply = CONNECTOR.handshake(pushed(b"", {}, "GET", crc_token="a"), source(secrets=ring))
    mac = base64.b64encode(hmac.digest(b"new", b"a", hashlib.sha256)).decode()
    assert reply is not None
    assert json.loads(reply.body)["response_token"] == f"sha256={mac}"


@pytest.mark.parametrize("token", ["", "x" * 257, "\xe4", "\ud800"])
def test_what_is_no_challenge_is_forbidden(token: str) -> None:
    reply = CONNECTOR.handshake(pushed(b"", {}, "GET", crc_token=token), source())
    assert reply is not None
    assert (reply.status, reply.body) == (403, b"")


def test_without_a_key_nothing_is_answered_and_other_requests_are_none() -> None:
    bare = msgspec.structs.replace(source(secrets=(Secret(value=""),)), credentials={})
    reply = CONNECTOR.handshake(pushed(b"", {}, "GET", crc_token="a"), bare)
    assert reply is not None
    assert reply.status == 403
    assert CONNECTOR.handshake(pushed(b"", {}, "GET"), source()) is None
    assert CONNECTOR.handshake(pushed(b"", {}, "POST", crc_token="a"), source()) is None


def test_a_signature_is_base64_over_the_raw_bytes() -> None:
    body = event("post.create", NEW)
    assert "ö".encode() in body
    right = signed(body)
    assert right["x-twitter-webhooks-signature"].startswith("sha256=")
    CONNECTOR.verify(pushed(body, right), source(), NOW)
    rewritten = json.dumps(json.loads(body)).encode()
    hexed = {"x-twitter-webhooks-signature": f"sha256={hmac.digest(CONSUMER_SECRET.encode(), body, 'sha256').hex()}"}
    bare = {"x-twitter-webhooks-signature": right["x-twitter-webhooks-signature"].removeprefix("sha256=")}
    for changed, headers in ((rewritten, right), (body, hexed), (body, bare), (body, {}), (body, {"x": "sha256="})):
        with pytest.raises(SignatureInvalid):
            CONNECTOR.verify(pushed(changed, headers), source(), NOW)


def test_the_key_is_the_event_and_of_a_batch_its_bytes() -> None:
    def key(body: bytes) -> str:
        return CONNECTOR.verify(pushed(body, signed(body)), source(), NOW).key

    assert key(event("post.create", NEW, "-27")) == key(event("post.delete", {"id": "1"}, "-27"))
    assert key(event("post.create", NEW, "1")) != key(event("post.create", NEW, "2"))
    assert key(batch(follow_events=[])) == key(batch(follow_events=[]))
    assert key(batch(follow_events=[])) != key(batch(follow_events=[{}]))
    assert key(event("post.create", NEW, "x" * 65)) != key(event("post.create", NEW, ""))


def test_a_wrong_signature_is_told_apart_and_the_rest_is_thanked_for() -> None:
    assert CONNECTOR.reply(Outcome.BAD_SIGNATURE).status == 401
    assert {CONNECTOR.reply(one).status for one in (Outcome.STORED, Outcome.DUPLICATE)} == {200}


# ------------------------------------------------------------------------------------------------ events

HINT = [RefreshHint(subject=post(POST), reason="")]


@pytest.mark.parametrize(
    ("name", "payload", "subject"),
    [
        ("post.reply.create", replied("replied_to"), post(POST)),
        ("post.quote.create", replied("quoted"), post(POST)),
        ("post.repost.create", replied("retweeted"), post(POST)),
        ("post.mention.create", replied("replied_to"), post(POST)),
        ("like.create", {"id": "a", "liked_tweet_id": POST, "liked_tweet_author_id": ACCOUNT}, post(POST)),
        ("like.create", {"id": "a", "liked_post_id": POST, "liked_post_author_id": ACCOUNT}, post(POST)),
        ("follow.follow", {"source": {"data": {"id": OTHER}}, "target": {"data": {"id": ACCOUNT}}}, PROFILE),
        ("follow.unfollow", {"source": {"data": {"id": OTHER}}, "target": {"data": {"id": ACCOUNT}}}, PROFILE),
        ("oauth.revoke", {}, PROFILE),
    ],
)
def test_what_moves_numbers_asks_for_them(name: str, payload: dict[str, Any], subject: object) -> None:
    assert parsed(event(name, payload)) == [RefreshHint(subject=subject, reason=name)]  # type: ignore[arg-type]


@pytest.mark.parametrize(
    ("name", "payload", "reason"),
    [
        ("post.create", {**NEW, "author_id": OTHER}, "not_mapped"),
        ("post.create", {**NEW, "referenced_tweets": [{"type": "retweeted", "id": "5"}]}, "not_mapped"),
        ("post.create", {**NEW, "referenced_tweets": [{"type": "replied_to", "id": "5"}]}, "not_mapped"),
        ("post.reply.create", {**replied("replied_to"), "author_id": ACCOUNT}, "not_mapped"),
        ("post.reply.create", {**replied("replied_to"), "in_reply_to_user_id": OTHER}, "not_mapped"),
        ("post.mention.create", {"id": "99", "author_id": OTHER}, "not_mapped"),
        ("like.create", {"liked_tweet_id": POST, "liked_tweet_author_id": OTHER}, "not_mapped"),
        ("follow.follow", {"source": {"data": {"id": ACCOUNT}}, "target": {"data": {"id": OTHER}}}, "not_mapped"),
        ("profile.update.bio", {"before": "a", "after": "b"}, "not_mapped"),
        ("dm.received", {"direct_message_events": [{"message_create": {}}]}, "not_mapped"),
        ("chat.received", {"encoded_event": "x"}, "not_mapped"),
        ("brand.new", {}, "unknown_type"),
    ],
)
def test_what_moves_nothing_of_ours_is_a_drop(name: str, payload: dict[str, Any], reason: str) -> None:
    assert drops(parsed(event(name, payload))) == [(reason, name)]


def test_whose_post_is_quoted_stands_beside_it() -> None:
    quote = {"id": "99", "author_id": OTHER, "referenced_tweets": [{"type": "quoted", "id": POST}]}
    theirs = event("post.quote.create", quote, includes={"tweets": [{"id": POST, "author_id": OTHER}]})
    ours = event("post.quote.create", quote, includes={"tweets": [{"id": POST, "author_id": ACCOUNT}]})
    assert drops(parsed(theirs)) == [("not_mapped", "post.quote.create")]
    assert parsed(ours) == [RefreshHint(subject=post(POST), reason="post.quote.create")]


@pytest.mark.parametrize(
    ("payload", "drop"),
    [
        ({}, ("missing_id", "payload.id")),
        ({"id": 1924465506158879000}, ("malformed", "payload.id")),
        ({"id": "x"}, ("malformed", "payload.id")),
    ],
)
def test_ids_that_are_none(payload: dict[str, Any], drop: tuple[str, str]) -> None:
    assert drops(parsed(event("post.create", payload))) == [drop]
    assert drops(parsed(event("post.delete", payload))) == [drop]


def test_the_text_of_an_id_goes_before_its_rounded_number() -> None:
    payload = {"id": 1924465506158879000, "id_str": "1924465506158878979"}
    (item,) = parsed(event("post.delete", payload))
    assert item == SubjectSeen(subject=post("1924465506158878979"), removed_at=NOW)


def test_a_removal_says_when_where_it_can() -> None:
    payload = {"id": POST, "timestamp_ms": "1784927748000"}
    assert parsed(event("post.delete", payload)) == [
        SubjectSeen(subject=post(POST), removed_at=datetime(2026, 7, 24, 21, 15, 48, tzinfo=UTC))
    ]


def test_a_new_name_is_a_fact() -> None:
    change = {"before": "a", "after": "b"}
    assert parsed(event("profile.update.handle", change)) == [CreatorSeen(external_id=ACCOUNT, handle="b")]
    assert parsed(event("profile.update.screenname", change)) == [CreatorSeen(external_id=ACCOUNT, name="b")]


async def test_a_push_and_a_fetch_say_the_same_of_a_post() -> None:
    fake = FakeX(posts=[Post(POST, text=str(NEW["text"]), published=AT, parts={"organic_metrics": {"like_count": 1}})])
    fetched = next(item for item in read(await fetch(fake, task("posts"))) if isinstance(item, SubjectSeen))
    event_says = next(item for item in parsed(event("post.create", NEW)) if isinstance(item, SubjectSeen))
    assert fetched == event_says
    older = {
        "id_str": POST,
        "created_at": "Fri Jul 24 21:05:48 +0000 2026",
        "text": NEW["text"],
        "user": {"id_str": ACCOUNT},
    }
    batch_says = next(item for item in parsed(batch(tweet_create_events=[older])) if isinstance(item, SubjectSeen))
    assert msgspec.structs.replace(fetched, content_type=None) == batch_says


# ------------------------------------------------------------------------------------------------ older batches


def older(identifier: str, user: str, **more: Any) -> dict[str, Any]:
    return {"id_str": identifier, "user": {"id_str": user}, "text": "a", "created_at": "bad", **more}


OWN = {"id_str": POST, "user": {"id_str": ACCOUNT}}


@pytest.mark.parametrize(
    ("arrays", "items"),
    [
        ({"tweet_create_events": [older("9", OTHER, quoted_status=OWN)]}, [post(POST)]),
        ({"tweet_create_events": [older("9", OTHER, retweeted_status=OWN)]}, [post(POST)]),
        # One event in two arrays, and twice in one.
        (
            {
                "tweet_create_events": [older("9", OTHER, retweeted_status=OWN)] * 2,
                "favorite_events": [{"favorited_status": OWN, "user": {"id_str": OTHER}}],
            },
            [post(POST)],
        ),
        ({"follow_events": [{"type": "unfollow", "target": {"id": ACCOUNT}, "source": {"id": OTHER}}]}, [PROFILE]),
    ],
)
def test_older_batches_ask_for_what_moved(arrays: dict[str, Any], items: list[object]) -> None:
    assert [item.subject for item in parsed(batch(**arrays)) if isinstance(item, RefreshHint)] == items


@pytest.mark.parametrize(
    ("arrays", "drop"),
    [
        ({"tweet_create_events": [older("9", ACCOUNT, retweeted_status={})]}, ("not_mapped", "tweet_create_events")),
        ({"tweet_create_events": [older("9", OTHER)]}, ("not_mapped", "tweet_create_events")),
        ({"follow_events": [{"target": {"id": OTHER}}]}, ("not_mapped", "follow_events")),
        ({"direct_message_events": [{}]}, ("not_mapped", "direct_message_events")),
        ({"brand_new_events": [{}]}, ("unknown_type", "brand_new_events")),
        ({"tweet_create_events": [{"user": {"id_str": ACCOUNT}}]}, ("missing_id", "tweet_create_events.id")),
    ],
)
def test_older_batches_drop_the_rest(arrays: dict[str, Any], drop: tuple[str, str]) -> None:
    assert drops(parsed(batch(**arrays))) == [drop]


def test_an_own_reply_counts_only_where_it_is_wanted() -> None:
    body = batch(tweet_create_events=[older(POST, ACCOUNT, in_reply_to_status_id_str="5")])
    assert drops(parsed(body)) == [("not_mapped", "tweet_create_events")]
    assert any(isinstance(item, RefreshHint) for item in parsed(body, options=XOptions(replies=True)))


def test_a_revoked_consent_asks_for_the_account() -> None:
    body = json.dumps({"user_event": {"revoke": {"source": {"user_id": ACCOUNT}}}}).encode()
    assert parsed(body) == [RefreshHint(subject=PROFILE, reason="user_event.revoke")]
    assert drops(parsed(b'{"user_event":{}}')) == [("missing_id", "user_event")]


def test_a_thousand_events_are_read_and_ask_once_each() -> None:
    likes = [{"favorited_status": {"id_str": str(10_000 + n % 500), "user": {"id_str": ACCOUNT}}} for n in range(1000)]
    assert len(parsed(batch(favorite_events=likes))) == 500


@pytest.mark.parametrize("body", [b"", b"[]", b'"x"', b"nothing"])
def test_what_is_no_object_is_refused(body: bytes) -> None:
    with pytest.raises(BadPayload):
        parsed(body)


def test_nothing_that_is_pushed_is_a_number() -> None:
    many: list[Item] = [
        *parsed(event("post.create", {**NEW, "public_metrics": {"impression_count": 5, "like_count_str": "5"}})),
        *parsed(batch(tweet_create_events=[older(POST, ACCOUNT, favorite_count=5)])),
    ]
    assert observations(many) == []


def test_what_is_uploaded_is_refused() -> None:
    delivery = Delivery(channel="upload", body=b"{}", received_at=NOW)
    with pytest.raises(BadPayload):
        list(CONNECTOR.parse(delivery, OWNER))
