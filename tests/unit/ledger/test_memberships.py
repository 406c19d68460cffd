"""Campaigns of subjects that say the same are decided once; whoever asks, they are those of the rules."""

from __future__ import annotations

from datetime import date
from typing import Any
from uuid import UUID

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from service.ledger.assign import Ruled, campaigns_of
from service.ledger.facts import Subject
from service.ledger.memberships import candidate, decider
from service.records import CampaignKind, CampaignVersion, Rule

SOURCES = (UUID(int=1), UUID(int=2))
WORDS = ("a", "")
NAMED = {f"source:{source.hex}": (None, True) for source in SOURCES}
DAYS = ("2026-06-05T00:00:00+00:00", "2026-08-05T00:00:00+00:00")
CONDITIONS: dict[str, tuple[str, tuple[Any, ...]]] = {
    **{name: (name, (None, *WORDS)) for name in ("platform_campaign", "utm_campaign", "utm_source", "utm_medium")},
    **{name: (name, (None, *WORDS)) for name in ("promo_code", "click_id")},
    "hashtag": ("hashtags", (None, [], ["a"], ["a", "b"])),
    "in_flight": ("published_at", (None, *DAYS)),
    "creator": ("creator", (None, *WORDS)),
    "source": (min(NAMED), (None, True)),
}
"""Conditions of rules, with the fact that each looks at and what that may say."""
OTHERS = {"in_flight": (True,), "creator": (UUID(int=20),), "source": SOURCES}
PROFILES = {UUID(int=20): frozenset({("x", "a"), ("x", "p1")})}


@st.composite
def rules(draw: st.DrawFn) -> Rule:
    names = draw(st.lists(st.sampled_from(sorted(CONDITIONS)), max_size=2, unique=True))
    stated: dict[str, Any] = {name: draw(st.sampled_from(OTHERS.get(name, WORDS))) for name in names}
    return Rule(**stated)


@st.composite
def subjects(draw: st.DrawFn, condition: str) -> list[Subject]:
    """Return subjects of which each says something otherwise than the one before, mostly what a condition looks at."""
    facts: dict[str, Any] = {max(NAMED): True}
    found = []
    for number in range(6):
        fact, values = CONDITIONS[draw(st.sampled_from((condition, condition, *sorted(CONDITIONS))))]
        facts = facts | {fact: draw(st.sampled_from(values))}
        stated = {name: ["", value] for name, value in facts.items() if value is not None}
        found.append(Subject(subject_id=UUID(int=number), external_id=f"p{number}", said="post", facts=stated))
    return found


@pytest.mark.parametrize("condition", [*CONDITIONS, "subjects"])
@settings(max_examples=40)
@given(data=st.data())
def test_who_says_the_same_counts_in_the_same(condition: str, data: st.DataObject) -> None:
    values = OTHERS.get(condition, WORDS) if condition != "subjects" else ((UUID(int=2),),)
    stated = [Rule(**{condition: data.draw(st.sampled_from(values))}), *data.draw(st.lists(rules(), max_size=1))]  # type: ignore[arg-type]
    campaigns = [
        Ruled(
            campaign_id=UUID(int=30 + place),
            zone="UTC",
            version=1,
            current=CampaignVersion(
                name="c", kind=CampaignKind.BROAD, starts=date(2026, 6, 1), ends=date(2026, 6, 30), rules=(rule,)
            ),
        )
        for place, rule in enumerate(stated)
    ]
    belongs = decider("x", campaigns, PROFILES)
    for subject in data.draw(subjects(condition if condition in CONDITIONS else "hashtag")):
        assert belongs(subject) == campaigns_of(candidate(subject, "x"), campaigns, PROFILES)
