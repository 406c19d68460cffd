"""One story over three platforms: a post, a tracked click, an order, a refund, what it cost, and what was corrected.

The numbers are worked out by hand beside the assertions.
"""

from __future__ import annotations

import json
from collections.abc import AsyncIterator
from contextlib import asynccontextmanager
from datetime import UTC, date, datetime, timedelta
from typing import Any

from connectors.contract import Connector
from connectors.meta_ads import CONNECTOR as META_ADS
from connectors.shopify import CONNECTOR as SHOPIFY
from connectors.signatures import sign_standard_webhooks
from connectors.standard_webhooks import CONNECTOR as WEBHOOKS
from service import ids
from service.access import keys
from service.api.state import Services
from service.app import build
from service.commands.verifying import prove
from service.db.partitions import make_partitions
from service.registry import workspaces
from tests.fakes.meta_ads import ACCOUNT, TOKEN, Ad, Day, FakeMetaAds
from tests.fakes.shopify import APP_SECRET, SHOP, Order, Refund, escaped, resource, signed
from tests.fakes.shopify import TOKEN as SHOP_TOKEN
from tests.fakes.wire import transport
from tests.integration.api.office import Desk, settings_for
from tests.integration.platforms.road import Clock, Road

NOW = datetime(2026, 8, 20, 12, tzinfo=UTC)
SECRET = "whsec_dGhpcnR5LXR3byBieXRlcyBvZiBhIHRlc3QgcmluZyE="
LANDING = "/?utm_source=instagram&utm_medium=social&utm_campaign=spring&fbclid=IwAR-only-hers"
ASKED = "clicks,orders,refunds,conversions,conversion_value,spend,cpa,roas,roi,conversions_platform,cpa_platform"
CONNECTORS: tuple[Connector, ...] = (WEBHOOKS, SHOPIFY, META_ADS)
SOURCES: dict[str, dict[str, Any]] = {
    "standard_webhooks": {"platform": "links", "credentials": {"webhook_secret": SECRET}},
    "shopify": {
        "account": SHOP,
        "credentials": {"access_token": SHOP_TOKEN, "app_secret": APP_SECRET},
        "options": {"shop": SHOP},
    },
    "meta_ads": {"account": f"act_{ACCOUNT}", "credentials": {"access_token": TOKEN}},
}


@asynccontextmanager
async def roads(url: str, fake: FakeMetaAds) -> AsyncIterator[dict[str, Road]]:
    """Start the service with a source of each connector and one campaign: the spring posts and the ads."""
    clock = Clock(NOW)
    named = {connector.name: connector for connector in CONNECTORS}
    app = build(settings_for(url), clock.context(), roles=("api",), connectors=named, transport=transport(fake))
    async with app.router.lifespan_context(app):
        services: Services = app.state.services
        async with services.db.control() as connection:
            await make_partitions(connection, NOW.date())
            instance = await keys.create_instance(connection, clock.context())
        made = await Desk(app, instance.token).post(
            "/v1/workspaces", {"name": "Acme", "zone": "UTC", "currency": "EUR"}
        )
        desk = Desk(app, made["key"]["token"], made["id"])
        found = {}
        for name, more in SOURCES.items():
            wanted = {"connector": name, "name": name, "tracks_from": "2026-07-01T00:00:00Z"}
            found[name] = await desk.post("/v1/sources", wanted | more)
        campaign = await desk.post(
            "/v1/campaigns",
            {
                "name": "Spring",
                "kind": "micro",
                "starts": "2026-08-01",
                "ends": "2026-08-31",
                "rules": [{"utm_campaign": "spring"}, {"source": found["meta_ads"]["id"]}],
            },
        )
        yield {name: Road(desk, services, clock, campaign["id"], source) for name, source in found.items()}


async def tell(way: Road, *items: dict[str, Any]) -> None:
    body = json.dumps(
        {"type": "tallybook.batch", "timestamp": "2026-08-20T11:00:00Z", "data": {"items": items}}
    ).encode()
    headers = sign_standard_webhooks(SECRET, "msg_" + items[0]["type"], way.clock.at, body)
    answer = await way.push(body, {"content-type": "application/json", **headers})
    assert answer.status_code == 200, answer.text


async def told(way: Road, order: Order) -> None:
    body = escaped(resource(order))
    assert (await way.push(body, signed(body))).status_code == 200


async def raw(way: Road, as_of: str) -> bytes:
    """Return the bytes of the answers at an instant of knowledge: the KPIs, and the list of conversions."""
    found = b""
    for path, params in (("kpis", {"metrics": ASKED, "granularity": "day"}), ("conversions", {})):
        asked = {"range": "flight", "as_of": as_of, **params}
        answer = await way.desk.ask("GET", f"/v1/campaigns/{way.campaign}/{path}", params=asked)
        assert answer.status_code == 200, answer.text
        found += answer.content
    return found


async def test_from_a_post_to_an_order_and_back(database_url: str) -> None:
    ad = Ad("6215293456071", days={date(2026, 8, 18): Day(1000, 20, 10, "20.00", 900)})
    ad.days[date(2026, 8, 18)].actions = {"omni_purchase": "4"}
    fake = FakeMetaAds(now=NOW, zone="UTC", ads=[ad])
    async with roads(database_url, fake) as ways:
        links, shop, ads = ways["standard_webhooks"], ways["shopify"], ways["meta_ads"]
        click = {"type": "click", "id": "clk-1", "at": "2026-08-18T09:00:00Z", "subject": "post-1"}
        await tell(
            links,
            {"type": "subject", "subject": "post-1", "creator": "ana", "utm_campaign": "spring"},
            click | {"click_id": "fbclid:IwAR-only-hers", "utm_campaign": "spring"},
        )
        # Hers is worth 100.00; the other, of 50.00, came from nowhere.
        hers = Order(1, datetime(2026, 8, 19, 10, tzinfo=UTC), total="100.00", landing=LANDING, customer=77, nth=1)
        await told(shop, hers)
        await told(shop, Order(2, datetime(2026, 8, 19, 11, tzinfo=UTC), total="50.00"))
        hers.refund(Refund(11, datetime(2026, 8, 20, 9, tzinfo=UTC), "30.00", worth="30.00"))
        await told(shop, hers)
        await ads.fetch()
        first = await ads.answer(metrics=ASKED, range="flight")
        # 20.00 spent for one order: CPA 20. 70.00 of it stayed: ROAS 70 / 20, ROI (70 - 20) / 20. Meta claims four.
        assert {name: kpi["value"] for name, kpi in first["totals"].items()} == {
            "clicks_link": 11,
            "orders": 1,
            "refunds": 1,
            "conversions": 1,
            "conversion_value": "70.00",
            "spend_media": "20.00",
            "cpa": "20.00",
            "roas": 3.5,
            "roi_gross": 2.5,
            "conversions_platform": 4,
            "cpa_platform": "5.00",
        }
        await listed(shop)
        then = first["meta"]["as_of"]
        before = await raw(ads, then)
        # Meta restates the day: 25.00.
        ads.clock.forward(timedelta(hours=25))
        fake.now, ad.days[date(2026, 8, 18)].spend = ads.clock.at, "25.00"
        await ads.fetch()
        assert await ads.totals("spend,cpa,roas,roi,cpa_platform") == {
            "spend_media": "25.00",
            "cpa": "25.00",
            "roas": 2.8,
            "roi_gross": 1.8,
            "cpa_platform": "6.25",
        }
        assert await raw(ads, then) == before
        now = (await ads.answer(metrics="cpa", range="flight"))["meta"]["as_of"]
        assert await raw(ads, now) == await raw(ads, now) != before
        await proven(ads)


async def listed(way: Road) -> None:
    """Look at the conversions of the campaign: hers by her click, the other flagged, no person."""
    answer = await way.desk.ask("GET", f"/v1/campaigns/{way.campaign}/conversions", params={"range": "flight"})
    assert "IwAR" not in answer.text
    found = answer.json()
    told = [(one["kind"], one["value"], one["rule"], one["unattributed"]) for one in found["data"]]
    assert told == [
        ("refund", "-30.00", "refund_of", False),
        ("order", "50.00", "none", True),
        ("order", "100.00", "click_id", False),
    ]
    (credit,) = found["data"][2]["credits"]
    assert (credit["platform"], credit["external_id"], credit["creator"]) == ("links", "post-1", "ana")
    assert (credit["touch"], credit["value"], credit["in_campaign"]) == ("click", "100.00", True)
    assert [one["in_campaign"] for one in found["data"][1]["credits"]] == [False]
    assert found["meta"]["attribution"] == {"model": "last_click_then_view@1", "click_days": 7.0, "view_days": 1.0}
    pages: list[Any] = []
    after = None
    while after is not None or not pages:
        asked = {"range": "flight", "limit": "1"} | ({"after": after} if after else {})
        page = await way.desk.get(f"/v1/campaigns/{way.campaign}/conversions", params=asked)
        pages += page["data"]
        after = page["page"]["next"]
    assert pages == found["data"]


async def proven(way: Road) -> None:
    home = ids.read("workspace", str(way.desk.workspace))
    async with way.services.db.workspace(home) as connection:
        workspace = await workspaces.get(connection, home)
    report = await prove(way.services, workspace)
    assert report.differences == []
    assert report.checked["conversions"] == 3
