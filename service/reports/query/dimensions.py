"""What subjects are, by the names of dimensions: one word each, or several, or none that is known.

Everything but the person behind a profile is dated by posting.
"""

from __future__ import annotations

from collections.abc import Awaitable, Callable, Mapping, Sequence
from fractions import Fraction
from typing import Any
from uuid import UUID

import asyncpg
import msgspec

from service import ids
from service.kpi.tiers import tier_of
from service.ledger.history.facts import SOURCES, facts_of, persons_of
from service.ledger.history.members import Member
from service.reports.people import at_publication
from service.reports.query.asked import Query
from service.reports.query.filters import Names, Words, conditions
from service.reports.query.scope import Scoped
from service.reports.question import DIMENSIONS, Asked

PAID = {1: "paid", 0: "organic", -1: None}
"""The words of the sign that every sum carries."""
UNDATED = frozenset({"creator"})
WORDS = tuple(name for name in DIMENSIONS if name != "day")
NUMBERS = ("followers_at_publish",)
SINGLE = frozenset({"platform", "subject", "creator", "profile", "tier", "content_type", "paid"})
"""Dimensions of which a subject has exactly one word."""
_FACTS = {"content_type": "content_type", "hashtag": "hashtags", "source": SOURCES}
_NOBODY: Words = (None,)


def is_dated(query: Query) -> bool:
    """Tell whether all that an answer is broken down and narrowed by is dated by posting."""
    return UNDATED.isdisjoint((*query.question.dimensions, *(one.name for one in conditions(query.filters))))


class Described(msgspec.Struct, frozen=True, kw_only=True):
    """Subjects in some respects: by name of the dimension, the words of each; and numbers likewise."""

    words: Mapping[str, Sequence[Words]]
    numbers: Mapping[str, Sequence[Fraction | None]]


def names(tiers: Sequence[str]) -> Names:
    """Return what conditions may be about; ``tiers`` are those of the policy, none where it is not known yet."""
    closed = {"paid": ("paid", "organic")} | ({"tier": tuple(tiers)} if tiers else {})
    return Names(words=WORDS, numbers=NUMBERS, closed=closed, tags=("hashtag",))


async def described(
    raw: asyncpg.Connection[Any], asked: Asked, scoped: Scoped, wanted: Sequence[str], paid: Sequence[int] | None = None
) -> Described:
    """Return what the members of a question are in the ``wanted`` respects; ``paid`` is the sign of each, if told."""
    facts = await _facts(raw, asked, wanted)
    teller = _Teller(raw=raw, asked=asked, scoped=scoped, facts=facts, paid=paid)
    words = {name: await _TELLERS[name](teller) for name in wanted if name in _TELLERS}
    numbers: dict[str, Sequence[Fraction | None]] = {}
    if "followers_at_publish" in wanted:
        followers = await at_publication(raw, asked)
        numbers["followers_at_publish"] = [
            None if (count := followers.get(member.subject_id)) is None else Fraction(count) for member in asked.members
        ]
    return Described(words=words, numbers=numbers)


async def _facts(raw: asyncpg.Connection[Any], asked: Asked, wanted: Sequence[str]) -> Mapping[UUID, Mapping[str, Any]]:
    kinds = [_FACTS[name] for name in wanted if name in _FACTS]
    if not kinds:
        return {}
    subjects = list(dict.fromkeys(asked.members.subject_ids))
    return await facts_of(raw, asked.workspace_id, subjects, kinds, asked.knowledge.number)


class _Teller(msgspec.Struct, frozen=True, kw_only=True):
    raw: asyncpg.Connection[Any]
    asked: Asked
    scoped: Scoped
    facts: Mapping[UUID, Mapping[str, Any]]
    paid: Sequence[int] | None

    def told(self, name: str) -> list[Any]:
        """Return a fact of each member."""
        nothing: Mapping[str, Any] = {}
        return [self.facts.get(member.subject_id, nothing).get(name) for member in self.asked.members]


async def _platform(teller: _Teller) -> Sequence[Words]:
    return [(member.platform,) for member in teller.asked.members]


async def _subject(teller: _Teller) -> Sequence[Words]:
    return teller.asked.members.named


async def _profile(teller: _Teller) -> Sequence[Words]:
    return [(_profile_of(member.platform, _maker(member)),) for member in teller.asked.members]


async def _creator(teller: _Teller) -> Sequence[Words]:
    """The person where one is known, else the profile."""
    members = teller.asked.members
    made = [(member.platform, _maker(member)) for member in members]
    profiles = sorted({(platform, maker) for platform, maker in made if maker is not None})
    persons = await persons_of(teller.raw, teller.asked.workspace_id, profiles)
    found: list[Words] = []
    for platform, maker in made:
        person = None if maker is None else persons.get((platform, maker))
        named = _profile_of(platform, maker)
        found.append((named if person is None else ids.show("creator", person),))
    return found


def _maker(member: Member) -> str | None:
    """Return the profile behind a subject; a profile is its own."""
    return member.external_id if member.type == "profile" else member.creator


def _profile_of(platform: str, creator: str | None) -> str | None:
    return None if creator is None else f"{platform}:{creator}"


async def _tier(teller: _Teller) -> Sequence[Words]:
    asked = teller.asked
    followers = await at_publication(teller.raw, asked)
    return [(tier_of(asked.tiers, followers.get(member.subject_id)),) for member in asked.members]


async def _content_type(teller: _Teller) -> Sequence[Words]:
    """As the platform calls it, else the kind of subject."""
    told = teller.told("content_type")
    return [(word or member.type,) for member, word in zip(teller.asked.members, told, strict=True)]


async def _paid(teller: _Teller) -> Sequence[Words]:
    signs = teller.paid if teller.paid is not None else [-1] * len(teller.asked.members)
    return [(PAID[sign],) for sign in signs]


async def _source(teller: _Teller) -> Sequence[Words]:
    return [tuple(ids.show("source", one) for one in told or ()) or _NOBODY for told in teller.told(SOURCES)]


async def _hashtag(teller: _Teller) -> Sequence[Words]:
    return [tuple(told) if told else _NOBODY for told in teller.told("hashtags")]


async def _campaign(teller: _Teller) -> Sequence[Words]:
    return [
        tuple(ids.show("campaign", campaign.campaign_id) for campaign in campaigns) or _NOBODY
        for campaigns in _campaigns(teller)
    ]


async def _strategy(teller: _Teller) -> Sequence[Words]:
    found: list[Words] = []
    for campaigns in _campaigns(teller):
        strategies = dict.fromkeys(campaign.strategy_id for campaign in campaigns)
        found.append(tuple(None if one is None else ids.show("strategy", one) for one in strategies) or _NOBODY)
    return found


async def _tactic(teller: _Teller) -> Sequence[Words]:
    return [
        tuple(dict.fromkeys(tactic for campaign in campaigns for tactic in campaign.version.tactics)) or _NOBODY
        for campaigns in _campaigns(teller)
    ]


def _campaigns(teller: _Teller) -> list[Any]:
    return [teller.scoped.counts_in.get(member.subject_id, ()) for member in teller.asked.members]


_TELLERS: Mapping[str, Callable[[_Teller], Awaitable[Sequence[Words]]]] = {
    "platform": _platform,
    "source": _source,
    "subject": _subject,
    "creator": _creator,
    "profile": _profile,
    "tier": _tier,
    "content_type": _content_type,
    "paid": _paid,
    "tactic": _tactic,
    "hashtag": _hashtag,
    "campaign": _campaign,
    "strategy": _strategy,
}
