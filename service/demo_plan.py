"""What the demo shows, as data: sources, creators and campaigns as they are sent to the API, and what is asked of them.

Two campaigns are real and public: a cosmetics brand's page on Facebook in 2014, and what trended on YouTube in Great
Britain in autumn 2017. Two are simulated, and everything about them says so.
"""

from __future__ import annotations

from collections.abc import Mapping
from datetime import date, datetime, time, timedelta
from typing import Any
from zoneinfo import ZoneInfo

import msgspec

from connectors.synthetic_world import Plan, World

SEED = 7
ZONE = "Europe/Berlin"
CURRENCY = "EUR"
PLATFORM = "synthetic"
WORLD_DAYS = 44
"""Days from the first of the simulated world to its last: six weeks of campaign, and two in which it settles."""

UCI = "UCI cosmetics page (real data)"
GB = "GB trending (real data)"
BROAD = "Simulated broad"
MICRO = "Simulated micro"
STRATEGY = "Show what Tallybook does"

SOURCES: Mapping[str, Mapping[str, Any]] = {
    "UCI file": {"connector": "files", "platform": "facebook", "options": {"preset": "uci-facebook"}},
    "GB file": {
        "connector": "files",
        "platform": "youtube",
        "options": {"preset": "gb-youtube"},
        "tracks_from": "2017-09-01T00:00:00Z",
    },
    "Simulated platform": {"connector": "synthetic", "account": "simulated-page"},
    # Another account than the page's: of two sources of one account only the first would count.
    "Simulated shop": {"connector": "standard_webhooks", "platform": PLATFORM, "account": "simulated-shop"},
}
FILES: Mapping[str, str] = {"UCI file": "uci_facebook.csv", "GB file": "gb_youtube.csv"}


class Shown(msgspec.Struct, frozen=True, kw_only=True):
    """What is asked about a campaign: KPIs over a range and, where it has days, those of some days and those before."""

    metrics: tuple[str, ...]
    range: str
    first: date | None = None
    last: date | None = None


def world_until(until: datetime) -> World:
    """Return the simulated world that ends at ``until``; it begins at a local midnight."""
    first = until.astimezone(ZoneInfo(ZONE)).date() - timedelta(days=WORLD_DAYS)
    return World(SEED, datetime.combine(first, time(), ZoneInfo(ZONE)), zone=ZONE, currency=CURRENCY)


def instants(world: World, until: datetime) -> list[datetime]:
    """Return when the simulated platform is asked: noon of each day, and the end."""
    noons = [world.start + timedelta(days=day, hours=12) for day in range(WORLD_DAYS + 1)]
    return [noon for noon in noons if noon < until] + [until]


def creators(world: World) -> dict[str, dict[str, Any]]:
    """Return the creators of the simulated world as the API takes them, by name."""
    return {
        f"creator {creator.id}": {
            "name": creator.name,
            "profiles": [{"platform": PLATFORM, "external_id": creator.id}],
        }
        for creator in world.creators
    }


def campaigns(world: World, sources: Mapping[str, str], crew: Mapping[str, str]) -> dict[str, dict[str, Any]]:
    """Return the campaigns by name, given the ids of the sources and the creators by their names."""
    broad, micro = world.plans
    return {
        UCI: {
            "kind": "broad",
            "starts": "2014-01-01",
            "ends": "2014-12-31",
            "rules": [{"source": sources["UCI file"]}],
        },
        GB: {
            "kind": "broad",
            "starts": "2017-09-13",
            "ends": "2017-10-22",
            "zone": "Europe/London",
            "rules": [{"source": sources["GB file"]}],
        },
        BROAD: _simulated(world, broad, crew) | {"kind": "broad", "budget": "250000.00"},
        MICRO: _simulated(world, micro, crew) | {"kind": "micro", "budget": "15000.00", "margin": "0.4"},
    }


def _simulated(world: World, plan: Plan, crew: Mapping[str, str]) -> dict[str, Any]:
    first, last = flight(world, plan)
    own = sorted({post.creator.id for post in world.posts if post.plan.key == plan.key})
    rules: list[dict[str, Any]] = [
        {"platform_campaign": plan.key},
        {"utm_campaign": plan.key},
        {"platform": PLATFORM, "hashtag": plan.hashtag},
        *({"creator": crew[f"creator {creator}"]} for creator in own),
    ]
    return {"starts": first.isoformat(), "ends": last.isoformat(), "rules": rules, "tactics": ["simulated"]}


def flight(world: World, plan: Plan) -> tuple[date, date]:
    """Return the first and the last local day of a simulated campaign."""
    first = (world.start + plan.begins).astimezone(ZoneInfo(world.zone)).date()
    return first, first + timedelta(days=plan.length // timedelta(days=1) - 1)


def shown(world: World) -> dict[str, Shown]:
    """Return what is asked about each campaign."""
    broad, micro = world.plans
    broad_last, micro_last = flight(world, broad)[1], flight(world, micro)[1]
    reach = ("impressions", "reach", "engagements", "er_impressions")
    return {
        UCI: Shown(metrics=(*reach, "clicks_all", "ctr_all", "ctr", "frequency"), range="lifetime"),
        GB: Shown(
            metrics=("views", "likes", "comments", "er_views", "impressions"),
            range="lifetime",
            first=date(2017, 10, 15),
            last=date(2017, 10, 21),
        ),
        BROAD: Shown(
            metrics=(*reach, "follower_growth", "clicks_link", "ctr", "conversions", "cost", "cpm"),
            range="flight",
            first=broad_last - timedelta(days=6),
            last=broad_last,
        ),
        MICRO: Shown(
            metrics=("ctr", "cvr_click", "cpa", "roi_gross", "clicks_link", "conversions", "conversion_value", "cost"),
            range="flight",
            first=micro_last - timedelta(days=1),
            last=micro_last,
        ),
    }
