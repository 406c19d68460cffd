"""Proving a source, asking for pushes, and what the connector declares of itself."""

from __future__ import annotations

from datetime import timedelta

import msgspec
import pytest

from connectors.contract import (
    STORED,
    AuthKind,
    Connector,
    NeedsReauth,
    OAuth2,
    Response,
    Secret,
    Source,
    TryLater,
    Usage,
)
from connectors.instagram import CONNECTOR
from connectors.instagram_account import SCOPES, InstagramOptions
from connectors.instagram_metrics import FOLLOWS_SET, LAST_RESORT, SERIES_SET, TOTALS_SET, metric_set
from tests.contract.instagram.desk import NOW, client, source
from tests.fakes.graph import DEAD_TOKEN, NO_PERMISSION, THROTTLED, TOKEN
from tests.fakes.instagram import ACCOUNT, BUSINESS_USAGE, PAGE, FakeInstagram
from tests.fakes.wire import Failure

GRANTED = dict.fromkeys(SCOPES["facebook"], "granted")


async def check(fake: FakeInstagram, of: Source | None = None) -> list[tuple[bool, str]]:
    findings = await CONNECTOR.check(client(fake), of or source())
    assert TOKEN not in repr(findings)
    return [(finding.ok, finding.text) for finding in findings]


async def test_a_source_in_order() -> None:
    fake = FakeInstagram(permissions=GRANTED, subscribed=["feed"])
    assert await check(fake) == [
        (True, "the token is accepted and the account brand is readable"),
        (True, "the media of the account are readable"),
        (True, "all permissions are granted"),
        (True, "subscribed; the field story_insights must be chosen in the app's dashboard"),
    ]
    assert not any("insights" in path for path in fake.paths())
    assert f"{PAGE}/subscribed_apps" in fake.paths()


async def test_a_dead_token_ends_the_check_at_once() -> None:
    fake = FakeInstagram(token="another")
    assert await check(fake) == [(False, "the access token is not accepted: connect the account again")]
    assert len(fake.calls) == 1


async def test_a_throttled_check_blames_nothing() -> None:
    fake = FakeInstagram(failures=[Failure(400, THROTTLED)])
    assert await check(fake) == [(False, "Instagram does not answer or throttles at the moment: try again later")]


async def test_an_account_that_the_token_does_not_see() -> None:
    fake = FakeInstagram(failures=[Failure(403, NO_PERMISSION)])
    ((ok, text),) = await check(fake)
    assert not ok
    assert "instagram_basic" in text


async def test_missing_permissions_are_named() -> None:
    fake = FakeInstagram(permissions={**GRANTED, "instagram_manage_insights": "declined"}, subscribed=["feed"])
    assert (False, "the permission instagram_manage_insights is missing") in await check(fake)


async def test_a_token_that_lists_no_permissions_is_no_fault() -> None:
    fake = FakeInstagram(failures=[Failure(400, NO_PERMISSION, "permissions")], subscribed=["feed"])
    found = await check(fake)
    assert all(ok for ok, _ in found)
    assert any("does not list" in text for _, text in found)


async def test_media_that_cannot_be_read() -> None:
    fake = FakeInstagram(permissions=GRANTED, subscribed=["feed"], failures=[Failure(403, NO_PERMISSION, "/media")])
    assert [ok for ok, _ in await check(fake)] == [True, False, True, True]


async def test_no_subscription_and_no_secrets() -> None:
    bare = msgspec.structs.replace(source(secrets=(Secret(value=""),)), credentials={})
    texts = [text for ok, text in await check(FakeInstagram(permissions=GRANTED), bare) if not ok]
    assert texts == [
        "no webhook subscription: nothing is pushed, stories are polled",
        "no app secret: webhooks cannot be verified and are refused",
        "no verify token: Meta cannot confirm the webhook address",
    ]


async def test_the_instagram_login_asks_for_itself() -> None:
    login = source(InstagramOptions(login="instagram"))
    fake = FakeInstagram(permissions=dict.fromkeys(SCOPES["instagram"], "granted"), subscribed=["comments"])
    assert (await check(fake, login))[-1] == (
        True,
        "subscribed; this login is pushed no story totals, stories are polled",
    )
    assert "me/accounts" not in fake.paths()


async def test_a_page_token_is_its_page_itself() -> None:
    fake = FakeInstagram(permissions=GRANTED, subscribed=["feed"], failures=[Failure(403, NO_PERMISSION, "/accounts")])
    assert all(ok for ok, _ in await check(fake))
    assert "me/subscribed_apps" in fake.paths()


@pytest.mark.parametrize(
    ("login", "owner", "fields"),
    [("facebook", PAGE, ["feed"]), ("instagram", "me", ["comments", "live_comments"])],
)
async def test_subscribing(login: str, owner: str, fields: list[str]) -> None:
    fake = FakeInstagram()
    options = msgspec.convert({"login": login}, InstagramOptions)
    await CONNECTOR.subscribe(client(fake), source(options), NOW)
    assert (fake.subscribed, fake.paths()[-1]) == (fields, f"{owner}/subscribed_apps")
    await CONNECTOR.renew(client(fake), source(options), NOW)


async def test_subscribing_with_a_dead_token() -> None:
    fake = FakeInstagram(failures=[Failure(400, DEAD_TOKEN, "subscribed_apps")])
    with pytest.raises(NeedsReauth):
        await CONNECTOR.subscribe(client(fake), source(), NOW)


async def test_subscribing_is_not_repeated_against_a_platform_that_is_down() -> None:
    fake = FakeInstagram(failures=[Failure(503, b"", "subscribed_apps", times=9)])
    with pytest.raises(TryLater):
        await CONNECTOR.subscribe(client(fake), source(), NOW)
    assert fake.paths().count(f"{PAGE}/subscribed_apps") == 1


# ------------------------------------------------------------------------------------------------ declared


def test_the_connector_declares_what_it_is() -> None:
    assert isinstance(CONNECTOR, Connector)
    assert (CONNECTOR.name, CONNECTOR.platform) == ("instagram", "instagram")
    assert [kind.name for kind in CONNECTOR.capabilities.fetch] == [
        "media",
        "media_insights",
        "account_day",
        "profile",
        "stories",
    ]
    assert CONNECTOR.capabilities.day_zone == "America/Los_Angeles"


def test_every_mapping_is_to_a_stored_key_or_says_why_not() -> None:
    for mapping in CONNECTOR.metrics:
        assert mapping.metric in STORED if mapping.metric else mapping.note


def test_each_metric_counts_in_one_place() -> None:
    """Two answers may count the same metric of the same subject only where they are the same series."""
    places: dict[tuple[str, str], set[str]] = {}
    for mapping in CONNECTOR.metrics:
        if mapping.counting and mapping.metric:
            for subject in mapping.subject_types:
                places.setdefault((subject.value, mapping.metric), set()).add(mapping.wire)
    several = {key: wires for key, wires in places.items() if len({wire.split("/")[0] for wire in wires}) > 1}
    # A story's totals come polled and pushed; the media node has the comments of posts and reels, no story has one.
    pushed = {key for key in several if key[0] == "story"}
    assert {key: wires for key, wires in several.items() if key not in pushed} == {
        ("profile", "reach"): {"account_series/reach", "account_totals/reach"},
    }
    assert all(wire.split("/")[0] in {"insights", "story_insights"} for key in pushed for wire in several[key])


def test_views_name_their_mapping() -> None:
    both = {m.metric for m in CONNECTOR.metrics if m.mapping == "meta_views@1"}
    assert both == {"views", "impressions"}
    assert {m.mapping for m in CONNECTOR.metrics if m.wire.endswith("/views") and m.metric} == {"meta_views@1"}


@pytest.mark.parametrize(
    ("media_type", "product", "safe"),
    [
        (
            "VIDEO",
            "REELS",
            "views reach likes comments shares saved total_interactions ig_reels_video_view_total_time",
        ),
        (
            "IMAGE",
            "FEED",
            "views reach likes comments shares saved total_interactions follows profile_visits",
        ),
        ("CAROUSEL_ALBUM", "FEED", "reach saved shares follows profile_visits views"),
        ("IMAGE", "STORY", "views reach replies shares follows profile_visits total_interactions navigation"),
    ],
)
def test_nothing_unsafe_is_asked_for(media_type: str, product: str, safe: str) -> None:
    assert set(metric_set(media_type, product)) <= set(safe.split())


def test_everything_that_is_asked_for_is_booked() -> None:
    booked = {mapping.wire for mapping in CONNECTOR.metrics if mapping.metric}
    media = {*metric_set("VIDEO", "REELS"), *metric_set("IMAGE", "FEED"), *metric_set("", "STORY"), *LAST_RESORT}
    assert {f"insights/{name}" for name in media} <= booked
    assert {f"account_series/{name}" for name in SERIES_SET} <= booked
    assert {f"account_totals/{name}" for name in TOTALS_SET} <= booked
    assert {wire.split("/")[1].split(".")[0] for wire in booked if wire.startswith("account_follows")} == set(
        FOLLOWS_SET
    )


def login_of(name: str) -> OAuth2:
    login = CONNECTOR.auth_for(msgspec.convert({"login": name}, InstagramOptions)).oauth2
    assert login is not None
    return login


def test_both_logins_are_data() -> None:
    assert CONNECTOR.auth == CONNECTOR.auth_for(InstagramOptions())
    assert (CONNECTOR.auth.kind, CONNECTOR.auth.token) == (AuthKind.OAUTH2, "access_token")
    for name, scopes in SCOPES.items():
        assert CONNECTOR.auth_for(msgspec.convert({"login": name}, InstagramOptions)).scopes == scopes
    facebook, instagram = login_of("facebook"), login_of("instagram")
    assert (facebook.authorize_url, facebook.code.method) == ("https://www.facebook.com/v25.0/dialog/oauth", "query")
    assert (instagram.code.url, instagram.code.method) == ("https://api.instagram.com/oauth/access_token", "form")


def test_first_tokens_are_traded_for_long_lived_ones() -> None:
    facebook, instagram = login_of("facebook").exchange, login_of("instagram").exchange
    assert facebook is not None
    assert instagram is not None
    assert (facebook.grant, facebook.sends, facebook.client_id, facebook.client_secret) == (
        "fb_exchange_token",
        "fb_exchange_token",
        "client_id",
        "client_secret",
    )
    assert (instagram.url, instagram.grant, instagram.sends, instagram.client_id, instagram.client_secret) == (
        "https://graph.instagram.com/access_token",
        "ig_exchange_token",
        "access_token",
        "",
        "client_secret",
    )


def test_the_instagram_login_renews_its_token_and_not_on_its_first_day() -> None:
    assert login_of("facebook").refresh == login_of("facebook").exchange
    login = login_of("instagram")
    assert login.refresh is not None
    assert (login.refresh.url, login.refresh.grant) == (
        "https://graph.instagram.com/refresh_access_token",
        "ig_refresh_token",
    )
    assert (login.refresh.client_id, login.refresh.client_secret, login.rotates) == ("", "", False)
    assert login.lifetime is not None
    assert timedelta(days=1) < login.lifetime - login.refresh_before < timedelta(days=30)


@pytest.mark.parametrize(
    ("path", "bucket"),
    [
        (f"v25.0/{ACCOUNT}/media", "instagram"),
        ("v25.0/17895695668004550/insights", "instagram"),
        ("v25.0/me/accounts", "app"),
    ],
)
def test_what_a_call_draws_on(path: str, bucket: str) -> None:
    assert CONNECTOR.cost("GET", path) == (bucket, 1.0)
    assert bucket in {budget.bucket for budget in CONNECTOR.capabilities.budgets}


async def test_usage_is_told_by_budget_of_throttled_answers_too() -> None:
    heard: list[Response] = []
    headers = {"x-app-usage": '{"call_count":28}', "x-business-use-case-usage": BUSINESS_USAGE}
    fake = FakeInstagram(failures=[Failure(400, THROTTLED, headers=headers)])
    await CONNECTOR.check(client(fake, heard), source())
    assert CONNECTOR.usage(heard[0]) == (
        Usage(bucket="app", used=0.28),
        Usage(bucket="instagram", used=1.0, reset=420.0, wait=420.0),
    )


@pytest.mark.parametrize(
    "options",
    [
        {"login": "password"},
        {"graph_version": "25"},
        {"graph_version": "v25.0/me"},
        {"ig_user_id": "../me"},
        {"host": "x"},
    ],
)
def test_options_that_cannot_be(options: dict[str, str]) -> None:
    with pytest.raises(msgspec.ValidationError):
        msgspec.convert(options, InstagramOptions)


def test_a_source_shows_no_secret() -> None:
    assert TOKEN not in repr(source())
    assert ACCOUNT in repr(source())
