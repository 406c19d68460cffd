"""Booking of counters: lifetime and level readings, and uniques without a window."""

from __future__ import annotations

from collections import defaultdict
from collections.abc import Mapping, Sequence
from uuid import UUID

from service.ledger import statements
from service.ledger.facts import Subject
from service.ledger.rows import SeriesOf, balance_of, line_of
from service.ledger.series import Balance, Line, Reading, advance, correct, in_order, pack
from service.ledger.verdicts import resets_in, verdicts
from service.ledger.work import Said, Work


async def book_counters(work: Work, said: Sequence[Said]) -> None:
    """Book the counters that deliveries report. Readings in order need no look at the ledger, others need one."""
    readings, owners = _gathered(work, said)
    await _republish(work, readings, owners)
    balances = await _load_balances(work, [key for key in readings if not owners[key[0]].fresh])
    late = []
    for key, series_readings in readings.items():
        balance = balances.setdefault(key, Balance({}, {}))
        series_readings.sort(key=lambda reading: reading.at)
        stale_origin = "published_at" in owners[key[0]].changed and bool(balance.values)
        if stale_origin or not in_order(balance, series_readings):
            late.append(key)
            continue
        published = work.tracked(owners[key[0]], key[1])
        for line in pack(advance(balance, series_readings, published, level=work.level(key[1]))):
            work.sheet.add(*key, line)
        work.balances[key] = balance
    await _correct(work, late, balances, readings, owners)


def _gathered(work: Work, said: Sequence[Said]) -> tuple[dict[SeriesOf, list[Reading]], dict[UUID, Subject]]:
    readings: dict[SeriesOf, list[Reading]] = defaultdict(list)
    owners: dict[UUID, Subject] = {}
    for part in said:
        for block in part.readings:
            if block.window is not None:
                continue
            number = work.series_of(block.key)
            for ref, reported in zip(block.subjects, block.metrics, strict=True):
                subject = work.subjects[ref.external_id]
                owners[subject.subject_id] = subject
                metrics = {metric: value for metric, value in reported.items() if value is not None}
                readings[subject.subject_id, number].append(Reading(block.at, metrics, part.ref))
    return readings, owners


async def _republish(work: Work, readings: dict[SeriesOf, list[Reading]], owners: dict[UUID, Subject]) -> None:
    """Take in every counter series of known subjects whose publication changed: first values may be growth now."""
    changed = {
        subject.subject_id: subject
        for subject in work.subjects.values()
        if "published_at" in subject.changed and not subject.fresh
    }
    if not changed:
        return
    rows = await work.connection.fetch(statements.SERIES_OF_SUBJECTS, work.workspace_id, list(changed))
    for row in rows:
        owners[row["subject_id"]] = changed[row["subject_id"]]
        work.adopt(row)
        readings.setdefault((row["subject_id"], row["series_id"]), [])
        work.needs_rebuild(row["subject_id"])


async def _load_balances(work: Work, keys: Sequence[SeriesOf]) -> dict[SeriesOf, Balance]:
    if not keys:
        return {}
    rows = await work.connection.fetch(
        statements.BALANCES, work.workspace_id, [key[0] for key in keys], [key[1] for key in keys]
    )
    return {(row["subject_id"], row["series_id"]): balance_of(row) for row in rows}


async def _correct(
    work: Work,
    late: Sequence[SeriesOf],
    balances: Mapping[SeriesOf, Balance],
    readings: Mapping[SeriesOf, Sequence[Reading]],
    owners: Mapping[UUID, Subject],
) -> None:
    """Book series whose readings do not simply follow what is known, with their lines at hand."""
    known = [key for key in late if balances[key].values]
    lines: dict[SeriesOf, list[Line]] = defaultdict(list)
    if known:
        rows = await work.connection.fetch(
            statements.ENTRIES_OF_SERIES, work.workspace_id, [key[0] for key in known], [key[1] for key in known]
        )
        for row in rows:
            lines[row["subject_id"], row["series_id"]].append(line_of(row))
    said = await verdicts(work.connection, work.workspace_id, [key[0] for key in known]) if known else {}
    for key in late:
        published = work.tracked(owners[key[0]], key[1])
        resets = resets_in(said.get(key, {}))
        steps = correct(balances[key], lines[key], readings[key], published, level=work.level(key[1]), resets=resets)
        for line in pack(steps):
            work.sheet.add(*key, line)
        work.balances[key] = balances[key]
