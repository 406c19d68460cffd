"""Proving a source, renewing tokens, and what the connector declares of itself."""

from __future__ import annotations

from datetime import timedelta
from urllib.parse import urlencode

import httpx
import msgspec
import pytest

from connectors.contract import STORED, ConnectorError, NotPermitted, Secret, Source
from connectors.linkedin import CONNECTOR
from connectors.linkedin_account import LinkedInOptions
from tests.contract.linkedin.desk import NOW, client, source
from tests.fakes.linkedin import APPLICATION, DENIED, NUMBER, OLD_VERSION, QUOTA, REFRESH_TOKEN, TOKEN, FakeLinkedIn
from tests.fakes.wire import Failure, transport


async def check(fake: FakeLinkedIn, of: Source | None = None) -> list[tuple[bool, str]]:
    findings = await CONNECTOR.check(client(fake), of or source())
    assert TOKEN not in repr(findings)
    return [(finding.ok, finding.text) for finding in findings]


async def test_a_source_in_order() -> None:
    found = await check(FakeLinkedIn())
    assert found[:3] == [
        (True, f"the token is accepted and the member administers the organisation {NUMBER}"),
        (True, "the posts are readable"),
        (True, "followers and statistics are readable"),
    ]
    assert found[3][0]
    assert "option application" in found[3][1]
    assert len(found) == 4


async def test_a_dead_token_ends_the_check_at_once() -> None:
    fake = FakeLinkedIn(token="another")
    assert await check(fake) == [(False, "the access token is not accepted: connect the account again")]
    assert len(fake.calls) == 1


@pytest.mark.parametrize(
    ("failure", "text"),
    [
        (Failure(429, QUOTA, times=9), "try again later"),
        (Failure(403, DENIED), "rw_organization_admin"),
        (Failure(426, OLD_VERSION), "option version"),
    ],
)
async def test_roles_that_are_not_readable(failure: Failure, text: str) -> None:
    ((ok, said),) = await check(FakeLinkedIn(failures=[failure]))
    assert not ok
    assert text in said


async def test_a_member_without_the_role_and_an_account_without_a_number() -> None:
    ((ok, said),) = await check(FakeLinkedIn(is_administrator=False))
    assert (ok, said) == (False, f"the member is no administrator of the organisation {NUMBER}")
    ((ok, said),) = await check(FakeLinkedIn(), msgspec.structs.replace(source(), account="brand"))
    assert not ok
    assert "number of the organisation" in said


async def test_posts_or_statistics_that_are_not_readable() -> None:
    found = await check(FakeLinkedIn(failures=[Failure(403, DENIED, "/posts")]))
    assert [ok for ok, _ in found] == [True, False, True, True]
    assert "r_organization_social" in found[1][1]
    found = await check(FakeLinkedIn(failures=[Failure(403, DENIED, "ShareStatistics")]))
    assert [ok for ok, _ in found] == [True, True, False, True]


async def test_missing_secrets_are_named() -> None:
    bare = msgspec.structs.replace(source(secrets=(Secret(value=""),)), credentials={})
    assert (await check(FakeLinkedIn(), bare))[-2:] == [
        (False, "no client secret: webhooks cannot be verified and are refused"),
        (True, "no refresh token: a person must connect again every 60 days"),
    ]


def subscriber(callback: str = "https://books.example/v1/webhooks/abc", application: str = APPLICATION) -> Source:
    return msgspec.structs.replace(source(), webhook_url=callback, options=LinkedInOptions(application=application))


async def test_a_subscription_names_app_member_and_organisation_and_is_the_same_again() -> None:
    fake = FakeLinkedIn()
    for ask in (CONNECTOR.subscribe, CONNECTOR.renew):
        await ask(client(fake), subscriber(), NOW)
    ((path, address),) = fake.subscribed.items()
    assert f"developerApplication:urn%3Ali%3AdeveloperApplication%3A{APPLICATION},user:urn%3Ali%3Aperson%3A" in path
    assert address == "https://books.example/v1/webhooks/abc"


async def test_what_a_subscription_lacks_is_said_and_a_refusal_is_none() -> None:
    for bare in (subscriber(callback=""), subscriber(application="")):
        with pytest.raises(ConnectorError, match="number of the app"):
            await CONNECTOR.subscribe(client(FakeLinkedIn()), bare, NOW)
    with pytest.raises(NotPermitted, match="administrator"):
        await CONNECTOR.subscribe(client(FakeLinkedIn(is_administrator=False)), subscriber(), NOW)
    with pytest.raises(NotPermitted, match="Development tier"):
        await CONNECTOR.subscribe(client(FakeLinkedIn(is_reviewed=False)), subscriber(), NOW)
    with pytest.raises(ConnectorError, match="ILLEGAL_ARGUMENT"):
        await CONNECTOR.subscribe(client(FakeLinkedIn()), subscriber("https://a.ngrok.io/w"), NOW)
    assert (await check(FakeLinkedIn(), subscriber()))[3] == (
        True,
        "pushes are asked for by `tallybook source subscribe`",
    )


async def test_tokens_are_renewed_as_declared_and_some_apps_are_given_no_refresh_token() -> None:
    flow = CONNECTOR.auth.oauth2
    assert flow is not None
    assert flow.refresh is not None
    assert (flow.lifetime, flow.refresh_before, flow.rotates) == (timedelta(days=60), timedelta(days=7), False)
    form = {"grant_type": flow.refresh.grant, flow.refresh.sends: REFRESH_TOKEN}
    for gives, names in ((True, {"refresh_token", "access_token"}), (False, {"access_token"})):
        fake = FakeLinkedIn(gives_refresh_tokens=gives)
        async with httpx.AsyncClient(transport=transport(fake)) as http:
            answer = await http.post(flow.refresh.url, content=urlencode(form))
            refused = await http.post(flow.refresh.url, content=urlencode({**form, "refresh_token": "no"}))
        assert names == {name for name in answer.json() if name.endswith("_token")}
        assert refused.json()["error"] == "invalid_grant"


def test_the_connector_declares_what_it_is() -> None:
    assert [kind.name for kind in CONNECTOR.capabilities.fetch] == [
        "posts",
        "videos",
        "organization_day",
        "organization",
    ]
    assert CONNECTOR.auth.scopes == ("r_organization_social", "rw_organization_admin")
    assert CONNECTOR.capabilities.day_zone == "UTC"


def test_every_mapping_is_to_a_stored_key_or_says_why_not() -> None:
    for mapping in CONNECTOR.metrics:
        assert mapping.metric in STORED if mapping.metric else mapping.note


@pytest.mark.parametrize("options", [{"version": "20250301"}, {"version": "202613"}, {"version": ""}, {"host": "x"}])
def test_options_that_cannot_be(options: dict[str, str]) -> None:
    with pytest.raises(msgspec.ValidationError):
        msgspec.convert(options, LinkedInOptions)
