"""The contract's own suite over the recordings and the fake Marketing API."""

from __future__ import annotations

from collections.abc import Mapping
from datetime import date, timedelta

import msgspec
import pytest

from connectors.contract import (
    Delivery,
    Drop,
    DropReason,
    FetchKind,
    Item,
    Kind,
    Observation,
    Quality,
    SubjectRef,
    SubjectSeen,
    SubjectType,
    Task,
    day_window,
)
from connectors.meta_ads import CONNECTOR
from connectors.meta_ads_account import MetaAdsOptions
from connectors.testing import Check, Pull, Recording, contract_suite
from tests.contract.meta_ads.desk import NOW, RECORDINGS, REPORT, ad, client, source, task
from tests.fakes.meta_ads import ACCOUNT, Ad, Day, FakeMetaAds

DAY = day_window(date(2026, 3, 2), "Europe/Berlin")
RED, BLUE = ad("6215293456071"), ad("6215293456072")


def said(
    subject: SubjectRef, metrics: dict[str, int], *, kind: Kind = Kind.PERIOD, scope: str = "", check: bool = False
) -> Observation:
    quality = (Quality.ESTIMATED,) if kind is Kind.UNIQUE else ()
    return Observation(
        subject=subject, kind=kind, metrics=metrics, window=DAY, scope=scope, paid=True, check=check, quality=quality
    )


def money(subject: SubjectRef, metrics: dict[str, int], goal: str = "") -> Observation:
    return msgspec.structs.replace(said(subject, metrics), currency="EUR", goal=goal)


def claimed(subject: SubjectRef, conversions: int) -> Observation:
    return msgspec.structs.replace(said(subject, {"conversions_platform": conversions}), goal="omni_purchase")


def seen(subject: SubjectRef, title: str) -> SubjectSeen:
    return SubjectSeen(
        subject=subject, title=title, platform_campaign="6215293444271", parent="6215293450001", paid=True
    )


RED_COUNTS = {
    "impressions": 4233,
    "clicks_all": 31,
    "clicks_link": 10,
    "likes": 7,
    "comments": 2,
    "shares": 1,
    "saves": 3,
    "engagements_platform": 823,
    "video_views_3s": 800,
    "views": 1044,
    "video_completions": 96,
}
BLUE_COUNTS = {
    "impressions": 120,
    "clicks_all": 0,
    "clicks_link": 0,
    "likes": 0,
    "comments": 0,
    "shares": 0,
    "saves": 0,
    "engagements_platform": 0,
}
ROWS: tuple[Item, ...] = (
    seen(RED, "Red dress"),
    said(RED, RED_COUNTS),
    said(RED, {"reach": 3910}, kind=Kind.UNIQUE),
    money(RED, {"spend_media": 76_530_000}),
    said(RED, {"clicks_link": 10}, scope="actions", check=True),
    said(RED, {"followers_gained": 4}, check=True),
    claimed(RED, 5_000_000),
    money(RED, {"conversion_value_platform": 620_400_000}, "omni_purchase"),
    Drop(reason=DropReason.NOT_MAPPED, row=1, detail="purchase"),
    Drop(reason=DropReason.NOT_MAPPED, row=1, detail="offsite_conversion.fb_pixel_purchase"),
    seen(BLUE, "Blue dress"),
    said(BLUE, BLUE_COUNTS),
    said(BLUE, {"reach": 118}, kind=Kind.UNIQUE),
    money(BLUE, {"spend_media": 1_070_000}),
    claimed(BLUE, 0),
    money(BLUE, {"conversion_value_platform": 0}, "omni_purchase"),
)


def recording(
    name: str,
    page: Mapping[str, str],
    items: tuple[Item, ...] | None = None,
    options: MetaAdsOptions | None = None,
    label: str = "",
) -> Recording:
    body = (RECORDINGS / f"{name}.json").read_bytes()
    delivery = Delivery(channel="fetch", body=body, received_at=NOW, request={"account": ACCOUNT, **page})
    return Recording(name=label or name, delivery=delivery, items=items, options=options)


BY_WINDOWS = MetaAdsOptions(click_window="7d_click", view_window="1d_view")
TOO_MUCH = Drop(reason=DropReason.NOT_AVAILABLE, detail="bad_request (code 100, subcode 1487534)")
ALL = [
    recording("insights_ads", REPORT, ROWS),
    recording("insights_ads", REPORT, options=BY_WINDOWS, label="insights_ads by windows"),
    recording("insights_campaigns", {**REPORT, "level": "campaign"}),
    recording("ads", {"page": "ads"}),
    recording("adsets", {"page": "adsets"}),
    recording("campaigns", {"page": "campaigns"}),
    recording("report_run", {"page": "report_run"}, ()),
    recording("error_too_much", REPORT, (TOO_MUCH,)),
]


def platform() -> FakeMetaAds:
    """Return an account of three ads in two ad sets of one campaign, with twenty days each."""
    numbers = Day(120, 9, 4, "3.50", 100, {"omni_purchase": "1", "comment": "2"}, {"omni_purchase": "20.00"})
    days = {date(2026, 8, n): numbers for n in range(1, 21)}
    ads = [Ad("11", days=days), Ad("12", days=days), Ad("13", adset="6215293450002", days=days)]
    return FakeMetaAds(ads=ads, page_size=11, longest=7)


def restated(after: timedelta) -> FakeMetaAds:
    """Return the same platform a cycle later, on which old numbers have changed."""
    fake = platform()
    fake.now += after
    for one in fake.ads:
        one.days = {**one.days, date(2026, 8, 2): Day(110, 8, 3, "3.40", 90, {"omni_purchase": "2"})}
    return fake


def pull(wanted: Task, name: str = "") -> Pull:
    shared = platform()  # background reports live on between two clients
    return Pull(name=name, task=wanted, http=lambda: client(shared), now=NOW)


RESTATED = {"ad_days", "level_days"}


def cycle(kind: FetchKind) -> Pull:
    """Return a task of a kind; of those that read again what is old, with what has changed a cycle later."""
    plain = pull(task(kind.name))
    return (
        msgspec.structs.replace(plain, changed=lambda: client(restated(kind.every))) if kind.name in RESTATED else plain
    )


PULLS = [
    *map(cycle, CONNECTOR.capabilities.fetch),
    pull(task("ad_days", ad("12"), ad("404"), SubjectRef("17", SubjectType.POST)), "ad_days of two"),
    pull(task("ad_days", source=source(MetaAdsOptions(reports="async"))), "ad_days by reports"),
]


@pytest.mark.parametrize("check", contract_suite(CONNECTOR, ALL, pulls=PULLS), ids=str)
async def test_contract(check: Check) -> None:
    await check()
