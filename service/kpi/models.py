"""The models of attribution that a reader may choose, by the names that answers use.

What each does with touches is in ``attribution``; which touches led to a conversion is found elsewhere.
"""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from fractions import Fraction

import msgspec

from service.kpi.attribution import HALF_LIFE_DAYS, WEIGHTS, Model, Touch, Weights, Windows

CUSTOM = "custom"
BOOKS = "last_click_then_view"
"""The model of the books."""
NAMED: Mapping[str, Model] = {
    "first": Model.FIRST,
    "last": Model.LAST_ANY,
    BOOKS: Model.LAST,
    "linear": Model.LINEAR,
    "position": Model.POSITION,
    "time_decay": Model.TIME_DECAY,
}
"""Each with version 1."""


def named(model: str) -> str:
    """Return a model with its version, as an answer names it."""
    return f"{model}@1"


def weights_of(model: str, half_life_days: float = HALF_LIFE_DAYS, custom: Sequence[float] = ()) -> Weights:
    """Return how a model divides. ``custom`` weighs touches from the last one back; older ones get nothing."""
    if model == CUSTOM:
        return _custom(tuple(Fraction(weight) for weight in custom))
    weigh = WEIGHTS[NAMED[model]]

    def divided(touches: Sequence[Touch], windows: Windows) -> list[Fraction]:
        return weigh(touches, msgspec.structs.replace(windows, half_life_days=half_life_days))

    return divided


def _custom(vector: tuple[Fraction, ...]) -> Weights:
    def divided(touches: Sequence[Touch], _: Windows) -> list[Fraction]:
        back = [vector[place] if place < len(vector) else Fraction(0) for place in range(len(touches))]
        if not any(back):
            back[0] = Fraction(1)  # what is weighed is missing: the last touch has all
        return list(reversed(back))

    return divided
