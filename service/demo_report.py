"""The tables of the demo: answers of the KPI endpoint, made readable. Nothing is computed here."""

from __future__ import annotations

from collections.abc import Mapping
from decimal import Decimal
from typing import Any

from rich import box
from rich.console import Console
from rich.table import Table
from rich.text import Text

_NOTHING = "-"
_DIGITS = 4
"""Significant digits of a ratio."""


def show_campaign(
    console: Console, name: str, answer: Mapping[str, Any], days: Mapping[str, Any] | None, *, simulated: bool
) -> None:
    """Print one campaign: each KPI with its interval and state, and some days of it beside those before."""
    meta = answer["meta"]
    title = Text(name, style="bold")
    if simulated:
        title.append("  simulated", style="yellow")
    console.print(title)
    table = Table(box=box.SIMPLE_HEAD, pad_edge=False, show_edge=False)
    preset = meta["range"]["preset"] or "range"
    for column in ("KPI", preset, "95 % interval", "state"):
        table.add_column(column, justify="left" if column in {"KPI", "state"} else "right", no_wrap=True)
    if days is not None:
        table.add_column(_span(days["meta"]["range"]), justify="right", no_wrap=True)
        table.add_column(_span(days["comparison"]["range"]), justify="right", no_wrap=True)
        table.add_column("change", justify="right", no_wrap=True)
    table.add_column("why", overflow="fold")
    for slug, metric in answer["totals"].items():
        table.add_row(*map(Text, _cells(slug, metric, days["totals"][slug] if days is not None else None)))
    console.print(table)
    console.print()


def _cells(slug: str, metric: Mapping[str, Any], part: Mapping[str, Any] | None) -> list[str]:
    cells = [slug, _value(metric), _interval(metric), metric["state"]]
    if part is not None:
        compare = part["compare"] or {"value": None, "pct": None}
        before = _shown(compare["value"], metric["unit"], metric["currency"])
        cells += [_value(part), before, _change(compare["pct"])]
    return [*cells, metric["reason"] or ""]


def _span(part: Mapping[str, Any]) -> str:
    return f"{part['first_day'][5:]}..{part['last_day'][5:]}"


def _value(metric: Mapping[str, Any]) -> str:
    if metric["bounds"] is not None:
        bounds = metric["bounds"]
        upper = bounds["upper"]
        low = _shown(bounds["lower"], metric["unit"], None)
        return f"{low} .. {_shown(upper, metric['unit'], None)}" if upper is not None else f"{low} or more"
    return _shown(metric["value"], metric["unit"], metric["currency"])


def _interval(metric: Mapping[str, Any]) -> str:
    found = metric["interval"]
    if found is None:
        return ""
    low, high = (_shown(found[side], metric["unit"], None) for side in ("low", "high"))
    return f"{low} .. {high}"


def _shown(value: float | str | None, unit: str, currency: str | None) -> str:
    if value is None:
        return _NOTHING
    if unit == "fraction":
        return f"{_rounded(Decimal(str(value)) * 100)} %"
    if unit == "money":
        return f"{Decimal(str(value)):,.2f}" + (f" {currency}" if currency else "")
    number = Decimal(str(value))
    return f"{number:,.0f}" if number == number.to_integral_value() else _rounded(number)


def _rounded(number: Decimal) -> str:
    digits = max(0, _DIGITS - 1 - number.adjusted()) if number else 0
    return f"{number:,.{digits}f}"


def _change(fraction: float | None) -> str:
    return _NOTHING if fraction is None else f"{fraction * 100:+.1f} %"
