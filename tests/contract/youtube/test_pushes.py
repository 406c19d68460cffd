"""The hub: challenges, signatures, subscriptions; and the feeds that it pushes."""

from __future__ import annotations

import hashlib
import hmac
from datetime import UTC, datetime, timedelta
from urllib.parse import parse_qsl

import msgspec
import pytest

from connectors.contract import (
    BadPayload,
    ConnectorError,
    NotPermitted,
    Outcome,
    RefreshHint,
    Secret,
    SignatureInvalid,
    Source,
    SubjectSeen,
    TryLater,
    WebhookRequest,
)
from connectors.youtube import CONNECTOR
from tests.contract.reading import drops
from tests.contract.youtube.desk import (
    CALLBACK,
    NOW,
    SECRET,
    client,
    fetch,
    parsed,
    read,
    recorded,
    source,
    task,
    video,
)
from tests.fakes.wire import Failure
from tests.fakes.youtube import CHANNEL, TOPIC, FakeYoutube, Video, challenge, entry, feed, signed, tombstone

FILM, OTHER = "dQw4w9WgXcQ", "00000000042"


def got(query: dict[str, str], method: str = "GET") -> WebhookRequest:
    return WebhookRequest(method=method, headers={}, query=query)


def posted(body: bytes, headers: dict[str, str]) -> WebhookRequest:
    return WebhookRequest(method="POST", headers=headers, query={}, body=body)


# ------------------------------------------------------------------------------------------------ feeds


def test_uploads_and_edits_say_the_same_and_ask_for_each_video_once() -> None:
    items = recorded("edit_and_upload.xml")
    seen = [item for item in items if isinstance(item, SubjectSeen)]
    assert [one.subject for one in seen] == [video(FILM), video(OTHER), video(FILM)]
    assert seen[0].observed_at == datetime(2026, 8, 20, 11, 30, tzinfo=UTC)  # the ninth decimal is cut off
    assert seen[0].title == "T & J (new)"
    assert [item for item in items if isinstance(item, RefreshHint)] == [
        RefreshHint(subject=video(FILM), reason="feed"),
        RefreshHint(subject=video(OTHER), reason="feed"),
    ]


def test_a_thousand_entries_are_a_thousand_hints() -> None:
    items = parsed(feed(*(entry(f"{number:011d}") for number in range(1000))))
    assert len([item for item in items if isinstance(item, RefreshHint)]) == 1000


def test_a_bad_entry_is_a_drop_and_its_neighbours_are_read() -> None:
    bad = entry(FILM).replace(FILM, "")
    late = entry(OTHER, published="2026-08-20T12:06:00+00:00", updated="never")
    items = parsed(feed(bad, late, entry(FILM)))
    assert [item.subject for item in items if isinstance(item, RefreshHint)] == [video(OTHER), video(FILM)]
    assert drops(items) == [("missing_id", "videoId"), ("future_time", "published"), ("bad_time", "updated")]


def test_the_id_of_the_entry_serves_where_the_video_id_is_missing() -> None:
    bare = entry(FILM).replace(f"<yt:videoId>{FILM}</yt:videoId>", "")
    assert RefreshHint(subject=video(FILM), reason="feed") in parsed(feed(bare))


def test_a_tombstone_without_a_time_still_asks_to_look() -> None:
    items = parsed(tombstone(FILM, when=""))
    assert drops(items) == [("bad_time", "when")]
    assert items[-1] == RefreshHint(subject=video(FILM), reason="deleted")
    assert drops(parsed(tombstone("").replace(b"yt:video:", b"yt:channel:"))) == [("missing_id", "ref")]


def test_a_feed_without_entries_says_so() -> None:
    assert drops(parsed(feed())) == [("malformed", "entry")]


async def test_the_same_video_by_feed_and_by_fetch() -> None:
    fake = FakeYoutube(videos=[Video(FILM, datetime(2026, 8, 20, 9, 59, tzinfo=UTC), "T & J", views=3)])
    pushed, hint = recorded("upload.xml")
    assert isinstance(hint, RefreshHint)
    assert isinstance(pushed, SubjectSeen)
    fetched, *_ = read(await fetch(fake, task("videos", hint.subject)))
    assert isinstance(fetched, SubjectSeen)
    for fact in ("subject", "published_at", "title", "url", "creator"):
        assert getattr(fetched, fact) == getattr(pushed, fact)


LAUGHS = (
    b'<?xml version="1.0"?><!DOCTYPE feed [<!ENTITY a "ha"><!ENTITY b "&a;&a;&a;&a;">]>'
    b'<feed xmlns="http://www.w3.org/2005/Atom"><title>&b;</title></feed>'
)
OUTSIDE = (
    b'<?xml version="1.0"?><!DOCTYPE feed [<!ENTITY x SYSTEM "file:///etc/passwd">]>'
    b'<feed xmlns="http://www.w3.org/2005/Atom"><title>&x;</title></feed>'
)
_NS = b'<feed xmlns="http://www.w3.org/2005/Atom">'


@pytest.mark.parametrize(
    "body",
    [
        LAUGHS,
        OUTSIDE,
        b'<!DOCTYPE feed SYSTEM "http://evil.example/x.dtd">' + _NS + b"</feed>",
        b'<!DOCTYPE feed PUBLIC "a" "http://evil.example/x.dtd">' + _NS + b"</feed>",
        b"<!DOCTYPE feed>" + _NS + b"</feed>",
        _NS + b"&undeclared;</feed>",
        _NS + b"<a>" * 20 + b"</a>" * 20 + b"</feed>",
        b"<a>" * 100_000,
        _NS + b"<a/>" * 30_000 + b"</feed>",
        b"<feed/>",
        b"<rss/>",
        b"",
        b"{}",
        b"\x00",
        _NS,
        _NS + b"</feed><feed/>",
        _NS + b"\xff</feed>",
    ],
)
def test_what_a_feed_has_no_need_of_is_refused(body: bytes) -> None:
    with pytest.raises(BadPayload) as caught:
        parsed(body)
    assert "passwd" not in str(caught.value)


def test_another_encoding_is_not_believed() -> None:
    body = feed(entry(FILM, "Köln")).replace(b"UTF-8", b"utf-7")
    assert recorded("upload.xml")[0] != parsed(body)[0]
    (seen, *_) = parsed(body)
    assert isinstance(seen, SubjectSeen)
    assert seen.title == "Köln"


def test_five_references_that_every_document_has_are_read() -> None:
    seen, *_ = parsed(feed(entry(FILM).replace("A film", "&lt;b&gt; &amp; &quot;&apos; &#233;")))
    assert isinstance(seen, SubjectSeen)
    assert seen.title == "<b> & \"' é"


# ------------------------------------------------------------------------------------------------ challenges


def test_a_subscription_to_this_channel_is_confirmed() -> None:
    reply = CONNECTOR.handshake(got(challenge(text="13579")), source())
    assert reply is not None
    assert (reply.status, reply.body) == (200, b"13579")
    assert reply.headers["content-type"].startswith("text/plain")


@pytest.mark.parametrize(
    "query",
    [
        challenge(topic="https://www.youtube.com/xml/feeds/videos.xml?channel_id=UC_somebody_else"),
        challenge(topic=TOPIC.replace("https", "http")),
        challenge(topic=TOPIC.replace("/xml/", "/")),
        challenge(topic=""),
        challenge(topic="\ud800"),
        challenge(mode="unsubscribe"),
        challenge(mode=""),
        challenge(text=""),
        challenge(text="x" * 257),
        challenge(text="<script>alert(1)</script>"),
        challenge(text="ü"),
    ],
)
def test_anything_else_is_not_found(query: dict[str, str]) -> None:
    reply = CONNECTOR.handshake(got(query), source())
    assert reply is not None
    assert (reply.status, reply.body) == (404, b"")


def test_a_source_without_a_channel_confirms_nothing() -> None:
    bare = challenge(topic="https://www.youtube.com/xml/feeds/videos.xml?channel_id=")
    reply = CONNECTOR.handshake(got(bare), source(account=""))
    assert reply is not None
    assert reply.status == 404


def test_a_refusal_of_the_hub_is_heard_and_what_is_no_challenge_is_none() -> None:
    denied = CONNECTOR.handshake(got({"hub.mode": "denied", "hub.topic": TOPIC, "hub.reason": "x"}), source())
    assert denied is not None
    assert denied.status == 200
    assert CONNECTOR.handshake(got({}), source()) is None
    assert CONNECTOR.handshake(got(challenge(), method="POST"), source()) is None


# ------------------------------------------------------------------------------------------------ signatures


def test_equal_bytes_have_one_key_and_others_another() -> None:
    first, second = feed(entry(FILM)), feed(entry(FILM, "Other"))
    keys = {CONNECTOR.verify(posted(body, signed(body, SECRET)), source(), NOW).key for body in (first, second, first)}
    assert len(keys) == 2


@pytest.mark.parametrize("prefix", ["sha256=", "SHA1=", "sha1:", "", "none="])
def test_the_header_never_chooses_the_scheme(prefix: str) -> None:
    body = feed(entry(FILM))
    for name in (hashlib.sha1, hashlib.sha256):
        headers = {"x-hub-signature": prefix + hmac.digest(SECRET.encode(), body, name).hex()}
        with pytest.raises(SignatureInvalid):
            CONNECTOR.verify(posted(body, headers), source(), NOW)


def test_an_older_key_is_valid_to_its_end() -> None:
    body = feed(entry(FILM))
    ring = (Secret(value="new"), Secret(value=SECRET, valid_until=NOW))
    CONNECTOR.verify(posted(body, signed(body, SECRET)), source(secrets=ring), NOW - timedelta(seconds=1))
    with pytest.raises(SignatureInvalid):
        CONNECTOR.verify(posted(body, signed(body, SECRET)), source(secrets=ring), NOW)


def test_a_hub_is_never_told_that_a_signature_is_wrong() -> None:
    assert {CONNECTOR.reply(outcome).status for outcome in Outcome} == {204}


# ------------------------------------------------------------------------------------------------ subscriptions


async def test_a_subscription_is_asked_for_and_renewed_with_the_newest_key() -> None:
    fake = FakeYoutube()
    await CONNECTOR.subscribe(client(fake), source(), NOW)
    turned = source(secrets=(Secret(value="newer"), Secret(value=SECRET, valid_until=NOW + timedelta(days=1))))
    await CONNECTOR.renew(client(fake), turned, NOW + timedelta(days=4))
    wanted = {
        "hub.mode": "subscribe",
        "hub.topic": f"https://www.youtube.com/xml/feeds/videos.xml?channel_id={CHANNEL}",
        "hub.callback": CALLBACK,
        "hub.verify": "async",
        "hub.secret": SECRET,
        "hub.lease_seconds": "432000",
    }
    assert fake.asked_hub == [wanted, {**wanted, "hub.secret": "newer"}]
    call = fake.calls[0]
    assert (call.method, call.host, call.path) == ("POST", "pubsubhubbub.appspot.com", "/subscribe")
    assert call.headers["content-type"] == "application/x-www-form-urlencoded"
    assert dict(parse_qsl(call.body.decode())) == wanted
    # What the hub then sends is what the handshake confirms.
    reply = CONNECTOR.handshake(got(challenge(topic=wanted["hub.topic"])), source())
    assert reply is not None
    assert reply.status == 200


async def test_the_hub_is_not_given_the_token() -> None:
    fake = FakeYoutube()
    await CONNECTOR.subscribe(client(fake), source(), NOW)
    assert "authorization" not in fake.calls[0].headers


async def test_a_hub_that_is_busy_is_asked_later() -> None:
    fake = FakeYoutube(failures=[Failure(503, b"", "subscribe", headers={"retry-after": "120"})])
    with pytest.raises(TryLater) as caught:
        await CONNECTOR.subscribe(client(fake), source(), NOW)
    assert caught.value.seconds == 120
    assert len(fake.calls) == 1


@pytest.mark.parametrize("status", [200, 202, 204])
async def test_a_hub_that_agrees(status: int) -> None:
    fake = FakeYoutube(failures=[Failure(status, b"", "subscribe")])
    await CONNECTOR.subscribe(client(fake), source(), NOW)


async def test_a_hub_that_refuses() -> None:
    fake = FakeYoutube(failures=[Failure(422, b"Invalid callback", "subscribe")])
    with pytest.raises(NotPermitted, match="422") as caught:
        await CONNECTOR.subscribe(client(fake), source(), NOW)
    assert CALLBACK not in str(caught.value)


@pytest.mark.parametrize(
    "bare",
    [
        source(account=""),
        source(secrets=()),
        source(secrets=(Secret(value=SECRET, valid_until=NOW),)),
        msgspec.structs.replace(source(), credentials={}),
        source(secrets=(Secret(value="x" * 200),)),
    ],
)
async def test_what_a_subscription_lacks_is_said_before_the_hub_is_asked(bare: Source) -> None:
    fake = FakeYoutube()
    with pytest.raises(ConnectorError):
        await CONNECTOR.subscribe(client(fake), bare, NOW)
    assert fake.calls == []
