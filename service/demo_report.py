"""The tables of the demo: answers of the KPI endpoint, made readable. Nothing is computed here."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from decimal import Decimal
from typing import Any

from rich import box
from rich.console import Console
from rich.table import Table
from rich.text import Text

_NOTHING = "-"
_DIGITS = 4
"""Significant digits of a ratio."""
_WIDE = 118
"""Columns of a terminal from which on everything about a campaign fits into one table."""

Rows = Sequence[Sequence[str]]


def show_campaign(
    console: Console, name: str, answer: Mapping[str, Any], days: Mapping[str, Any] | None, *, simulated: bool
) -> None:
    """Print one campaign: each KPI with its interval and state, and some days of it beside those before."""
    title = Text(name, style="bold")
    if simulated:
        title.append("  simulated", style="yellow")
    console.print(title)
    totals = answer["totals"]
    whole = ["KPI", answer["meta"]["range"]["preset"] or "range", "95 % interval"]
    rows = [[slug, _value(metric), _interval(metric)] for slug, metric in totals.items()]
    states = [[_state(metric)] for metric in totals.values()]
    part: list[str] = []
    changes: list[list[str]] = [[] for _ in totals]
    if days is not None:
        part = [_span(days["meta"]["range"]), _span(days["comparison"]["range"]), "change"]
        changes = [_days(days["totals"][slug]) for slug in totals]
    if console.width >= _WIDE or days is None:
        _print(console, [*whole, *part, "state"], _beside(rows, changes, states))
    else:
        _print(console, [*whole, "state"], _beside(rows, states))
        _print(console, ["KPI", *part], _beside([row[:1] for row in rows], changes))
    console.print()


def _print(console: Console, columns: Sequence[str], rows: Rows) -> None:
    table = Table(box=box.SIMPLE_HEAD, pad_edge=False, show_edge=False)
    for column in columns:
        is_word = column in {"KPI", "state"}
        table.add_column(column, justify="left" if is_word else "right", no_wrap=column != "state")
    for row in rows:
        table.add_row(*map(Text, row))
    console.print(table)


def _beside(*parts: Rows) -> Rows:
    return [[cell for row in rows for cell in row] for rows in zip(*parts, strict=True)]


def _state(metric: Mapping[str, Any]) -> str:
    reason = str(metric["reason"] or "").replace("_", " ")
    return f"{metric['state']}: {reason}" if reason else str(metric["state"])


def _days(metric: Mapping[str, Any]) -> list[str]:
    compare = metric["compare"] or {"value": None, "pct": None}
    before = _shown(compare["value"], metric["unit"], metric["currency"])
    return [_value(metric), before, _change(compare["pct"])]


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
