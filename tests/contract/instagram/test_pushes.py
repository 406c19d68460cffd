"""Webhooks: envelopes, signatures and the subscription challenge."""

from __future__ import annotations

import json
from datetime import UTC, datetime, timedelta

import pytest

from connectors.contract import (
    BadPayload,
    Kind,
    Observation,
    Outcome,
    Quality,
    RefreshHint,
    Secret,
    SignatureInvalid,
    SubjectSeen,
    WebhookRequest,
)
from connectors.instagram import CONNECTOR
from tests.contract.instagram.desk import (
    APP_SECRET,
    NOW,
    RECORDINGS,
    VERIFY_TOKEN,
    parsed,
    post,
    recorded,
    reel,
    source,
    story,
)
from tests.contract.reading import drops, observations
from tests.fakes.graph import escaped, signed
from tests.fakes.instagram import ACCOUNT, STORY, change, flat, messaging, push

ESTIMATED = (Quality.ESTIMATED,)
SENT = datetime(2019, 1, 17, 1, 4, 3, tzinfo=UTC)  # 1547687043
TAPS = [("not_mapped", name) for name in ("taps_forward", "taps_back", "exits")]


def test_the_totals_of_a_story_stand_at_the_time_they_were_sent() -> None:
    subject = story("18023345989012587")
    items = recorded("story_insights")
    assert items[:3] == [
        SubjectSeen(subject=subject, observed_at=SENT, content_type="story", creator=ACCOUNT),
        Observation(
            subject=subject,
            kind=Kind.LIFETIME,
            observed_at=SENT,
            paid=False,
            metrics={"impressions": 28, "comments": 0},
        ),
        Observation(
            subject=subject, kind=Kind.UNIQUE, observed_at=SENT, paid=False, quality=ESTIMATED, metrics={"reach": 17}
        ),
    ]
    assert drops(items) == TAPS


def body(*entries: object) -> bytes:
    return escaped({"object": "instagram", "entry": entries})


def test_views_fill_both_keys() -> None:
    value = {"media_id": "1", "views": 30, "reach": 17}
    assert observations(parsed(body(change("story_insights", value))))[0].metrics == {"views": 30, "impressions": 30}


def test_both_names_in_one_body_are_not_mixed() -> None:
    items = parsed(body(change("story_insights", {"media_id": "1", "impressions": 28, "views": 30})))
    assert observations(items)[0].metrics == {"views": 30, "impressions": 30}
    assert drops(items) == [("duplicate_field", "impressions")]


def test_counts_under_five_are_not_reported() -> None:
    few = {"media_id": "1", "impressions": 7, "reach": -1, "replies": -1}
    items = parsed(body(change("story_insights", few)))
    assert [item.metrics for item in observations(items)] == [{"impressions": 7}]
    none = parsed(body(change("story_insights", {"media_id": "1", "reach": -1})))
    assert (observations(none), drops(none)) == ([], [("no_numbers", "")])


@pytest.mark.parametrize("wrap", [False, True])
@pytest.mark.parametrize("entry", [change("story_insights", STORY), flat("story_insights", STORY)])
def test_every_envelope_says_the_same(entry: dict[str, object], wrap: bool) -> None:
    sent = push(entry)
    assert parsed(escaped([sent] if wrap else sent)) == recorded("story_insights")


def test_several_entries_and_changes_are_all_read() -> None:
    two = change("story_insights", {"media_id": "1", "reach": 5})
    two["changes"].append({"field": "story_insights", "value": {"media_id": "2", "reach": 6}})
    items = parsed(body(two, messaging(), change("story_insights", {"media_id": "3", "reach": 8})))
    assert [(item.subject.external_id, item.metrics) for item in observations(items)] == [
        ("1", {"reach": 5}),
        ("2", {"reach": 6}),
        ("3", {"reach": 8}),
    ]
    assert drops(items) == [("not_mapped", "messaging")]


def test_a_total_without_the_time_it_was_sent_only_asks_for_a_refresh() -> None:
    items = parsed(body(change("story_insights", STORY, at=None)))
    assert items == [RefreshHint(subject=story("18023345989012587"), reason="story_insights")]


@pytest.mark.parametrize(
    ("at", "reason"),
    [
        (int((NOW + timedelta(minutes=5, seconds=1)).timestamp()), "future_time"),
        (int((NOW + timedelta(minutes=6)).timestamp()) * 1000, "future_time"),
        (631_151_999, "bad_time"),
        (-5, "bad_time"),
        (2**70, "bad_time"),
        ("1547687043", "bad_time"),
        (True, "bad_time"),
    ],
)
def test_a_time_that_cannot_be_is_a_drop(at: int, reason: str) -> None:
    items = parsed(body(change("story_insights", STORY, at=at)))
    assert (drops(items), len(items)) == ([(reason, "time")], 1)


@pytest.mark.parametrize("at", [1_547_687_043, 1_547_687_043_000, "2019-01-17T01:04:03+0000"])
def test_the_time_may_be_seconds_milliseconds_or_text(at: int) -> None:
    assert observations(parsed(body(change("story_insights", STORY, at=at))))[0].observed_at == SENT


def test_a_comment_asks_for_a_refresh_of_its_media_once() -> None:
    def comment(media: str, product: str) -> dict[str, object]:
        return change("comments", {"id": "77", "media": {"id": media, "media_product_type": product}, "text": "hi"})

    bare = change("live_comments", {"media_id": "9", "comment_id": "4"})
    items = parsed(body(comment("1", "FEED"), comment("1", "FEED"), comment("2", "REELS"), bare))
    assert items == [
        RefreshHint(subject=post("1"), reason="comments"),
        RefreshHint(subject=reel("2"), reason="comments"),
        RefreshHint(subject=post("9"), reason="live_comments"),
    ]


@pytest.mark.parametrize(
    ("entry", "drop"),
    [
        (change("brand_new_field", {}), ("unknown_type", "brand_new_field")),
        (change("messages", {"mid": "1"}), ("not_mapped", "messages")),
        (change("mentions", {"media_id": "9", "comment_id": "4"}), ("not_mapped", "mentions")),
        (change("comments", {"id": "1"}), ("missing_id", "comments")),
        (change("story_insights", {"reach": 5}), ("missing_id", "media_id")),
        (change("story_insights", {"media_id": 5, "reach": 5}), ("malformed", "media_id")),
        (change("comments", {"media": {"id": "1"}}, account="0"), ("test_event", "id")),
        ({"time": 1}, ("missing_id", "id")),
        ({"id": "1", "time": 1}, ("malformed", "changes")),
        ({"id": "1", "time": 1, "changed_fields": ["comments"]}, ("not_mapped", "changed_fields")),
        ("text", ("malformed", "id")),
        ({"id": "1", "changes": [5]}, ("unknown_type", "a name that is none")),
    ],
)
def test_a_bad_entry_is_a_drop_and_its_neighbour_counts(entry: object, drop: tuple[str, str]) -> None:
    items = parsed(body(entry, change("story_insights", {"media_id": "3", "reach": 8})))
    assert drops(items) == [drop]
    assert [item.metrics for item in observations(items)] == [{"reach": 8}]


@pytest.mark.parametrize("sent", [b"7", b"", b'"x"', b"{", b"[" * 100_000, b"\xff\xfe"])
def test_a_body_that_is_no_webhook(sent: bytes) -> None:
    with pytest.raises(BadPayload):
        parsed(sent)


def test_another_object_is_a_drop() -> None:
    assert drops(parsed(b'{"object":"page","entry":[]}')) == [("unknown_type", "object")]


# ------------------------------------------------------------------------------------------------ signatures


def request(raw: bytes, headers: dict[str, str]) -> WebhookRequest:
    return WebhookRequest(method="POST", headers=headers, query={}, body=raw)


def test_a_signature_over_escaped_text_is_checked_on_the_raw_bytes() -> None:
    # Computed once with: openssl dgst -sha256 -hmac app-secret-0123456789 comment_escaped.json
    raw = (RECORDINGS / "comment_escaped.json").read_bytes()
    header = {"x-hub-signature-256": "sha256=c509e4f9517bca9faad9a8f83fafab5bede332cbdddfe3b614794b502b468650"}
    assert b"\\u00f6" in raw
    CONNECTOR.verify(request(raw, header), source(), NOW)
    rewritten = json.dumps(json.loads(raw), ensure_ascii=False, separators=(",", ":")).encode()
    with pytest.raises(SignatureInvalid):
        CONNECTOR.verify(request(rewritten, header), source(), NOW)


def test_every_flipped_bit_of_body_or_signature_is_refused() -> None:
    raw = escaped(push(flat("story_insights", {"media_id": "1", "reach": 5})))
    right = signed(raw, APP_SECRET)
    CONNECTOR.verify(request(raw, right), source(), NOW)
    for index in range(len(raw)):
        changed = raw[:index] + bytes([raw[index] ^ 1]) + raw[index + 1 :]
        with pytest.raises(SignatureInvalid):
            CONNECTOR.verify(request(changed, right), source(), NOW)
    signature = right["x-hub-signature-256"]
    for index in range(len(signature)):
        wrong = signature[:index] + chr(ord(signature[index]) ^ 1) + signature[index + 1 :]
        with pytest.raises(SignatureInvalid):
            CONNECTOR.verify(request(raw, {"x-hub-signature-256": wrong}), source(), NOW)


@pytest.mark.parametrize(
    "header",
    [None, "", "sha256=", "sha256", "sha1=da39a3ee", "sha256=zz", "sha256=\xe4" * 9, "none=", "sha256=" + "0" * 64],
)
def test_a_header_that_is_no_right_signature(header: str | None) -> None:
    headers = {} if header is None else {"x-hub-signature-256": header}
    with pytest.raises(SignatureInvalid):
        CONNECTOR.verify(request(b"{}", headers), source(), NOW)


def test_an_older_sha1_header_alone_is_refused() -> None:
    headers = {"x-hub-signature": "sha1=b8d1a3b9b6c1f5d5a3c0c9f4d8b7a6e5d4c3b2a1"}
    with pytest.raises(SignatureInvalid):
        CONNECTOR.verify(request(b"{}", headers), source(), NOW)


def test_keys_rotate_and_an_empty_one_never_verifies() -> None:
    raw = b'{"object":"instagram","entry":[]}'
    ring = (Secret(value="new"), Secret(value="old", valid_until=NOW + timedelta(hours=1)))
    for key in ("new", "old"):
        CONNECTOR.verify(request(raw, signed(raw, key)), source(secrets=ring), NOW)
    with pytest.raises(SignatureInvalid):
        CONNECTOR.verify(request(raw, signed(raw, "old")), source(secrets=ring), NOW + timedelta(hours=2))
    for empty in ((), (Secret(value=""),)):
        with pytest.raises(SignatureInvalid):
            CONNECTOR.verify(request(raw, signed(raw, "")), source(secrets=empty), NOW)


def test_the_same_body_is_the_same_delivery_and_another_second_is_another() -> None:
    def key(at: int) -> str:
        raw = escaped(push(change("story_insights", STORY, at=at)))
        return CONNECTOR.verify(request(raw, signed(raw, APP_SECRET)), source(), NOW).key

    assert key(1_547_687_043) == key(1_547_687_043)
    assert key(1_547_687_043) != key(1_547_687_044)


def test_a_wrong_signature_is_told_apart_and_the_rest_is_thanked_for() -> None:
    assert CONNECTOR.reply(Outcome.BAD_SIGNATURE).status == 401
    assert {CONNECTOR.reply(one).status for one in (Outcome.STORED, Outcome.DUPLICATE)} == {200}


# ------------------------------------------------------------------------------------------------ handshake


def challenge(**query: str) -> WebhookRequest:
    named = {f"hub.{name}": value for name, value in query.items()}
    return WebhookRequest(method="GET", headers={}, query=named)


def test_a_challenge_is_echoed_as_plain_text() -> None:
    asked = challenge(mode="subscribe", challenge="1158201444", verify_token=VERIFY_TOKEN)
    reply = CONNECTOR.handshake(asked, source())
    assert reply is not None
    assert (reply.status, reply.body) == (200, b"1158201444")
    assert reply.headers["content-type"].startswith("text/plain")
    assert reply.headers["x-content-type-options"] == "nosniff"


@pytest.mark.parametrize(
    "query",
    [
        {"challenge": "1", "verify_token": "wrong"},
        {"challenge": "1", "verify_token": "\xe4\ud800"},
        {"challenge": "1"},
        {"verify_token": VERIFY_TOKEN},
        {"challenge": "<script>alert(1)</script>", "verify_token": VERIFY_TOKEN},
        {"challenge": "1\r\nset-cookie: a", "verify_token": VERIFY_TOKEN},
        {"challenge": "x" * 257, "verify_token": VERIFY_TOKEN},
    ],
)
def test_a_challenge_that_is_not_ours_is_forbidden(query: dict[str, str]) -> None:
    reply = CONNECTOR.handshake(challenge(mode="subscribe", **query), source())
    assert reply is not None
    assert (reply.status, reply.body) == (403, b"")


def test_the_longest_challenge_passes() -> None:
    reply = CONNECTOR.handshake(challenge(mode="subscribe", challenge="x" * 256, verify_token=VERIFY_TOKEN), source())
    assert reply is not None
    assert reply.status == 200


def test_what_is_no_challenge_is_not_answered() -> None:
    assert CONNECTOR.handshake(challenge(), source()) is None
    assert (
        CONNECTOR.handshake(challenge(mode="unsubscribe", challenge="1", verify_token=VERIFY_TOKEN), source()) is None
    )


def test_an_unset_token_never_matches() -> None:
    bare = type(source())(id="1", platform="instagram", account=ACCOUNT, options=source().options)
    reply = CONNECTOR.handshake(challenge(mode="subscribe", challenge="1", verify_token=""), bare)
    assert reply is not None
    assert reply.status == 403
