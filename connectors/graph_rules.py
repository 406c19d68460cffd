"""Wire metrics as data: what becomes of each number that a platform of Meta's reports, and the booking by it.

A platform gives its tables of rules; reading, asking and declaring all go by them. No metric of any platform stands
here.
"""

from __future__ import annotations

from collections.abc import Iterable, Iterator, Mapping
from typing import Any

import msgspec

from connectors import graph_values as values
from connectors.contract import (
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

VIEWS = ("views", "impressions")
"""The keys of what Meta calls a view, where it replaced impressions by views (rule :data:`META_VIEWS`)."""
META_VIEWS = "meta_views@1"


class Rule(msgspec.Struct, frozen=True, kw_only=True):
    """What becomes of one wire metric of one answer: the keys it is booked under, none with the reason in ``note``.

    ``only`` names the subject types that have it where not all of the answer's have. ``paid`` is said where it differs
    from the rest of the answer.
    """

    keys: tuple[str, ...] = ()
    kind: Kind = Kind.LIFETIME
    scope: str = ""
    check: bool = False
    mapping: str = ""
    only: tuple[SubjectType, ...] = ()
    quality: tuple[Quality, ...] = ()
    paid: bool | None = None
    note: str = ""


Rules = Mapping[str, Rule]
Answers = Iterable[tuple[str, Rules, tuple[SubjectType, ...]]]
"""Name of an answer, its rules, the subject types that it is about."""
Readings = Iterable[tuple[str, Any]]


def left_out(note: str) -> Rule:
    """Return the rule of a metric that is not booked."""
    return Rule(note=note)


def checked(*keys: str, scope: str, **more: Any) -> Rule:
    """Return the rule of a metric that is reconciled and never added."""
    return Rule(keys=keys, scope=scope, check=True, **more)


def declared(answers: Answers) -> Iterator[MetricMapping]:
    """Yield what each wire metric becomes, named ``answer/metric``."""
    for answer, rules, types in answers:
        for name, rule in rules.items():
            wire = f"{answer}/{name}"
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
                )


class _Series(msgspec.Struct, frozen=True):
    """What metrics of one answer must share to travel in one observation."""

    kind: Kind
    scope: str
    check: bool
    quality: tuple[Quality, ...]
    paid: bool | None

    @classmethod
    def of(cls, rule: Rule, paid: bool | None) -> _Series:  # noqa: FBT001 - a value, not an option
        return cls(rule.kind, rule.scope, rule.check, rule.quality, paid if rule.paid is None else rule.paid)


def book(
    readings: Readings,
    rules: Rules,
    subject: SubjectRef,
    row: int | None = None,
    *,
    paid: bool | None = None,
    **common: Any,
) -> Iterator[Item]:
    """Yield the observations of named numbers about one subject, then the drops; one that says nothing is a drop."""
    series: dict[_Series, dict[str, int]] = {}
    drops: list[Drop] = []
    for name, value in readings:
        rule = rules.get(name)
        number = values.count(value)
        if rule is None:
            drops.append(Drop(reason=DropReason.UNKNOWN_METRIC, row=row, detail=values.shown(name)))
        elif not rule.keys:
            drops.append(Drop(reason=DropReason.NOT_MAPPED, row=row, detail=name))
        elif isinstance(number, DropReason):
            drops.append(Drop(reason=number, row=row, detail=name))
        elif number is not None:
            found = series.setdefault(_Series.of(rule, paid), {})
            taken = [key for key in rule.keys if key in found]
            found.update({key: number for key in rule.keys if key not in found})
            drops += [Drop(reason=DropReason.DUPLICATE_FIELD, row=row, detail=name)] if taken else []
    if not series:
        drops.append(Drop(reason=DropReason.NO_NUMBERS, row=row))
    for at, found in series.items():
        yield Observation(subject=subject, metrics=found, **msgspec.structs.asdict(at), **common)
    yield from drops


def told(fields: Mapping[str, Any], rules: Rules) -> Iterator[tuple[str, Any]]:
    """Yield the numbers among the fields of an object; those left out on purpose are asked for beside them."""
    return ((name, fields.get(name)) for name, rule in rules.items() if rule.keys)
