"""Proving a source, quotas, options, and what the connector declares of itself."""

from __future__ import annotations

import json

import msgspec
import pytest

from connectors.contract import STORED, Response, Source, SubjectType, Usage
from connectors.ga4 import CONNECTOR
from connectors.ga4_property import Ga4Options
from tests.contract.ga4.desk import NOW, client, source
from tests.fakes.ga4 import EXHAUSTED, NO_PERMISSION, TOKEN, FakeGa4
from tests.fakes.wire import Failure


async def check(fake: FakeGa4, of: Source | None = None) -> list[tuple[bool, str]]:
    findings = await CONNECTOR.check(client(fake), of or source())
    assert TOKEN not in repr(findings)
    return [(finding.ok, finding.text) for finding in findings]


async def test_a_source_in_order() -> None:
    assert await check(FakeGa4()) == [
        (True, "the property 312345678 is readable; its days are of America/New_York, its money is EUR"),
        (True, "quota is left on the property"),
        (True, "conversions are the key event purchase"),
    ]


async def test_a_dead_token_ends_the_check_at_once() -> None:
    fake = FakeGa4(token="another")
    assert await check(fake) == [(False, "the access token is not accepted: connect the account again")]
    assert len(fake.calls) == 1


async def test_a_used_up_quota_blames_nothing() -> None:
    fake = FakeGa4(failures=[Failure(429, EXHAUSTED, times=9)])
    assert await check(fake) == [(False, "GA4 does not answer or a quota is used up: try again later")]
    found = await check(FakeGa4(remaining=0))
    assert found[1] == (False, "used up for now: property_tokens_per_hour; every tool on the property waits for it")


async def test_a_property_that_the_token_does_not_see() -> None:
    ((ok, text),) = await check(FakeGa4(failures=[Failure(403, NO_PERMISSION)]))
    assert not ok
    assert "Viewer" in text
    assert "Analytics Data API" in text
    ((ok, text),) = await check(FakeGa4(), source(account="G-ABC"))
    assert (ok, "digits" in text) == (False, True)


@pytest.mark.parametrize(
    ("fake", "options", "ok", "words"),
    [
        (FakeGa4(events=()), Ga4Options(), False, "no key event purchase: mark the event"),
        (FakeGa4(known="conversions"), Ga4Options(), True, "are the key event purchase"),
        (FakeGa4(), Ga4Options(key_event=""), True, "left out"),
        (FakeGa4(failures=[Failure(403, NO_PERMISSION, "metadata")]), Ga4Options(), False, "does not list"),
    ],
)
async def test_the_key_event(fake: FakeGa4, options: Ga4Options, ok: bool, words: str) -> None:
    found = (await check(fake, source(options)))[-1]
    assert found[0] is ok
    assert words in found[1]


# ------------------------------------------------------------------------------------------------ quotas


def told(body: bytes, status: int = 200) -> list[Usage]:
    return list(CONNECTOR.usage(Response(status=status, headers={}, body=body, received_at=NOW)))


def test_a_refusal_names_the_wait() -> None:
    assert told(EXHAUSTED, 429) == [Usage(bucket="tokens_per_hour", remaining=0.0, wait=3600.0)]


@pytest.mark.parametrize(
    "body",
    [b"", b"[]", b"null", b'{"propertyQuota":7}', b'{"propertyQuota":{"tokensPerDay":{"remaining":-1}}}', b"\xff"],
)
def test_answers_that_say_nothing_raise_nothing(body: bytes) -> None:
    assert told(body) == []


def test_a_report_takes_tokens_and_the_list_of_metrics_none() -> None:
    assert CONNECTOR.cost("POST", "v1beta/properties/1:runReport") == ("tokens_per_hour", 10.0)
    assert CONNECTOR.cost("GET", "v1beta/properties/1/metadata") == ("", 0.0)


# ------------------------------------------------------------------------------------------------ declared


def test_the_connector_declares_what_it_is() -> None:
    assert (CONNECTOR.name, CONNECTOR.platform, CONNECTOR.capabilities.day_zone) == ("ga4", "ga4", "account")
    assert not CONNECTOR.capabilities.webhook
    assert CONNECTOR.auth.scopes == ("https://www.googleapis.com/auth/analytics.readonly",)
    flow = CONNECTOR.auth.oauth2
    assert flow is not None
    assert flow.refresh is not None
    assert (flow.pkce, flow.rotates, flow.parameters["access_type"]) == (True, False, "offline")


def test_visits_are_no_clicks_and_claims_no_conversions() -> None:
    booked = {one.metric for one in CONNECTOR.metrics if one.metric}
    assert booked == {"sessions", "conversions_platform", "conversion_value_platform"}
    assert booked <= set(STORED)
    assert {one.subject_types for one in CONNECTOR.metrics if one.metric} == {(SubjectType.LINK,)}


@pytest.mark.parametrize(
    "options",
    [
        {"property_id": "G-1"},
        {"property_id": "1\n"},
        {"key_event": "a b"},
        {"key_event": "x" * 41},
        {"mediums": ["m" * 101]},
        {"currency": "EUR"},
    ],
)
def test_options_that_cannot_be(options: dict[str, object]) -> None:
    with pytest.raises(msgspec.ValidationError):
        msgspec.json.decode(json.dumps(options), type=Ga4Options)


def test_only_purchases_have_a_revenue() -> None:
    assert CONNECTOR.check_options(Ga4Options()) == []
    assert CONNECTOR.check_options(Ga4Options(key_event="sign_up", revenue=False)) == []
    assert CONNECTOR.check_options(Ga4Options(key_event="sign_up")) == [
        "revenue: it is of purchases and not of sign_up, set it to false"
    ]
