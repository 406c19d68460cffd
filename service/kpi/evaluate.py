"""Evaluating a KPI over sums by member: null rules, alignment, coverage and the default interval.

Formulas are data in ``catalogue``; this module knows the kinds of formula, not the single KPI. Everything is vectorised
over members.
"""

from __future__ import annotations

from collections.abc import Callable, Mapping, Sequence
from typing import Literal

import msgspec

from service.kpi.catalogue import Kind, Kpi
from service.kpi.conventions import earned, voice
from service.kpi.measure import Quality, Reason, State, Value, worst
from service.kpi.members import MemberSums
from service.kpi.question import Ask, null
from service.kpi.quotients import quotient
from service.kpi.rates import LEVEL
from service.kpi.totals import additive, frequency, net_growth, people

CoverageMode = Literal["report", "strict"]
_QUALITIES = tuple(Quality)


def evaluate(
    kpi: Kpi,
    sums: MemberSums,
    *,
    currency: str | None,
    level: float = LEVEL,
    coverage: CoverageMode = "report",
) -> Value:
    """Return the value of a KPI over all members of ``sums``.

    ``currency`` is the one that all money in ``sums`` is in; None means that there are several. With ``coverage``
    strict, a ratio is null unless every member knows both sides. Cost ratios are money, with decimal strings.
    """
    ask = Ask(kpi=kpi, sums=sums, currency=currency, level=level, strict=coverage == "strict")
    refused = refusal(ask)
    if refused is not None:
        return refused
    said = [int(sums.said[key].max(initial=0)) for key in keys_of(kpi, sums.said)]
    return judged(ask, _KINDS[kpi.kind](ask), said)


def refusal(ask: Ask) -> Value | None:
    """Return the null value of a KPI that may not be shown, or lacks what only the campaign can say."""
    held = [ask.sums.withheld[key] for key in keys_of(ask.kpi, ask.sums.withheld)]
    if held:
        return null(ask, held[0])
    return null(ask, Reason.MARGIN_UNKNOWN) if ask.kpi.takes_margin else None


def judged(ask: Ask, value: Value, said: Sequence[int]) -> Value:
    """Return a value with its quality; ``said`` are the worst words of platforms, as places in their order."""
    qualities = [ask.sums.quality[key] for key in keys_of(ask.kpi, ask.sums.quality)]
    estimated = Quality.ESTIMATED in qualities and value.value is not None
    qualities += [_QUALITIES[place] for place in said]
    if not qualities:
        return value
    # What a platform says against its number makes no estimate of ours of it.
    return msgspec.structs.replace(value, quality=worst(qualities), state=State.ESTIMATED if estimated else value.state)


def keys_of(kpi: Kpi, known: Mapping[str, object]) -> list[str]:
    """Return the keys that a KPI looks at and something is known of, in their order there."""
    if not known:
        return []
    return [key for key in dict.fromkeys((*kpi.needs, kpi.numerator, kpi.denominator)) if key and key in known]


_KINDS: Mapping[Kind, Callable[[Ask], Value]] = {
    Kind.ADDITIVE: additive,
    Kind.LEVEL: people,
    Kind.UNIQUE: people,
    Kind.GROWTH: net_growth,
    Kind.FREQUENCY: frequency,
    Kind.RATIO: quotient,
    Kind.COST_RATIO: quotient,
    Kind.RETURN: quotient,
    Kind.EARNED: earned,
    Kind.VOICE: voice,
}
