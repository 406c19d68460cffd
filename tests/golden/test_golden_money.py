"""Golden cases of money: G04, G05, G07, G44."""

from __future__ import annotations

from datetime import date
from decimal import Decimal
from fractions import Fraction

from connectors.contract import MICRO
from service.kpi import exchange, money, rates
from service.kpi.catalogue import resolve
from service.kpi.definitions import with_margin
from service.kpi.evaluate import evaluate
from service.kpi.measure import Value, reason_text
from service.kpi.members import member_sums
from tests.golden.cases import CASES, limits


def _places(value: object, places: int = 4) -> str:
    scaled = round(Fraction(str(value)) * 10**places)
    return f"{Decimal(scaled).scaleb(-places):f}"


def test_g04_cost_and_value_kpis() -> None:
    case = CASES["G04"]
    given = case.inputs
    cost, revenue = money.millionths(given["cost"]), money.millionths(given["revenue"])
    sums = member_sums(
        ["campaign"],
        {
            "spend_media": [cost],
            "conversion_value": [revenue],
            "impressions": [given["impressions"]],
            "clicks_link": [given["clicks"]],
            "conversions": [given["conversions"] * MICRO],
            "orders": [given["conversions"]],
            "likes": [given["engagements"]],
            "video_views_3s": [given["video_views"]],
        },
    )

    def shown(key: str) -> str:
        return _places(evaluate(resolve(key), sums, currency=given["currency"]).value)

    cac = Fraction(cost, MICRO * given["new_customers"])
    at_margin = with_margin(resolve("roi_margin"), round(Fraction(given["gross_margin"]) * MICRO))
    margin = evaluate(at_margin, sums, currency=given["currency"]).value
    got = {key: shown(key) for key in ("cpc", "cpm", "cpa", "cpe", "roas", "roi_gross", "aov")}
    got |= {"cpv": shown("cpv_3s"), "cac": _places(cac), "roi_margin": _places(margin)}
    case.agrees(got, case.expected)
    rate = evaluate(resolve("conversion_rate"), sums, currency=given["currency"]).value
    case.agrees({"conversion_rate_click": rate}, case.expected)


def _cpa(cost: str, conversions: int) -> Value:
    sums = member_sums(["a"], {"spend_media": [money.millionths(cost)], "conversions": [conversions * MICRO]})
    return evaluate(resolve("cpa"), sums, currency="EUR")


def test_g05_cpa_interval_and_no_conversions_yet() -> None:
    case = CASES["G05"]
    for given, expected in zip(case.inputs, case.expected, strict=True):
        value = _cpa(given["cost"], given["conversions"])
        counted = rates.garwood(given["conversions"])
        got: dict[str, object] = {
            "cpa": None if value.value is None else float(value.value),
            "conversions_ci": counted,
            "ci": limits(value.interval),
        }
        if value.reason is not None:
            got["reason"] = reason_text(value.reason, value.detail)
        case.agrees(got, expected)
        exact = rates.per_count(float(given["cost"]), given["conversions"])
        case.agrees({"ci": limits(exact)}, expected)


def test_g07_mixed_currencies() -> None:
    case = CASES["G07"]
    for given, expected in zip(case.inputs, case.expected, strict=True):
        target = given["report_currency"]
        table = exchange.Rates(
            to=target,
            day=date.fromisoformat(given["rate_date"]),
            rates={currency: Decimal(rate) for currency, rate in given["rates_to_EUR"].items()},
        )
        spend = exchange.convert([(currency, money.millionths(text)) for currency, text in given["spend"]], table)
        revenue = exchange.convert([(currency, money.millionths(text)) for currency, text in given["revenue"]], table)
        roas = None
        if spend.amount is not None and revenue.amount is not None:
            sums = member_sums(["a"], {"spend_media": [spend.amount], "conversion_value": [revenue.amount]})
            roas = _places(evaluate(resolve("roas"), sums, currency=target).value)
        got = {
            "spend": None if spend.amount is None else money.amount_text(spend.amount, target),
            "roas": roas,
            "reason": reason_text(spend.reason, spend.detail),
        }
        case.agrees(got, expected)


def test_g44_a_fee_splits_to_the_cent() -> None:
    case = CASES["G44"]
    fee = money.millionths(case.inputs["fee"])
    parts = money.split(fee, case.inputs["weights"], "EUR")
    got = {"parts": [money.amount_text(part, "EUR") for part in parts], "total": money.amount_text(sum(parts), "EUR")}
    case.agrees(got, case.expected)
