"""Comparing: now against before, and one campaign against another, in words that claim no more than the numbers do.

Here are the words and what stands against using them. The estimators are in ``proportions``, ``lift``, ``strata`` and
``counts``, verdicts in ``versus``.
"""

from __future__ import annotations

import enum
from decimal import Decimal
from fractions import Fraction

import msgspec

from service.kpi.measure import Number, Reason, significant


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
