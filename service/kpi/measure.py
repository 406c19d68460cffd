"""The vocabulary of an answer: a value with its unit, state, reason, interval and coverage.

Null is never zero: a value that is not there says why, with a reason from a closed set. This module computes nothing
but the rounding of ratios; how a value comes about stands in the modules beside it.
"""

from __future__ import annotations

import enum
import math

import msgspec

Number = int | float | str
"""A count, a ratio, or money as a decimal string."""

SIGNIFICANT_DIGITS = 12


class State(enum.StrEnum):
    """What kind of answer a value is."""

    OK = "ok"
    ZERO = "zero"  # measured, and nothing there
    MISSING = "missing"  # nobody reported it
    NOT_YET = "not_yet"  # it cannot be known before a later time
    UNDEFINED = "undefined"  # the formula has no result for these numbers
    SUPPRESSED = "suppressed"  # held back until somebody has looked at it
    ESTIMATED = "estimated"
    BOUNDED = "bounded"  # only limits are known


class Unit(enum.StrEnum):
    """What one unit of a value is. Fractions are never per cent: 0.02 is two per cent."""

    COUNT = "count"
    ACCOUNTS = "accounts"
    SECONDS = "seconds"
    MONEY = "money"
    FRACTION = "fraction"
    RATIO = "ratio"


class Quality(enum.StrEnum):
    """How a number was come by, from the best to the worst."""

    OBSERVED = "observed"
    OBSERVED_SINCE_PUBLISH = "observed_since_publish"
    CORRECTED = "corrected"
    INTERPOLATED = "interpolated"
    SAMPLED = "sampled"  # the platform counted on a part of the events
    THRESHOLDED = "thresholded"  # the platform withheld rows to protect people
    TRUNCATED = "truncated"  # the platform lumped rows beyond a limit together
    ESTIMATED = "estimated"
    PARTIAL = "partial"
    BASELINE_ONLY = "baseline_only"


class Reason(enum.StrEnum):
    """Why a value is null, or why it is to be read with care. The set is closed."""

    MISSING_NUMERATOR = "missing_numerator"
    MISSING_DENOMINATOR = "missing_denominator"
    ZERO_DENOMINATOR = "zero_denominator"
    NEGATIVE_DENOMINATOR = "negative_denominator"
    NUMERATOR_EXCEEDS_DENOMINATOR = "numerator_exceeds_denominator"
    ZERO_BASE = "zero_base"
    NEGATIVE_BASE = "negative_base"
    MISSING_CURRENT = "missing_current"
    MISSING_PREVIOUS = "missing_previous"
    MIXED_CURRENCY = "mixed_currency"
    MISSING_FX_RATE = "missing_fx_rate"
    MISSING_UNIT_RATE = "missing_unit_rate"
    NO_COST = "no_cost"
    MARGIN_UNKNOWN = "margin_unknown"
    NOT_REPORTED = "not_reported"
    NOT_ADDITIVE = "not_additive"
    HISTORY_BEFORE_TRACKING = "history_before_tracking"
    SUSPECTED_RESET = "suspected_reset"
    COARSER_SOURCE = "coarser_source"
    NOT_STARTED = "not_started"
    FLIGHT_NOT_STARTED = "flight_not_started"
    FLIGHT_ENDED = "flight_ended"
    NO_MATURE_COHORT = "no_mature_cohort"
    SOURCE_GONE = "source_gone"
    TOO_FEW_MEMBERS = "too_few_members"
    NOT_PERMITTED = "not_permitted"


class Method(enum.StrEnum):
    """How an interval was computed."""

    WILSON = "wilson"
    GARWOOD = "garwood"
    DELTA_T = "delta_t"
    LOG_DELTA_T = "log_delta_t"
    LOG_JACKKNIFE_T = "log_jackknife_t"
    FIELLER_T = "fieller_t"
    COMPOUND_POISSON = "compound_poisson"
    BOOTSTRAP_BCA = "bootstrap_bca"
    DAILY_RATE_T = "daily_rate_t"


class Interval(msgspec.Struct, frozen=True, kw_only=True):
    """Limits at a confidence ``level``; None is an open side. Limits of money are decimal strings in an answer.

    ``n`` is what was counted: members for post-level methods, trials for binomial ones, events for Poisson ones.
    ``ignores_clustering`` warns that events of one post were taken as independent, which makes the interval too short.
    """

    low: Number | None
    high: Number | None
    level: float
    method: Method
    n: int
    ignores_clustering: bool = False


class Bounds(msgspec.Struct, frozen=True, kw_only=True):
    """What the true number cannot leave. ``upper`` is None where nothing limits it."""

    lower: float
    upper: float | None


class Coverage(msgspec.Struct, frozen=True, kw_only=True):
    """How many members stand behind a value, and the share of the known numerator that they hold."""

    members_known: int
    members_total: int
    numerator_share: float | None = None


class Value(msgspec.Struct, frozen=True, kw_only=True):
    """One KPI in an answer. ``value`` is null exactly where the state is neither ok, zero nor estimated.

    ``detail`` makes the reason concrete (a currency, ``1_of_3_posts``); ``note`` is for people.
    """

    value: Number | None
    unit: Unit
    state: State
    reason: Reason | None = None
    detail: str | None = None
    numerator: Number | None = None
    denominator: Number | None = None
    interval: Interval | None = None
    bounds: Bounds | None = None
    currency: str | None = None
    coverage: Coverage | None = None
    quality: Quality = Quality.OBSERVED
    note: str | None = None


_MISSING = (
    Reason.MISSING_NUMERATOR,
    Reason.MISSING_DENOMINATOR,
    Reason.MISSING_CURRENT,
    Reason.MISSING_PREVIOUS,
    Reason.MISSING_FX_RATE,
    Reason.MISSING_UNIT_RATE,
    Reason.NO_COST,
    Reason.MARGIN_UNKNOWN,
    Reason.NOT_REPORTED,
    Reason.HISTORY_BEFORE_TRACKING,
    Reason.COARSER_SOURCE,
    Reason.SOURCE_GONE,
)
_NOT_YET = (Reason.NOT_STARTED, Reason.FLIGHT_NOT_STARTED, Reason.NO_MATURE_COHORT)


def state_of_reason(reason: Reason) -> State:
    """Return the state of a value that is null for ``reason``."""
    if reason in _MISSING:
        return State.MISSING
    if reason in _NOT_YET:
        return State.NOT_YET
    return State.SUPPRESSED if reason in (Reason.SUSPECTED_RESET, Reason.NOT_PERMITTED) else State.UNDEFINED


def reason_text(reason: Reason | None, detail: str | None) -> str | None:
    """Return a reason with its detail as one word, as in ``missing_fx_rate:CHF``."""
    if reason is None:
        return None
    return f"{reason}:{detail}" if detail else str(reason)


def state_of(value: float) -> State:
    """Return ``zero`` or ``ok``."""
    return State.ZERO if value == 0 else State.OK


def worst(qualities: list[Quality]) -> Quality:
    """Return the worst of some qualities; an empty list is ``observed``."""
    order = list(Quality)
    return max(qualities, key=order.index, default=Quality.OBSERVED)


def significant(x: float, digits: int = SIGNIFICANT_DIGITS) -> float:
    """Return ``x`` rounded to at most ``digits`` significant digits. Raises ValueError for what is not finite."""
    if not math.isfinite(x):
        raise ValueError("an answer holds finite numbers only")
    return float(f"{x:.{digits}g}")
