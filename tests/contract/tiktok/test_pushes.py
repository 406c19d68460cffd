"""Events: signatures, keys, and which video they say to look at."""

from __future__ import annotations

import hashlib
import hmac
import json
from datetime import timedelta
from typing import Any

import pytest

from connectors.contract import BadPayload, Outcome, RefreshHint, Secret, SignatureInvalid, WebhookRequest
from connectors.tiktok import CONNECTOR
from tests.contract.reading import drops
from tests.contract.tiktok.desk import APP_SECRET, NOW, RECORDINGS, fetch, parsed, read, source, task, video
from tests.fakes.tiktok import FakeTiktok, Post, comment, event, signed

FILM = 7109065174526479622


def posted(body: bytes, header: str | None = None) -> WebhookRequest:
    headers = signed(body, APP_SECRET, NOW) if header is None else {"tiktok-signature": header}
    return WebhookRequest(method="POST", headers=headers, query={}, body=body)


def refuse(body: bytes, header: str, secrets: tuple[Secret, ...] | None = None) -> None:
    with pytest.raises(SignatureInvalid):
        CONNECTOR.verify(posted(body, header), source(secrets), NOW)


def key_of(body: bytes) -> str:
    return CONNECTOR.verify(posted(body), source(), NOW).key


# ------------------------------------------------------------------------------------------------ signatures


def test_the_golden_signature() -> None:
    """Computed by hand: HMAC-SHA256 of ``1787227200.{"event":"x"}`` with the key ``app-secret-0123456789``."""
    body = b'{"event":"x"}'
    digest = hmac.new(APP_SECRET.encode(), b"1787227200." + body, hashlib.sha256).hexdigest()
    assert int(NOW.timestamp()) == 1_787_227_200
    CONNECTOR.verify(posted(body, f"t=1787227200,s={digest}"), source(), NOW)
    CONNECTOR.verify(posted(body, f"s={digest},t=1787227200"), source(), NOW)


@pytest.mark.parametrize("seconds", [0, 299, -299, 300, -300])
def test_a_signed_time_near_enough(seconds: int) -> None:
    body = comment(FILM)
    header = signed(body, APP_SECRET, NOW + timedelta(seconds=seconds))["tiktok-signature"]
    CONNECTOR.verify(posted(body, header), source(), NOW)


@pytest.mark.parametrize("seconds", [301, -301, 86_400, -86_400])
def test_a_signed_time_too_far_away(seconds: int) -> None:
    body = comment(FILM)
    refuse(body, signed(body, APP_SECRET, NOW + timedelta(seconds=seconds))["tiktok-signature"])


@pytest.mark.parametrize("stamp", ["", "+1787227200", " 1787227200", "1_787_227_200", "1e9", "-5", "9" * 40, "٣", "x"])
def test_a_time_that_no_honest_sender_writes(stamp: str) -> None:
    body = comment(FILM)
    digest = hmac.new(APP_SECRET.encode(), stamp.encode() + b"." + body, hashlib.sha256).hexdigest()
    refuse(body, f"t={stamp},s={digest}")


def test_another_name_or_another_hash_is_no_signature() -> None:
    body = comment(FILM)
    good = signed(body, APP_SECRET, NOW)["tiktok-signature"].partition("s=")[2]
    for header in (f"t=1787227200,v1={good}", f"t=1787227200;s={good}", f"s={good}", "", "t=1787227200,s="):
        refuse(body, header)
    weak = hmac.new(APP_SECRET.encode(), b"1787227200." + body, hashlib.sha1).hexdigest()
    refuse(body, f"t=1787227200,s={weak}")


def test_the_body_is_verified_as_it_came() -> None:
    body = comment(FILM)
    header = signed(body, APP_SECRET, NOW)["tiktok-signature"]
    refuse(json.dumps(json.loads(body), separators=(",", ":")).encode(), header)
    odd = body.replace(b'"event": ', b'"event" :\t')
    CONNECTOR.verify(posted(odd), source(), NOW)


def test_a_long_header_is_not_worked_through() -> None:
    body = comment(FILM)
    good = signed(body, APP_SECRET, NOW)["tiktok-signature"].partition("s=")[2]
    refuse(body, "t=1787227200," + ",".join(["s=00"] * 8) + f",s={good}")


def test_the_secret_of_the_app_serves_where_the_ring_is_empty() -> None:
    body = comment(FILM)
    given = source(secrets=())
    bare = type(given)(
        id="src_1", platform="tiktok", account="x", options=given.options, credentials={"app_secret": APP_SECRET}
    )
    CONNECTOR.verify(posted(body), bare, NOW)
    refuse(body, signed(body, "", NOW)["tiktok-signature"], secrets=())


def test_a_wrong_signature_is_401_and_everything_else_200() -> None:
    assert {outcome: CONNECTOR.reply(outcome).status for outcome in Outcome} == {
        Outcome.STORED: 200,
        Outcome.DUPLICATE: 200,
        Outcome.BAD_SIGNATURE: 401,
    }


# ------------------------------------------------------------------------------------------------ keys


def test_a_repeated_event_has_one_key_however_it_is_written() -> None:
    body = comment(FILM)
    again = json.dumps(dict(reversed(json.loads(body).items())), indent=1).encode()
    assert key_of(body) == key_of(again)


def test_other_events_have_other_keys() -> None:
    bodies = [
        event("comment.update"),
        event("comment.update", at=1_787_227_201),
        event("comment.update", '{"x": 1}'),
        event("video.publish.completed"),
        event("comment.update", user_openid="other"),
        b"{}",
        b'{"event":"x"}',
        b"no JSON",
        b"\xff",
        b"[" * 1000,
        event("\ud800"),
    ]
    assert len({key_of(body) for body in bodies}) == len(bodies)


# ------------------------------------------------------------------------------------------------ events


def test_ids_of_nineteen_digits_stay_exact() -> None:
    assert parsed(comment(FILM)) == [RefreshHint(subject=video("7109065174526479622"), reason="comment.update")]
    assert parsed(comment(9_223_372_036_854_775_807)) == [
        RefreshHint(subject=video("9223372036854775807"), reason="comment.update")
    ]


async def test_the_same_post_by_event_and_by_fetch() -> None:
    (hint,) = parsed((RECORDINGS / "comment.json").read_bytes())
    assert isinstance(hint, RefreshHint)
    fake = FakeTiktok(posts=[Post(str(FILM), numbers={"likes": 3})])
    seen, *_ = read(await fetch(fake, task("videos", hint.subject)))
    assert getattr(seen, "subject", None) == hint.subject


@pytest.mark.parametrize(
    ("body", "drop"),
    [
        (event("authorization.removed", '{"reason": 1 }'), ("not_mapped", "authorization.removed")),
        (event("video.upload.failed"), ("not_mapped", "video.upload.failed")),
        (event("portability.download.ready"), ("not_mapped", "portability.download.ready")),
        (event("video.publish.completed", '{"share_id":"v_pub_url~1"}'), ("missing_id", "video.publish.completed")),
        (event("post.publish.complete", '{"publish_id":"v_pub_url~1"}'), ("missing_id", "post.publish.complete")),
        (event("comment.update", '{"video_id":"v_pub_url~1"}'), ("malformed", "comment.update")),
        (event("comment.update", '{"video_id":1.5}'), ("malformed", "comment.update")),
        (event("comment.update", "no JSON"), ("malformed", "content")),
        (event("comment.update", "[1]"), ("malformed", "content")),
        (event("comment.update", "[" * 100_000), ("malformed", "content")),
        (event("tiktok.ping"), ("test_event", "tiktok.ping")),
        (event("brand.new"), ("unknown_type", "brand.new")),
        (event("<b>x</b>"), ("unknown_type", "a name that is none")),
        (event("post.publish.<b>", '{"post_id":null}'), ("missing_id", "a name that is none")),
    ],
)
def test_what_leads_to_no_video_is_a_drop(body: bytes, drop: tuple[str, str]) -> None:
    items = parsed(body)
    assert (drops(items), len(items)) == ([drop], 1)


def test_content_that_is_an_object_is_read_too() -> None:
    body = json.dumps({"event": "comment.update", "content": {"video_id": FILM}}).encode()
    assert parsed(body) == [RefreshHint(subject=video(str(FILM)), reason="comment.update")]


@pytest.mark.parametrize("body", [b"", b"[]", b"{}", b'{"event":5}', b"\xff", b"[" * 100_000])
def test_a_body_that_is_no_event_is_refused(body: bytes) -> None:
    with pytest.raises(BadPayload):
        parsed(body)


def test_nothing_of_an_event_is_an_observation() -> None:
    told: list[Any] = [item for path in RECORDINGS.glob("*.json") if "publish" in path.stem for item in _read(path)]
    assert all(type(item).__name__ in {"Drop", "RefreshHint"} for item in told)


def _read(path: Any) -> list[Any]:
    return list(parsed(path.read_bytes()))
