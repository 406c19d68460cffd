"""Proving a source, asking for pushes, and what the connector declares of itself."""

from __future__ import annotations

from datetime import timedelta

import msgspec
import pytest

from connectors.contract import STORED, AuthKind, NeedsReauth, Response, Secret, Usage
from connectors.facebook import CONNECTOR
from connectors.facebook_account import SCOPES, FacebookOptions
from connectors.facebook_metrics import DAYS_SET, PAGE_VIEWS_SET, POST_SET, VIDEO_SET, VIEWS_SET
from tests.contract.facebook.desk import NOW, client, source
from tests.contract.facebook.test_fetching import full
from tests.fakes.facebook import ACCOUNT, BUSINESS_USAGE, FakeFacebook
from tests.fakes.graph import DEAD_TOKEN, NO_PERMISSION, THROTTLED, TOKEN
from tests.fakes.wire import Failure

GRANTED = dict.fromkeys(SCOPES, "granted")


def ready() -> FakeFacebook:
    fake = full()
    fake.permissions, fake.subscribed = dict(GRANTED), ["feed"]
    return fake


async def check(fake: FakeFacebook) -> list[tuple[bool, str]]:
    findings = await CONNECTOR.check(client(fake), source())
    assert TOKEN not in repr(findings)
    return [(finding.ok, finding.text) for finding in findings]


async def test_a_source_in_order() -> None:
    fake = ready()
    assert await check(fake) == [
        (True, "the token is accepted and the account Brand is readable"),
        (True, "the token is the page's own"),
        (True, "the posts of the account are readable"),
        (True, "all permissions are granted"),
        (True, "the counts of comments and reactions are readable"),
        (True, "subscribed to the changes of the page's feed"),
    ]
    assert not any("insights" in path for path in fake.paths())


async def test_a_persons_token_is_told() -> None:
    fake = ready()
    fake.persons_token = True
    assert (False, "the token is a person's: give the page's own, from me/accounts, for insights") in await check(fake)


async def test_what_is_missing_is_named() -> None:
    fake = ready()
    fake.counts_allowed, fake.subscribed = False, ["messages"]
    fake.permissions["read_insights"] = "declined"
    assert [text for ok, text in await check(fake) if not ok] == [
        "the permission read_insights is missing",
        "comments are not counted: the permission pages_read_user_content is missing",
        "no webhook subscription: nothing is pushed, posts are polled",
    ]


@pytest.mark.parametrize(
    ("failure", "text"),
    [
        (Failure(400, DEAD_TOKEN), "the access token is not accepted: connect the account again"),
        (Failure(400, THROTTLED), "Facebook pages does not answer or throttles at the moment: try again later"),
        (Failure(403, NO_PERMISSION), "pages_read_engagement"),
    ],
)
async def test_a_page_that_cannot_be_reached_ends_the_check(failure: Failure, text: str) -> None:
    ((ok, found),) = await check(FakeFacebook(failures=[Failure(failure.status, failure.body)]))
    assert not ok
    assert text in found


async def test_parts_that_cannot_be_read_are_findings() -> None:
    fake = ready()
    fake.failures = [
        Failure(403, NO_PERMISSION, path, times=2) for path in ("/me", "published_posts", "subscribed_apps")
    ]
    assert [ok for ok, _ in await check(fake)] == [True, False, False, True, False, False]


async def test_no_secrets() -> None:
    bare = msgspec.structs.replace(source(secrets=(Secret(value=""),)), credentials={})
    findings = await CONNECTOR.check(client(ready()), bare)
    assert [finding.text for finding in findings if not finding.ok] == [
        "no app secret: webhooks cannot be verified and are refused",
        "no verify token: Meta cannot confirm the webhook address",
    ]


async def test_subscribing() -> None:
    fake = FakeFacebook()
    await CONNECTOR.subscribe(client(fake), source(), NOW)
    assert (fake.subscribed, fake.paths()) == (["feed"], [f"{ACCOUNT}/subscribed_apps"])
    fake.failures = [Failure(400, DEAD_TOKEN)]
    with pytest.raises(NeedsReauth):
        await CONNECTOR.renew(client(fake), source(), NOW)


# ------------------------------------------------------------------------------------------------ declared


def test_every_mapping_is_to_a_stored_key_or_says_why_not() -> None:
    for mapping in CONNECTOR.metrics:
        assert mapping.metric in STORED if mapping.metric else mapping.note


def test_each_metric_counts_in_one_place() -> None:
    """Two names may count the same metric of the same subject only where they are one number under two names."""
    places: dict[tuple[str, str], set[str]] = {}
    for mapping in CONNECTOR.metrics:
        if mapping.counting and mapping.metric:
            for subject in mapping.subject_types:
                places.setdefault((subject.value, mapping.metric), set()).add(mapping.wire)
    assert {key: wires for key, wires in places.items() if len(wires) > 1} == {
        ("reel", "reach"): {"video_insights/post_total_media_view_unique", "video_insights/post_impressions_unique"},
    }


def test_views_name_their_mapping_and_plays_are_no_impressions() -> None:
    assert {m.metric for m in CONNECTOR.metrics if m.mapping == "meta_views@1"} == {"views", "impressions"}
    plays = [m.metric for m in CONNECTOR.metrics if m.wire == "video_insights/blue_reels_play_count"]
    assert plays == ["views"]


def test_nothing_retired_is_asked_for() -> None:
    asked = {*VIEWS_SET, *POST_SET, *VIDEO_SET, *PAGE_VIEWS_SET, *DAYS_SET}
    assert not [name for name in asked if "impressions" in name or "_fan" in name]
    known = {mapping.wire.split("/")[1].split(".")[0] for mapping in CONNECTOR.metrics}
    assert asked <= known


@pytest.mark.parametrize("options", [{"graph_version": "25"}, {"page_id": "../me"}, {"host": "x"}])
def test_options_that_cannot_be(options: dict[str, str]) -> None:
    with pytest.raises(msgspec.ValidationError):
        msgspec.convert(options, FacebookOptions)


def test_the_login_is_data() -> None:
    auth = CONNECTOR.auth
    assert (auth.kind, auth.token, auth.header, auth.scheme) == (
        AuthKind.OAUTH2,
        "access_token",
        "authorization",
        "Bearer",
    )
    assert auth.oauth2 is not None
    assert auth.oauth2.exchange is not None
    assert (auth.oauth2.exchange.grant, auth.oauth2.exchange.sends) == ("fb_exchange_token", "fb_exchange_token")
    assert (auth.oauth2.refresh, auth.oauth2.lifetime) == (auth.oauth2.exchange, timedelta(days=60))
    assert set(SCOPES) < set(auth.scopes)


@pytest.mark.parametrize(
    ("path", "bucket"),
    [
        (f"v25.0/{ACCOUNT}/published_posts", "pages"),
        (f"/v25.0/{ACCOUNT}_1/insights", "pages"),
        ("v25.0/me/permissions", "app"),
        ("v25.0/me", "app"),
        ("v25.0/1/me", "pages"),
    ],
)
def test_what_a_call_draws_on(path: str, bucket: str) -> None:
    assert CONNECTOR.cost("GET", path) == (bucket, 1.0)
    assert bucket in {budget.bucket for budget in CONNECTOR.capabilities.budgets}


def test_usage_is_told_by_budget() -> None:
    headers = {
        "x-app-usage": '{"call_count":28,"total_time":25,"total_cputime":25}',
        "x-business-use-case-usage": BUSINESS_USAGE,
    }
    response = Response(status=200, headers=headers, body=b"{}", received_at=NOW)
    assert CONNECTOR.usage(response) == (
        Usage(bucket="app", used=0.28),
        Usage(bucket="pages", used=1.0, reset=120.0, wait=120.0),
    )
    assert CONNECTOR.usage(Response(status=200, headers={}, body=b"", received_at=NOW)) == ()
