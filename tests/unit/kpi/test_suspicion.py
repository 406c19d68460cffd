"""Reasons to look again: what gives one, what does not, and that they add up to a score and no verdict."""

from __future__ import annotations

import msgspec
import pytest

from service.kpi.suspicion import Profile, score, signs

PLAIN = Profile(
    id="x",
    tier="micro",
    rate=0.02,
    likes=500,
    comments=20,
    engagements=520,
    impressions=26_000,
    reach=None,
    followers=[10_000 + 10 * day + day % 3 for day in range(30)],
    posted=[False] * 30,
)
PEERS = [msgspec.structs.replace(PLAIN, id=f"p{n}", rate=0.018 + 0.0005 * n) for n in range(9)]


def codes(one: Profile) -> list[str]:
    return [sign.code for sign in signs(one, [*PEERS, one])]


def test_what_is_usual_gives_no_reason() -> None:
    assert codes(PLAIN) == []
    assert score([]) == 0
    nothing = Profile(
        id="n", tier=None, rate=None, likes=None, comments=None, engagements=None, impressions=None, reach=None
    )
    assert codes(nothing) == []


@pytest.mark.parametrize(
    ("change", "code"),
    [
        ({"engagements": 27_000}, "engagements_exceed_views"),
        ({"impressions": None, "reach": 400}, "engagements_exceed_views"),
        ({"likes": 5_000, "comments": 2}, "few_comments"),
        ({"likes": 500, "comments": 900}, "many_comments"),
        ({"rate": 0.3}, "engagement_off_tier"),
        ({"followers": [*PLAIN.followers[:20], *(f + 4_000 for f in PLAIN.followers[20:])]}, "followers_without_posts"),  # type: ignore[operator]
        ({"followers": [10_000] * 20 + [15_000] * 10}, "followers_without_posts"),
    ],
)
def test_each_reason(change: dict[str, object], code: str) -> None:
    assert codes(msgspec.structs.replace(PLAIN, **change)) == [code]


def test_a_step_after_a_post_is_no_reason() -> None:
    jumped = msgspec.structs.replace(PLAIN, followers=[10_000] * 20 + [15_000] * 10)
    posted = msgspec.structs.replace(jumped, posted=[day == 20 for day in range(30)])
    assert codes(posted) == []


def test_few_peers_and_other_tiers_tell_nothing() -> None:
    loud = msgspec.structs.replace(PLAIN, rate=0.3)
    assert signs(loud, PEERS[:7]) == []
    assert signs(msgspec.structs.replace(loud, tier="mega"), PEERS) == []


def test_weights_are_taken_as_independent() -> None:
    found = signs(msgspec.structs.replace(PLAIN, engagements=30_000, likes=29_000, comments=3), PEERS)
    assert [sign.code for sign in found] == ["engagements_exceed_views", "few_comments"]
    assert score(found) == pytest.approx(1 - 0.4 * 0.7)
