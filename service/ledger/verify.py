"""The proof: balances, tallies, events and memberships made again from the ledger, and deliveries read again.

Every check compares what is stored with what the lines say it must be; a difference is a row of the report, never an
exception. A delivery read by another version of its connector is counted apart: replaying it would change something,
which is no error of the books.
"""

from __future__ import annotations

from collections import defaultdict
from collections.abc import AsyncIterator, Callable, Iterable, Mapping, Sequence
from datetime import UTC, datetime
from typing import Any
from uuid import UUID

import asyncpg
from sqlalchemy.ext.asyncio import AsyncConnection

from connectors.contract import ADDITIVE, STORED, Kind
from service.db.engine import driver
from service.ledger import days, statements
from service.ledger.assign import Candidate, campaigns_of
from service.ledger.facts import sources_of
from service.ledger.history.days import days_of_subjects
from service.ledger.horizon import is_kept, is_whole
from service.ledger.memberships import load_profiles, load_rules
from service.ledger.moves import waiting
from service.ledger.readings import Readings, SeriesKey, series_id
from service.ledger.report import Difference, Report
from service.ledger.rows import balance_of
from service.ledger.series import (
    Cause,
    Flag,
    Line,
    Step,
    standing,
    standing_resets,
    unwind,
    wanted_resets,
    window_state,
)
from service.ledger.tallies import Cell
from service.ledger.verdicts import resets_in, verdicts
from service.ledger.verify_running import check_running
from service.ledger.verify_sales import check_conversions, check_told, sold
from service.ledger.write import Said
from service.records import ClaimedDelivery, delivery_of

CHUNK = 500

Reread = Callable[[ClaimedDelivery, str], Said | None]
"""Read a delivery again, given the connector version that posted it; None when today's version is another."""
Lines = Mapping[tuple[UUID, int], tuple[SeriesKey, Sequence[Line]]]


async def verify(
    connection: AsyncConnection, workspace_id: UUID, reread: Reread, progress: Callable[[str, int], None] | None = None
) -> Report:
    """Prove the books of a workspace inside one read-only snapshot; ``progress`` hears (check, things checked)."""
    raw = await driver(connection)
    report = Report()
    edge = await raw.fetchval("select kept_from from workspaces where workspace_id = $1", workspace_id)
    tell = progress or (lambda _check, _count: None)
    async for rows in _subject_chunks(raw, workspace_id):
        ids = [row["subject_id"] for row in rows]
        lines = await days.lines_of(raw, workspace_id, ids)
        await _check_days(raw, workspace_id, ids, lines, edge, report)
        _check_extents(rows, lines, edge, report)
        await _check_balances(raw, workspace_id, ids, lines, report)
        await _check_resets(raw, workspace_id, ids, lines, edge, report)
        await _check_events(raw, workspace_id, ids, lines, edge, report)
        await _check_members(raw, workspace_id, rows, report)
        await _check_facts(raw, workspace_id, rows, report)
        report.count("subjects", len(ids))
        tell("subjects", len(ids))
    await _check_campaigns(raw, workspace_id, report)
    await check_running(raw, workspace_id, edge, report)
    await check_conversions(raw, workspace_id, report)
    await _check_postings(raw, workspace_id, report)
    async for part in _delivery_chunks(raw, workspace_id):
        await _check_deliveries(raw, workspace_id, part, reread, edge, report)
        tell("deliveries", len(part))
    kept, total = await raw.fetchrow(_EVIDENCE, workspace_id)
    report.evidence = kept / total if total else None
    return report


async def _subject_chunks(raw: asyncpg.Connection[Any], workspace_id: UUID) -> AsyncIterator[list[Any]]:
    after = UUID(int=0)
    while rows := await raw.fetch(statements.SUBJECTS_AFTER, workspace_id, after, CHUNK):
        after = rows[-1]["subject_id"]
        yield rows


# ------------------------------------------------------------------------------------------------ caches

_DAYS = f"""
select subject_id, day, zone, basis, days, currency, paid,
  {", ".join(f"sum({key})::bigint as {key}" for key in ADDITIVE)}, bit_or(carried) as carried
from ({days_of_subjects(ADDITIVE, "= any($2::uuid[])")}) d
group by subject_id, day, zone, basis, days, currency, paid
"""
_BALANCES = f"""
select subject_id, series_id, at, earlier, {", ".join(STORED)} from balances
where workspace_id = $1 and subject_id = any($2::uuid[])
"""
_EVENTS = """
select event_key, subject_id, series_id, at, metrics from events
where workspace_id = $1 and subject_id = any($2::uuid[])
"""
_NEWEST_FACTS = f"""
select distinct on (f.subject_id, f.name) f.subject_id, f.name, f.value
from {statements.FACTS} f join postings p using (workspace_id, batch)
where f.workspace_id = $1 and f.subject_id = any($2::uuid[])
order by f.subject_id, f.name, p.posting desc
"""
_EVIDENCE = f"""
select count(*) filter (where exists (select from deliveries d where d.workspace_id = $1
  and d.received_at = e.received_at and d.delivery_id = e.delivery_id)), count(*)
from entries e where e.workspace_id = $1 and e.cause <> {Cause.CARRIED}
"""


async def _check_days(
    raw: asyncpg.Connection[Any],
    workspace_id: UUID,
    ids: Sequence[UUID],
    lines: Lines,
    edge: datetime | None,
    report: Report,
) -> None:
    zones, _ = await days.zones_of(raw, workspace_id, ids)
    wanted = {
        (subject, *cell): (*map(sums.get, ADDITIVE), carried)
        for subject, cell, sums, carried in days.subject_days(lines, zones).items()
        if is_whole(cell, edge)
    }
    found = {
        tuple(row)[:7]: tuple(row)[7:]
        for row in await raw.fetch(_DAYS, workspace_id, ids)
        if is_whole(Cell(*tuple(row)[1:7]), edge)
    }
    _compare("subject_days", wanted, found, report)
    report.count("subject_days", len(found))


def _check_extents(rows: Iterable[Any], lines: Lines, edge: datetime | None, report: Report) -> None:
    """Hold the newest reading and the longest window of subjects to their lines; both only grow, whatever is taken."""
    wanted: dict[UUID, tuple[Any, int]] = {}
    for (subject, _), (key, series_lines) in lines.items():
        at, longest = wanted.get(subject, (series_lines[0].observed_at, 1))
        counted = not key.check and key.kind in days.TALLIED
        wanted[subject] = (
            max(at, *(line.observed_at for line in series_lines)),
            max(longest, *(line.days for line in series_lines)) if counted else longest,
        )
    for row in rows:
        found, least = (row["observed_at"], row["longest"]), wanted.get(row["subject_id"], (None, 1))
        reaches = edge is not None and found[1] >= least[1] and (least[0] is None or found[0] >= least[0])
        if found != least and not reaches:
            report.differs("extents", row["subject_id"], wanted.get(row["subject_id"]), found)


async def _check_balances(
    raw: asyncpg.Connection[Any], workspace_id: UUID, ids: Sequence[UUID], lines: Lines, report: Report
) -> None:
    wanted = {}
    for key, (series, series_lines) in lines.items():
        sums: dict[str, tuple[int, Any]] = {}
        counters = [
            line for line in series_lines if line.day is None and line.days == 0 and not line.flags & Flag.SHORT
        ]
        if series.kind not in {Kind.LIFETIME, Kind.LEVEL, Kind.UNIQUE}:
            continue
        for metric in STORED:
            steps = standing(counters, metric)
            if steps:
                sums[metric] = (sum(step.delta for step in steps), max(step.end for step in steps))
        if sums:
            wanted[key] = sums
    found = {}
    for row in await raw.fetch(_BALANCES, workspace_id, ids):
        balance = balance_of(row)
        pairs = {metric: (value, balance.since[metric]) for metric, value in balance.values.items()}
        found[row["subject_id"], row["series_id"]] = pairs
    _compare("balances", wanted, found, report)
    report.count("balances", len(found))


async def _check_resets(
    raw: asyncpg.Connection[Any],
    workspace_id: UUID,
    ids: Sequence[UUID],
    lines: Lines,
    edge: datetime | None,
    report: Report,
) -> None:
    """Hold what confirmed resets add to the verdicts and to the chains."""
    said = {key: resets_in(found) for key, found in (await verdicts(raw, workspace_id, ids)).items()}
    for key, (_, series_lines) in lines.items():
        resets = said.get(key, {})
        added = {metric for line in series_lines if line.flags & Flag.RESET for metric in line.metrics}
        for metric in added | resets.keys():
            chain, own = standing(series_lines, metric), resets.get(metric, set())
            wanted = {step[:4] for step in wanted_resets(series_lines, metric, chain, own)}
            found = {step[:4] for step in standing_resets(series_lines, metric)}
            if wanted != found:
                report.differs("resets", (*key, metric), sorted(wanted), sorted(found))
            report.count("resets", sum(is_after(at, edge) for at in own))


async def _check_events(
    raw: asyncpg.Connection[Any],
    workspace_id: UUID,
    ids: Sequence[UUID],
    lines: Lines,
    edge: datetime | None,
    report: Report,
) -> None:
    wanted = {
        line.event_key: (subject, series, line.valid_from, dict(line.metrics))
        for (subject, series), (key, series_lines) in lines.items()
        if key.kind is Kind.EVENT
        for line in days.net(series_lines)
        if line.event_key is not None and is_after(line.valid_from, edge)
    }
    for key in await sold(raw, workspace_id, ids, lines, edge, report):
        wanted.pop(key, None)
    found = {
        row["event_key"]: (row["subject_id"], row["series_id"], row["at"], row["metrics"])
        for row in await raw.fetch(_EVENTS, workspace_id, ids)
        if is_after(row["at"], edge)
    }
    _compare("events", wanted, found, report)
    report.count("events", len(found))


async def _check_members(raw: asyncpg.Connection[Any], workspace_id: UUID, rows: Iterable[Any], report: Report) -> None:
    rules = await load_rules(raw, workspace_id)
    profiles = await load_profiles(raw, workspace_id, rules)
    found: dict[UUID, set[UUID]] = defaultdict(set)
    moving = await waiting(raw, workspace_id)
    ids = [row["subject_id"] for row in rows]
    for row in await raw.fetch(statements.ZONES_OF_SUBJECTS, workspace_id, ids):
        found[row["subject_id"]].add(row["campaign_id"])
    for row in rows:
        facts = row["facts"]
        seen = Candidate(
            subject_id=row["subject_id"],
            platform=row["platform"],
            external_id=row["external_id"],
            type=row["type"],
            facts={name: value for name, (_, value) in facts.items()},
            sources=sources_of(facts),
        )
        wanted = campaigns_of(seen, rules, profiles)
        # A campaign that is still being decided says nothing yet of subjects that were not looked at.
        later = {campaign_id for campaign_id, after in moving.items() if row["subject_id"] > after}
        if wanted - later != found[row["subject_id"]] - later:
            report.differs("memberships", row["subject_id"], sorted(wanted), sorted(found[row["subject_id"]]))


async def _check_facts(raw: asyncpg.Connection[Any], workspace_id: UUID, rows: Iterable[Any], report: Report) -> None:
    wanted: dict[UUID, dict[str, Any]] = defaultdict(dict)
    ids = [row["subject_id"] for row in rows]
    for fact in await raw.fetch(_NEWEST_FACTS, workspace_id, ids):
        if fact["value"] is not None:  # without a value nobody says it any more
            wanted[fact["subject_id"]][fact["name"]] = fact["value"]
    for row in rows:
        found = {name: value for name, (_, value) in row["facts"].items()}
        if wanted[row["subject_id"]] != found:
            report.differs("facts", row["subject_id"], wanted[row["subject_id"]], found)


async def _check_campaigns(raw: asyncpg.Connection[Any], workspace_id: UUID, report: Report) -> None:
    campaigns = [rule.campaign_id for rule in await load_rules(raw, workspace_id)]
    for row in await raw.fetch(statements.COMPARE_CAMPAIGN_DAYS, workspace_id, campaigns):
        want = {key: row[f"want_{key}"] for key in ADDITIVE if row[f"want_{key}"] != row[f"have_{key}"]}
        have = {key: row[f"have_{key}"] for key in want}
        report.differs("campaign_days", (str(row["campaign_id"]), row["platform"], row["day"]), want, have)
    report.count("campaigns", len(campaigns))


async def _check_postings(raw: asyncpg.Connection[Any], workspace_id: UUID, report: Report) -> None:
    rows = await raw.fetch(
        "select posting, recorded_at from postings where workspace_id = $1 order by posting", workspace_id
    )
    for place, row in enumerate(rows, start=1):
        if row["posting"] != place or (place > 1 and row["recorded_at"] <= rows[place - 2]["recorded_at"]):
            report.differs("postings", row["posting"], place, row["recorded_at"])
    orphans = await raw.fetchval(
        "select count(*) from entries e where e.workspace_id = $1 and not exists "
        "(select from postings p where p.workspace_id = $1 and p.batch = e.batch)",
        workspace_id,
    )
    if orphans:
        report.differs("postings", "entries without a posting", 0, orphans)
    report.count("postings", len(rows))


def _compare(check: str, wanted: Mapping[Any, Any], found: Mapping[Any, Any], report: Report) -> None:
    for key in wanted.keys() | found.keys():
        if wanted.get(key) != found.get(key):
            about = key.hex() if isinstance(key, bytes) else key
            report.differs(check, about, wanted.get(key), found.get(key))


# ------------------------------------------------------------------------------------------------ deliveries

_POSTED = """
select d.delivery_id, d.received_at, d.source_id, d.channel, d.connector, d.body, d.options::text, d.headers::text,
  d.request::text,
  o.connector_version, s.platform
from deliveries d
join lateral (
  select outcome, connector_version from delivery_outcomes o
  where o.workspace_id = $1 and o.received_at = d.received_at and o.delivery_id = d.delivery_id
  order by turn desc limit 1
) o on o.outcome = 'posted'
join sources s on s.workspace_id = $1 and s.source_id = d.source_id
where d.workspace_id = $1 and (d.received_at, d.delivery_id) > ($2, $3)
order by d.received_at, d.delivery_id limit $4
"""


async def _delivery_chunks(raw: asyncpg.Connection[Any], workspace_id: UUID) -> AsyncIterator[list[Any]]:
    first = await raw.fetchval("select min(received_at) from deliveries where workspace_id = $1", workspace_id)
    after = (first, UUID(int=0))
    while first is not None and (rows := await raw.fetch(_POSTED, workspace_id, *after, 50)):
        after = (rows[-1]["received_at"], rows[-1]["delivery_id"])
        yield rows


async def _check_deliveries(
    raw: asyncpg.Connection[Any],
    workspace_id: UUID,
    rows: Sequence[Any],
    reread: Reread,
    edge: datetime | None,
    report: Report,
) -> None:
    by_source: dict[tuple[UUID, str], list[Said]] = defaultdict(list)
    for row in rows:
        said = reread(delivery_of(row), row["connector_version"])
        if said is None:
            report.replay_would_change += 1
        else:
            by_source[row["source_id"], row["platform"]].append(_kept(said, edge))
    for (source_id, platform), parts in by_source.items():
        await _check_points(raw, workspace_id, source_id, platform, parts, edge, report)
    report.count("deliveries", len(rows))


_EVER = datetime.max.replace(tzinfo=UTC)


def is_after(at: datetime, edge: datetime | None) -> bool:
    """Tell whether an instant lies after the edge of the books."""
    return edge is None or at >= edge


def _kept(said: Said, edge: datetime | None) -> Said:
    """Return what a delivery says of the time after the edge of the books: retention took the rest."""
    if edge is None:
        return said
    readings = [reading for reading in said.readings if is_kept(reading, edge)]
    events = [event for event in said.events if is_kept(event, edge)]
    return Said(ref=said.ref, facts=said.facts, readings=readings, events=events)


async def _check_points(
    raw: asyncpg.Connection[Any],
    workspace_id: UUID,
    source_id: UUID,
    platform: str,
    parts: Sequence[Said],
    edge: datetime | None,
    report: Report,
) -> None:
    names = sorted({ref.external_id for part in parts for block in part.readings for ref in block.subjects})
    blocks = [(part, block) for part in parts for block in part.readings]
    rows = await raw.fetch(statements.SUBJECTS, workspace_id, platform, names)
    ids = {row["external_id"]: row["subject_id"] for row in rows}
    for start in range(0, len(names), CHUNK):
        wanted = set(names[start : start + CHUNK])
        book = await _Book.load(raw, workspace_id, [ids[name] for name in wanted if name in ids])
        for one, block in blocks:
            number = series_id(source_id.bytes, block.key)
            for ref, metrics in zip(block.subjects, block.metrics, strict=True):
                if ref.external_id in wanted:
                    subject = ids.get(ref.external_id)
                    if subject is None or not book.knows(subject, number, block, metrics):
                        report.differs("points", (one.ref.delivery_id, ref.external_id), metrics, "not booked")
                    report.count("points")
    await check_told(raw, workspace_id, source_id, parts, edge, report)


class _Book:
    """The lines of some subjects, ready to be asked for points."""

    def __init__(self, lines: Lines, confirmations: Mapping[Any, list[tuple[int, Any]]]) -> None:
        self._lines = lines
        self._confirmations = confirmations
        self._knots: dict[tuple[UUID, int, str], dict[Any, tuple[int, int]]] = {}
        self._windows: dict[Any, Any] = {}

    @classmethod
    async def load(cls, raw: asyncpg.Connection[Any], workspace_id: UUID, ids: Sequence[UUID]) -> _Book:
        lines = await days.lines_of(raw, workspace_id, ids)
        confirmations = defaultdict(list)
        for row in await raw.fetch(_CONFIRMATIONS, workspace_id, ids):
            key = (row["subject_id"], row["series_id"], row["valid_from"], row["valid_to"])
            confirmations[key].append((row["mask"], row["confirmed_at"]))
        return cls(lines, confirmations)

    def knows(self, subject: UUID, number: int, block: Readings, metrics: Mapping[str, int | None]) -> bool:
        """Tell whether every metric of a reading is in the books, or beaten by a newer one."""
        if block.window is None:
            return all(self._on_chain(subject, number, metric, block.at, value) for metric, value in metrics.items())
        state = self._window(subject, number, block.window)
        for metric, value in metrics.items():
            said, stand = state.said.get(metric), state.stands.get(metric)
            if said is None or said < block.at:
                return False
            if said == block.at and value is not None and (stand is None or stand.value < value):
                return False
        return True

    def _on_chain(self, subject: UUID, number: int, metric: str, at: datetime, value: int | None) -> bool:
        key = (subject, number, metric)
        if key not in self._knots:
            _, lines = self._lines.get((subject, number), (None, ()))
            steps: list[Step] = standing(lines, metric)
            knots, _ = unwind(steps, sum(step.delta for step in steps))
            self._knots[key] = {knot.at: (knot.low, knot.high) for knot in knots}
        bounds = self._knots[key].get(at)
        return bounds is not None and value is not None and bounds[0] <= value <= bounds[1]

    def _window(self, subject: UUID, number: int, window: Any) -> Any:
        key = (subject, number, window.start, window.end)
        if key not in self._windows:
            _, lines = self._lines.get((subject, number), (None, ()))
            own = [line for line in lines if (line.valid_from, line.valid_to) == key[2:]]
            self._windows[key] = window_state(own, self._confirmations.get(key, ()))
        return self._windows[key]


_CONFIRMATIONS = """
select subject_id, series_id, valid_from, valid_to, mask, confirmed_at from confirmations
where workspace_id = $1 and subject_id = any($2::uuid[])
"""


__all__ = ["Difference", "Report", "Reread", "verify"]
