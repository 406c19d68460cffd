"""Books of any size, written past the pipeline: what the posting of daily totals would have left, by whole days.

The superuser inserts entries (each of them a tally by itself), days of campaigns, subjects and memberships that fit
each other; the proof of the books holds for them, but for deliveries, which there are none of. Rows lie in the order in
which they would have arrived: day by day.
"""

from __future__ import annotations

from collections.abc import AsyncIterator, Sequence
from contextlib import asynccontextmanager
from datetime import timedelta
from typing import Any
from uuid import UUID

import msgspec

from benchmarks import office
from benchmarks.ground import Ground
from benchmarks.ingest import set_up
from benchmarks.office import Office
from benchmarks.pages import AT
from benchmarks.plan import NARROW, SOURCES
from connectors.contract import Kind
from service import context as contexts
from service.api.state import Services
from service.app import open_services
from service.ledger import statements
from service.ledger.facts import TIMELESS
from service.ledger.readings import SeriesKey, series_id
from service.ledger.rows import iso
from service.ledger.series import Cause, Mark

DAYS = 200
"""Days that each subject has one total for."""
MEMBERS = 100
"""Subjects of a campaign."""
PLATFORMS = ("shop", "video", "photo", "text")
_BATCH = 1 << 40

_KEY = SeriesKey(kind=Kind.PERIOD, zone="UTC")
_ID = "('01970000-0000-7000-8000-' || lpad(to_hex(n), 12, '0'))::uuid"
_TAG = f"'campaign' || (n / {MEMBERS})"
_NUMBERS = ", ".join(f"((n * {7 + place} + d * 13) % {900 - 100 * place})::bigint" for place in range(len(NARROW)))
_SUBJECTS = f"""
insert into subjects (workspace_id, subject_id, platform, external_id, type, batch, facts, observed_at)
select $1, {_ID}, ($4::text[])[1 + n % {len(PLATFORMS)}], 'subject-' || n, 'post', $5,
  jsonb_build_object('hashtags', jsonb_build_array($6::text, jsonb_build_array({_TAG})),
    ($8::text[])[1 + n % {SOURCES}], jsonb_build_array($9::text, true)), $7
from generate_series($2::integer, $3::integer - 1) as n
"""  # noqa: S608 - constants of this file
_FACTS = f"""
insert into subject_facts (workspace_id, subject_id, batch, facts)
select $1, {_ID}, $4, jsonb_build_object('hashtags', jsonb_build_array($5::text, jsonb_build_array({_TAG})),
  ($6::text[])[1 + n % {SOURCES}], jsonb_build_array($7::text, true))
from generate_series($2::integer, $3::integer - 1) as n
"""  # noqa: S608 - as above
_MEMBERSHIPS = f"""
insert into memberships (workspace_id, campaign_id, subject_id, batch, sign, version)
select $1, ($4::uuid[])[1 + n / {MEMBERS}], {_ID}, $5, 1, 1 from generate_series($2::integer, $3::integer - 1) as n
"""  # noqa: S608 - as above
_ENTRIES = f"""
insert into entries (workspace_id, subject_id, valid_from, valid_to, series_id, batch, line, sign, cause, flags,
  observed_at, delivery_id, received_at, day, days, mark, {", ".join(NARROW)})
select $1, {_ID}, $4::date::timestamp at time zone 'UTC', ($4::date + 1)::timestamp at time zone 'UTC',
  ($5::bigint[])[1 + n % {SOURCES}], $6, n + 1, 1, {int(Cause.GROWTH)}, 0, $7,
  '01970000-0000-7000-8000-000000000000', $7, $4::date, 1, {Mark.TALLY | Mark.ALONE}, {_NUMBERS}
from generate_series($2::integer, $3::integer - 1) as n cross join (select $8::integer as d) as the_day
"""  # noqa: S608 - as above
_SERIES = """
insert into series (workspace_id, series_id, source_id, kind, zone, paid, counted)
select $1, series_id, source_id, 'period', 'UTC', -1, true
from unnest($2::bigint[], $3::uuid[]) as given (series_id, source_id) on conflict do nothing
"""
_POSTING = """
with next as (
  update books set posting = posting + 1, recorded_at = greatest(recorded_at, $2) + interval '1 microsecond'
  where workspace_id = $1 returning posting, recorded_at
)
insert into postings (workspace_id, posting, posting_id, batch, recorded_at, cause, deliveries, entries)
select $1, posting, gen_random_uuid(), $3, recorded_at, 'deliveries', 1, $4 from next
"""


_SIZE = "select pg_database_size(current_database())"


class Books(msgspec.Struct):
    """A workspace that is filled in steps; ``subjects`` counts those it has."""

    office: Office
    subjects: int = 0
    postings: int = 0

    @property
    def entries(self) -> int:
        """Return how many entries they hold."""
        return self.subjects * DAYS


class Opened(msgspec.Struct):
    """Filled books that are open: the service's parts, a superuser's connection."""

    books: Books
    parts: Services
    connection: Any


@asynccontextmanager
async def filled(ground: Ground, entries: int) -> AsyncIterator[Opened]:
    """Open books of about so many entries. They are filled once and left for whoever asks for them again."""
    name = f"books of {entries}"
    if name not in ground.shelf:
        database = await ground.new_database()
        made = await set_up(ground, database, pushed=True, hashtags=tags(entries), platforms=PLATFORMS)
        ground.shelf[name] = (database, Books(made))
    database, books = ground.shelf[name]
    async with (
        open_services(ground.settings(database), contexts.real(), office.CONNECTORS) as parts,
        ground.superuser(database) as connection,
    ):
        if not books.subjects:
            begun = ground.context.monotonic()
            await fill(connection, books, entries)
            seconds, size = ground.context.monotonic() - begun, await connection.fetchval(_SIZE)
            print(f"  books: {books.entries} entries, {size / 2**20:.0f} MB, filled in {seconds:.0f} s", flush=True)
        yield Opened(books, parts, connection)


def tags(entries: int) -> tuple[str, ...]:
    """Return the hashtags of the campaigns of books that will hold so many entries."""
    return tuple(f"campaign{n}" for n in range(max(entries // DAYS // MEMBERS, 1)))


async def fill(connection: Any, books: Books, entries: int) -> None:
    """Bring the books to about ``entries`` entries, in steps that commit by themselves."""
    first, last = books.subjects, len(tags(entries)) * MEMBERS
    workspace_id = books.office.workspace_id
    span = (workspace_id, first, last)
    numbers = [series_id(source.bytes, _KEY) for source in books.office.sources]
    await connection.execute(_SERIES, workspace_id, numbers, list(books.office.sources))
    seen = AT.isoformat(timespec="microseconds")
    named = [f"source:{source.hex}" for source in books.office.sources]
    for number in range(DAYS):
        batch = _BATCH + books.postings
        async with connection.transaction():
            if number == 0:
                await connection.execute(_SUBJECTS, *span, list(PLATFORMS), batch, seen, AT, named, iso(TIMELESS))
                await connection.execute(_FACTS, *span, batch, seen, named, iso(TIMELESS))
                await connection.execute(_MEMBERSHIPS, *span, list(books.office.campaigns), batch)
            day = AT.date() - timedelta(days=DAYS - number)
            await connection.execute(_ENTRIES, *span, day, numbers, batch, AT, number)
            await connection.execute(_POSTING, workspace_id, AT, batch, last - first)
        books.postings += 1
    await _tally(connection, workspace_id, books.office.campaigns[first // MEMBERS : last // MEMBERS])
    books.subjects = last
    await connection.execute("vacuum analyze")


async def _tally(connection: Any, workspace_id: UUID, campaigns: Sequence[UUID]) -> None:
    """Sum the days of members into those of campaigns, by the ledger's own statement."""
    step = 50
    for place in range(0, len(campaigns), step):
        await connection.execute(statements.FILL_CAMPAIGN_DAYS, workspace_id, list(campaigns[place : place + step]))
