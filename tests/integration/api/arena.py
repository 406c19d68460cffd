"""A world of small campaigns for comparisons: rows of a file become posts by day, a word on each post its campaign."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from datetime import timedelta

import msgspec

from service.context import Context, fixed, real
from tests.integration.api.furniture import read_all
from tests.integration.api.office import Desk, Office

# The clock stands still at today: deliveries have partitions around it.
NOW = real().now()


def day(ahead: int) -> str:
    """Return a day counted from today; days gone by are below 0."""
    return (NOW.date() + timedelta(days=ahead)).isoformat()


STARTS, ENDS, DAY = day(-40), day(-31), day(-38)
_HEAD = "Id,Camp,Day,Shown,Clicks,Conv,Spend,Likes,By\n"
_OPTIONS = {
    "columns": {
        "impressions": "Shown",
        "clicks_link": "Clicks",
        "conversions": "Conv",
        "spend_media": "Spend",
        "likes": "Likes",
    },
    "kinds": dict.fromkeys(("impressions", "clicks_link", "conversions", "spend_media", "likes"), "period"),
    "id_column": "Id",
    "instant_column": "Day",
    "window": "day",
    "currency": "EUR",
    "utm_campaign_column": "Camp",
    "creator_column": "By",
}


class Row(msgspec.Struct, frozen=True):
    """A post on a day: what was shown and clicked, converted, spent and liked; None is not reported."""

    shown: int | None = None
    clicks: int | None = None
    conversions: int | None = None
    spend: str | None = None
    likes: int | None = None
    day: str = DAY
    by: str | None = None


def clock() -> Context:
    """Return a context that stands still."""
    return fixed(NOW)


def posts(clicks: Sequence[int], shown: Sequence[int]) -> list[Row]:
    """Return one post per pair of clicks and impressions."""
    return [Row(many, few) for few, many in zip(clicks, shown, strict=True)]


class Arena:
    """A workspace to which campaigns are added with their posts."""

    def __init__(self, office: Office, desk: Desk) -> None:
        self.office, self.desk = office, desk
        self.sources: dict[str, str] = {}
        self.ids: dict[str, str] = {}

    async def enter(self, campaigns: Mapping[str, Mapping[str, Sequence[Row]]], **more: object) -> None:
        """Create campaigns, each with rows by platform, and have everything read."""
        await self.name(*campaigns, **more)
        rows: dict[str, list[str]] = {}
        for name, platforms in campaigns.items():
            for platform, given in platforms.items():
                rows.setdefault(platform, []).extend(
                    ",".join("" if cell is None else str(cell) for cell in _cells(name, place, row))
                    for place, row in enumerate(given)
                )
        for platform, lines in rows.items():
            await self.upload(platform, _HEAD + "\n".join(lines) + "\n")
        await read_all(self.office)

    async def name(self, *names: str, **more: object) -> None:
        """Create campaigns without posts."""
        body = {"kind": "micro", "starts": STARTS, "ends": ENDS, "zone": "UTC"} | more
        for name in names:
            made = await self.desk.post("/v1/campaigns", body | {"name": name, "rules": [{"utm_campaign": name}]})
            self.ids[name] = made["id"]

    async def upload(self, platform: str, text: str) -> None:
        """Upload a file to the source of a platform."""
        if platform not in self.sources:
            given = {"connector": "files", "name": platform, "platform": platform, "options": _OPTIONS}
            self.sources[platform] = (await self.desk.post("/v1/sources", given))["id"]
        path = f"/v1/sources/{self.sources[platform]}/uploads?filename=a.csv"
        answer = await self.desk.ask("POST", path, content=text.encode())
        assert answer.status_code == 202, answer.text


def _cells(name: str, place: int, row: Row) -> list[object]:
    return [f"{name}-{place}", name, row.day, row.shown, row.clicks, row.conversions, row.spend, row.likes, row.by]
