"""GA4's report as data: what is asked for, what becomes of it, and what is left out on purpose.

The decisions behind the tables are in ``connectors.ga4``.
"""

from __future__ import annotations

from collections.abc import Mapping

from connectors import rules
from connectors.contract import Kind, Quality, SubjectType


class Rule(rules.Rule, frozen=True, kw_only=True):
    """What becomes of one metric of a report.

    ``claimed`` says that the number is a claim about the declared key event, and travels with its name. Which
    ``quality`` a number has the report says; here stands what it may say.
    """

    kind: Kind = Kind.PERIOD
    claimed: bool = False
    quality: tuple[Quality, ...] = (Quality.SAMPLED, Quality.THRESHOLDED, Quality.TRUNCATED)


def _left_out(note: str) -> Rule:
    return Rule(note=note)


DATE = "date"
CAMPAIGN = "sessionManualCampaignName"
CAMPAIGN_ID = "sessionManualCampaignId"
SOURCE = "sessionManualSource"
MEDIUM = "sessionManualMedium"
CONTENT = "sessionManualAdContent"
UTM: Mapping[str, str] = {
    CAMPAIGN: "utm_campaign",
    CAMPAIGN_ID: "utm_id",
    SOURCE: "utm_source",
    MEDIUM: "utm_medium",
    CONTENT: "utm_content",
}
"""The dimensions that name a tracked link, all of the session's own scope, and the parameter each one is."""
DIMENSIONS = (DATE, *UTM)

SESSIONS = "sessions"
REVENUE = "purchaseRevenue"
DECLARED = "(declared)"
_FORMER = {"keyEvents": "conversions"}
METRICS: Mapping[str, Rule] = {
    SESSIONS: Rule(keys=("sessions",)),
    f"keyEvents:{DECLARED}": Rule(keys=("conversions_platform",), claimed=True, note="of the one declared key event"),
    f"conversions:{DECLARED}": Rule(keys=("conversions_platform",), claimed=True, note="the former name of keyEvents"),
    REVENUE: Rule(keys=("conversion_value_platform",), claimed=True, note="where purchases are the declared key event"),
    "totalRevenue": _left_out("holds income that is no declared key event: subscriptions, advertisements"),
    "keyEvents": _left_out("all key events together; the declared one counts"),
    "screenPageViews": _left_out("page views of a site are no views of a post"),
    "totalUsers": _left_out("visitors of a site are no audience of a post, and no sum can be made of them"),
    "activeUsers": _left_out("visitors of a site are no audience of a post, and no sum can be made of them"),
    "advertiserAdCost": _left_out("the ad platform's own spend counts"),
    "eventCount": _left_out("every event, not the declared one alone"),
    "eventValue": _left_out("a sum over several currencies"),
}


def of_event(event: str) -> str:
    """Return the metric that counts one key event."""
    return f"keyEvents:{event}"


def former(metric: str) -> str:
    """Return what a metric was called before; empty where it never was called otherwise."""
    name, _, event = metric.partition(":")
    return f"{_FORMER[name]}:{event}" if name in _FORMER else ""


def rule_of(metric: str, declared_event: str) -> Rule | None:
    """Return the rule of a metric as a report names it."""
    name, colon, event = metric.partition(":")
    return METRICS.get(f"{name}:{DECLARED}" if colon and event == declared_event else metric)


ANSWERS: rules.Answers = (("", METRICS, (SubjectType.LINK,)),)
