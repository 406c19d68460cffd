"""Proving a source, asking for pushes, and what the connector declares of itself."""

from __future__ import annotations

import json
from datetime import timedelta

import msgspec
import pytest

from connectors.contract import ConnectorError, NeedsReauth, NotPermitted, Source, TryLater
from connectors.tiktok import CONNECTOR
from connectors.tiktok_account import TiktokOptions
from tests.contract.tiktok.desk import APP_SECRET, CALLBACK, NOW, client, source
from tests.fakes.tiktok import APP_ID, DEAD_TOKEN, HOST, NO_PERMISSION, SERVER, THROTTLED, TOKEN, FakeTiktok, envelope
from tests.fakes.wire import Failure

PUSHES = (True, "webhooks can be subscribed to, one address for all accounts of the app")


async def check(fake: FakeTiktok, of: Source | None = None) -> list[tuple[bool, str]]:
    findings = await CONNECTOR.check(client(fake), of or source())
    assert not any(secret in repr(findings) for secret in (TOKEN, APP_SECRET, CALLBACK))
    return [(finding.ok, finding.text) for finding in findings]


async def test_a_source_in_order() -> None:
    assert await check(FakeTiktok()) == [
        (True, "the token is accepted and the account brand is readable"),
        (True, "the followers are readable"),
        (True, "the days of the account are readable"),
        (True, "the posts are readable"),
        PUSHES,
    ]


async def test_a_dead_token_ends_the_check_at_once() -> None:
    fake = FakeTiktok(token="another")
    assert await check(fake) == [
        (False, "the access token is not accepted: connect the account again"),
        PUSHES,
    ]
    assert len(fake.calls) == 1


@pytest.mark.parametrize("body", [THROTTLED, SERVER])
async def test_a_throttled_check_blames_nothing(body: bytes) -> None:
    found = await check(FakeTiktok(failures=[Failure(200, body)]))
    assert found[0] == (False, "TikTok does not answer or throttles at the moment: try again later")


async def test_missing_permissions_are_named() -> None:
    fake = FakeTiktok(failures=[Failure(200, NO_PERMISSION, "video/list")])
    found = await check(fake)
    assert [ok for ok, _ in found] == [True, True, True, False, True]
    assert "video.list" in found[3][1]
    found = await check(FakeTiktok(failures=[Failure(200, NO_PERMISSION, "business/get")]))
    assert not found[0][0]
    assert "user.info.basic" in found[0][1]


async def test_a_source_without_its_account() -> None:
    fake = FakeTiktok()
    found = await check(fake, source(account=""))
    assert found[0] == (False, "the source names no account: it is the open_id that came with the token")
    assert fake.calls == []


async def test_what_pushes_lack() -> None:
    bare = msgspec.structs.replace(source(secrets=()), credentials={})
    assert [text for ok, text in await check(FakeTiktok(), bare) if not ok] == [
        "no app secret: webhooks cannot be verified and are refused",
        "no app id: webhooks can be set up in the developer portal alone",
        "no webhook address is given: nothing is pushed, posts are polled",
    ]


async def test_a_name_is_shown_without_what_is_not_printable() -> None:
    assert (await check(FakeTiktok(username="br\u202e\x00and")))[0][1].endswith("the account br and is readable")


# ------------------------------------------------------------------------------------------------ subscriptions


async def test_subscribing_sets_the_address_of_every_kind_of_event() -> None:
    fake = FakeTiktok()
    await CONNECTOR.subscribe(client(fake), source(), NOW)
    assert fake.webhooks == {"COMMENT": CALLBACK, "VIDEO": CALLBACK}
    asked = json.loads(fake.calls[0].body)
    assert asked == {"app_id": APP_ID, "secret": APP_SECRET, "event_type": "COMMENT", "callback_url": CALLBACK}
    assert fake.calls[0].query == {}
    await CONNECTOR.renew(client(fake), source(), NOW)


@pytest.mark.parametrize(
    ("body", "error"),
    [
        (DEAD_TOKEN, NeedsReauth),
        (NO_PERMISSION, NotPermitted),
        (THROTTLED, TryLater),
        (envelope(40002, "bad"), ConnectorError),
        (b"<html>", TryLater),
    ],
)
async def test_a_subscription_that_is_refused(body: bytes, error: type[ConnectorError]) -> None:
    fake = FakeTiktok(failures=[Failure(200, body, "webhook")])
    with pytest.raises(error) as caught:
        await CONNECTOR.subscribe(client(fake), source(), NOW)
    assert APP_SECRET not in str(caught.value)


async def test_a_subscription_answered_without_data_is_one() -> None:
    fake = FakeTiktok(failures=[Failure(200, b'{"code":0,"message":"OK"}', "webhook", times=2)])
    await CONNECTOR.subscribe(client(fake), source(), NOW)


@pytest.mark.parametrize("missing", ["app_id", "callback"])
async def test_what_a_subscription_lacks_is_said_before_tiktok_is_asked(missing: str) -> None:
    fake = FakeTiktok()
    given = {name: value for name, value in source().credentials.items() if name != missing}
    with pytest.raises(ConnectorError, match="takes the app's id"):
        await CONNECTOR.subscribe(client(fake), msgspec.structs.replace(source(), credentials=given), NOW)
    assert fake.calls == []


# ------------------------------------------------------------------------------------------------ declared


def test_the_connector_declares_what_it_is() -> None:
    assert (CONNECTOR.name, CONNECTOR.platform, CONNECTOR.base_url) == ("tiktok", "tiktok", HOST)
    assert [kind.name for kind in CONNECTOR.capabilities.fetch if kind.subjects] == ["videos"]
    assert CONNECTOR.capabilities.day_zone == "UTC"
    assert (CONNECTOR.auth.header, CONNECTOR.auth.scheme) == ("access-token", "")
    assert CONNECTOR.cost("GET", "open_api/v1.3/business/get/") == ("account", 1.0)


def test_a_person_connects_with_a_token_that_can_be_renewed() -> None:
    flow = CONNECTOR.auth.oauth2
    assert flow is not None
    assert flow.refresh is not None
    assert (flow.code.sends, flow.refresh.sends) == ("auth_code", "refresh_token")
    assert {flow.code.method, flow.refresh.method} == {"json"}
    # Trailing slashes are part of every path.
    assert all(call.url.startswith(HOST) and call.url.endswith("/") for call in (flow.code, flow.refresh))
    assert flow.refresh_lifetime == timedelta(days=365)


def test_options_that_cannot_be() -> None:
    with pytest.raises(msgspec.ValidationError):
        msgspec.convert({"host": "x"}, TiktokOptions)
