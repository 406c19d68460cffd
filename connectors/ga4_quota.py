"""What GA4 says of its quotas: in the body of each report, and in the text of a refusal.

Tokens are of the property and shared with every other tool that reads it.
"""

from __future__ import annotations

from collections.abc import Iterator, Mapping
from datetime import timedelta
from typing import Any

from connectors import values
from connectors.contract import Budget, Response, Usage
from connectors.faults import Refusal
from connectors.ga4_property import fault_of, quota_wait

TOKENS = "tokens_per_hour"
_TOKENS_OF_A_REPORT = 10.0
BUDGETS = (
    # What one project may take of a standard property; a 360 property has ten times as much.
    Budget(bucket=TOKENS, calls=14_000, window=timedelta(hours=1)),
    Budget(bucket="tokens_per_day", calls=200_000, window=timedelta(days=1)),
)
RATE_LIMIT = (
    "tokens of the property: 200,000 a day, 40,000 an hour, 14,000 of them for one project (360: ten times as much); "
    "10 requests at a time; 10 server errors and 120 thresholded requests an hour; propertyQuota in each report"
)
_QUOTAS = {
    "tokensPerDay": "tokens_per_day",
    "tokensPerHour": "property_tokens_per_hour",
    "tokensPerProjectPerHour": TOKENS,
    "concurrentRequests": "requests_at_a_time",
    "serverErrorsPerProjectPerHour": "server_errors_per_hour",
    "potentiallyThresholdedRequestsPerHour": "thresholded_requests_per_hour",
}
_LARGEST = 10**9


def cost_of(path: str) -> tuple[str, float]:
    """Return what a call takes: a report about ten tokens, the list of metrics none."""
    return (TOKENS, _TOKENS_OF_A_REPORT) if path.endswith(":runReport") else ("", 0.0)


def usage_of(response: Response) -> Iterator[Usage]:
    """Yield what an answer says."""
    body = values.readable(response.body)
    fault = fault_of(body, response.status) if body else None
    if fault is not None and fault.refusal is Refusal.THROTTLED:
        yield Usage(bucket=TOKENS, remaining=0.0, wait=quota_wait(fault.told))
    yield from quotas(body)


def quotas(body: Mapping[str, Any]) -> Iterator[Usage]:
    """Yield what is left of each quota that a report names."""
    told = values.mapping(body.get("propertyQuota"))
    for name, bucket in _QUOTAS.items():
        quota = values.mapping(told.get(name))
        remaining = quota.get("remaining", 0 if quota else None)
        if type(remaining) is int and 0 <= remaining <= _LARGEST:
            yield Usage(bucket=bucket, remaining=float(remaining))
