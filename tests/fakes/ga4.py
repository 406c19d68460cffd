"""A fake Data API of GA4: an ASGI application with one property, its tracked links and their days.

It answers as the platform does, its traps included: values are text in the order of the headers, an empty report has no
rows and no count, quotas run out for everyone, rows with few people are withheld, rows beyond a limit are lumped
together. It can be told to fail in each way the platform fails. Numbers are what a test puts in.
"""

from __future__ import annotations

import json
from collections.abc import Mapping
from dataclasses import dataclass, field
from datetime import UTC, date, datetime
from typing import Any
from urllib.parse import parse_qsl
from zoneinfo import ZoneInfo

from tests.fakes.identity import Machine
from tests.fakes.wire import Answer, Call, Failure, Receive, Scope, Send, answered, body_of, failing, headers_of

PROPERTY = "312345678"
TOKEN = "ya29.fake-token-of-a-reader"
HOST = "https://analyticsdata.googleapis.com"
TOKEN_URL = "https://oauth2.googleapis.com/token"
NOT_SET = "(not set)"

_DIMENSIONS = {
    "sessionManualCampaignName": "campaign",
    "sessionManualCampaignId": "campaign_id",
    "sessionManualSource": "source",
    "sessionManualMedium": "medium",
    "sessionManualAdContent": "content",
}


def error(code: int, status: str, message: str) -> bytes:
    """Return an error as the platform writes it."""
    return json.dumps({"error": {"code": code, "message": message, "status": status}}, indent=2).encode()


EXHAUSTED = error(
    429,
    "RESOURCE_EXHAUSTED",
    "Exhausted property tokens per hour. These quota tokens will return in under an hour.",
)
DEAD_TOKEN = error(401, "UNAUTHENTICATED", "Request had invalid authentication credentials.")
NO_PERMISSION = error(403, "PERMISSION_DENIED", "User does not have sufficient permissions for this property.")


@dataclass(frozen=True)
class Utm:
    """The parameters of a link, as the property reports them."""

    campaign: str = NOT_SET
    source: str = NOT_SET
    medium: str = NOT_SET
    content: str = NOT_SET
    campaign_id: str = NOT_SET


@dataclass
class Visits:
    """The numbers of a link on one day."""

    sessions: int = 0
    events: str = "0"
    revenue: str = "0"


@dataclass
class FakeGa4:
    """The server. Set its fields, add to ``failures``, read ``calls`` and ``bodies``.

    ``machine`` is the service account that may ask for tokens; each one ends the one before it.
    ``events`` are the key events that the property has, ``known`` how it calls their metric. ``metadata`` adds to what
    a report says of itself. ``page_size`` bounds the rows of an answer, whatever was asked for.
    """

    now: datetime = datetime(2026, 8, 20, 12, tzinfo=UTC)
    token: str = TOKEN
    zone: str = "America/New_York"
    currency: str = "EUR"
    days: dict[date, dict[Utm, Visits]] = field(default_factory=dict)
    events: tuple[str, ...] = ("purchase",)
    known: str = "keyEvents"
    without: set[str] = field(default_factory=set)
    metadata: dict[str, Any] = field(default_factory=dict)
    remaining: int = 39_997
    page_size: int = 250_000
    reversed_columns: bool = False
    machine: Machine | None = None
    tokens: int = 0
    failures: list[Failure] = field(default_factory=list)
    calls: list[Call] = field(default_factory=list)
    bodies: list[dict[str, Any]] = field(default_factory=list)

    async def __call__(self, scope: Scope, receive: Receive, send: Send) -> None:
        headers = headers_of(scope)
        self.calls.append(Call(method=scope["method"], path=scope["path"], query={}, headers=headers))
        body = await body_of(receive)
        status, more, answer = self._answer(self.calls[-1], body)
        await answered(send, status, {"content-type": "application/json", **more}, answer)

    def ranges(self) -> list[tuple[str, str]]:
        """Return the days that reports were asked for."""
        told = [body["dateRanges"][0] for body in self.bodies]
        return [(one["startDate"], one["endDate"]) for one in told]

    def _answer(self, call: Call, body: bytes) -> Answer:
        failed = failing(self.failures, call.path)
        if failed is not None:
            return failed
        if call.path == "/token":
            return self._grant(dict(parse_qsl(body.decode())))
        if call.headers.get("authorization") != f"Bearer {self.token}":
            return 401, {}, DEAD_TOKEN
        if not call.path.startswith(f"/v1beta/properties/{PROPERTY}"):
            return 403, {}, NO_PERMISSION
        if call.path.endswith("/metadata"):
            return 200, {}, self._metadata()
        return self._reported(json.loads(body))

    def _reported(self, asked: dict[str, Any]) -> Answer:
        self.bodies.append(asked)
        wrong = [one["name"] for one in asked["metrics"] if not self._knows(one["name"])]
        if wrong:
            message = (
                f"Field {wrong[0]} is not a valid metric. For a list of valid dimensions and metrics, see the docs"
            )
            return 400, {}, error(400, "INVALID_ARGUMENT", message)
        return 200, {}, json.dumps(self._report(asked), indent=2).encode()

    def _grant(self, asked: Mapping[str, str]) -> Answer:
        """Give a token to the service account that signs for it."""
        if self.machine is None or asked.get("grant_type") != "urn:ietf:params:oauth:grant-type:jwt-bearer":
            return 400, {}, b'{"error": "invalid_grant"}'
        claims = self.machine.proven(asked["assertion"], TOKEN_URL, self.now)
        assert claims["scope"] == "https://www.googleapis.com/auth/analytics.readonly"
        self.tokens += 1
        self.token = f"{TOKEN}-{self.tokens}"
        told = {"access_token": self.token, "expires_in": 3599, "token_type": "Bearer"}
        return 200, {}, json.dumps(told).encode()

    def _knows(self, metric: str) -> bool:
        events = {f"{self.known}:{event}" for event in self.events}
        return metric in {"sessions", "purchaseRevenue", *events} - self.without

    def _metadata(self) -> bytes:
        names = ["sessions", "purchaseRevenue", *(f"{self.known}:{event}" for event in self.events)]
        return json.dumps({"metrics": [{"apiName": name, "uiName": name} for name in names]}).encode()

    def _report(self, asked: Mapping[str, Any]) -> dict[str, Any]:
        dimensions = [one["name"] for one in asked.get("dimensions", [])]
        metrics = [one["name"] for one in asked["metrics"]]
        if self.reversed_columns:
            dimensions, metrics = dimensions[::-1], metrics[::-1]
        rows = self._rows(asked, dimensions, metrics) if dimensions else []
        offset = int(asked.get("offset", "0"))
        shown = rows[offset : offset + min(int(asked.get("limit", "10000")), self.page_size)]
        return {
            "dimensionHeaders": [{"name": name} for name in dimensions],
            "metricHeaders": [{"name": name, "type": "TYPE_INTEGER"} for name in metrics],
            **({"rows": shown, "rowCount": len(rows)} if rows else {}),
            "metadata": {"currencyCode": self.currency, "timeZone": self.zone, **self.metadata},
            "propertyQuota": self._quota(),
            "kind": "analyticsData#runReport",
        }

    def _rows(self, asked: Mapping[str, Any], dimensions: list[str], metrics: list[str]) -> list[dict[str, Any]]:
        start, end = (date.fromisoformat(asked["dateRanges"][0][name]) for name in ("startDate", "endDate"))
        wanted = asked.get("dimensionFilter", {}).get("filter", {}).get("inListFilter", {}).get("values")
        rows = []
        for day in sorted(self.days):
            for utm, visits in sorted(self.days[day].items(), key=lambda one: repr(one[0])):
                if start <= day <= end and (wanted is None or utm.medium in wanted):
                    told = [self._dimension(name, day, utm) for name in dimensions]
                    numbers = [self._metric(name, visits) for name in metrics]
                    rows.append({"dimensionValues": _values(told), "metricValues": _values(numbers)})
        return rows

    def _dimension(self, name: str, day: date, utm: Utm) -> str:
        return day.strftime("%Y%m%d") if name == "date" else str(getattr(utm, _DIMENSIONS[name]))

    def _metric(self, name: str, visits: Visits) -> str:
        return {"sessions": str(visits.sessions), "purchaseRevenue": visits.revenue}.get(name, visits.events)

    def _quota(self) -> dict[str, Any]:
        hour: dict[str, Any] = {"consumed": 3, **({"remaining": self.remaining} if self.remaining else {})}
        return {
            "tokensPerDay": {"consumed": 3, "remaining": 199_997},
            "tokensPerHour": hour,
            "concurrentRequests": {"remaining": 10},
            "serverErrorsPerProjectPerHour": {"remaining": 10},
            "potentiallyThresholdedRequestsPerHour": {"remaining": 120},
            "tokensPerProjectPerHour": {"consumed": 3, "remaining": 13_997},
        }

    def today(self) -> date:
        """Return the day in progress of the property."""
        return self.now.astimezone(ZoneInfo(self.zone)).date()


def _values(texts: list[str]) -> list[dict[str, str]]:
    return [{"value": text} for text in texts]
