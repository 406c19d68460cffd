"""Booking of what sells: touches that name somebody, and conversions with whom they are credited to.

A batch without either costs one look at its readings and nothing of the database.
"""

from __future__ import annotations

from collections import defaultdict
from collections.abc import Collection, Sequence
from uuid import UUID

from service.errors import Misconfigured
from service.ledger import conversions, statements, touchpoints
from service.ledger.conversions import Settled
from service.ledger.journeys import Event, Touch
from service.ledger.readings import EventReading, event_key, sale_key
from service.ledger.series import Ref
from service.ledger.work import Said, Work

DECIDING = frozenset({"utm_campaign", "platform_campaign"})
"""Facts of a touched subject that decide whether a visit of a campaign was the touch."""


async def hold_first(work: Work, said: Sequence[Said]) -> None:
    """Hold the conversions of the workspace before any subject is locked, where they will be decided about.

    Who had locked subjects and waited for conversions could be waited for by who decides about conversions and writes
    lines of these subjects. What turns out later is held when it does: the database then breaks what meets.
    """
    if any(_decides(reading) for part in said for reading in part.events) or _learnt(work):
        await conversions.hold(work.connection, work.workspace_id)
        work.holds = True


def _decides(reading: EventReading) -> bool:
    return reading.sale is not None or bool(reading.touch and (reading.visit.customer or reading.visit.click))


def _learnt(work: Work) -> set[UUID]:
    """Return the known subjects of which something was learnt that decides about touches."""
    return {
        subject.subject_id for subject in work.subjects.values() if not subject.fresh and subject.changed & DECIDING
    }


async def book_sales(work: Work, said: Sequence[Said], moved: Collection[UUID]) -> None:
    """Book conversions, and what changes of those that stand; ``moved`` are subjects that changed campaigns."""
    told, touched = _gathered(work, said)
    learnt = _learnt(work)
    if not (told or touched or learnt or moved):
        return
    if not work.holds:
        await conversions.hold(work.connection, work.workspace_id)
    changed = await touchpoints.book(work.connection, work.posting, touched)
    settled = await conversions.settle(work.connection, work.posting, told, changed, learnt | set(moved))
    work.noted = settled.noted or bool(changed)
    await _take_over(work, settled)


def _gathered(work: Work, said: Sequence[Said]) -> tuple[dict[bytes, Event], dict[bytes, Touch]]:
    """Return the newest reading of each conversion and of each touch."""
    told: dict[bytes, Event] = {}
    touched: dict[bytes, Touch] = {}
    for part in said:
        for reading in part.events:
            if reading.names is not None:
                raise Misconfigured("an event still says in plain text who came: names are hashed before booking")
            if reading.sale is not None:
                event = event_told(*_home(work, reading), reading, part.ref)
                if event.key not in told or event.order() > told[event.key].order():
                    told[event.key] = event
            elif reading.touch and work.source.counts:
                touch = touch_told(work.source.platform, *_home(work, reading), reading, part.ref)
                if touch.key not in touched or touch.order() > touched[touch.key].order():
                    touched[touch.key] = touch
    if not any(touch.visit.customer or touch.visit.click for touch in touched.values()) and not told:
        # Clicks that name nobody lead nowhere. One that named somebody before is looked for only if it may be there.
        return told, {key: touch for key, touch in touched.items() if touch.key in work.said_again}
    return told, touched


def _home(work: Work, reading: EventReading) -> tuple[UUID, UUID, int]:
    subject = work.subjects[reading.subject.external_id]
    return work.source.source_id, subject.subject_id, work.series_of(reading.key)


def event_told(source_id: UUID, subject_id: UUID, number: int, reading: EventReading, ref: Ref) -> Event:
    """Return a reading of something sold as an event without a version. It has a ``sale``."""
    sale = reading.sale
    assert sale is not None  # noqa: S101 - the caller has looked
    return Event(
        key=event_key(source_id.bytes, reading.name),
        kind=sale.kind,
        at=reading.at,
        observed_at=reading.observed_at,
        subject_id=subject_id,
        external_id=reading.subject.external_id,
        basis=sale.basis,
        sale=sale_key(source_id.bytes, sale),
        series_id=number,
        currency=reading.key.currency,
        goal=reading.key.goal,
        value=sale.value,
        first_order=sale.first_order,
        cancelled=sale.cancelled,
        source_id=source_id,
        visit=reading.visit,
        ref=ref,
    )


def touch_told(
    platform: str, source_id: UUID, subject_id: UUID, _number: int, reading: EventReading, ref: Ref
) -> Touch:
    """Return a reading of a click or a view as a touch without a version."""
    return Touch(
        key=event_key(source_id.bytes, reading.name),
        kind=reading.touch,
        at=reading.at,
        observed_at=reading.observed_at,
        subject_id=subject_id,
        external_id=reading.subject.external_id,
        platform=platform,
        source_id=source_id,
        visit=reading.visit,
        ref=ref,
    )


_PLATFORMS = "select subject_id, platform from subjects where workspace_id = $1 and subject_id = any($2::uuid[])"


async def _take_over(work: Work, settled: Settled) -> None:
    """Put the lines of credits among those of the posting, with what their subjects need for tallies."""
    if not settled.lines:
        return
    subjects = sorted({subject_id for subject_id, _, _ in settled.lines})
    for row in await work.connection.fetch(_PLATFORMS, work.workspace_id, subjects):
        work.platforms[row["subject_id"]] = row["platform"]
    found: dict[UUID, list[UUID]] = defaultdict(list)
    for row in await work.connection.fetch(statements.ZONES_OF_SUBJECTS, work.workspace_id, subjects):
        found[row["subject_id"]].append(row["campaign_id"])
        work.zones[row["campaign_id"]] = row["zone"]
    work.campaigns = {subject_id: sorted(names) for subject_id, names in found.items()}
    strangers = {number for _, number, _ in settled.lines} - work.series.keys()
    for row in await conversions.homes(work.connection, work.workspace_id, strangers) if strangers else ():
        work.adopt(row)
    for subject_id, number, line in settled.lines:
        work.sheet.add(subject_id, number, line)
    for subject_id in sorted(settled.bare):
        if any(work.tallied(number) for one, number, _ in settled.lines if one == subject_id):
            work.needs_rebuild(subject_id)
