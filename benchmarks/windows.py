"""``python -m benchmarks.windows``: how long one posting takes when the windows of a campaign change, and all of them.

Every member has a click and an order four days later. A window of one day takes the orders from all, the default gives
them back. The figures are those of docs/adr/0020.
"""

from __future__ import annotations

import asyncio
from datetime import date, timedelta
from uuid import UUID

import sqlalchemy as sa

from benchmarks import ground, office
from benchmarks.ground import Ground
from benchmarks.orders import START, posted
from connectors.contract import Conversion, Item, SubjectRef, SubjectSeen, Touchpoint
from service import context as contexts
from service.api.state import Services
from service.app import open_services
from service.ledger import moves
from service.records import CampaignKind, CampaignVersion, Rule

MEMBERS, BATCH = 3_000, 500
_CAMPAIGN = sa.text("insert into campaigns values (:w, :c, null, 'c', 'UTC', 'EUR', :now)")


def sold(number: int) -> list[Item]:
    """Return a post, a click on it, and what the visitor ordered four days later."""
    name = f"p{number}"
    return [
        SubjectSeen(subject=SubjectRef(name), hashtags=("wide",)),
        Touchpoint(id=f"t{number}", at=START, subject=SubjectRef(name), customer=name),
        Conversion(id=name, at=START + timedelta(days=4), kind="order", value=1_000_000, currency="EUR", customer=name),
    ]


async def change(parts: Services, workspace_id: UUID, campaign_id: UUID, click_days: int | None) -> list[float]:
    """Give a campaign other windows; return the seconds of each posting."""
    version = CampaignVersion(
        name="c",
        kind=CampaignKind.BROAD,
        starts=date(2026, 6, 1),
        ends=date(2026, 6, 30),
        rules=(Rule(hashtag="wide"),),
        click_days=click_days,
    )
    seconds: list[float] = []
    more = True
    while more:
        begun = parts.context.monotonic()
        async with parts.db.workspace(workspace_id) as connection:
            if seconds:
                more = await moves.go_on(connection, workspace_id, parts.context)
            else:
                await moves.record_version(connection, workspace_id, campaign_id, version, parts.context)
        seconds.append(parts.context.monotonic() - begun)
    return seconds[:-1]


async def measure(place: Ground) -> None:
    """Print how many postings a change takes, the longest of them, and all together."""
    async with (
        place.database() as database,
        open_services(place.settings(database), contexts.real(), office.CONNECTORS) as parts,
    ):
        made = await office.opened(parts, pushed=True, platforms=("links",))
        workspace_id, campaign_id = made.workspace_id, parts.context.new_id()
        async with parts.db.workspace(workspace_id) as connection:
            values = {"w": workspace_id, "c": campaign_id, "now": parts.context.now()}
            await connection.execute(_CAMPAIGN, values)
        await change(parts, workspace_id, campaign_id, None)
        for start in range(0, MEMBERS, BATCH):
            items = [item for number in range(start, start + BATCH) for item in sold(number)]
            await posted(parts, workspace_id, made.sources[0], items)
        for title, click_days in (("narrower", 1), ("wider", None)):
            seconds = await change(parts, workspace_id, campaign_id, click_days)
            print(f"{title:10} {len(seconds):3} postings, {max(seconds):6.2f} s the longest, {sum(seconds):6.1f} s all")


if __name__ == "__main__":
    with ground.opened() as found:
        asyncio.run(measure(found))
