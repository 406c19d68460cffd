"""Which touches an order is credited to, and with how much: *f* for conversions. Pure.

A conversion is credited by the first of these that leads anywhere:

1. the subject that its sender names;
2. its promo code: typed on purpose, it beats whatever was clicked;
3. the touches with its click id;
4. the touches of its customer. Where it names the campaign of its own visit, only touches of that campaign (as they
   say, or as the facts of their subject do): the visit is newer than any click of another campaign;
5. its own visit: UTM parameters, the platform's campaign, the name of its click id;
6. nothing: it stands on *unattributed*.

Of several touches the model decides (last click, then view), inside the windows of the campaigns that the touched
subject counts in. A refund is credited as its order is. What is credited depends on the set of readings alone.
"""

from __future__ import annotations

from collections.abc import Iterable, Mapping, Sequence
from datetime import datetime, timedelta
from fractions import Fraction
from typing import Any
from uuid import UUID

import msgspec

from connectors.contract import MICRO
from service.kpi import attribution
from service.kpi.attribution import CLICK_WINDOW_DAYS, VIEW_WINDOW_DAYS, WEIGHTS, Model, TouchKind, Weights, Windows
from service.kpi.money import largest_remainder, split
from service.ledger.readings import Visit
from service.ledger.series import Ref

MODEL = Model.LAST
DEFAULT = Windows(click_days=CLICK_WINDOW_DAYS, view_days=VIEW_WINDOW_DAYS)
LONGEST = timedelta(days=90)
"""No window is longer: touches before it need no look."""
NOBODY = "unattributed"
_DAY = timedelta(days=1)
_encode = msgspec.json.Encoder(order="sorted").encode


class Touch(msgspec.Struct, frozen=True, kw_only=True):
    """A click or a view as it stands or is read; ``version`` is 0 for a reading.

    ``own`` holds the campaigns that the facts of its subject name, for a touch that names none itself.
    """

    key: bytes
    kind: str
    at: datetime
    observed_at: datetime
    subject_id: UUID
    external_id: str
    platform: str
    source_id: UUID
    visit: Visit
    ref: Ref
    own: Visit = Visit()
    version: int = 0

    def order(self) -> tuple[datetime, bytes]:
        """Return what decides between readings of one touch: when it was said, then what it says."""
        return (self.observed_at, self.content())

    def content(self) -> bytes:
        """Return what it says. Subjects are named by the platform's id: ours tells which was named first."""
        return _encode([self.kind, self.at, self.external_id, *_said(self.visit)])


class Credit(msgspec.Struct, frozen=True, kw_only=True):
    """What one subject gets of a conversion, with the instant and delivery that its line carries."""

    subject_id: UUID
    metrics: Mapping[str, int]
    touch: bytes | None
    observed_at: datetime
    ref: Ref


class Event(msgspec.Struct, frozen=True, kw_only=True):
    """A conversion, an order or a refund as it stands (with its credits) or is read (``version`` 0)."""

    key: bytes
    kind: str
    at: datetime
    observed_at: datetime
    subject_id: UUID
    external_id: str
    basis: str
    sale: bytes | None
    series_id: int
    currency: str
    goal: str
    value: int | None
    first_order: bool | None
    cancelled: bool
    source_id: UUID
    visit: Visit
    ref: Ref
    version: int = 0
    rule: str = ""
    credits: tuple[Credit, ...] = ()

    def order(self) -> tuple[datetime, bytes]:
        """Return what decides between readings of one event: when it was said, then what it says."""
        return (self.observed_at, self.content())

    def content(self) -> bytes:
        """Return what it says."""
        own = (self.external_id, self.basis, self.currency, self.goal, self.value, self.first_order)
        sale = self.sale.hex() if self.sale is not None else None
        return _encode([self.cancelled, self.at, *map(_plain, own), _plain(sale), *_said(self.visit)])


def _said(visit: Visit) -> list[Any]:
    return [
        _plain(value.hex() if isinstance(value, bytes) else value) for value in msgspec.structs.asdict(visit).values()
    ]


def _plain(value: Any) -> Any:
    """Let what is not said come before all that is: who says more is believed."""
    return "" if value is None else value


class Choice(msgspec.Struct, frozen=True, kw_only=True):
    """Who is credited: the rule that led there, and (subject, weight, touch) with weights above zero."""

    rule: str
    shares: tuple[tuple[UUID, Fraction, bytes | None], ...]


def choose(
    event: Event, touches: Iterable[Touch], windows: Mapping[UUID, Windows], model: Model | Weights = MODEL
) -> Choice:
    """Return who is credited with a conversion or an order; ``windows`` are those of the touched subjects.

    The books know one ``model``; others, and weights of a reader's own, are for questions.
    """
    visit = event.visit
    if event.basis not in {"subject", "promo_code"}:
        known = [touch for touch in touches if touch.external_id != NOBODY]
        clicked = [touch for touch in known if visit.click is not None and touch.visit.click == visit.click]
        came = [touch for touch in known if visit.customer is not None and _same_visitor(touch, visit)]
        for rule, mine in (("click_id", clicked), ("customer", came)):
            shares = _credited(event.at, mine, windows, model)
            if shares:
                return Choice(rule=rule, shares=shares)
    return Choice(rule=event.basis, shares=((event.subject_id, Fraction(1), None),))


def _same_visitor(touch: Touch, visit: Visit) -> bool:
    """Tell whether a touch is of a visitor, and of the campaign that they came by, where they say one."""
    if touch.visit.customer != visit.customer:
        return False
    if visit.utm_campaign is not None:
        return (touch.visit.utm_campaign or touch.own.utm_campaign) == visit.utm_campaign
    stated = visit.platform_campaign
    return stated is None or (touch.visit.platform_campaign or touch.own.platform_campaign) == stated


def _credited(
    at: datetime, touches: Sequence[Touch], windows: Mapping[UUID, Windows], model: Model | Weights
) -> tuple[tuple[UUID, Fraction, bytes | None], ...]:
    # Touches of one instant are ordered by what they are, never by which came first.
    ranked = sorted(touches, key=lambda touch: (touch.platform, touch.external_id, touch.key))
    found: dict[str, Touch] = {}
    asked: list[attribution.Touch] = []
    for place, touch in enumerate(ranked):
        named = attribution.Touch(id=f"{place:08}", kind=TouchKind(touch.kind), age_days=(at - touch.at) / _DAY)
        if attribution.eligible([named], windows.get(touch.subject_id, DEFAULT)).touches:
            found[named.id] = touch
            asked.append(named)
    if not asked:
        return ()
    wide = Windows(click_days=LONGEST / _DAY, view_days=LONGEST / _DAY)
    ordered = attribution.eligible(asked, wide).touches
    weigh = WEIGHTS[model] if isinstance(model, Model) else model
    shares = zip(ordered, weigh(ordered, wide), strict=True)
    return tuple((found[one.id].subject_id, weight, found[one.id].key) for one, weight in shares if weight)


# ------------------------------------------------------------------------------------------------ amounts


def credits_of(event: Event, choice: Choice) -> tuple[Credit, ...]:
    """Return what each subject gets; nothing of what was cancelled. Parts add up, money in minor units."""
    if event.cancelled:
        return ()
    weights = [weight for _, weight, _ in choice.shares]
    alone = len(weights) == 1  # nothing to divide: the model of the books credits one
    parts = {
        metric: [total] if alone else largest_remainder(total, weights) for metric, total in _counts(event).items()
    }
    if event.value is not None:
        amount = -event.value if event.kind == "refund" else event.value
        parts["conversion_value"] = [amount] if alone else split(amount, weights, event.currency)
    merged: dict[UUID, tuple[dict[str, int], bytes | None]] = {}
    for place, (subject_id, _, touch) in enumerate(choice.shares):
        metrics, first = merged.setdefault(subject_id, ({}, touch))
        for metric, amounts in parts.items():
            # A whole order or refund is one subject's: the others have none, which is not zero.
            if amounts[place] or metric not in _WHOLE or alone:
                metrics[metric] = metrics.get(metric, 0) + amounts[place]
        merged[subject_id] = (metrics, touch or first)
    return tuple(
        Credit(subject_id=subject_id, metrics=metrics, touch=touch, observed_at=event.observed_at, ref=event.ref)
        for subject_id, (metrics, touch) in merged.items()
    )


_WHOLE = frozenset({"orders", "refunds"})


def _counts(event: Event) -> dict[str, int]:
    if event.kind == "refund":
        return {"refunds": 1}
    return {"orders": 1, "conversions": MICRO} if event.kind == "order" else {"conversions": MICRO}


def same(old: Credit, new: Credit) -> bool:
    """Tell whether two credits book the same."""
    return (old.subject_id, old.metrics) == (new.subject_id, new.metrics)
