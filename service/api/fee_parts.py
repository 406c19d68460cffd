"""What a fee is and who bears which part of it, as callers say it. Nothing is booked here."""

from __future__ import annotations

from collections.abc import Sequence
from datetime import date, timedelta
from typing import Annotated, Literal

import msgspec
from pydantic import Field

from service.api.models import CampaignId, CreatorId, Currency, Day, Input, Money, SubjectId, Word, referred
from service.errors import Invalid
from service.kpi.allocation import Bearer, Part, Rule, allocate
from service.kpi.money import millionths, minor_unit
from service.reports.fees import Bearers

MOST_PARTS = 20_000
Reference = Annotated[str, Field(pattern=r"^[A-Za-z0-9][A-Za-z0-9._/-]{0,79}$", examples=["INV-2026-17"])]


class AllocationInput(Input):
    """How the fee is divided over posts. `weights` goes with its rule, by subject."""

    rule: Word[Rule] = Field(Rule.PER_POST, description="`per_post`, `per_day` (with `from` and `to`) or `weights`")
    weights: dict[SubjectId, Annotated[float, Field(ge=0, le=1e9)]] = Field(default_factory=dict, max_length=1000)


class FeeInput(Input):
    """A fee. The same reference again replaces what was booked under it; an amount of 0 takes it back."""

    reference: Reference
    campaign: CampaignId
    amount: Money
    currency: Currency | None = Field(None, description="default: the campaign's")
    metric: Literal["fee_creator", "cost_production"] = "fee_creator"
    creator: CreatorId | None = Field(None, description="only posts of this creator's profiles bear it")
    from_: Day | None = Field(None, alias="from", description="with `per_day`: the first day")
    to: Day | None = Field(None, description="with `per_day`: the last day; not after today")
    allocation: AllocationInput = Field(default_factory=AllocationInput)


def parts_of(body: FeeInput, found: Bearers, currency: str) -> list[Part]:
    """Return the parts of a fee. Raises :class:`Invalid`."""
    amount = millionths(body.amount)
    if amount % minor_unit(currency):
        raise Invalid(f"more decimals than {currency} has", pointer="/amount", code="below_minor_unit")
    if amount == 0:
        return []
    rule, bearers = body.allocation.rule, found.bearers
    days = _days(body, found.today)
    if rule is Rule.WEIGHTS:
        bearers = _weighted(body.allocation, bearers)
    elif body.allocation.weights:
        raise Invalid("weights go with the rule weights", pointer="/allocation/weights", code="not_allowed")
    if len(bearers) * max(1, len(days)) > MOST_PARTS:
        raise Invalid(f"a fee has {MOST_PARTS} parts at most", pointer="/allocation", code="too_many_parts")
    return allocate(amount, currency, rule, bearers, days)


def _days(body: FeeInput, today: date) -> list[date]:
    first, last = body.from_, body.to
    if body.allocation.rule is not Rule.PER_DAY:
        if first is not None or last is not None:
            raise Invalid("days go with the rule per_day", pointer="/from" if first else "/to", code="not_allowed")
        return []
    if first is None or last is None:
        raise Invalid("per_day needs both ends", pointer="/to" if first else "/from", code="missing")
    if last < first:
        raise Invalid("the last day is before the first", pointer="/to", code="range_reversed")
    if last > today:
        raise Invalid(f"days to come are not booked yet; today is {today}", pointer="/to", code="ahead")
    return [first + timedelta(days=n) for n in range((last - first).days + 1)]


def _weighted(given: AllocationInput, bearers: Sequence[Bearer]) -> tuple[Bearer, ...]:
    weights = {referred("subject", one, "/allocation/weights").hex: weight for one, weight in given.weights.items()}
    known = {bearer.id for bearer in bearers}
    for one in given.weights:
        if referred("subject", one, "/allocation/weights").hex not in known:
            place = f"/allocation/weights/{one}"
            raise Invalid(
                "it bears nothing: no post of the campaign or the creator", pointer=place, code="no_such_post"
            )
    if not any(weights.values()):
        raise Invalid("one weight at least is above 0", pointer="/allocation/weights", code="missing")
    return tuple(
        msgspec.structs.replace(bearer, weight=weights[bearer.id]) for bearer in bearers if bearer.id in weights
    )
