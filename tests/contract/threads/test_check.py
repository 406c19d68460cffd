"""Proving a source, and what the connector declares of itself."""

from __future__ import annotations

from datetime import timedelta

import httpx
import msgspec
import pytest

from connectors.contract import STORED, AuthKind, NotSupported, Response, Secret, Usage
from connectors.threads import CONNECTOR
from connectors.threads_account import SCOPES, ThreadsOptions
from connectors.threads_metrics import LAST_RESORT, POST_SET, TOTALS_SET
from tests.contract.threads.desk import NOW, client, source
from tests.contract.threads.test_fetching import full
from tests.fakes.graph import DEAD_TOKEN, NO_PERMISSION, THROTTLED, TRANSIENT
from tests.fakes.threads import ACCOUNT, BUSINESS_USAGE, HOST, TOKEN, FakeThreads
from tests.fakes.wire import Failure, transport


async def check(fake: FakeThreads) -> list[tuple[bool, str]]:
    findings = await CONNECTOR.check(client(fake), source())
    assert TOKEN not in repr(findings)
    return [(finding.ok, finding.text) for finding in findings]


PUSHED = (True, "webhooks are subscribed in the app's dashboard: replies, publish and delete")


async def test_a_source_in_order() -> None:
    assert await check(full()) == [
        (True, "the token is accepted and the account brand is readable"),
        (True, "the posts of the account are readable"),
        (True, "the insights of the account are readable"),
        PUSHED,
    ]


async def test_a_missing_permission_is_named_and_a_passing_fault_is_none() -> None:
    fake = full()
    fake.failures = [Failure(403, NO_PERMISSION, "threads_insights")]
    ok, text = (await check(fake))[2]
    assert not ok
    assert "threads_manage_insights" in text
    fake.failures = [Failure(400, TRANSIENT, "threads_insights")]
    assert (await check(fake))[2][0]


@pytest.mark.parametrize(
    ("failure", "text"),
    [
        (Failure(400, DEAD_TOKEN), "the access token is not accepted: connect the account again"),
        (Failure(400, THROTTLED), "Threads does not answer or throttles at the moment: try again later"),
        (Failure(403, NO_PERMISSION), "threads_basic"),
    ],
)
async def test_an_account_that_cannot_be_reached_ends_the_check(failure: Failure, text: str) -> None:
    ((ok, found),) = await check(FakeThreads(failures=[Failure(failure.status, failure.body)]))
    assert not ok
    assert text in found


async def test_no_secrets_and_posts_that_cannot_be_read() -> None:
    fake = full()
    fake.failures = [Failure(403, NO_PERMISSION, "/threads")]
    bare = msgspec.structs.replace(source(secrets=(Secret(value=""),)), credentials={})
    findings = await CONNECTOR.check(client(fake), bare)
    assert [finding.ok for finding in findings] == [True, False, True, True, False, False]


async def test_there_is_nothing_to_subscribe() -> None:
    with pytest.raises(NotSupported):
        await CONNECTOR.subscribe(client(full()), source(), NOW)


# ------------------------------------------------------------------------------------------------ declared


def test_every_mapping_is_to_a_stored_key_or_says_why_not() -> None:
    for mapping in CONNECTOR.metrics:
        assert mapping.metric in STORED if mapping.metric else mapping.note
    assert not [mapping for mapping in CONNECTOR.metrics if mapping.metric in {"impressions", "reach", "saves"}]


def test_each_metric_counts_in_one_place() -> None:
    counted = [(m.subject_types, m.metric) for m in CONNECTOR.metrics if m.counting and m.metric]
    assert len(set(counted)) == len(counted)


def test_everything_that_is_asked_for_is_declared() -> None:
    known = {mapping.wire for mapping in CONNECTOR.metrics if mapping.metric}
    assert {f"insights/{name}" for name in POST_SET} <= known
    assert {f"account_totals/{name}" for name in TOTALS_SET} <= known
    assert set(LAST_RESORT) < set(POST_SET)


@pytest.mark.parametrize("options", [{"user_id": "../me"}, {"with_replies": "x"}, {"host": "x"}])
def test_options_that_cannot_be(options: dict[str, str]) -> None:
    with pytest.raises(msgspec.ValidationError):
        msgspec.convert(options, ThreadsOptions)


def test_the_login_is_data() -> None:
    auth = CONNECTOR.auth
    assert (auth.kind, auth.scopes) == (AuthKind.OAUTH2, SCOPES)
    login = auth.oauth2
    assert login is not None
    assert login.exchange is not None
    assert login.refresh is not None
    assert (login.exchange.grant, login.exchange.client_id) == ("th_exchange_token", "")
    assert (login.refresh.grant, login.refresh.client_secret) == ("th_refresh_token", "")
    assert all(call.url.startswith(f"{HOST}/") for call in (login.code, login.exchange, login.refresh))


@pytest.mark.parametrize(
    ("age", "status"),
    [(timedelta(hours=23), 400), (timedelta(days=7), 200), (timedelta(days=59), 200), (timedelta(days=60), 400)],
)
async def test_a_token_is_renewed_when_it_can_be(age: timedelta, status: int) -> None:
    fake = FakeThreads()
    fake.made = fake.now - age
    assert CONNECTOR.auth.oauth2 is not None
    assert CONNECTOR.auth.oauth2.refresh is not None
    async with httpx.AsyncClient(transport=transport(fake)) as caller:
        answer = await caller.get(CONNECTOR.auth.oauth2.refresh.url)
    assert answer.status_code == status


def test_a_token_is_renewed_no_earlier_than_after_a_day() -> None:
    login = CONNECTOR.auth.oauth2
    assert login is not None
    assert login.lifetime is not None
    assert timedelta(days=1) < login.lifetime - login.refresh_before < timedelta(days=30)


def test_calls_and_usage_are_told_by_budget() -> None:
    assert CONNECTOR.cost("GET", f"v1.0/{ACCOUNT}/threads") == ("threads", 1.0)
    assert [budget.calls for budget in CONNECTOR.capabilities.budgets] == [48_000]
    headers = {"x-business-use-case-usage": BUSINESS_USAGE}
    response = Response(status=200, headers=headers, body=b"{}", received_at=NOW)
    assert CONNECTOR.usage(response) == (Usage(bucket="threads", used=1.0, reset=420.0, wait=420.0),)
