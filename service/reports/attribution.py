"""What a campaign is credited with under models of attribution, side by side. A model is a rule over what was seen.

Under every model the campaign, what is credited elsewhere and what leads nowhere add up to what the ledger holds.
"""

from __future__ import annotations

from collections import defaultdict
from collections.abc import Mapping, Sequence
from collections.abc import Set as AbstractSet
from datetime import UTC, datetime
from uuid import UUID

import msgspec
from sqlalchemy.ext.asyncio import AsyncConnection

from connectors.contract import MICRO
from service import ids
from service.db.engine import driver
from service.errors import Invalid
from service.kpi.attribution import HALF_LIFE_DAYS, Windows
from service.kpi.measure import significant
from service.kpi.models import BOOKS, CUSTOM, NAMED, named, weights_of
from service.kpi.money import amount_text
from service.ledger.history.divided import MOST, Divided, Readers, divided, nobodies
from service.ledger.history.members import Member
from service.reports.answer import RangeOut
from service.reports.meta import range_out
from service.reports.question import Asked, PlatformNotes, Question, known_at, understand
from service.reports.versus_terms import attribution_of

_EARLIEST = datetime(1900, 1, 1, tzinfo=UTC)


class Model(msgspec.Struct, frozen=True, kw_only=True):
    """What a reader chose. Windows in days for every touch; None: those that the books decide by."""

    models: tuple[str, ...] = tuple(NAMED)
    click_days: float | None = None
    view_days: float | None = None
    half_life_days: float = HALF_LIFE_DAYS
    weights: tuple[float, ...] = ()


class AmountsOut(msgspec.Struct, frozen=True, kw_only=True):
    """Conversions (may be fractional), orders, refunds, and value by currency as exact decimal strings."""

    conversions: float
    orders: int
    refunds: int
    value: Mapping[str, str]


class SubjectShareOut(msgspec.Struct, frozen=True, kw_only=True):
    """What one subject of the campaign gets."""

    subject: str
    platform: str
    external_id: str
    creator: str | None
    credit: AmountsOut


class ModelOut(msgspec.Struct, frozen=True, kw_only=True):
    """One model. ``campaign``, ``elsewhere`` and ``unattributed`` add up to ``ledger``, to the minor unit. What leads

    nowhere is never the campaign's here, also where its rules (a source, a platform) let it count.

    ``by_rule`` counts events by what led to their credit; ``booked`` marks the model that the KPIs are made of.
    """

    model: str
    booked: bool
    campaign: AmountsOut
    elsewhere: AmountsOut
    unattributed: AmountsOut
    ledger: AmountsOut
    subjects: tuple[SubjectShareOut, ...]
    by_rule: Mapping[str, int]


class ModelsMetaOut(msgspec.Struct, frozen=True, kw_only=True):
    """What the answer knew: ``as_of`` pins it. ``causal`` is always false. Null windows are those of the books."""

    as_of: str
    posting: int
    range: RangeOut
    timezone: str
    attribution: str
    click_days: float | None
    view_days: float | None
    half_life_days: float
    weights: tuple[float, ...]
    causal: bool
    events: int


class ModelsOut(msgspec.Struct, frozen=True, kw_only=True):
    """A campaign under several models."""

    data: tuple[ModelOut, ...]
    meta: ModelsMetaOut


class _Sum:
    """Exact sums: millionths of conversions, whole orders and refunds, millionths of money by currency."""

    def __init__(self) -> None:
        self.counts = dict.fromkeys(("conversions", "orders", "refunds"), 0)
        self.value: dict[str, int] = defaultdict(int)

    def add(self, metrics: Mapping[str, int], currency: str) -> None:
        for name in self.counts:
            self.counts[name] += metrics.get(name, 0)
        if "conversion_value" in metrics:
            self.value[currency] += metrics["conversion_value"]

    def out(self) -> AmountsOut:
        return AmountsOut(
            conversions=significant(self.counts["conversions"] / MICRO),
            orders=self.counts["orders"],
            refunds=self.counts["refunds"],
            value={currency: amount_text(amount, currency) for currency, amount in sorted(self.value.items())},
        )


async def campaign_attribution(
    connection: AsyncConnection,
    workspace_id: UUID,
    campaign_id: UUID,
    question: Question,
    _notes: PlatformNotes,
    now: datetime,
    *,
    model: Model,
) -> ModelsOut:
    """Answer what a campaign is credited with under each model, inside one read-only snapshot. Raises what KPIs do."""
    raw = await driver(connection)
    wanted = msgspec.structs.replace(question, metrics=("conversions",))
    asked = await understand(raw, workspace_id, campaign_id, wanted, now)
    readers = Readers(
        models={one: weights_of(one, model.half_life_days, model.weights) for one in model.models},
        windows=_windows(asked, model),
    )
    span = (asked.period.start or _EARLIEST, asked.period.end)
    found = await divided(raw, workspace_id, *span, asked.knowledge.number, readers)
    if found is None:
        text = f"more than {MOST} conversions: ask for a shorter range"
        raise Invalid(text, pointer="?range", code="too_many_events")
    nobody = await nobodies(raw, workspace_id)
    return ModelsOut(
        data=tuple(_model(asked, one, found, nobody, plain=readers.windows is None) for one in model.models),
        meta=ModelsMetaOut(
            as_of=known_at(asked),
            posting=asked.knowledge.posting,
            range=range_out(asked.period),
            timezone=asked.zone,
            attribution=attribution_of(asked),
            click_days=model.click_days,
            view_days=model.view_days,
            half_life_days=model.half_life_days,
            weights=model.weights,
            causal=False,
            events=len(found),
        ),
    )


def _windows(asked: Asked, model: Model) -> Windows | None:
    """Return the reader's windows; the one that is not said is the campaign's."""
    if model.click_days is None and model.view_days is None:
        return None
    version, plain = asked.version, Windows()
    click = plain.click_days if version.click_days is None else version.click_days
    view = plain.view_days if version.view_days is None else version.view_days
    return Windows(
        click_days=click if model.click_days is None else model.click_days,
        view_days=view if model.view_days is None else model.view_days,
    )


def _model(asked: Asked, model: str, found: Sequence[Divided], nobody: AbstractSet[UUID], *, plain: bool) -> ModelOut:
    members = {member.subject_id: member for member in asked.members}
    sums: dict[str, _Sum] = defaultdict(_Sum)
    own: dict[UUID, _Sum] = defaultdict(_Sum)
    rules: dict[str, int] = defaultdict(int)
    for one in found:
        event, rule = one.event, one.rules[model]
        rules[rule] += 1
        for credit in one.credits[model]:
            place = "campaign" if credit.subject_id in members else "elsewhere"
            if credit.subject_id in nobody:
                place = "unattributed"
            for total in (sums[place], sums["ledger"]):
                total.add(credit.metrics, event.currency)
            if place == "campaign":
                own[credit.subject_id].add(credit.metrics, event.currency)
    return ModelOut(
        model=named(model),
        booked=model == BOOKS and plain,
        campaign=sums["campaign"].out(),
        elsewhere=sums["elsewhere"].out(),
        unattributed=sums["unattributed"].out(),
        ledger=sums["ledger"].out(),
        subjects=tuple(
            _share(members[subject_id], own[subject_id])
            for subject_id in sorted(own, key=lambda one: (members[one].platform, members[one].external_id))
        ),
        by_rule=dict(sorted(rules.items())),
    )


def _share(member: Member, total: _Sum) -> SubjectShareOut:
    return SubjectShareOut(
        subject=ids.show("subject", member.subject_id),
        platform=member.platform,
        external_id=member.external_id,
        creator=member.creator,
        credit=total.out(),
    )


def check(model: Model) -> Model:
    """Return what a reader chose, held to its rules. Raises :class:`Invalid`."""
    allowed = (*NAMED, CUSTOM)
    for one in model.models:
        if one not in allowed:
            raise Invalid(f"there is no model {one[:40]!r}", pointer="?models", code="unknown_model", allowed=allowed)
    if (CUSTOM in model.models) is not bool(model.weights):
        raise Invalid("custom goes with weights", pointer="?weights", code="missing" if not model.weights else "unused")
    if model.weights and not any(model.weights):
        raise Invalid("one weight at least is above 0", pointer="?weights", code="bad_weights")
    return model
