"""Proving a source, asking for pushes, renewing tokens, and what the connector declares of itself."""

from __future__ import annotations

import json
from urllib.parse import urlencode

import httpx
import msgspec
import pytest

from connectors.contract import STORED, NotPermitted, NotSupported, Secret, Source, TryLater
from connectors.x import CONNECTOR
from connectors.x_account import XOptions
from tests.contract.x.desk import NOW, PUBLIC, client, source
from tests.fakes.wire import Failure, transport
from tests.fakes.x import ACCOUNT, APP_TOKEN, CREDITS, FORBIDDEN, THROTTLED, TOKEN, WEBHOOK, FakeX, Post, problem

READABLE = (True, "the token is accepted and the account brand is readable")
NOTHING_PUSHED = (True, "no option webhook_id: nothing is pushed unless it was set up at X, all is polled")


async def check(fake: FakeX, of: Source | None = None, token: str = TOKEN) -> list[tuple[bool, str]]:
    findings = await CONNECTOR.check(client(fake, token=token), of or source())
    assert TOKEN not in repr(findings)
    return [(finding.ok, finding.text) for finding in findings]


async def test_a_source_in_order() -> None:
    fake = FakeX(posts=[Post("5", parts={"organic_metrics": {"like_count": 1}})])
    assert await check(fake) == [
        READABLE,
        (True, "the posts of the account are readable"),
        (True, "this token does not tell how much of the month's cap is used"),
        NOTHING_PUSHED,
    ]


async def test_a_dead_token_ends_the_check_at_once() -> None:
    fake = FakeX(token="another")
    assert await check(fake) == [(False, "the access token is not accepted: connect the account again")]
    assert len(fake.calls) == 1


@pytest.mark.parametrize(
    ("failure", "text"),
    [
        (Failure(429, THROTTLED.encode(), times=9), "X cannot be asked at the moment"),
        (Failure(402, CREDITS.encode()), "out of API credits"),
        (Failure(403, FORBIDDEN), "client-forbidden"),
    ],
)
async def test_an_account_that_is_not_readable(failure: Failure, text: str) -> None:
    ((ok, said),) = await check(FakeX(failures=[failure]))
    assert not ok
    assert text in said


async def test_the_token_of_another_account() -> None:
    ((ok, said),) = await check(FakeX(user="77"))
    assert (ok, said) == (False, f"the token belongs to another account than {ACCOUNT}")


async def test_a_token_of_an_app_alone_needs_the_option() -> None:
    ((ok, said),) = await check(FakeX(), token=APP_TOKEN)
    assert not ok
    assert "option access public" in said


async def test_private_numbers_that_are_kept_back() -> None:
    fake = FakeX(posts=[Post("5", parts={"public_metrics": {"like_count": 1}})])
    assert (False, "posts are readable, their private numbers are not: connect as their owner") in await check(fake)


async def test_an_app_is_told_its_cap_and_its_webhook() -> None:
    fake, options = FakeX(cap=(5, 5)), XOptions(access="public", webhook_id=WEBHOOK)
    found = await check(fake, source(options), APP_TOKEN)
    assert found[2:] == [(False, "5 of 5 posts of this month's cap have been read"), (True, "the webhook is valid")]
    fake.webhook_valid, fake.cap = False, (4, 5)
    found = await check(fake, source(options), APP_TOKEN)
    assert found[2] == (True, "4 of 5 posts of this month's cap have been read")
    assert found[3] == (False, "X calls the webhook invalid and pushes nothing: validate it again at X")
    other = source(XOptions(access="public", webhook_id="5"))
    assert (await check(fake, other, APP_TOKEN))[3] == (False, "the webhook of the option webhook_id is not there")


async def test_missing_secrets_are_named() -> None:
    bare = msgspec.structs.replace(source(secrets=(Secret(value=""),)), credentials={})
    assert [text for ok, text in await check(FakeX(), bare) if not ok] == [
        "no consumer secret: webhooks cannot be verified and are refused",
        "no refresh token: the access token ends after two hours",
    ]
    public = msgspec.structs.replace(source(PUBLIC), credentials={})
    assert all(ok for ok, _ in await check(FakeX(), public, APP_TOKEN))


async def test_subscribing_asks_for_every_activity_of_the_account() -> None:
    fake, wanted = FakeX(), source(XOptions(webhook_id=WEBHOOK))
    await CONNECTOR.subscribe(client(fake), wanted, NOW)
    assert len(fake.subscribed) == 8
    assert {one["webhook_id"] for one in fake.subscribed} == {WEBHOOK}
    assert {one["filter"]["user_id"] for one in fake.subscribed} == {ACCOUNT}
    likes = next(one for one in fake.subscribed if one["event_type"] == "like.create")
    assert likes["filter"]["direction"] == "inbound"


async def test_subscribing_again_is_no_fault_and_a_refusal_is() -> None:
    wanted = source(XOptions(webhook_id=WEBHOOK))
    there = problem("duplicate-subscription", "DuplicateSubscription")
    fake = FakeX(failures=[Failure(400, there, times=99)])
    await CONNECTOR.renew(client(fake), wanted, NOW)
    with pytest.raises(NotPermitted, match="consent"):
        await CONNECTOR.subscribe(client(FakeX(failures=[Failure(403, FORBIDDEN)])), wanted, NOW)
    with pytest.raises(TryLater):
        await CONNECTOR.subscribe(client(FakeX(failures=[Failure(503, b"", times=9)])), wanted, NOW)
    with pytest.raises(NotSupported, match="webhook_id"):
        await CONNECTOR.subscribe(client(FakeX()), source(), NOW)


# ------------------------------------------------------------------------------------------------ tokens


async def test_tokens_are_renewed_once_each_as_declared() -> None:
    flow = CONNECTOR.auth.oauth2
    assert flow is not None
    assert flow.refresh is not None
    assert (flow.pkce, flow.rotates, flow.code.basic) == (True, True, True)
    fake = FakeX()
    form = urlencode({"grant_type": flow.refresh.grant, flow.refresh.sends: "refresh-1"})
    async with httpx.AsyncClient(transport=transport(fake)) as http:
        first = await http.post(flow.refresh.url, content=form)
        second = await http.post(flow.refresh.url, content=form)
    assert (first.status_code, first.json()["refresh_token"]) == (200, "refresh-2")
    assert (second.status_code, second.json()["error"]) == (400, "invalid_request")


# ------------------------------------------------------------------------------------------------ declared


def test_the_connector_declares_what_it_is() -> None:
    assert [kind.name for kind in CONNECTOR.capabilities.fetch] == ["posts", "profile", "analytics"]
    assert set(CONNECTOR.auth.scopes) == {"tweet.read", "users.read", "offline.access"}
    assert {budget.bucket: budget.calls for budget in CONNECTOR.capabilities.budgets} == {"timeline": 900, "me": 75}


def test_every_mapping_is_to_a_stored_key_or_says_why_not() -> None:
    for mapping in CONNECTOR.metrics:
        assert mapping.metric in STORED if mapping.metric else mapping.note


@pytest.mark.parametrize(
    "options", [{"access": "admin"}, {"user_id": "brand"}, {"webhook_id": "../1"}, {"host": "x"}, {"replies": "yes"}]
)
def test_options_that_cannot_be(options: dict[str, str]) -> None:
    with pytest.raises(msgspec.ValidationError):
        msgspec.convert(options, XOptions)


def test_a_source_shows_no_secret() -> None:
    assert TOKEN not in repr(source())
    assert json.loads(json.dumps(CONNECTOR.auth.credentials))
