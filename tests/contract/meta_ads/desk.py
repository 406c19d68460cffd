"""What the tests of the Meta ads connector share: a source, a fetch against the fake, and readings of pages."""

from __future__ import annotations

from collections.abc import Iterable, Mapping
from datetime import UTC, date, datetime
from pathlib import Path
from typing import Any

import msgspec

from connectors.contract import (
    Delivery,
    Item,
    Page,
    Response,
    Source,
    SubjectRef,
    SubjectType,
    Task,
)
from connectors.http import Limits, PlatformHttp, new_client
from connectors.meta_ads import CONNECTOR
from connectors.meta_ads_account import MetaAdsOptions
from tests.contract.reading import observations
from tests.fakes.meta_ads import ACCOUNT, HOST, TOKEN, FakeMetaAds
from tests.fakes.wire import transport

RECORDINGS = Path(__file__).parents[2] / "recordings" / "meta_ads"
NOW = datetime(2026, 8, 20, 12, tzinfo=UTC)
START = datetime(2026, 7, 23, 12, tzinfo=UTC)
OPTIONS = MetaAdsOptions()
ZONE = "Europe/Berlin"
FIELDS = (
    "account_id,account_currency,campaign_id,campaign_name,adset_id,adset_name,ad_id,ad_name,"
    "impressions,reach,clicks,inline_link_clicks,spend,actions,action_values,video_play_actions,"
    "video_p100_watched_actions"
)
REPORT = {"page": "insights", "level": "ad", "zone": ZONE, "fields": FIELDS}


def source(options: MetaAdsOptions = OPTIONS, account: str = f"act_{ACCOUNT}") -> Source:
    return Source(
        id="src_1", platform="meta_ads", account=account, options=options, credentials={"access_token": TOKEN}
    )


def task(kind: str, *subjects: SubjectRef, **more: Any) -> Task:
    window = {} if kind == "structure" else {"start": START, "end": NOW}
    return msgspec.structs.replace(Task(kind=kind, source=source(), subjects=subjects), **{**window, **more})


def client(fake: FakeMetaAds, heard: list[Response] | None = None, token: str = TOKEN) -> PlatformHttp:
    async def no_sleep(_: float) -> None:
        return

    return PlatformHttp(
        new_client(transport=transport(fake)),
        HOST,
        token=token,
        now=lambda: fake.now,
        uniform=lambda: 0.5,
        limits=Limits(attempts=2),
        sleep=no_sleep,
        on_response=None if heard is None else heard.append,
        hears=CONNECTOR.hears,
    )


async def fetch(fake: FakeMetaAds, wanted: Task) -> list[Page]:
    return [page async for page in CONNECTOR.fetch(client(fake), wanted, fake.now)]


def read(pages: Iterable[Page], options: MetaAdsOptions = OPTIONS) -> list[Item]:
    found = [
        Delivery(channel="fetch", body=page.body, received_at=page.received_at, request=page.request) for page in pages
    ]
    return [item for delivery in found for item in CONNECTOR.parse(delivery, options)]


def recorded(name: str, request: Mapping[str, str], options: MetaAdsOptions = OPTIONS) -> list[Item]:
    return parsed((RECORDINGS / f"{name}.json").read_bytes(), request, options)


def parsed(body: bytes, request: Mapping[str, str], options: MetaAdsOptions = OPTIONS) -> list[Item]:
    asked = {"account": ACCOUNT, **request}
    return list(CONNECTOR.parse(Delivery(channel="fetch", body=body, received_at=NOW, request=asked), options))


def rows(*found: dict[str, Any], options: MetaAdsOptions = OPTIONS, **request: str) -> list[Item]:
    """Return the items of a page of ads with these rows."""
    placed = {"account_id": ACCOUNT, "account_currency": "EUR", "ad_id": "7"}
    data = [{**placed, "date_start": "2026-08-03", "date_stop": "2026-08-03", **row} for row in found]
    return parsed(msgspec.json.encode({"data": data}), {**REPORT, **request}, options)


def by_day(items: Iterable[Item], key: str) -> dict[date | None, int]:
    """Return what counts of one metric by day; a day that was read again has its newest number."""
    return {
        one.window.day: one.metrics[key]
        for one in observations(items)
        if one.window is not None and key in one.metrics and not one.check
    }


def ad(name: str) -> SubjectRef:
    return SubjectRef(name, SubjectType.AD)
