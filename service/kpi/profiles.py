"""Which KPIs a frontend opens a campaign on, by its kind: data, so that a brand may define its own."""

from __future__ import annotations

from collections.abc import Mapping

import msgspec


class Profile(msgspec.Struct, frozen=True, kw_only=True):
    """Slugs of the catalogue, first things first, with the range and the grain to open on.

    ``anytime`` asks for limits that hold however often one looks: such campaigns are watched daily.
    """

    id: str
    version: int
    headline: tuple[str, ...]
    secondary: tuple[str, ...]
    preset: str
    grain: str
    anytime: bool


BROAD = Profile(
    id="broad",
    version=1,
    headline=("reach", "impressions", "follower_growth"),
    secondary=("frequency", "er_impressions", "engagements", "clicks_link", "ctr", "cost", "cpm"),
    preset="flight_to_date",
    grain="week",
    anytime=False,
)
MICRO = Profile(
    id="micro",
    version=1,
    headline=("ctr", "cvr_click", "cpa", "roi_gross"),
    secondary=("roas", "impressions", "clicks_link", "conversions", "conversion_value", "cost"),
    preset="flight",
    grain="day",
    anytime=True,
)
STRATEGY = Profile(
    id="strategy",
    version=1,
    headline=("cost", "conversion_value", "roi_gross"),
    secondary=("followers", "follower_growth", "impressions", "engagements", "conversions"),
    preset="lifetime",
    grain="month",
    anytime=False,
)
PROFILES: Mapping[str, Profile] = {profile.id: profile for profile in (BROAD, MICRO, STRATEGY)}
