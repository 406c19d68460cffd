"""A KPI in plain words with its numbers put in: for the person who has to defend the figure."""

from __future__ import annotations

from service.kpi.catalogue import Kpi
from service.kpi.measure import Number, Unit, Value, reason_text


def explain(kpi: Kpi, value: Value) -> str:
    """Return one or two sentences: the formula, the numbers in it, and what is to be known about them."""
    parts = [f"{kpi.definition} ({kpi.title}) = {kpi.formula}{_numbers(kpi, value)} = {_result(value)}."]
    if value.interval is not None:
        kind = f"{value.interval.level:.0%} interval ({value.interval.method})"
        parts.append(f"{kind}: {_limit(value.interval.low)} to {_limit(value.interval.high)}.")
    if value.coverage is not None and value.coverage.members_known < value.coverage.members_total:
        parts.append(f"Known for {value.coverage.members_known} of {value.coverage.members_total} members.")
    if value.note:
        parts.append(f"{value.note[0].upper()}{value.note[1:]}.")
    return " ".join(parts)


def _numbers(kpi: Kpi, value: Value) -> str:
    if value.numerator is None or value.denominator is None or kpi.denominator is None:
        return ""
    times = kpi.scale / kpi.per if kpi.scale % kpi.per else kpi.scale // kpi.per
    factor = f"{times} * " if times != 1 else ""
    shift = f" {'-' if kpi.offset < 0 else '+'} {abs(kpi.offset)}" if kpi.offset else ""
    return f" = {factor}{value.numerator} / {value.denominator}{shift}"


def _result(value: Value) -> str:
    if value.bounds is not None:
        return f"between {_limit(value.bounds.lower)} and {_limit(value.bounds.upper)}"
    if value.value is None:
        return f"unknown ({reason_text(value.reason, value.detail)})"
    currency = f" {value.currency}" if value.unit is Unit.MONEY and value.currency else ""
    return f"{value.value}{currency}"


def _limit(limit: Number | None) -> str:
    return "no limit" if limit is None else str(limit)
