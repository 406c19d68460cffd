"""The shape of evidence, and how entries and deliveries are put into it. Field order is part of it."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from typing import Any

import msgspec

from service import ids
from service.kpi.members import FOLLOWERS_AT_PUBLISH
from service.kpi.question import is_money, shown
from service.kpi.sides import Side
from service.ledger import evidence
from service.ledger.history.members import Member
from service.ledger.history.said import qualities
from service.reports.answer import MetaOut, MetricOut, PageOut
from service.reports.question import PlatformNotes, instant


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
    ``quality`` is what the platform says against the number.
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
    quality: tuple[str, ...]
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


class Part(msgspec.Struct, frozen=True, kw_only=True):
    """One contribution, in stored units."""

    place: int
    side: Side
    member: Member
    amount: int

    @property
    def order(self) -> tuple[int, int, str]:
        """Return what contributions are ordered by: their side, the biggest first."""
        return self.place, -abs(self.amount), self.member.subject_id.hex


def contribution_out(part: Part, rows: Sequence[Any], currency: str | None, notes: PlatformNotes) -> ContributionOut:
    """Return a contribution with its entries as it is answered."""
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
        quality=tuple(sorted(quality.value for quality in qualities(row["flags"]))),
        delivery=ids.show("delivery", row["delivery_id"]),
    )


def delivery_out(row: Mapping[str, Any]) -> EvidenceOut:
    """Return a delivery behind entries as it is answered."""
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
