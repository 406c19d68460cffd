"""From a KPI to its evidence: who brings in how much, by which entries, read from which deliveries under which rule.

The contributions of a side add up to the number that the formula has there, and the shares of the entries of one
contribution to it. The bytes of a delivery are not here: its link says where they are.
"""

from __future__ import annotations

from collections import defaultdict
from collections.abc import Iterable, Mapping, Sequence
from datetime import UTC, datetime
from typing import Any
from uuid import UUID

import asyncpg
import msgspec
from sqlalchemy.ext.asyncio import AsyncConnection

from connectors.contract import METRICS
from service import ids
from service.db.engine import driver
from service.errors import Invalid
from service.kpi.measure import Reason
from service.kpi.members import FOLLOWERS_AT_PUBLISH, FOLLOWERS_START, exact_sum
from service.kpi.question import is_money, shown
from service.kpi.sides import Side, sides
from service.ledger import evidence, restatements
from service.ledger.history.campaigns import Member
from service.ledger.history.spans import EARLIEST
from service.reports.answer import MetaOut, MetricOut, PageOut, metric_out
from service.reports.meta import meta_of
from service.reports.question import Asked, PlatformNotes, Question, instant, understand
from service.reports.rows import values_of
from service.reports.stretches import TOTAL, total_span
from service.reports.sums import Sums, total_of

_EVER = datetime(9000, 1, 1, tzinfo=UTC)
_FOLLOWERS = "followers"
Amount = int | float | str


class InputOut(msgspec.Struct, frozen=True, kw_only=True):
    """One stored metric of the formula: its role, its total over the members that count, and how many they are.

    ``total`` is null with the ``reason`` where it may not be shown or is in several currencies.
    """

    role: str
    metric: str
    total: int | float | str | None
    reason: str | None
    members: int


class EntryOut(msgspec.Struct, frozen=True, kw_only=True):
    """One entry of the ledger: ``delta`` over its interval, of which ``share`` lies inside the range.

    ``sign`` is -1 where an earlier entry is taken back. ``day`` and ``days`` are a window of the source's own days.
    """

    posting: str
    number: int
    cause: str
    sign: int
    valid_from: str
    valid_to: str
    day: str | None
    days: int
    observed_at: str
    delta: int | float | str
    share: int | float | str
    currency: str | None
    delivery: str


class ContributionOut(msgspec.Struct, frozen=True, kw_only=True):
    """What one subject brings into one side of the formula, with the first hundred of its entries.

    ``rest`` is the share of the entries that are not listed: a shorter range lists them. ``fact`` names the stated
    fact where no entry stands behind the number.
    """

    role: str
    metric: str
    subject: str
    platform: str
    external_id: str
    type: str
    contribution: int | float | str | None
    mapping: str | None
    fact: str | None
    entries: tuple[EntryOut, ...]
    entries_total: int
    rest: int | float | str


class EvidenceOut(msgspec.Struct, frozen=True, kw_only=True):
    """A delivery behind entries. ``kept`` is false where retention took its bytes, and with them hash and ``body``."""

    id: str
    received_at: str
    source: str
    connector: str | None
    connector_version: str | None
    body_sha256: str | None
    kept: bool
    body: str | None


class ProvenanceOut(msgspec.Struct, frozen=True, kw_only=True):
    """A KPI with what it is made of: contributions by role and metric, the biggest first, and their deliveries."""

    metric: str
    definition: str
    formula: str
    value: MetricOut
    inputs: tuple[InputOut, ...]
    data: tuple[ContributionOut, ...]
    deliveries: tuple[EvidenceOut, ...]
    meta: MetaOut
    page: PageOut


class _Part(msgspec.Struct, frozen=True, kw_only=True):
    """One contribution, in stored units."""

    place: int
    side: Side
    member: Member
    amount: int

    @property
    def order(self) -> tuple[int, int, str]:
        return self.place, -abs(self.amount), self.member.subject_id.hex


async def campaign_provenance(
    connection: AsyncConnection,
    workspace_id: UUID,
    campaign_id: UUID,
    question: Question,
    notes: PlatformNotes,
    now: datetime,
    *,
    after: str | None,
    limit: int,
) -> ProvenanceOut:
    """Return up to ``limit`` contributions to the question's one KPI, in one read-only snapshot.

    Raises what ``campaign_kpis`` does.
    """
    raw = await driver(connection)
    asked = await understand(raw, workspace_id, campaign_id, question, now)
    (kpi,) = asked.kpis
    sums = await total_of(raw, asked)
    parts = _parts(asked, sums)
    behind = _key(after) if after is not None else None
    waiting = [part for part in parts if behind is None or part.order > behind]
    page, more = waiting[:limit], len(waiting) > limit
    entries = await _entries(raw, asked, page)
    named = {
        row["delivery_id"]: (row["received_at"], row["source_id"])
        for rows in entries.values()
        for row in rows
        if row["delivery_id"].int  # a carried sum is of many, which retention took
    }
    deliveries = await evidence.deliveries(raw, workspace_id, named, asked.knowledge.posting)
    return ProvenanceOut(
        metric=kpi.slug,
        definition=kpi.definition,
        formula=kpi.formula,
        value=metric_out(values_of(asked, sums, TOTAL)[kpi.slug]),
        inputs=inputs_of(asked, sums),
        data=tuple(_contribution(part, entries.get(part.order, ()), sums.currency, notes) for part in page),
        deliveries=tuple(_delivery(row) for row in deliveries),
        meta=meta_of(asked, sums, notes, len(page)),
        page=PageOut(next=_token(page[-1]) if more else None, has_more=more),
    )


def inputs_of(asked: Asked, sums: Sums) -> tuple[InputOut, ...]:
    """Return the stored metrics of the formula with their totals."""
    found = []
    for side in sides(asked.kpis[0], sums.by_bucket[TOTAL]):
        reason = _hidden(side.metric, sums)
        total = exact_sum(side.amounts.values[side.amounts.known])
        found.append(
            InputOut(
                role=side.role,
                metric=side.metric,
                total=shown(side.metric, total, sums.currency) if reason is None and side.amounts.known.any() else None,
                reason=str(reason) if reason else None if side.amounts.known.any() else str(Reason.NOT_REPORTED),
                members=int(side.amounts.known.sum()),
            )
        )
    return tuple(found)


def _hidden(metric: str, sums: Sums) -> Reason | None:
    """Return why the amounts of a metric cannot be shown. A suspected reset withholds the value, not its evidence."""
    if sums.by_bucket[TOTAL].withheld.get(metric) is Reason.NOT_PERMITTED:
        return Reason.NOT_PERMITTED
    return Reason.MIXED_CURRENCY if is_money(metric) and sums.currency is None else None


def _parts(asked: Asked, sums: Sums) -> list[_Part]:
    """Return every contribution, the biggest of each side first; none of what the caller may not see."""
    found = [
        _Part(place=place, side=side, member=asked.members[at], amount=int(side.amounts.values[at]))
        for place, side in enumerate(sides(asked.kpis[0], sums.by_bucket[TOTAL]))
        if _hidden(side.metric, sums) is not Reason.NOT_PERMITTED
        for at in side.amounts.known.nonzero()[0].tolist()
    ]
    return sorted(found, key=lambda part: part.order)


def _token(part: _Part) -> str:
    return f"{part.place}.{abs(part.amount)}.{ids.show('subject', part.member.subject_id)}"


def _key(token: str) -> tuple[int, int, str]:
    place, _, rest = token.partition(".")
    amount, _, subject = rest.partition(".")
    prefix = ids.PREFIXES["subject"]
    if not (place.isascii() and place.isdecimal() and amount.isascii() and amount.isdecimal()):
        raise Invalid("not a `page.next` of this list", pointer="?after", code="malformed_id")
    if not subject.startswith(prefix) or len(token) > 100:  # noqa: PLR2004 - far longer than any
        raise Invalid("not a `page.next` of this list", pointer="?after", code="malformed_id")
    return int(place), -int(amount), subject.removeprefix(prefix)


# ------------------------------------------------------------------------------------------------ entries


async def _entries(
    raw: asyncpg.Connection[Any], asked: Asked, page: Sequence[_Part]
) -> dict[tuple[int, int, str], list[Any]]:
    """Return the entries of contributions, by their order."""
    by_place: dict[int, list[_Part]] = defaultdict(list)
    for part in page:
        by_place[part.place].append(part)
    found: dict[tuple[int, int, str], list[Any]] = defaultdict(list)
    for parts in by_place.values():
        keys = {part.member.subject_id: part.order for part in parts}
        for row in await _lines(raw, asked, parts):
            found[keys[row["owner"]]].append(row)
    return found


async def _lines(raw: asyncpg.Connection[Any], asked: Asked, parts: Sequence[_Part]) -> list[Any]:
    """Return the entries of the contributions to one side, as its metric is read."""
    metric, span, number = parts[0].side.metric, total_span(asked.period), asked.knowledge.posting
    subjects = [part.member.subject_id for part in parts]
    if metric == FOLLOWERS_AT_PUBLISH:
        at_publication = await _at_publication(raw, asked, parts)
        return await evidence.level(raw, asked.workspace_id, at_publication, _FOLLOWERS, number)
    if metric in (_FOLLOWERS, FOLLOWERS_START):
        start = EARLIEST if span.openings else span.start
        at = start if metric == FOLLOWERS_START else span.end
        levels = [(one, one, at, span.end) for one in subjects]
        return await evidence.level(raw, asked.workspace_id, levels, _FOLLOWERS, number)
    reader = evidence.summed if METRICS[metric].additive else evidence.unique
    return await reader(raw, asked.workspace_id, subjects, span, metric, number)


async def _at_publication(
    raw: asyncpg.Connection[Any], asked: Asked, parts: Iterable[_Part]
) -> list[tuple[UUID, UUID, datetime, datetime]]:
    """Return (post, its profile, its publication, end of time) of posts whose followers are read from a profile."""
    posts = [part.member for part in parts if part.member.followers_at_publish is None]
    names = sorted({(post.platform, post.creator) for post in posts if post.creator is not None})
    profiles = await restatements.subjects_named(raw, asked.workspace_id, names)
    found = []
    for post in posts:
        profile = profiles.get((post.platform, post.creator or ""))
        published_at = post.published_at
        if profile is not None and published_at is not None:
            found.append((post.subject_id, profile, published_at, _EVER))
    return found


# ------------------------------------------------------------------------------------------------ showing


def _contribution(part: _Part, rows: Sequence[Any], currency: str | None, notes: PlatformNotes) -> ContributionOut:
    member, metric = part.member, part.side.metric
    stated = metric == FOLLOWERS_AT_PUBLISH and member.followers_at_publish is not None
    rest = rows[0]["whole"] - sum(row["share"] for row in rows) if rows else 0
    mixed = is_money(metric) and currency is None
    return ContributionOut(
        role=part.side.role,
        metric=metric,
        subject=ids.show("subject", member.subject_id),
        platform=member.platform,
        external_id=member.external_id,
        type=member.type,
        contribution=None if mixed else shown(metric, part.amount, currency),
        mapping=notes.mappings.get((member.platform, metric)),
        fact=FOLLOWERS_AT_PUBLISH if stated else None,
        entries=tuple(_entry(metric, row) for row in rows),
        entries_total=rows[0]["total"] if rows else 0,
        rest=shown(metric, rest, currency),
    )


def _entry(metric: str, row: Mapping[str, Any]) -> EntryOut:
    currency = row["currency"] or None
    return EntryOut(
        posting=ids.show("posting", row["posting_id"]),
        number=row["posting"],
        cause=evidence.cause_name(row["cause"]),
        sign=row["sign"],
        valid_from=instant(row["valid_from"]),
        valid_to=instant(row["valid_to"]),
        day=row["day"].isoformat() if row["day"] else None,
        days=row["days"],
        observed_at=instant(row["observed_at"]),
        delta=shown(metric, row["delta"], currency),
        share=shown(metric, row["share"], currency),
        currency=currency if is_money(metric) else None,
        delivery=ids.show("delivery", row["delivery_id"]),
    )


def _delivery(row: Mapping[str, Any]) -> EvidenceOut:
    name, kept = ids.show("delivery", row["delivery_id"]), row["body_hash"] is not None
    return EvidenceOut(
        id=name,
        received_at=instant(row["received_at"]),
        source=ids.show("source", row["source_id"]),
        connector=row["connector"],
        connector_version=row["connector_version"],
        body_sha256=row["body_hash"].hex() if kept else None,
        kept=kept,
        body=f"/v1/deliveries/{name}/body" if kept else None,
    )
