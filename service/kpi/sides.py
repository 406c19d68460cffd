"""What a KPI is made of, member by member: the amounts behind its sum, or behind its numerator and denominator.

The amounts of a side add up to the number that the formula has there. How a KPI is computed is in ``evaluate``.
"""

from __future__ import annotations

import msgspec

from service.kpi.catalogue import Kind, Kpi
from service.kpi.members import FOLLOWERS_START, BoolArray, Column, MemberSums, parts_of, read
from service.kpi.quotients import counted
from service.kpi.rates import align


class Side(msgspec.Struct, frozen=True, kw_only=True, eq=False):
    """One stored metric in a formula: its role there, and what each member that counts brings in."""

    role: str
    metric: str
    amounts: Column


def sides(kpi: Kpi, sums: MemberSums) -> tuple[Side, ...]:
    """Return the sides of a KPI, those of derived metrics part by part. Roles: sum, audience, end, start, and

    numerator and denominator.
    """
    if kpi.kind is Kind.ADDITIVE:
        return _parts("sum", kpi.slug, sums, read(sums, kpi.slug).known)
    if kpi.kind in (Kind.LEVEL, Kind.UNIQUE):
        return _parts("audience", kpi.slug, sums, read(sums, kpi.slug).known)
    if kpi.kind is Kind.GROWTH:
        mask = align(read(sums, "followers"), read(sums, FOLLOWERS_START)).mask
        return _parts("end", "followers", sums, mask) + _parts("start", FOLLOWERS_START, sums, mask)
    above, below = kpi.numerator or "", kpi.denominator or ""
    if kpi.kind is Kind.FREQUENCY:
        mask = align(read(sums, above), read(sums, below)).mask
        return _parts("numerator", above, sums, mask) + _parts("denominator", below, sums, mask)
    numerator, denominator = counted(kpi, sums)
    return _parts("numerator", above, sums, numerator) + _parts("denominator", below, sums, denominator)


def _parts(role: str, key: str, sums: MemberSums, mask: BoolArray) -> tuple[Side, ...]:
    found = []
    for part in parts_of(key):
        column = sums.columns.get(part)
        if column is not None:
            known = column.known & mask
            found.append(Side(role=role, metric=part, amounts=Column(values=column.values * known, known=known)))
    return tuple(found)
