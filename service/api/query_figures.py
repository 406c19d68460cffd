"""Figures of the asker's own in a query: exchange rates, rate cards, brands, benchmarks."""

from __future__ import annotations

from decimal import Decimal, InvalidOperation
from fractions import Fraction
from typing import Any

from service.api.query_models import OptionsInput, QueryInput
from service.errors import Invalid
from service.kpi.catalogue import ALIASES, CONVENTIONS, Kpi
from service.kpi.conventions import earned_media, index_of, voice_among
from service.kpi.definitions import Benchmark, Brands, RateCard
from service.kpi.tiers import TierPolicy
from service.registry import checks
from service.reports.exchange import Exchange

_RATE_DIGITS = 18


def exchange_of(body: QueryInput) -> Exchange | None:
    """Return the rates of a query. Raises :class:`Invalid`."""
    if body.exchange is None:
        return None
    if body.currency is None:
        raise Invalid("rates lead to a currency: name it", pointer="?currency", code="missing")
    rates = {
        checks.currency(currency, f"?exchange/rates/{currency}"): _rate(text, f"?exchange/rates/{currency}")
        for currency, text in body.exchange.rates.items()
    }
    return Exchange(to=body.currency, day=body.exchange.day, rates=rates)


def _rate(text: str, pointer: str) -> Fraction:
    """Return a rate from a decimal string. Raises :class:`Invalid` for what is none."""
    try:
        rate = Decimal(text) if len(text) <= _RATE_DIGITS + 2 else Decimal("nan")
    except InvalidOperation:
        rate = Decimal("nan")
    if not rate.is_finite() or rate <= 0 or abs(rate.adjusted()) > 6:  # noqa: PLR2004 - no currency is a million times another
        raise Invalid("a rate is a decimal above 0, as 0.92", pointer=pointer, code="bad_rate")
    return Fraction(rate)


def given_in(options: OptionsInput, tiers: TierPolicy | None) -> dict[str, Kpi]:
    """Return the KPIs that stand on figures in the options, by slug. Raises :class:`Invalid`."""
    found: dict[str, Kpi] = {}
    if options.rate_card is not None:
        card = options.rate_card
        checks.currency(card.currency, "?options/rate_card/currency")
        place = "?options/rate_card/rates"
        rates = {key: _rate(text, f"{place}/{key[:64]}") for key, text in card.rates.items()}
        found["emv"] = _placed(earned_media, RateCard(id=card.id, currency=card.currency, rates=rates), place)
    if options.brands is not None:
        brands = options.brands
        if any(not 0 <= count <= 2**53 for count in brands.counts.values()):
            raise Invalid("a count is a whole number from 0 on", pointer="?options/brands/counts", code="bad_count")
        others = Brands(id=brands.id, metric=ALIASES.get(brands.metric, brands.metric), others=brands.counts)
        found["share_of_voice"] = _placed(voice_among, others, "?options/brands/metric")
    if options.benchmark is not None:
        place, given = "?options/benchmark/rates", options.benchmark
        rates = {tier: _rate(text, f"{place}/{tier[:64]}") for tier, text in given.rates.items()}
        found["tier_index"] = _placed(lambda card: index_of(card, tiers), Benchmark(id=given.id, rates=rates), place)
    assert set(found) <= set(CONVENTIONS)  # noqa: S101 - the dictionary lists what may be asked for
    return found


def _placed(make: Any, card: Any, pointer: str) -> Kpi:
    try:
        kpi: Kpi = make(card)
    except Invalid as error:
        raise Invalid(str(error), pointer=pointer, code=error.code, allowed=error.allowed) from None
    return kpi
