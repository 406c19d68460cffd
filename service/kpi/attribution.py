"""Attribution: which touches before a conversion get how much of it. Credits and cents always add up.

Touches are rules over what was seen; nothing here is causal. Which touches belong to a conversion is found elsewhere.
"""

from __future__ import annotations

import enum
from collections.abc import Callable, Mapping, Sequence
from fractions import Fraction

import msgspec

from connectors.contract import MICRO
from service.kpi.money import largest_remainder, split

CLICK_WINDOW_DAYS = 7.0
VIEW_WINDOW_DAYS = 1.0
HALF_LIFE_DAYS = 7.0
_ENDS = Fraction(2, 5)  # what the first and the last touch get under the position model


class TouchKind(enum.StrEnum):
    """What somebody did."""

    CLICK = "click"
    VIEW = "view"


class Model(enum.StrEnum):
    """How credit is divided. ``last`` prefers the last click and falls back on a view; ``last_any`` does not prefer."""

    FIRST = "first"
    LAST = "last"
    LAST_ANY = "last_any"
    LINEAR = "linear"
    POSITION = "position"
    TIME_DECAY = "time_decay"


class Exclusion(enum.StrEnum):
    """Why a touch gets no credit under any model."""

    AFTER_CONVERSION = "after_conversion"
    OUTSIDE_CLICK_WINDOW = "outside_click_window"
    OUTSIDE_VIEW_WINDOW = "outside_view_window"


class Touch(msgspec.Struct, frozen=True, kw_only=True):
    """One touch: ``age_days`` before the conversion, negative after it."""

    id: str
    kind: TouchKind
    age_days: float


class Windows(msgspec.Struct, frozen=True, kw_only=True):
    """How old a touch may be, in days, and the half-life of the time decay."""

    click_days: float = CLICK_WINDOW_DAYS
    view_days: float = VIEW_WINDOW_DAYS
    half_life_days: float = HALF_LIFE_DAYS


class Eligible(msgspec.Struct, frozen=True, kw_only=True):
    """Touches inside their windows, oldest first, and the others with their reasons."""

    touches: tuple[Touch, ...]
    excluded: Mapping[str, Exclusion]


class Credit(msgspec.Struct, frozen=True, kw_only=True):
    """What one touch gets: a share of 1, the same in millionths of a conversion, and millionths of money."""

    touch: str
    share: float
    conversions: int
    amount: int


class Attributed(msgspec.Struct, frozen=True, kw_only=True):
    """Credits, oldest touch first; no eligible touch leaves all of it unattributed.

    ``view_through`` is True where a view gets the last touch because no click was eligible.
    """

    credits: tuple[Credit, ...]
    unattributed_conversions: int
    unattributed_amount: int
    view_through: bool
    excluded: Mapping[str, Exclusion]


def eligible(touches: Sequence[Touch], windows: Windows) -> Eligible:
    """Return the touches with an age in [0, window of their kind], oldest first; equal ages are ordered by id."""
    excluded = {touch.id: why for touch in touches if (why := _exclusion(touch, windows)) is not None}
    inside = (touch for touch in touches if touch.id not in excluded)
    return Eligible(touches=tuple(sorted(inside, key=lambda t: (-t.age_days, t.id))), excluded=excluded)


def _exclusion(touch: Touch, windows: Windows) -> Exclusion | None:
    if touch.age_days < 0:
        return Exclusion.AFTER_CONVERSION
    if touch.kind is TouchKind.CLICK:
        return Exclusion.OUTSIDE_CLICK_WINDOW if touch.age_days > windows.click_days else None
    return Exclusion.OUTSIDE_VIEW_WINDOW if touch.age_days > windows.view_days else None


Weights = Callable[[Sequence[Touch], Windows], list[Fraction]]


def _only(place: int, size: int) -> list[Fraction]:
    return [Fraction(int(i == place)) for i in range(size)]


def _last(touches: Sequence[Touch], _: Windows) -> list[Fraction]:
    clicks = [i for i, touch in enumerate(touches) if touch.kind is TouchKind.CLICK]
    return _only(clicks[-1] if clicks else len(touches) - 1, len(touches))


def _position(touches: Sequence[Touch], _: Windows) -> list[Fraction]:
    size = len(touches)
    inner = size - 2
    if inner <= 0:
        return [Fraction(1)] * size
    return [_ENDS, *([(1 - 2 * _ENDS) / inner] * inner), _ENDS]


def _time_decay(touches: Sequence[Touch], windows: Windows) -> list[Fraction]:
    # The youngest touch weighs 1, so that old ones cannot all vanish below the smallest float.
    youngest = touches[-1].age_days
    return [Fraction(2.0 ** ((youngest - touch.age_days) / windows.half_life_days)) for touch in touches]


WEIGHTS: Mapping[Model, Weights] = {
    Model.FIRST: lambda touches, _: _only(0, len(touches)),
    Model.LAST: _last,
    Model.LAST_ANY: lambda touches, _: _only(len(touches) - 1, len(touches)),
    Model.LINEAR: lambda touches, _: [Fraction(1)] * len(touches),
    Model.POSITION: _position,
    Model.TIME_DECAY: _time_decay,
}


def attribute(
    touches: Sequence[Touch],
    model: Model | Weights,
    *,
    amount: int = 0,
    currency: str = "EUR",
    conversions: int = MICRO,
    windows: Windows | None = None,
) -> Attributed:
    """Return the credits of one conversion worth ``amount`` millionths under a model, or a function giving weights.

    Credits of the conversion add up to ``conversions`` millionths and money to ``amount``, in minor units by largest
    remainder.
    """
    allowed = windows or Windows()
    found = eligible(touches, allowed)
    if not found.touches:
        return Attributed(
            credits=(),
            unattributed_conversions=conversions,
            unattributed_amount=amount,
            view_through=False,
            excluded=found.excluded,
        )
    weigh = WEIGHTS[model] if isinstance(model, Model) else model
    return Attributed(
        credits=_credits(found.touches, weigh(found.touches, allowed), amount, currency, conversions),
        unattributed_conversions=0,
        unattributed_amount=0,
        view_through=all(touch.kind is TouchKind.VIEW for touch in found.touches),
        excluded=found.excluded,
    )


def _credits(
    touches: Sequence[Touch], weights: Sequence[Fraction], amount: int, currency: str, conversions: int
) -> tuple[Credit, ...]:
    whole = sum(weights)
    counts, amounts = largest_remainder(conversions, weights), split(amount, weights, currency)
    return tuple(
        Credit(touch=touch.id, share=float(weight / whole), conversions=count, amount=part)
        for touch, weight, count, part in zip(touches, weights, counts, amounts, strict=True)
    )
