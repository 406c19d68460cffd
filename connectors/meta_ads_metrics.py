"""Meta's ad metrics as data: which wire metric becomes which key, and what a row is asked for.

Asking and reading both go by these tables; the decisions behind them are in ``connectors.meta_ads``.
"""

from __future__ import annotations

from collections.abc import Iterator, Mapping

import msgspec

from connectors import rules
from connectors.contract import Kind, Quality, SubjectType


class Rule(rules.Rule, frozen=True, kw_only=True):
    """What becomes of one wire metric.

    ``zero`` says that a row which leaves the metric out says 0 with it: Meta writes no zeros. Where leaving out may
    mean *has none* (a picture has no plays) it stays unknown.
    """

    kind: Kind = Kind.PERIOD
    zero: bool = False


Rules = Mapping[str, Rule]
_OVERLAP = "overlaps with other action types: only the declared one counts"


def _left_out(note: str) -> Rule:
    return Rule(note=note)


MONEY_FIELD = "spend"
FIELDS: Rules = {
    "impressions": Rule(keys=("impressions",), zero=True),
    "reach": Rule(keys=("reach",), kind=Kind.UNIQUE, quality=(Quality.ESTIMATED,), note="estimated"),
    "clicks": Rule(keys=("clicks_all",), zero=True, note="any click on the ad"),
    "inline_link_clicks": Rule(keys=("clicks_link",), zero=True),
    MONEY_FIELD: Rule(keys=("spend_media",), zero=True, note="in the currency of the ad account"),
    "frequency": _left_out("a mean, which no sum can be made of"),
    "unique_clicks": _left_out("distinct people, with no key of their own"),
    "cpc": _left_out("a ratio, made of sums here"),
    "cpm": _left_out("a ratio, made of sums here"),
    "ctr": _left_out("a ratio, made of sums here"),
}
ACTIONS: Rules = {
    "post_reaction": Rule(keys=("likes",), zero=True),
    "comment": Rule(keys=("comments",), zero=True),
    "post": Rule(keys=("shares",), zero=True),
    "onsite_conversion.post_save": Rule(keys=("saves",), zero=True),
    "post_engagement": Rule(
        keys=("engagements_platform",), zero=True, note="holds reactions, comments, clicks and views"
    ),
    "video_view": Rule(keys=("video_views_3s",)),
    "link_click": Rule(keys=("clicks_link",), check=True, scope="actions", note="inline_link_clicks counts"),
    "like": Rule(keys=("followers_gained",), check=True, note="likes of the page, which the page's own days count"),
    "page_engagement": _left_out("holds post_engagement again"),
    "landing_page_view": _left_out("loads of the landing page, with no key of their own"),
    "purchase": _left_out(_OVERLAP),
    "omni_purchase": _left_out(_OVERLAP),
    "onsite_web_purchase": _left_out(_OVERLAP),
    "offsite_conversion.fb_pixel_purchase": _left_out(_OVERLAP),
    "lead": _left_out(_OVERLAP),
    "onsite_conversion.lead_grouped": _left_out(_OVERLAP),
    "offsite_conversion.fb_pixel_lead": _left_out(_OVERLAP),
    "view_content": _left_out(_OVERLAP),
    "offsite_conversion.fb_pixel_view_content": _left_out(_OVERLAP),
}
VIDEO: Rules = {
    "video_play_actions": Rule(keys=("views",), note="starts of the video"),
    "video_p100_watched_actions": Rule(keys=("video_completions",)),
}
"""Lists like ``actions`` that have one entry, of the type ``video_view``."""

CONVERSIONS = Rule(keys=("conversions_platform",), zero=True, note="the one action type that the options declare")
CONVERSION_VALUE = Rule(keys=("conversion_value_platform",), note="value of the declared action type")

LEVELS: Mapping[str, SubjectType] = {
    "ad": SubjectType.AD,
    "adset": SubjectType.AD_SET,
    "campaign": SubjectType.AD_CAMPAIGN,
}
"""What a row of each level is about. Ads count; the rows of the others hold the ads' numbers again."""

_OF_AD_SET = ("account_id", "account_currency", "campaign_id", "campaign_name", "adset_id", "adset_name")
NAMES: Mapping[str, tuple[str, ...]] = {
    "ad": (*_OF_AD_SET, "ad_id", "ad_name"),
    "adset": _OF_AD_SET,
    "campaign": _OF_AD_SET[:4],
}
"""What names a row of each level; the dates come unasked."""
NUMBERS = (*rules.asked(FIELDS), "actions", "action_values", *VIDEO)

_ALL = tuple(LEVELS.values())
_CHECKED = _ALL[1:]


def _answers(answer: str, found: Rules) -> Iterator[tuple[str, rules.Rules, tuple[SubjectType, ...]]]:
    for name, rule in found.items():
        if rule.check or not rule.keys:
            yield answer, {name: rule}, _ALL
        else:
            yield answer, {name: rule}, (SubjectType.AD,)
            yield answer, {name: msgspec.structs.replace(rule, check=True)}, _CHECKED


ANSWERS: rules.Answers = (
    *_answers("", FIELDS),
    *_answers("actions", ACTIONS),
    *_answers("", VIDEO),
    *_answers("actions", {"(declared)": CONVERSIONS}),
    *_answers("action_values", {"(declared)": CONVERSION_VALUE}),
    *_answers("actions", {"*": _left_out(_OVERLAP)}),
)
"""What is declared; an entry of a list is named ``list/action_type``."""
