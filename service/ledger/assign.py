"""Which campaigns a subject counts in: rules over facts. Pure; the ledger keeps the dated lines."""

from __future__ import annotations

import unicodedata
from collections.abc import Iterable, Mapping
from datetime import datetime
from typing import Any
from uuid import UUID
from zoneinfo import ZoneInfo

import msgspec

from service.records import CampaignVersion, Rule


class Candidate(msgspec.Struct, frozen=True, kw_only=True):
    """A subject as rules see it. ``facts`` maps names to values; ``sources`` are those that named it."""

    subject_id: UUID
    platform: str
    external_id: str
    type: str
    facts: Mapping[str, Any]
    sources: frozenset[UUID]


class Ruled(msgspec.Struct, frozen=True, kw_only=True):
    """A campaign as it decides: its newest version and its zone."""

    campaign_id: UUID
    zone: str
    version: int
    current: CampaignVersion


Profiles = Mapping[UUID, frozenset[tuple[str, str]]]
"""The profiles (platform, external id) of each creator."""


def campaigns_of(candidate: Candidate, campaigns: Iterable[Ruled], profiles: Profiles) -> set[UUID]:
    """Return the campaigns whose rules the subject meets. An archived campaign keeps its rules.

    A subject that no source names any more (its deliveries were read anew and speak of others) counts nowhere.
    """
    if not candidate.sources:
        return set()
    return {
        campaign.campaign_id
        for campaign in campaigns
        if any(_meets(candidate, rule, campaign, profiles) for rule in campaign.current.rules)
    }


_NO_CONDITION = Rule()
_ASKED = {
    "platform_campaign": "platform_campaign",
    "hashtag": "hashtags",
    "utm_campaign": "utm_campaign",
    "utm_source": "utm_source",
    "utm_medium": "utm_medium",
    "promo_code": "promo_code",
    "click_id": "click_id",
    "in_flight": "published_at",
}
"""Conditions of rules, and the fact that each looks at."""


def facts_asked(campaigns: Iterable[Ruled]) -> tuple[str, ...] | None:
    """Return the facts that rules look at: subjects of one platform that agree in them, and in who named them, count in
    the same campaigns. None where rules look at who a subject is or who made it.
    """
    rules = [rule for campaign in campaigns for rule in campaign.current.rules]
    if any(rule.subjects is not None or rule.creator is not None for rule in rules):
        return None
    return tuple(fact for condition, fact in _ASKED.items() if any(_states(rule, condition) for rule in rules))


def _states(rule: Rule, condition: str) -> bool:
    return getattr(rule, condition) not in (None, False)


def _meets(candidate: Candidate, rule: Rule, campaign: Ruled, profiles: Profiles) -> bool:
    """Tell whether every condition of a rule is met. It ends at the first that is not: most rules are met by few."""
    facts = candidate.facts
    return (
        (rule.source is None or rule.source in candidate.sources)
        and (rule.platform is None or rule.platform == candidate.platform)
        and (rule.platform_campaign is None or rule.platform_campaign == facts.get("platform_campaign"))
        and (rule.hashtag is None or rule.hashtag.lstrip("#").lower() in (facts.get("hashtags") or ()))
        and (rule.creator is None or _made_by(candidate, profiles.get(rule.creator, frozenset())))
        and (rule.utm_campaign is None or rule.utm_campaign == facts.get("utm_campaign"))
        and (rule.utm_source is None or rule.utm_source == facts.get("utm_source"))
        and (rule.utm_medium is None or rule.utm_medium == facts.get("utm_medium"))
        and (rule.promo_code is None or _code(rule.promo_code) == _code(facts.get("promo_code")))
        and (rule.click_id is None or rule.click_id == facts.get("click_id"))
        and (rule.subjects is None or candidate.subject_id in rule.subjects)
        and (not rule.in_flight or _in_flight(facts.get("published_at"), campaign))
        and rule != _NO_CONDITION
    )


def _code(text: str | None) -> str | None:
    """Return a code as shops compare it: without case."""
    return unicodedata.normalize("NFKC", text).strip().upper() if text is not None else None


def _made_by(candidate: Candidate, profiles: frozenset[tuple[str, str]]) -> bool:
    own = candidate.external_id if candidate.type == "profile" else candidate.facts.get("creator")
    return (candidate.platform, own) in profiles


def _in_flight(published_at: str | None, campaign: Ruled) -> bool:
    if published_at is None:
        return False
    day = datetime.fromisoformat(published_at).astimezone(ZoneInfo(campaign.zone)).date()
    return campaign.current.starts <= day <= campaign.current.ends
