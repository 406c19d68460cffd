"""A fee over posts and days by a rule with a version: parts are whole minor units and add up to the fee."""

from __future__ import annotations

import enum
from collections.abc import Mapping, Sequence
from datetime import date

import msgspec

from service.kpi.money import split


class Rule(enum.StrEnum):
    """How a fee is divided. A rule that changes gets another version."""

    PER_POST = "per_post"
    PER_DAY = "per_day"
    WEIGHTS = "weights"


VERSIONS: Mapping[Rule, int] = {Rule.PER_POST: 1, Rule.PER_DAY: 1, Rule.WEIGHTS: 1}


class Bearer(msgspec.Struct, frozen=True, kw_only=True):
    """A post that bears a part: its day, and its weight where the rule asks for one."""

    id: str
    day: date
    weight: float = 1.0


class Part(msgspec.Struct, frozen=True, kw_only=True):
    """What a post bears on a day, in millionths."""

    id: str
    day: date
    amount: int


def named(rule: Rule) -> str:
    """Return a rule with its version, as an answer names it."""
    return f"{rule.value}@{VERSIONS[rule]}"


def allocate(
    amount: int, currency: str, rule: Rule, bearers: Sequence[Bearer], days: Sequence[date] = ()
) -> list[Part]:
    """Return the parts of an amount in millionths; ties go to the earliest bearer.

    ``per_post`` and ``weights`` put each part on the day of its post. ``per_day`` divides over ``days`` first and each
    day over the posts of then: those that were out, or all where none was. Raises ValueError without bearers or days.
    """
    if not bearers or (rule is Rule.PER_DAY and not days):
        raise ValueError("a fee has somebody who bears it")
    if rule is not Rule.PER_DAY:
        weights = [bearer.weight if rule is Rule.WEIGHTS else 1 for bearer in bearers]
        parts = split(amount, weights, currency)
        return [Part(id=one.id, day=one.day, amount=part) for one, part in zip(bearers, parts, strict=True)]
    found = []
    for day, of_day in zip(days, split(amount, [1] * len(days), currency), strict=True):
        out = [bearer for bearer in bearers if bearer.day <= day] or list(bearers)
        parts = split(of_day, [1] * len(out), currency)
        found += [Part(id=one.id, day=day, amount=part) for one, part in zip(out, parts, strict=True)]
    return found
