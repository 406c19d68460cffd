"""How fresh a campaign's numbers are: when each platform was last read, how far behind that is, what may change."""

from __future__ import annotations

from collections import defaultdict
from collections.abc import Mapping
from datetime import datetime, timedelta
from uuid import UUID

import msgspec
from sqlalchemy.ext.asyncio import AsyncConnection

from service.db.engine import driver
from service.ledger.history.members import Member
from service.reports.question import Asked, Question, instant, known_at, understand


class Habits(msgspec.Struct, frozen=True, kw_only=True):
    """How late a platform is by its own account, and for how long it restates."""

    lag: timedelta
    settle: timedelta


class PlatformFreshnessOut(msgspec.Struct, frozen=True, kw_only=True):
    """One platform. Seconds; ``late``: the newest reading is older than the platform's own lag and an hour allow.

    ``members_behind`` were not read in the last day, ``members_unread`` never. Numbers of before ``settled_before`` do
    not change any more by the platform's own account.
    """

    platform: str
    observed_at: str | None
    age: float | None
    expected_lag: float | None
    late: bool | None
    members: int
    members_behind: int
    members_unread: int
    settled_before: str | None


class FreshnessOut(msgspec.Struct, frozen=True, kw_only=True):
    """The freshness of a campaign, platform by platform; ``oldest`` is that of the platform that is most behind."""

    data: tuple[PlatformFreshnessOut, ...]
    oldest: str | None
    as_of: str
    clock: str


_HOUR = timedelta(hours=1)
_DAY = timedelta(days=1)


async def campaign_freshness(
    connection: AsyncConnection,
    workspace_id: UUID,
    campaign_id: UUID,
    question: Question,
    habits: Mapping[str, Habits],
    now: datetime,
) -> FreshnessOut:
    """Say how fresh a campaign is, inside one read-only snapshot. Raises what ``campaign_kpis`` does."""
    raw = await driver(connection)
    asked = await understand(raw, workspace_id, campaign_id, question, now)
    by_platform: dict[str, list[Member]] = defaultdict(list)
    for member in asked.members:
        by_platform[member.platform].append(member)
    data = tuple(_platform(asked, name, by_platform[name], habits.get(name)) for name in sorted(by_platform))
    known = [asked.freshness[name] for name in by_platform if name in asked.freshness]
    return FreshnessOut(
        data=data,
        oldest=instant(min(known)) if known else None,
        as_of=known_at(asked),
        clock=instant(asked.knowledge.clock),
    )


def _platform(asked: Asked, name: str, members: list[Member], habits: Habits | None) -> PlatformFreshnessOut:
    clock, newest = asked.knowledge.clock, asked.freshness.get(name)
    age = None if newest is None else clock - newest
    read = [member.observed_at for member in members]
    return PlatformFreshnessOut(
        platform=name,
        observed_at=None if newest is None else instant(newest),
        age=None if age is None else age.total_seconds(),
        expected_lag=None if habits is None else habits.lag.total_seconds(),
        late=None if habits is None or age is None else age > habits.lag + _HOUR,
        members=len(members),
        members_behind=sum(1 for at in read if at is not None and clock - at > _DAY),
        members_unread=sum(1 for at in read if at is None),
        settled_before=None if habits is None else instant(clock - habits.settle),
    )
