"""What becomes of the numbers of a platform, as data: rules by wire name; booking, asking and declaring go by them.

A platform gives its tables; this module knows no metric of any. A number is booked under the keys of its rule, in the
series that the rule puts it in, together with the other numbers of the same answer and the same series. A name without
a rule, a number that is none and a number that is left out on purpose are drops, and so is an answer that says nothing.
"""

from __future__ import annotations

from collections.abc import Callable, Iterable, Iterator, Mapping
from typing import Any

import msgspec

from connectors import values
from connectors.contract import (
    INT64_MAX,
    Drop,
    DropReason,
    Item,
    Kind,
    MetricMapping,
    Observation,
    Quality,
    SubjectRef,
    SubjectType,
)
from connectors.values import Number


class Rule(msgspec.Struct, frozen=True, kw_only=True):
    """What becomes of one number of one answer: the keys it is booked under, none with the reason in ``note``.

    ``kind``, ``scope``, ``check``, ``paid``, ``goal`` and ``quality`` are those of its series. ``factor`` is what one
    on the wire is in units of the key. ``only`` names the subject types that have it where not all of the answer's do.
    ``mapping`` is the id of a named mapping rule.
    """

    keys: tuple[str, ...] = ()
    kind: Kind = Kind.LIFETIME
    scope: str = ""
    check: bool = False
    paid: bool | None = None
    goal: str = ""
    quality: tuple[Quality, ...] = ()
    factor: int = 1
    only: tuple[SubjectType, ...] = ()
    mapping: str = ""
    note: str = ""

    @property
    def key(self) -> str:
        """The first of its keys; "" where it has none."""
        return self.keys[0] if self.keys else ""


Rules = Mapping[str, Rule]
Answers = Iterable[tuple[str, Rules, tuple[SubjectType, ...]]]
"""Name of an answer, its rules, the subject types that it is about."""
Readings = Iterable[tuple[str, Any]]
"""Names and values as they came."""
ReadNumber = Callable[[Any, int], Number]
"""Reads a value in parts of a factor, the way its platform writes numbers."""


def left_out(note: str) -> Rule:
    """Return the rule of a number that is not booked, with the reason."""
    return Rule(note=note)


def checked(*keys: str, scope: str, **more: Any) -> Rule:
    """Return the rule of a number that is reconciled and never added."""
    return Rule(keys=keys, scope=scope, check=True, **more)


def asked(rules: Mapping[str, Rule]) -> tuple[str, ...]:
    """Return the names of what becomes something: that is worth asking for."""
    return tuple(name for name, rule in rules.items() if rule.keys)


def told(fields: Mapping[str, Any], rules: Mapping[str, Rule]) -> Readings:
    """Return the numbers among the fields of an object; what it holds beside them was not asked for."""
    return ((name, fields.get(name)) for name in asked(rules))


def meant(fields: Mapping[str, Any], rules: Mapping[str, Rule]) -> Readings:
    """Return all fields of an object of numbers but those left out on purpose: it comes whole, asked for or not."""
    return ((name, value) for name, value in fields.items() if name not in rules or rules[name].keys)


def declared(answers: Answers) -> Iterator[MetricMapping]:
    """Yield what each number on the wire becomes, named ``answer/number``."""
    for answer, rules, types in answers:
        for name, rule in rules.items():
            wire = f"{answer}/{name}" if answer else name
            if not rule.keys:
                yield MetricMapping(wire=wire, metric=None, counting=False, note=rule.note)
            for key in rule.keys:
                yield MetricMapping(
                    wire=wire,
                    metric=key,
                    kind=rule.kind,
                    subject_types=rule.only or types,
                    counting=not rule.check,
                    mapping=rule.mapping,
                    note=rule.note,
                    quality=rule.quality,
                )


# ------------------------------------------------------------------------------------------------ booking


class Series(msgspec.Struct, frozen=True, kw_only=True):
    """What numbers of one answer must share to travel in one observation."""

    kind: Kind
    scope: str = ""
    check: bool = False
    paid: bool | None = None
    goal: str = ""
    quality: tuple[Quality, ...] = ()
    currency: str | None = None


def series_of(rule: Rule, paid: bool | None = None) -> Series:  # noqa: FBT001 - a value, not an option
    """Return the series of a rule; ``paid`` is that of the answer, where the rule says nothing else."""
    return Series(
        kind=rule.kind,
        scope=rule.scope,
        check=rule.check,
        paid=paid if rule.paid is None else rule.paid,
        goal=rule.goal,
        quality=rule.quality,
    )


def observations(
    found: Mapping[Series, Mapping[str, int]], subject: SubjectRef, **common: Any
) -> Iterator[Observation]:
    """Yield one observation for each series that holds a number."""
    for series, metrics in found.items():
        if metrics:
            yield Observation(subject=subject, metrics=dict(metrics), **msgspec.structs.asdict(series), **common)


class _Booking:
    """What is found in one answer: numbers by series, and drops. ``adds`` says that numbers of one key add up."""

    def __init__(self, row: int | None, *, adds: bool) -> None:
        self.drops: list[Drop] = []
        self._row = row
        self._adds = adds
        self._found: dict[Series, dict[str, int]] = {}
        self._broken: set[tuple[Series, str]] = set()

    def drop(self, reason: DropReason, detail: str = "") -> None:
        self.drops.append(Drop(reason=reason, row=self._row, detail=detail))

    def take(self, name: str, rule: Rule, series: Series, number: Number) -> None:
        if isinstance(number, DropReason):
            self.drop(number, name)
            self._broken.update((series, key) for key in rule.keys)
        elif number is not None:
            found = self._found.setdefault(series, {})
            taken = any(key in found for key in rule.keys)
            if self._adds:
                found.update({key: found.get(key, 0) + number for key in rule.keys})
            else:
                found.update({key: number for key in rule.keys if key not in found})
            if taken and not self._adds:
                self.drop(DropReason.DUPLICATE_FIELD, name)

    def whole(self) -> dict[Series, dict[str, int]]:
        """Return the numbers. A sum of which a part is unreadable stays unknown."""
        return {series: self._sums(series, found) if self._adds else found for series, found in self._found.items()}

    def _sums(self, series: Series, found: Mapping[str, int]) -> dict[str, int]:
        return {key: sum_ for key, sum_ in found.items() if (series, key) not in self._broken and sum_ <= INT64_MAX}


def book(
    readings: Readings,
    rules: Mapping[str, Rule],
    subject: SubjectRef,
    row: int | None = None,
    *,
    number: ReadNumber = values.count,
    adds: bool = False,
    paid: bool | None = None,
    **common: Any,
) -> Iterator[Item]:
    """Yield the observations of named numbers about one subject, then the drops; an answer without numbers is one.

    ``number`` reads a value as its platform writes it. Of two names for one key in one series the first counts, unless
    numbers of a key add up (``adds``). ``paid`` is that of the whole answer, ``common`` what all observations share.
    """
    booking = _Booking(row, adds=adds)
    for name, value in readings:
        rule = rules.get(name)
        if rule is None:
            booking.drop(DropReason.UNKNOWN_METRIC, values.shown(name))
        elif not rule.keys:
            booking.drop(DropReason.NOT_MAPPED, name)
        else:
            booking.take(name, rule, series_of(rule, paid), number(value, rule.factor))
    found = booking.whole()
    if not any(found.values()):
        booking.drop(DropReason.NO_NUMBERS)
    yield from observations(found, subject, **common)
    yield from booking.drops
