"""A comparison as it is answered: numbers as text where they are money, verdicts with their reasons in plain words."""

from __future__ import annotations

from collections.abc import Sequence
from datetime import datetime
from typing import Any
from uuid import UUID

from sqlalchemy.ext.asyncio import AsyncConnection

from service import ids
from service.kpi.arms import Nature, is_inverted
from service.kpi.catalogue import Kpi
from service.kpi.compare import Decision
from service.kpi.measure import Unit, significant
from service.kpi.money import limit_text
from service.kpi.versus import FEWEST_EVENTS, Against
from service.kpi.views import Estimate, Pair, View, inverse
from service.reports.answer import WarningOut, metric_out
from service.reports.meta import range_out
from service.reports.question import known_at
from service.reports.versus import Contest, Meeting, Seen, Versus, meetings
from service.reports.versus_answer import (
    AgainstOut,
    EstimateOut,
    MantelHaenszelOut,
    MarginOut,
    NeededOut,
    PairOut,
    PlatformOut,
    ReasonOut,
    SideOut,
    StratifiedOut,
    VersusMetaOut,
    VersusOut,
    ViewOut,
)
from service.reports.versus_terms import WORDS, attribution_of, settles_at

_RANDOM = "The campaigns were not randomised: this says that they differ, not why."


async def campaigns_versus(
    connection: AsyncConnection,
    workspace_id: UUID,
    campaigns: Sequence[UUID],
    base: UUID,
    versus: Versus,
    now: datetime,
) -> VersusOut:
    """Answer how campaigns stand against ``base``. Raises what ``versus.meetings`` does."""
    found = await meetings(connection, workspace_id, campaigns, base, versus, now)
    first = found[0].a.asked
    claims = sum(contest.adjusted is not None for meeting in found for contest in meeting.contests)
    return VersusOut(
        data=tuple(_pair(meeting, versus, claims) for meeting in found),
        meta=VersusMetaOut(
            as_of=known_at(first),
            posting=first.knowledge.posting,
            level=versus.look.level,
            peeking=versus.look.peeking,
            strata="platform" if versus.by_platform else None,
            align=versus.align.value,
            false_discovery_rate=versus.false_discovery_rate,
            claims=claims,
            randomised=False,
            attribution=attribution_of(found[0].b.asked),
            definitions={contest.kpi.slug: contest.kpi.definition for contest in found[0].contests},
            query=_query(campaigns, base, versus, found[0]),
        ),
    )


def _query(campaigns: Sequence[UUID], base: UUID, versus: Versus, meeting: Meeting) -> dict[str, Any]:
    question = versus.question
    dates = (question.range_from, question.range_to)
    return {
        "campaigns": [ids.show("campaign", one) for one in campaigns],
        "base": ids.show("campaign", base),
        "metrics": [contest.kpi.slug for contest in meeting.contests],
        "range": {"from": str(dates[0]), "to": str(dates[1])}
        if dates[0]
        else {"preset": question.preset or "flight_to_date"},
        "timezone": question.timezone,
    }


def _pair(meeting: Meeting, versus: Versus, claims: int) -> PairOut:
    members = [{member.subject_id for member in one.asked.members} for one in (meeting.a, meeting.b)]
    shared = len(members[0] & members[1])
    return PairOut(
        a=_side(meeting.a),
        b=_side(meeting.b),
        part=meeting.parts.words,
        shared_subjects=shared,
        metrics={one.kpi.slug: _against(meeting, one, versus, claims) for one in meeting.contests},
        warnings=tuple(_warnings(meeting, shared)),
    )


def _side(seen: Seen) -> SideOut:
    return SideOut(
        campaign=ids.show("campaign", seen.campaign_id),
        name=seen.asked.version.name,
        kind=str(seen.asked.version.kind),
        range=range_out(seen.period),
        members=len(seen.asked.members),
    )


def _warnings(meeting: Meeting, shared: int) -> list[WarningOut]:
    found = []
    if shared:
        text = f"{shared} subjects count in both campaigns: the two are not independent, and limits are too narrow"
        found.append(WarningOut(code="shared_subjects", detail=text, pointer=""))
    for side, one in (("a", meeting.a), ("b", meeting.b)):
        settles = settles_at(one.asked, one.period)
        if settles is not None:
            text = f"conversions of {side} may still arrive until {settles.date().isoformat()}"
            found.append(WarningOut(code="conversions_still_arriving", detail=text, pointer=""))
    return found


def _against(meeting: Meeting, contest: Contest, versus: Versus, claims: int) -> AgainstOut:
    found, kpi = contest.found, contest.kpi
    verdict, reasons = _verdict(contest, versus, claims)
    values = contest.values
    return AgainstOut(
        definition=kpi.definition,
        unit=str(kpi.unit),
        better="lower" if is_inverted(kpi) else "higher",
        verdict=verdict.value,
        reasons=reasons,
        summary=_summary(meeting, contest, verdict, reasons, versus),
        decided_by=None if found is None else "pooled" if found.stratified is None else "stratified",
        a=metric_out(values[0]),
        b=metric_out(values[1]),
        pooled=None if found is None else _view(found.pooled, found.pair, contest, versus),
        stratified=None if found is None else _stratified(found, contest, versus),
        reversed=found is not None and found.reversed,
        p_value=None if found is None else _number(found.deciding.p_value),
        p_adjusted=_number(contest.adjusted),
        margin=_margin(contest),
        still_needed=_needed(meeting, contest) if verdict is Decision.UNDECIDED else None,
        chance_better=None if found is None else _number(found.chance_better),
        design_effect=None if found is None else _number(found.design_effect),
        clustered=found is not None and found.pair.clustered,
    )


def _verdict(contest: Contest, versus: Versus, claims: int) -> tuple[Decision, tuple[ReasonOut, ...]]:
    found = contest.found
    if contest.obstacles:
        reasons = [ReasonOut(code=one.value, detail=WORDS[one]) for one in contest.obstacles]
        return Decision.NOT_COMPARABLE, tuple(reasons)
    if found is None:
        text = "too few posts for an error by post, and nothing is known of the single amounts"
        return Decision.UNDECIDED, (ReasonOut(code="too_few_posts", detail=text),)
    decision, reasons = found.decision, _notes(found, versus, apart=contest.apart)
    if found.too_few:
        text = f"fewer than {FEWEST_EVENTS} hits in both campaigns together say nothing that holds at every look"
        reasons.insert(0, ReasonOut(code="too_few_events", detail=text))
    elif decision is Decision.UNDECIDED:
        reasons.insert(0, ReasonOut(code="limits_include_no_difference", detail="the limits include no difference"))
    if decision in (Decision.BETTER, Decision.WORSE) and not contest.discovered:
        decision = Decision.UNDECIDED
        text = f"{claims} questions were asked at once, and among so many this may be chance"
        reasons.insert(0, ReasonOut(code="not_after_correction", detail=text))
    return decision, tuple(reasons)


def _notes(found: Against, versus: Versus, *, apart: bool) -> list[ReasonOut]:
    reasons = []
    if found.reversed:
        text = "pooled over platforms the difference points to the other side: the mix of platforms makes it"
        reasons.append(ReasonOut(code="pooled_view_reversed", detail=text))
    if apart:
        text = "costs and what they brought stand on different platforms: compared pooled"
        reasons.append(ReasonOut(code="costs_apart", detail=text))
    if found.left_out:
        text = f"only one campaign has numbers on {', '.join(found.left_out)}: left out of the stratified view"
        reasons.append(ReasonOut(code="platforms_left_out", detail=text))
    if not found.pair.clustered:
        text = "fewer than five posts in a campaign: single events were taken as independent, so limits are too narrow"
        reasons.append(ReasonOut(code="ignores_clustering", detail=text))
    if not versus.look.peeking:
        text = "the limits hold for one look that was planned beforehand, not for a number that is watched"
        reasons.append(ReasonOut(code="one_planned_look", detail=text))
    return reasons


_SAYS = {
    Decision.BETTER: "{a} is better than {b} in {kpi}",
    Decision.WORSE: "{a} is worse than {b} in {kpi}",
    Decision.EQUIVALENT: "{a} and {b} are equivalent in {kpi}: the difference is smaller than the declared margin",
    Decision.UNDECIDED: "whether {a} or {b} is better in {kpi} is undecided",
    Decision.NOT_COMPARABLE: "{a} and {b} cannot be compared in {kpi}",
}


def _summary(
    meeting: Meeting, contest: Contest, verdict: Decision, reasons: Sequence[ReasonOut], versus: Versus
) -> str:
    """Return the verdict as sentences, with values and limits."""
    names = {"a": meeting.a.asked.version.name, "b": meeting.b.asked.version.name, "kpi": contest.kpi.slug}
    said = _SAYS[verdict].format(**names)
    if contest.found is None:
        return f"{said}: {'; '.join(reason.detail for reason in reasons)}."
    found = contest.found
    shown = _view(found.deciding, found.pair_stratified or found.pair, contest, versus).difference
    over = ", platform by platform," if found.stratified is not None else ""
    looks = "at every look" if versus.look.peeking else "for one look"
    values = " against ".join(_said(value.value) for value in contest.values)
    low, high = _said(shown.low), _said(shown.high)
    limits = f"{_said(shown.value)}, between {low} and {high} with {versus.look.level:.0%} confidence {looks}"
    why = "" if verdict is not Decision.UNDECIDED else f" Because {reasons[0].detail}."
    return f"{said}: {values}; the difference{over} is {limits}.{why} {_RANDOM}"


def _said(number: float | str | None) -> str:
    """Return a number as a person reads it; the exact one stands in the answer."""
    if number is None:
        return "unknown"
    money = isinstance(number, str)
    return f"{float(number):.2f}" if money else f"{number:.4g}"


def _view(view: View, pair: Pair, contest: Contest, versus: Versus) -> ViewOut:
    kpi = contest.kpi
    if is_inverted(kpi) and pair.a.ratio > 0 and pair.b.ratio > 0:
        view = inverse(view, pair, kpi.scale, versus.look)
    currency = contest.values[1].currency if kpi.unit is Unit.MONEY and not _upside(kpi, pair) else None
    return ViewOut(
        difference=_estimate(view.difference, currency),
        ratio=None if view.ratio is None or kpi.offset else _estimate(view.ratio, None),
        lift=None if view.lift is None or kpi.offset else _estimate(view.lift, None),
        p_value=_number(view.p_value),
    )


def _upside(kpi: Kpi, pair: Pair) -> bool:
    """Tell whether a cost had to stay events per money, because nothing has happened yet in one campaign."""
    return is_inverted(kpi) and not (pair.a.ratio > 0 and pair.b.ratio > 0)


def _estimate(estimate: Estimate, currency: str | None) -> EstimateOut:
    def shown(limit: float | None) -> float | str | None:
        if limit is None:
            return None
        return significant(limit) if currency is None else limit_text(limit, currency)

    value = significant(estimate.value) if currency is None else limit_text(estimate.value, currency)
    return EstimateOut(value=value, low=shown(estimate.low), high=shown(estimate.high), method=estimate.method)


def _stratified(found: Against, contest: Contest, versus: Versus) -> StratifiedOut | None:
    if found.stratified is None or found.pair_stratified is None:
        return None
    return StratifiedOut(
        view=_view(found.stratified, found.pair_stratified, contest, versus),
        platforms=tuple(
            PlatformOut(
                platform=one.name,
                weight=significant(one.weight),
                a=metric_out(contest.platforms[one.name][0]),
                b=metric_out(contest.platforms[one.name][1]),
                view=_view(one.view, one.pair, contest, versus),
            )
            for one in found.strata
        ),
        left_out=found.left_out,
        mantel_haenszel=_table(found),
    )


def _table(found: Against) -> MantelHaenszelOut | None:
    table = found.table
    if table is None:
        return None
    risk, odds = table.risk_ratio_limits or (None, None), table.odds_ratio_limits or (None, None)
    return MantelHaenszelOut(
        risk_ratio=_number(table.risk_ratio),
        risk_ratio_low=_number(risk[0]),
        risk_ratio_high=_number(risk[1]),
        odds_ratio=_number(table.odds_ratio),
        odds_ratio_low=_number(odds[0]),
        odds_ratio_high=_number(odds[1]),
        statistic=_number(table.statistic),
        p_value=_number(table.p_value),
    )


def _margin(contest: Contest) -> MarginOut | None:
    margin = contest.margin
    if margin is None:
        return None
    absolute: float | str | None = margin.absolute
    if margin.absolute is not None and contest.kpi.unit is Unit.MONEY:
        absolute = limit_text(margin.absolute, contest.values[1].currency or "")
    equivalent = None if contest.found is None else contest.found.equivalent
    return MarginOut(absolute=absolute, relative=margin.relative, equivalent=equivalent)


def _needed(meeting: Meeting, contest: Contest) -> NeededOut | None:
    found = contest.found
    if found is None or found.needed is None:
        return None
    kpi, nature = contest.kpi, found.pair.nature
    counted = kpi.numerator if nature is Nature.AMOUNTS else kpi.denominator
    unit = ("posts" if found.pair.clustered else "orders") if nature is Nature.AMOUNTS else counted or ""
    smaller = (meeting.a if found.needed.of_first else meeting.b).period
    days = None
    if smaller.start is not None:
        days = round(max(0.0, (smaller.until - smaller.start).total_seconds() / 86_400 * (found.needed.factor - 1)), 1)
    return NeededOut(amount=found.needed.amount, unit=unit, days=days)


def _number(value: float | None) -> float | None:
    return None if value is None else significant(value)
