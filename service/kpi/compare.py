"""Comparing: now against before, and one campaign against another, in words that claim no more than the numbers do.

The estimators are in ``proportions``, ``lift``, ``strata`` and ``counts``; this module decides.
"""

from __future__ import annotations

import enum
import math
from collections.abc import Sequence
from decimal import Decimal
from fractions import Fraction

import msgspec

from service.kpi.lift import lift
from service.kpi.measure import Number, Reason, significant
from service.kpi.members import FloatArray
from service.kpi.proportions import TUNING_N, anytime_multiplier, sample_size
from service.kpi.rates import FEWEST_MEMBERS, LEVEL, Spread, active, delta_spread


class Change(msgspec.Struct, frozen=True, kw_only=True):
    """Current minus previous, and that as a fraction of the previous where it is above zero."""

    absolute: Number | None
    fraction: float | None
    reason: Reason | None = None


def change(current: Number | None, previous: Number | None) -> Change:
    """Return the change between two numbers of one unit; money is given and returned as decimal strings.

    A base of zero or below gives no fraction, never an invented hundred per cent; unchanged is 0.
    """
    if current is None:
        return Change(absolute=None, fraction=None, reason=Reason.MISSING_CURRENT)
    if previous is None:
        return Change(absolute=None, fraction=None, reason=Reason.MISSING_PREVIOUS)
    absolute = _difference(current, previous)
    fraction = relative(current, previous)
    if fraction is None:
        reason = Reason.NEGATIVE_BASE if _ratio(previous)[0] else Reason.ZERO_BASE
        return Change(absolute=absolute, fraction=None, reason=reason)
    return Change(absolute=absolute, fraction=fraction)


def relative(current: Number | Fraction, previous: Number | Fraction) -> float | None:
    """Return the difference of two numbers of one unit as a fraction of the second, where that is above zero."""
    (top, over), (base, under) = _ratio(current), _ratio(previous)
    return significant((top * under - base * over) / (base * over)) if base > 0 else None


def _ratio(number: Number | Fraction) -> tuple[int, int]:
    """Return a number exactly: two whole numbers whose quotient it is, the second above zero."""
    return Decimal(number).as_integer_ratio() if isinstance(number, str) else number.as_integer_ratio()


def _difference(current: Number, previous: Number) -> Number:
    if isinstance(current, str) and isinstance(previous, str):
        return f"{Decimal(current) - Decimal(previous):f}"
    if isinstance(current, int) and isinstance(previous, int):
        return current - previous
    (top, over), (base, under) = _ratio(current), _ratio(previous)
    return significant((top * under - base * over) / (over * under))


class Decision(enum.StrEnum):
    """What may be said about two campaigns."""

    BETTER = "better"
    WORSE = "worse"
    EQUIVALENT = "equivalent"
    UNDECIDED = "undecided"
    NOT_COMPARABLE = "not_comparable"


class Obstacle(enum.StrEnum):
    """Why two numbers may not be compared."""

    DEFINITION = "definition_differs"
    ATTRIBUTION = "attribution_differs"
    MATURITY = "maturity_differs"
    CURRENCY = "currency_differs"
    OPEN_WINDOW = "one_window_is_open"
    NO_DATA = "no_data"
    PART = "range_part_differs"
    NO_PLATFORM = "no_common_platform"
    SAME_SUBJECTS = "same_subjects"
    WITHHELD = "withheld"
    NOT_PERMITTED = "not_permitted"
    MIXED_CURRENCY = "mixed_currency"


class Terms(msgspec.Struct, frozen=True, kw_only=True):
    """Under which terms a number was computed. ``maturity_days`` is the age at which conversions were cut."""

    definition: str
    attribution: str | None = None
    maturity_days: int | None = None
    currency: str | None = None
    closed: bool = True


def obstacles(a: Terms, b: Terms) -> tuple[Obstacle, ...]:
    """Return what stands against comparing; nothing if all terms agree.

    Windows are both closed, or both cut at the same maturity.
    """
    same_cut = a.maturity_days is not None and a.maturity_days == b.maturity_days
    found = (
        (Obstacle.DEFINITION, a.definition != b.definition),
        (Obstacle.ATTRIBUTION, a.attribution != b.attribution),
        (Obstacle.MATURITY, a.maturity_days != b.maturity_days),
        (Obstacle.CURRENCY, a.currency != b.currency),
        (Obstacle.OPEN_WINDOW, not same_cut and not (a.closed and b.closed)),
    )
    return tuple(obstacle for obstacle, stands in found if stands)


def decide(limits: tuple[float, float], margin: float | None = None) -> Decision:
    """Return the word for the limits of a difference; ``margin`` is what would not matter."""
    low, high = limits
    if low > 0:
        return Decision.BETTER
    if high < 0:
        return Decision.WORSE
    if margin is not None and -margin < low and high < margin:
        return Decision.EQUIVALENT
    return Decision.UNDECIDED


class Arm(msgspec.Struct, frozen=True, kw_only=True, eq=False):
    """One campaign: numerator and denominator of each member that knows both."""

    numerators: FloatArray
    denominators: FloatArray


class Comparison(msgspec.Struct, frozen=True, kw_only=True):
    """Campaign a against campaign b: the difference of their ratios with limits that hold however often one looks.

    ``still_needed`` is how many trials the smaller arm lacks before a difference of this size can be seen, with four
    chances out of five. ``clustered`` is False where an arm has too few members for an error by post.
    """

    decision: Decision
    obstacles: tuple[Obstacle, ...] = ()
    difference: float | None = None
    limits: tuple[float, float] | None = None
    lift: float | None = None
    lift_limits: tuple[float, float] | None = None
    design_effect: float | None = None
    clustered: bool = False
    still_needed: int | None = None
    level: float = LEVEL


def compare_rates(
    a: Arm, b: Arm, *, margin: float | None = None, tuning_n: float = TUNING_N, level: float = LEVEL
) -> Comparison:
    """Return the comparison of two proportions over members; a higher ratio is better.

    For costs compare the inverse: conversions per money. The error is by post where both arms have at least five
    members that carry information, otherwise binomial.
    """
    binomial = _binomial(a), _binomial(b)
    if binomial[0] is None or binomial[1] is None:
        return Comparison(decision=Decision.NOT_COMPARABLE, obstacles=(Obstacle.NO_DATA,), level=level)
    plain = (binomial[0], binomial[1])
    by_post = _by_post(a), _by_post(b)
    clustered = by_post[0] is not None and by_post[1] is not None
    first, second = by_post[0] or plain[0], by_post[1] or plain[1]
    if not clustered:
        first, second = plain
    trials = float(a.denominators.sum()), float(b.denominators.sum())
    limits = _anytime(first, second, sum(trials), tuning_n, level)
    decision = decide(limits, margin)
    effect = _design_effect((first, second), plain)
    lifted = lift(first, second, level)
    return Comparison(
        decision=decision,
        difference=first.ratio - second.ratio,
        limits=limits,
        lift=None if lifted is None else lifted.lift,
        lift_limits=None if lifted is None else lifted.limits,
        design_effect=effect,
        clustered=clustered,
        still_needed=_still_needed(plain, min(trials), effect, level) if decision is Decision.UNDECIDED else None,
        level=level,
    )


def _binomial(arm: Arm) -> Spread | None:
    above, below = float(arm.numerators.sum()), float(arm.denominators.sum())
    if below <= 0 or not 0 <= above <= below:
        return None
    rate = above / below
    return Spread(ratio=rate, se=math.sqrt(rate * (1 - rate) / below), n=int(below))


def _by_post(arm: Arm) -> Spread | None:
    if len(active(arm.numerators, arm.denominators)[0]) < FEWEST_MEMBERS:
        return None
    return delta_spread(arm.numerators, arm.denominators)


def _anytime(a: Spread, b: Spread, trials: float, tuning_n: float, level: float) -> tuple[float, float]:
    half = math.hypot(a.se, b.se) * anytime_multiplier(trials, tuning_n, 1 - level)
    difference = a.ratio - b.ratio
    return difference - half, difference + half


def _design_effect(used: Sequence[Spread], plain: Sequence[Spread]) -> float | None:
    variance = sum(spread.se**2 for spread in plain)
    return sum(spread.se**2 for spread in used) / variance if variance else None


def _still_needed(plain: Sequence[Spread], trials: float, effect: float | None, level: float) -> int | None:
    per_arm = sample_size(plain[0].ratio, plain[1].ratio, 1 - level)
    if per_arm is None:
        return None
    return max(0, math.ceil(per_arm * max(1.0, effect or 1.0) - trials))
