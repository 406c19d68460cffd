"""Threads' metrics as data: which wire metric becomes which key, and which are asked for.

Reading and asking both go by these tables; the decisions behind them are in ``connectors.threads``.
"""

from __future__ import annotations

from datetime import date, timedelta

from connectors.contract import Kind, SubjectType
from connectors.rules import Answers, Rule, Rules, checked, left_out

SHARED = ("reposts", "quotes", "shares")
"""The parts that shares are summed from; each is kept as a check too."""
ALL_SHARES = "reposts+quotes+shares"

POST: Rules = {
    "views": Rule(keys=("views",), note="in development, as Threads says; no impressions"),
    "likes": Rule(keys=("likes",)),
    "replies": Rule(keys=("comments",), note="of a first post all nested ones, of a reply the direct ones"),
    ALL_SHARES: Rule(keys=("shares",), note="the sum of the parts that are reported"),
    "reposts": checked("shares", scope="reposts"),
    "quotes": checked("shares", scope="quotes"),
    "shares": checked("shares", scope="shares"),
}
VIEWS_DAYS: Rules = {
    "views": Rule(keys=("profile_views",), kind=Kind.PERIOD, note="views of the profile, not the sum of its posts'"),
}
TOTALS: Rules = {
    "likes": checked("likes", scope="account", kind=Kind.PERIOD),
    "replies": checked("comments", scope="account", kind=Kind.PERIOD),
    "reposts": checked("shares", scope="account_reposts", kind=Kind.PERIOD),
    "quotes": checked("shares", scope="account_quotes", kind=Kind.PERIOD),
    "clicks": Rule(keys=("clicks_link",), kind=Kind.PERIOD, note="on links in posts and profile, summed over links"),
    "views": left_out("the series of days counts them"),
    "followers_count": left_out("a level, whatever window is asked for: the profile has it"),
    "follower_demographics": left_out("who the followers are, no measure of a campaign"),
}
FOLLOWERS: Rules = {"followers_count": Rule(keys=("followers",), kind=Kind.LEVEL)}

_PROFILE = (SubjectType.PROFILE,)
ANSWERS: Answers = (
    ("insights", POST, (SubjectType.POST,)),
    ("account_views", VIEWS_DAYS, _PROFILE),
    ("account_totals", TOTALS, _PROFILE),
    ("followers", FOLLOWERS, _PROFILE),
)

POST_SET = ("views", "likes", "replies", "reposts", "quotes", "shares")
LAST_RESORT = ("views", "likes", "replies", "reposts", "quotes")  # what every kind of post answers
VIEWS_SET = ("views",)
TOTALS_SET = ("likes", "replies", "reposts", "quotes", "clicks")
FOLLOWERS_SET = ("followers_count",)
MOST_DAYS = 30
"""How many days are asked for in one call."""
FIRST_DAY = date(2024, 4, 13)
"""Before this day Threads serves nothing and refuses the question."""
LOOK_BACK = timedelta(days=7)
"""How long the numbers of a day may still be restated: Threads does not say; its siblings take a few days."""
