"""From a KPI to its evidence: who brings in how much, by which entries, read from which deliveries under which rule.

The contributions of a side add up to the number that the formula has there, and the shares of the entries of one
contribution to it. The bytes of a delivery are not here: its link says where they are.
"""

from __future__ import annotations

from collections import defaultdict
from collections.abc import Iterable, Sequence
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
from service.kpi.sides import sides
from service.ledger import evidence, restatements
from service.ledger.history.spans import EARLIEST
from service.reports.answer import PageOut, metric_out
from service.reports.meta import meta_of
from service.reports.provenance_answer import InputOut, Part, ProvenanceOut, contribution_out, delivery_out
from service.reports.question import Asked, PlatformNotes, Question, understand
from service.reports.rows import values_of
from service.reports.stretches import TOTAL, total_span
from service.reports.sums import Sums, total_of

_EVER = datetime(9000, 1, 1, tzinfo=UTC)
_FOLLOWERS = "followers"


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
    sums = await total_of(raw, msgspec.structs.replace(asked, doubtful=notes.doubtful))
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
        data=tuple(contribution_out(part, entries.get(part.order, ()), sums.currency, notes) for part in page),
        deliveries=tuple(delivery_out(row) for row in deliveries),
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


def _parts(asked: Asked, sums: Sums) -> list[Part]:
    """Return every contribution, the biggest of each side first; none of what the caller may not see."""
    found = [
        Part(place=place, side=side, member=asked.members[at], amount=int(side.amounts.values[at]))
        for place, side in enumerate(sides(asked.kpis[0], sums.by_bucket[TOTAL]))
        if _hidden(side.metric, sums) is not Reason.NOT_PERMITTED
        for at in side.amounts.known.nonzero()[0].tolist()
    ]
    return sorted(found, key=lambda part: part.order)


def _token(part: Part) -> str:
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
    raw: asyncpg.Connection[Any], asked: Asked, page: Sequence[Part]
) -> dict[tuple[int, int, str], list[Any]]:
    """Return the entries of contributions, by their order."""
    by_place: dict[int, list[Part]] = defaultdict(list)
    for part in page:
        by_place[part.place].append(part)
    found: dict[tuple[int, int, str], list[Any]] = defaultdict(list)
    for parts in by_place.values():
        keys = {part.member.subject_id: part.order for part in parts}
        for row in await _lines(raw, asked, parts):
            found[keys[row["owner"]]].append(row)
    return found


async def _lines(raw: asyncpg.Connection[Any], asked: Asked, parts: Sequence[Part]) -> list[Any]:
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
    raw: asyncpg.Connection[Any], asked: Asked, parts: Iterable[Part]
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
