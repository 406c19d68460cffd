"""KPIs that are no quotients: sums, levels, distinct people, growth, and the frequency that hangs on people.

Levels and people are never summed: one is exact, several are bounds.
"""

from __future__ import annotations

from collections.abc import Sequence

from service.kpi.catalogue import Kind
from service.kpi.levels import frequency_bounds, growth, union_bounds
from service.kpi.measure import Coverage, Reason, State, Unit, Value, significant, state_of
from service.kpi.members import FOLLOWERS_START, Column, MemberSums, count, exact_sum, read, shared_amount, silent_parts
from service.kpi.question import Ask, coverage_of, is_money, null, shown
from service.kpi.rates import align


def additive(ask: Ask) -> Value:
    """Return the sum over the members that know the metric; null where none does."""
    key = ask.kpi.slug
    column, shared = read(ask.sums, key), shared_amount(ask.sums, key)
    known = count(column.known)
    total = exact_sum(column.values[column.known]) + (shared or 0) if known or shared is not None else None
    coverage = Coverage(members_known=known, members_total=len(ask.sums.members))
    return summed(ask, total, coverage, silent_parts(ask.sums, key))


def summed(ask: Ask, total: int | None, coverage: Coverage, silent: Sequence[str]) -> Value:
    """Return a sum (None where nobody knows the metric); ``silent`` are parts of it that nobody reports."""
    key = ask.kpi.slug
    if total is None:
        return null(ask, Reason.NO_COST if key == "cost" else Reason.NOT_REPORTED)
    if is_money(key) and ask.currency is None:
        return null(ask, Reason.MIXED_CURRENCY)
    return Value(
        value=shown(key, total, ask.currency),
        unit=ask.kpi.unit,
        state=state_of(total),
        currency=ask.currency if is_money(key) else None,
        coverage=coverage,
        note=f"not reported by any member: {', '.join(silent)}" if silent else None,
    )


def people(ask: Ask) -> Value:
    """A unique or a level: exact for one audience, bounds for several, which may overlap."""
    key = ask.kpi.slug
    column = read(ask.sums, key)
    known = count(column.known)
    if not known:
        return null(ask, Reason.NOT_REPORTED)
    unknown = _unknown_audiences(ask.sums, column) if ask.kpi.kind is Kind.UNIQUE else 0
    coverage = Coverage(members_known=known, members_total=len(ask.sums.members))
    sizes = column.values[column.known].tolist()
    if known == 1 and not unknown:
        return Value(value=sizes[0], unit=ask.kpi.unit, state=state_of(sizes[0]), coverage=coverage)
    return Value(
        value=None,
        unit=ask.kpi.unit,
        state=State.BOUNDED,
        reason=Reason.NOT_ADDITIVE,
        bounds=union_bounds(sizes, ask.sums.audience_cap, unknown),
        coverage=coverage,
        note="audiences overlap: at least the largest, at most all together",
    )


def _unknown_audiences(sums: MemberSums, reach: Column) -> int:
    """Count the members that were seen by somebody but report no reach."""
    seen = read(sums, "impressions").known | read(sums, "views").known | read(sums, "engagements").known
    return int((seen & ~reach.known).sum())


def net_growth(ask: Ask) -> Value:
    """Return the growth of followers from the start of the range to its end, absolute or as a fraction."""
    first, last = read(ask.sums, FOLLOWERS_START), read(ask.sums, "followers")
    aligned = align(last, first)
    profiles = count(aligned.mask)
    if not profiles:
        return _flows(ask) or null(ask, Reason.MISSING_PREVIOUS if last.known.any() else Reason.MISSING_CURRENT)
    grown = growth(aligned.denominator, aligned.numerator)
    rate = ask.kpi.unit is Unit.FRACTION
    coverage = Coverage(members_known=profiles, members_total=len(ask.sums.members))
    note = f"net growth of {profiles} profiles; who follows several counts in each" if profiles > 1 else None
    number = grown.fraction if rate else grown.absolute
    if number is None:
        return null(ask, grown.reason or Reason.ZERO_BASE, numerator=grown.absolute, coverage=coverage, note=note)
    return Value(
        value=number,
        unit=ask.kpi.unit,
        state=state_of(number),
        numerator=grown.absolute,
        denominator=aligned.denominator,
        coverage=coverage,
        note=note,
    )


def _flows(ask: Ask) -> Value | None:
    """Growth from what profiles gained and lost, where no level at both ends is known."""
    flows = align(read(ask.sums, "followers_gained"), read(ask.sums, "followers_lost"))
    known = count(flows.mask)
    if not known or ask.kpi.unit is Unit.FRACTION:
        return None
    net = flows.numerator - flows.denominator
    coverage = Coverage(members_known=known, members_total=len(ask.sums.members))
    note = "followers gained less followers lost"
    return Value(value=net, unit=ask.kpi.unit, state=state_of(net), coverage=coverage, note=note)


def frequency(ask: Ask) -> Value:
    """Return impressions per person reached: exact for one post, bounds for several."""
    reach = read(ask.sums, "reach")
    aligned = align(read(ask.sums, "impressions"), reach)
    known = count(aligned.mask)
    if not known:
        return null(ask, Reason.MISSING_NUMERATOR if reach.known.any() else Reason.MISSING_DENOMINATOR)
    coverage = coverage_of(ask, aligned)
    bounds = union_bounds(reach.values[aligned.mask].tolist(), ask.sums.audience_cap)
    if bounds is None or aligned.denominator <= 0:
        return null(ask, Reason.ZERO_DENOMINATOR, numerator=aligned.numerator, denominator=0, coverage=coverage)
    if known == 1:
        number = significant(aligned.numerator / aligned.denominator)
        return Value(
            value=number,
            unit=ask.kpi.unit,
            state=state_of(number),
            numerator=aligned.numerator,
            denominator=aligned.denominator,
            coverage=coverage,
        )
    lower, upper = int(bounds.lower), None if bounds.upper is None else int(bounds.upper)
    return Value(
        value=None,
        unit=ask.kpi.unit,
        state=State.BOUNDED,
        reason=Reason.NOT_ADDITIVE,
        numerator=aligned.numerator,
        bounds=frequency_bounds(aligned.numerator, lower, upper),
        coverage=coverage,
        note="reach is known by post only: impressions over the bounds of the people",
    )
