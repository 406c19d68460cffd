"""Proving a source, rate limits, options, and what the connector declares of itself."""

from __future__ import annotations

import json

import msgspec
import pytest

from connectors.contract import STORED, Response, Source, SubjectType, Usage
from connectors.meta_ads import CONNECTOR
from connectors.meta_ads_account import MetaAdsOptions
from connectors.meta_ads_metrics import NUMBERS
from tests.contract.meta_ads.desk import NOW, client, fetch, source, task
from tests.fakes.graph import NO_PERMISSION
from tests.fakes.meta_ads import BUSINESS_USAGE, THROTTLED, TOKEN, FakeMetaAds
from tests.fakes.wire import Failure


async def check(fake: FakeMetaAds, of: Source | None = None) -> list[tuple[bool, str]]:
    findings = await CONNECTOR.check(client(fake), of or source())
    assert TOKEN not in repr(findings)
    return [(finding.ok, finding.text) for finding in findings]


async def test_a_source_in_order() -> None:
    assert await check(FakeMetaAds()) == [
        (True, "the ad account Acme is readable; its days are of Europe/Berlin, its money is EUR"),
        (True, "the insights of the ad account are readable"),
        (True, "the permission ads_read is granted"),
        (True, "conversions are the action omni_purchase, by the ad sets' own attribution"),
    ]


async def test_a_dead_token_ends_the_check_at_once() -> None:
    fake = FakeMetaAds(token="another")
    assert await check(fake) == [(False, "the access token is not accepted: connect the account again")]
    assert len(fake.calls) == 1


async def test_a_throttled_check_blames_nothing() -> None:
    fake = FakeMetaAds(failures=[Failure(400, THROTTLED)])
    assert await check(fake) == [(False, "Meta does not answer or throttles at the moment: try again later")]


async def test_an_account_that_the_token_does_not_see() -> None:
    ((ok, text),) = await check(FakeMetaAds(), source(account="act_1"))
    assert not ok
    assert "not readable" in text
    ((ok, text),) = await check(FakeMetaAds(), source(account="Acme"))
    assert (ok, text) == (False, "the id of an ad account is act_ and digits")


async def test_an_answer_of_another_version_is_said() -> None:
    found = await check(FakeMetaAds(version="v26.0"))
    assert found[1] == (False, "Meta answers as v26.0 what was asked of v25.0: set graph_version anew")
    (page,) = await fetch(FakeMetaAds(version="v26.0"), task("ad_days"))
    assert page.request["answered_as"] == "v26.0"
    (page,) = await fetch(FakeMetaAds(version="<script>"), task("ad_days"))
    assert "answered_as" not in page.request


async def test_insights_and_permissions_that_are_missing() -> None:
    fake = FakeMetaAds(permissions={"ads_read": "declined"}, failures=[Failure(403, NO_PERMISSION, "insights")])
    found = await check(fake)
    assert [ok for ok, _ in found] == [True, False, False, True]
    assert "ads_read" in found[1][1]
    assert "ads_read is missing" in found[2][1]


async def test_a_token_that_lists_no_permissions_is_no_fault() -> None:
    found = await check(FakeMetaAds(failures=[Failure(400, NO_PERMISSION, "permissions")]))
    assert all(ok for ok, _ in found)


@pytest.mark.parametrize(
    ("options", "words"),
    [
        (MetaAdsOptions(conversion_action=""), "left out"),
        (MetaAdsOptions(conversion_action="lead", click_window="7d_click"), "the action lead, by 7d_click"),
        (MetaAdsOptions(click_window="1d_click", view_window="1d_view"), "by 1d_click and 1d_view"),
    ],
)
async def test_what_counts_as_a_conversion_is_said(options: MetaAdsOptions, words: str) -> None:
    assert words in (await check(FakeMetaAds(), source(options)))[-1][1]


# ------------------------------------------------------------------------------------------------ rate limits


def told(**headers: object) -> list[Usage]:
    texts = {name.replace("_", "-"): one if isinstance(one, str) else json.dumps(one) for name, one in headers.items()}
    return list(CONNECTOR.usage(Response(status=200, headers=texts, body=b"", received_at=NOW)))


def test_usage_is_read_from_four_headers() -> None:
    assert told() == []
    assert told(x_app_usage={"call_count": 28, "total_time": 15, "total_cputime": 10}) == [
        Usage(bucket="app", used=0.28)
    ]
    assert told(x_business_use_case_usage=BUSINESS_USAGE) == [Usage(bucket="ads_insights", used=1.0, wait=240.0)]
    assert told(x_ad_account_usage={"acc_id_util_pct": 25, "reset_time_duration": 90}) == [
        Usage(bucket="ads_management", used=0.25, reset=90.0)
    ]
    throttle = {"app_id_util_pct": 50, "acc_id_util_pct": 10, "ads_api_access_tier": "standard_access"}
    assert told(x_fb_ads_insights_throttle=throttle) == [
        Usage(bucket="ads_insights", used=0.1),
        Usage(bucket="app_insights", used=0.5),
    ]


def test_nearly_used_up_is_waited_for_a_minute_at_least() -> None:
    entry = {"type": "ads_management", "call_count": 96, "estimated_time_to_regain_access": 0}
    assert told(x_business_use_case_usage={"1": [entry]}) == [Usage(bucket="ads_management", used=0.96, wait=60.0)]


@pytest.mark.parametrize("header", ["", "[]", "{", "null", '{"1":7}', '{"1":[null]}', '{"call_count":"x"}', "ü"])
def test_headers_that_cannot_be_read_raise_nothing(header: str) -> None:
    for name in ("x_app_usage", "x_business_use_case_usage", "x_ad_account_usage", "x_fb_ads_insights_throttle"):
        assert all(0 <= (one.used or 0) <= 1 for one in told(**{name: header}))


async def test_every_answer_of_a_fetch_is_heard() -> None:
    fake = FakeMetaAds(headers={"x-business-use-case-usage": BUSINESS_USAGE})
    heard: list[Response] = []
    wanted = task("ad_days")
    async for _ in CONNECTOR.fetch(client(fake, heard), wanted, NOW):
        pass
    assert len(heard) == len(fake.calls)
    assert all(CONNECTOR.usage(one) for one in heard)


def test_reports_have_a_budget_of_their_own() -> None:
    assert CONNECTOR.cost("GET", "v25.0/act_1/insights") == ("ads_insights", 1.0)
    assert CONNECTOR.cost("GET", "v25.0/act_1/ads") == ("ads_management", 1.0)
    assert {budget.bucket for budget in CONNECTOR.capabilities.budgets} == {"ads_insights", "ads_management"}


# ------------------------------------------------------------------------------------------------ declared


def test_the_connector_declares_what_it_is() -> None:
    assert (CONNECTOR.name, CONNECTOR.platform, CONNECTOR.capabilities.day_zone) == ("meta_ads", "meta_ads", "account")
    assert [kind.name for kind in CONNECTOR.capabilities.fetch] == ["structure", "ad_days", "level_days"]
    assert not CONNECTOR.capabilities.webhook


def test_each_metric_counts_in_one_place() -> None:
    counting = [one for one in CONNECTOR.metrics if one.counting and one.metric]
    assert all(one.subject_types == (SubjectType.AD,) for one in counting)
    keys = [one.metric for one in counting]
    assert len(keys) == len(set(keys))
    assert set(keys) <= set(STORED)
    assert "conversions" not in keys


def test_what_is_asked_for_is_declared() -> None:
    wires = {one.wire for one in CONNECTOR.metrics} | {one.wire.split("/")[0] for one in CONNECTOR.metrics}
    assert set(NUMBERS) <= wires


async def test_what_is_not_booked_is_not_asked_for() -> None:
    fake = FakeMetaAds()
    await fetch(fake, task("ad_days", source=source(MetaAdsOptions(conversion_action=""))))
    asked = fake.calls[1].query["fields"].split(",")
    assert not {"frequency", "cpc", "cpm", "ctr", "unique_clicks", "action_values"} & set(asked)


def test_a_person_can_connect_an_account() -> None:
    flow = CONNECTOR.auth.oauth2
    assert flow is not None
    assert flow.exchange is not None
    assert (flow.exchange.grant, flow.exchange.sends) == ("fb_exchange_token", "fb_exchange_token")
    assert flow.refresh == flow.exchange  # there is no refresh token
    assert "ads_read" in CONNECTOR.auth.scopes


@pytest.mark.parametrize(
    "options",
    [
        {"account_id": "act_1/me"},
        {"account_id": "1\n"},
        {"graph_version": "v25.0/me"},
        {"conversion_action": "a b"},
        {"click_window": "7d_view"},
        {"view_window": "28d_view"},  # given up by the platform
        {"reports": "later"},
        {"host": "x"},
    ],
)
def test_options_that_cannot_be(options: dict[str, str]) -> None:
    with pytest.raises(msgspec.ValidationError):
        msgspec.convert(options, MetaAdsOptions)


def test_an_action_with_a_key_of_its_own_is_no_conversion() -> None:
    assert CONNECTOR.check_options(MetaAdsOptions()) == []
    assert CONNECTOR.check_options(MetaAdsOptions(conversion_action="comment")) == [
        "conversion_action: comment counts as comments, name a conversion"
    ]
