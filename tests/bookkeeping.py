"""A workspace with books and sources, for tests that post to the ledger without HTTP or files."""

from __future__ import annotations

import hashlib
from collections.abc import Iterable, Mapping, Sequence
from datetime import UTC, date, datetime, timedelta
from typing import Any
from uuid import UUID

import msgspec
import sqlalchemy as sa

from connectors.contract import ADDITIVE, Kind, Observation, SubjectRef, SubjectSeen
from service.context import Context, fixed
from service.db.engine import Database, driver
from service.ledger.history.days import days_of_subjects
from service.ledger.moves import go_on, record_version
from service.ledger.posting import RetryExclusive, close_posting, open_posting
from service.ledger.series import Ref
from service.ledger.write import Said, post
from service.pipeline.normalise import normalise
from service.pipeline.run import veiled
from service.records import CampaignKind, CampaignVersion, Rule, SourceRow, SourceState

START = datetime(2026, 6, 1, tzinfo=UTC)
_CELL = "subject_id, day, zone, basis, days, currency, paid"
_SUMS = ", ".join(f"sum({metric})::bigint as {metric}" for metric in ADDITIVE)
_DAYS = days_of_subjects(ADDITIVE, "is not null").replace("$1", "current_setting('app.workspace_id')::uuid")
SUBJECT_DAYS = f"""(
  select current_setting('app.workspace_id')::uuid as workspace_id, {_CELL}, {_SUMS}, bit_or(carried) as carried
  from ({_DAYS}) found group by {_CELL}
)"""
"""The days of subjects as a table: what lines are by themselves and what is added to them, as one row."""


def at(days: float = 0, hours: float = 0) -> datetime:
    """Return an instant counted from the first of June 2026, UTC."""
    return START + timedelta(days=days, hours=hours)


def ref(number: int) -> Ref:
    """Return the reference of the n-th made-up delivery."""
    return Ref(UUID(int=number + 1), START + timedelta(days=60))


def counter(
    post_id: str, when: datetime, kind: Kind = Kind.LIFETIME, *, check: bool = False, **metrics: int
) -> Observation:
    """Return a lifetime (or level) observation."""
    return Observation(subject=SubjectRef(post_id), kind=kind, metrics=metrics, observed_at=when, check=check)


def _veil(purpose: str, text: str) -> bytes:
    return hashlib.sha256(f"{purpose}|{text}".encode()).digest()[:16]


class Books:
    """One workspace in a test database."""

    def __init__(self, database: Database, context: Context | None = None) -> None:
        self.database = database
        self.context = context or fixed(START + timedelta(days=61))
        self.workspace_id = self.context.new_id()
        self.deliveries = 0

    async def open(self) -> None:
        """Create the workspace."""
        async with self.database.workspace(self.workspace_id) as connection:
            values = {"w": self.workspace_id, "now": self.context.now()}
            await connection.execute(sa.text("insert into tenants values (:w, :now)"), values)
            await connection.execute(
                sa.text("insert into workspaces values (:w, 'Test', 'UTC', 'EUR', '\\x00', :now)"), values
            )
            await connection.execute(sa.text("insert into books values (:w, 0, :now)"), values)

    async def source(
        self, platform: str = "instagram", *, counts: bool = True, tracks_from: datetime = START
    ) -> SourceRow:
        """Create a source."""
        row = SourceRow(
            workspace_id=self.workspace_id,
            source_id=self.context.new_id(),
            connector="files",
            platform=platform,
            account="",
            name="test",
            options={},
            credentials=None,
            secrets=None,
            counts=counts,
            tracks_from=tracks_from,
            state=SourceState.ACTIVE,
            state_detail="",
            created_at=self.context.now(),
            updated_at=self.context.now(),
        )
        async with self.database.workspace(self.workspace_id) as connection:
            columns = msgspec.structs.asdict(row) | {"options": "{}", "state": row.state.value}
            names = ", ".join(columns)
            places = ", ".join(f":{name}" if name != "options" else "cast(:options as jsonb)" for name in columns)
            await connection.execute(sa.text(f"insert into sources ({names}) values ({places})"), columns)
        return row

    async def campaign(
        self,
        rules: Sequence[Rule],
        zone: str = "UTC",
        currency: str = "EUR",
        *,
        click_days: int | None = None,
        view_days: int | None = None,
    ) -> UUID:
        """Create a campaign over June 2026 with rules."""
        campaign_id = self.context.new_id()
        async with self.database.workspace(self.workspace_id) as connection:
            await connection.execute(
                sa.text("insert into campaigns values (:w, :c, null, 'c', :zone, :currency, :now)"),
                {
                    "w": self.workspace_id,
                    "c": campaign_id,
                    "zone": zone,
                    "currency": currency,
                    "now": self.context.now(),
                },
            )
        await self.rules(campaign_id, rules, click_days=click_days, view_days=view_days)
        return campaign_id

    async def rules(
        self, campaign_id: UUID, rules: Sequence[Rule], *, click_days: int | None = None, view_days: int | None = None
    ) -> None:
        """Give a campaign new rules and windows."""
        version = CampaignVersion(
            name="c",
            kind=CampaignKind.BROAD,
            starts=date(2026, 6, 1),
            ends=date(2026, 6, 30),
            rules=tuple(rules),
            click_days=click_days,
            view_days=view_days,
        )
        async with self.database.workspace(self.workspace_id) as connection:
            await record_version(connection, self.workspace_id, campaign_id, version, self.context)
        while await self.go_on():
            pass

    async def go_on(self) -> bool:
        """Move the next subjects that wait to be moved between campaigns; tell whether more may wait."""
        async with self.database.workspace(self.workspace_id) as connection:
            return await go_on(connection, self.workspace_id, self.context)

    async def post(self, source: SourceRow, *deliveries: Iterable[Any]) -> None:
        """Post item lists, each as a delivery of its own, in one posting."""
        said = []
        for items in deliveries:
            self.deliveries += 1
            reference = ref(self.deliveries)
            normal = normalise(items, reference.received_at)
            assert not normal.drops, normal.drops
            events = veiled(normal.events, _veil)
            said.append(Said(ref=reference, facts=normal.facts, readings=normal.readings, events=events))
        await self._post(source, said)

    async def _post(self, source: SourceRow, said: Sequence[Said]) -> None:
        for exclusive in (False, True):
            try:
                async with self.database.workspace(self.workspace_id) as connection:
                    posting = await open_posting(
                        connection,
                        self.workspace_id,
                        self.context,
                        cause="deliveries",
                        source_id=source.source_id,
                        exclusive=exclusive,
                    )
                    written = await post(connection, posting, source, said, self.context, exclusive=exclusive)
                    await close_posting(connection, posting, self.context, shaped=written.shaped)
            except RetryExclusive:
                continue
            return
        raise AssertionError("asked for exclusivity twice")

    async def rows(self, query: str, **values: Any) -> list[Mapping[str, Any]]:
        """Read rows in the workspace."""
        async with self.database.workspace(self.workspace_id) as connection:
            result = await connection.execute(sa.text(query), values)
            return [dict(row) for row in result.mappings()]

    async def tally(self, table: str, metric: str) -> dict[Any, int | None]:
        """Return day to sum of one metric over all rows of a tally table."""
        rows = await self.rows(f"select day, sum({metric})::bigint as n from {table} t group by day order by day")
        return {row["day"]: row["n"] for row in rows}

    async def fetch(self, query: str, *values: Any) -> list[Any]:
        """Read rows through the driver."""
        async with self.database.workspace(self.workspace_id) as connection:
            return list(await (await driver(connection)).fetch(query, *values))


def seen(post_id: str, **facts: Any) -> SubjectSeen:
    """Return facts about a post."""
    return SubjectSeen(subject=SubjectRef(post_id), **facts)
