"""The numbers of one row of an ad report: what each wire metric says, and the observations made of them.

Numbers come as text and are read as exact decimals. What a row leaves out is Meta's zero where the tables say so, the
field was asked for and the row says anything at all; a list with an entry that cannot be read proves no zero.
"""

from __future__ import annotations

import re
from collections.abc import Iterator, Mapping
from decimal import Decimal
from typing import Any

import msgspec

from connectors import graph_values, values
from connectors.contract import Drop, DropReason, Item, Observation, SubjectRef, Window
from connectors.meta_ads_account import MetaAdsOptions
from connectors.meta_ads_metrics import (
    ACTIONS,
    CONVERSION_VALUE,
    CONVERSIONS,
    FIELDS,
    MONEY_FIELD,
    VIDEO,
    Rule,
)
from connectors.rules import Series, observations, series_of
from connectors.values import Number

_COUNT = re.compile(r"[0-9]{1,19}")
_AMOUNT = re.compile(r"-?[0-9]{1,15}(\.[0-9]{1,20})?")
_VIDEO_TYPE = "video_view"


class Asked(msgspec.Struct, frozen=True):
    """What was asked of a row's page: its fields, the options, and whether its numbers are checks."""

    fields: frozenset[str]
    options: MetaAdsOptions
    is_check: bool


class Row(msgspec.Struct, frozen=True):
    """A row that can be placed: its subject, its day and its currency."""

    number: int
    fields: Mapping[str, Any]
    subject: SubjectRef
    window: Window
    currency: str | DropReason


class _Reading(msgspec.Struct, frozen=True):
    """One wire metric of a row. ``is_silent`` says that the row left it out; ``currency`` stands with money alone."""

    name: str
    rule: Rule
    number: Number
    is_silent: bool = False
    currency: str | None = None
    goal: str = ""


def booked(row: Row, asked: Asked) -> Iterator[Item]:
    """Yield the observations of a row, then its drops; a row without a number is a drop."""
    drops: list[Drop] = []
    readings = [*_plain(row, asked), *_lists(row, asked, drops)]
    if any(isinstance(one.number, int) and not one.is_silent for one in readings):
        yield from _observations(row, readings, asked)
    else:
        yield Drop(reason=DropReason.NO_NUMBERS, row=row.number)
    refused = ((one.number, one.name) for one in readings if isinstance(one.number, DropReason))
    yield from (Drop(reason=reason, row=row.number, detail=values.shown(name)) for reason, name in refused)
    yield from drops


def _observations(row: Row, readings: list[_Reading], asked: Asked) -> Iterator[Observation]:
    found: dict[Series, dict[str, int]] = {}
    for one in readings:
        if isinstance(one.number, int):
            series = msgspec.structs.replace(
                series_of(one.rule, paid=True),
                check=one.rule.check or asked.is_check,
                currency=one.currency,
                goal=one.goal,
            )
            found.setdefault(series, {})[one.rule.key] = one.number
    yield from observations(found, row.subject, window=row.window)


# ------------------------------------------------------------------------------------------------ plain fields


def _plain(row: Row, asked: Asked) -> Iterator[_Reading]:
    for name, rule in FIELDS.items():
        if not rule.key:
            continue
        told = row.fields.get(name)
        number = _exact(told) if name == MONEY_FIELD else _count(told)
        is_silent = told is None and rule.zero and name in asked.fields
        found = _Reading(name, rule, 0 if is_silent else number, is_silent)
        yield _as_money(row, found) if name == MONEY_FIELD else found


def _as_money(row: Row, reading: _Reading) -> _Reading:
    """Return a reading with the currency of the account; without one it is a drop, or nothing where it was silent."""
    if not isinstance(row.currency, DropReason):
        return msgspec.structs.replace(reading, currency=row.currency)
    if reading.is_silent:
        return msgspec.structs.replace(reading, number=None, is_silent=False)
    return msgspec.structs.replace(reading, number=row.currency) if isinstance(reading.number, int) else reading


# ------------------------------------------------------------------------------------------------ lists of actions


def _lists(row: Row, asked: Asked, drops: list[Drop]) -> Iterator[_Reading]:
    actions = _Actions(row, "actions", drops)
    declared = asked.options.conversion_action
    for name, rule in ACTIONS.items():
        if rule.key and name != declared:
            yield actions.reading(name, rule, asked)
    if declared:
        claimed = actions.claim(declared, asked)
        yield claimed
        if asked.options.conversion_value:
            yield _as_money(row, _value_of(row, declared, claimed, asked, drops))
    for name, rule in VIDEO.items():
        number = _count(_Actions(row, name, drops).told(_VIDEO_TYPE))
        yield _Reading(name, rule, number)
    drops += actions.others({*(name for name, rule in ACTIONS.items() if rule.key), declared})


class _Actions:
    """A list of ``{"action_type", "value"}`` of a row. ``is_whole`` says that every entry could be read."""

    def __init__(self, row: Row, name: str, drops: list[Drop]) -> None:
        self._name = name
        self._row = row.number
        self._entries: dict[str, Mapping[str, Any]] = {}
        told = row.fields.get(name)
        self.is_whole = told is None or isinstance(told, list)
        if not self.is_whole:
            drops.append(Drop(reason=DropReason.MALFORMED, row=self._row, detail=name))
        for entry in values.items(told):
            self._take(values.mapping(entry), drops)

    def _take(self, entry: Mapping[str, Any], drops: list[Drop]) -> None:
        kind = entry.get("action_type")
        if not isinstance(kind, str) or not kind:
            self.is_whole = False
            drops.append(Drop(reason=DropReason.MALFORMED, row=self._row, detail=f"{self._name} action_type"))
        elif kind in self._entries:
            drops.append(Drop(reason=DropReason.DUPLICATE_FIELD, row=self._row, detail=values.shown(kind)))
        else:
            self._entries[kind] = entry

    def told(self, kind: str) -> Any:
        return self._entries.get(kind, {}).get("value")

    def reading(self, kind: str, rule: Rule, asked: Asked) -> _Reading:
        is_silent = self._is_silent(kind, rule, asked)
        return _Reading(kind, rule, 0 if is_silent else _count(self.told(kind)), is_silent)

    def claim(self, kind: str, asked: Asked, rule: Rule = CONVERSIONS) -> _Reading:
        """Return a number that Meta claims, in millionths, of the attribution that the options name."""
        is_silent = self._is_silent(kind, rule, asked)
        number = 0 if is_silent else _attributed(self._entries.get(kind, {}), asked.options.windows)
        if rule is CONVERSIONS and isinstance(number, int) and number < 0:
            number = DropReason.OUT_OF_RANGE
        return _Reading(kind, rule, number, is_silent, goal=kind)

    def _is_silent(self, kind: str, rule: Rule, asked: Asked) -> bool:
        return kind not in self._entries and self.is_whole and rule.zero and self._name in asked.fields

    def others(self, known: set[str]) -> list[Drop]:
        """Return a drop for each entry that no key takes."""
        foreign = [kind for kind in self._entries if kind not in known]
        return [Drop(reason=DropReason.NOT_MAPPED, row=self._row, detail=values.shown(kind)) for kind in foreign]


def _value_of(row: Row, declared: str, claimed: _Reading, asked: Asked, drops: list[Drop]) -> _Reading:
    """Return the value of the claimed conversions; of none it is nothing, and what has no value keeps none."""
    found = _Actions(row, "action_values", drops).claim(declared, asked, CONVERSION_VALUE)
    if found.number is None and claimed.number == 0:
        return msgspec.structs.replace(found, number=0, is_silent=True)
    return found


def _attributed(entry: Mapping[str, Any], windows: tuple[str, ...]) -> Number:
    """Return the value of an entry: of its default attribution, or of the asked windows together.

    An entry that answers none of them is no zero: Meta passes over windows in silence that it has given up.
    """
    if not windows:
        return _rounded(entry.get("value"))
    told = [_rounded(entry[window]) for window in windows if entry.get(window) is not None]
    wrong = next((one for one in told if not isinstance(one, int)), None)
    if wrong is not None:
        return wrong
    if not told:
        return DropReason.NOT_AVAILABLE if entry else None
    return sum(one for one in told if isinstance(one, int))


# ------------------------------------------------------------------------------------------------ numbers


def _count(value: Any) -> Number:
    return graph_values.count(int(value) if isinstance(value, str) and _COUNT.fullmatch(value) else value)


def _decimal(value: Any) -> Decimal | DropReason | None:
    """Return an exact decimal. A JSON number with a fraction is refused: it has been a float somewhere."""
    if value is None:
        return None
    if type(value) is int or (isinstance(value, str) and _AMOUNT.fullmatch(value)):
        return Decimal(value)
    return DropReason.BAD_NUMBER


def _exact(value: Any) -> Number:
    """Return an amount of money spent, in millionths; never rounded."""
    found = _decimal(value)
    if not isinstance(found, Decimal):
        return found
    return DropReason.OUT_OF_RANGE if found < 0 else values.millionths(found)


def _rounded(value: Any) -> Number:
    """Return what was claimed, in millionths. Credit is shared out by a model, so thirds are rounded."""
    found = _decimal(value)
    return values.millionths(found, rounded=True) if isinstance(found, Decimal) else found
