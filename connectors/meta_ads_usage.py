"""What Meta says of the rate limits of ad accounts: four headers, each a JSON text, on successes and on failures."""

from __future__ import annotations

from collections.abc import Iterator, Mapping
from datetime import timedelta
from typing import Any

from connectors import values
from connectors.contract import Budget, Response, Usage

INSIGHTS = "ads_insights"
MANAGEMENT = "ads_management"
BUDGETS = (
    # The lower tiers; each active ad adds 400 calls of insights, and headers say what is left.
    Budget(bucket=INSIGHTS, calls=600, window=timedelta(hours=1)),
    Budget(bucket=MANAGEMENT, calls=60, window=timedelta(minutes=5)),
)
RATE_LIMIT = (
    "insights: 600 calls (190,000 with full access) and 400 per active ad in an hour; objects: 60 (9,000) points in "
    "5 minutes; X-Business-Use-Case-Usage, X-App-Usage, X-Ad-Account-Usage, x-fb-ads-insights-throttle; errors 4, 17, "
    "32, 613, 80000-80014"
)
_PARTS = ("call_count", "total_time", "total_cputime")
_STOP = 0.95
_LEAST_WAIT = 60.0
_LARGEST = 10**6


def cost_of(path: str) -> tuple[str, float]:
    """Return which budget a call draws on: reports have one of their own."""
    return (INSIGHTS if path.rstrip("/").endswith("/insights") else MANAGEMENT, 1.0)


def usage_of(response: Response) -> Iterator[Usage]:
    """Yield what the headers of an answer say."""
    app = _header(response, "x-app-usage")
    if app:
        yield Usage(bucket="app", used=_highest(app))
    for entries in _header(response, "x-business-use-case-usage").values():
        yield from (_of_business(values.mapping(entry)) for entry in values.items(entries))
    account = _header(response, "x-ad-account-usage")
    if account:
        reset = _number(account.get("reset_time_duration"))
        yield Usage(bucket=MANAGEMENT, used=_number(account.get("acc_id_util_pct")) / 100, reset=reset or None)
    throttle = _header(response, "x-fb-ads-insights-throttle")
    if throttle:
        yield Usage(bucket=INSIGHTS, used=_number(throttle.get("acc_id_util_pct")) / 100)
        yield Usage(bucket="app_insights", used=_number(throttle.get("app_id_util_pct")) / 100)


def _of_business(entry: Mapping[str, Any]) -> Usage:
    bucket = values.shown(entry.get("type"))
    used = _highest(entry)
    minutes = _number(entry.get("estimated_time_to_regain_access"))
    wait = max(minutes * 60, _LEAST_WAIT) if minutes or used >= _STOP else None
    return Usage(bucket=bucket, used=used, wait=wait)


def _highest(tally: Mapping[str, Any]) -> float:
    return max(_number(tally.get(name)) for name in _PARTS) / 100


def _header(response: Response, name: str) -> dict[str, Any]:
    return values.readable(response.headers.get(name, "").encode(errors="replace"))


def _number(value: Any) -> float:
    return values.figure(value, _LARGEST)
