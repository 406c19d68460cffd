"""A fake Marketing API: an ASGI application with one ad account, its campaigns, ad sets, ads and their days.

It answers as the platform does, its traps included: numbers are text, zeros are left out, a day without delivery has no
row, the next link holds the token, a range can be too much, a background report says 100 % before it is complete. It
can be told to fail in each way the platform fails. Numbers are what a test puts in.
"""

from __future__ import annotations

import base64
import hashlib
import json
from collections.abc import Iterable, Mapping
from dataclasses import dataclass, field
from datetime import UTC, date, datetime
from decimal import Decimal
from typing import Any
from urllib.parse import urlencode

from tests.fakes.graph import DEAD_TOKEN, GONE, Refused, envelope
from tests.fakes.wire import Answer, Call, Failure, Receive, Scope, Send, failing, served

ACCOUNT = "1700252260223815"
TOKEN = "EAAB-fake-token-of-a-system-user"
HOST = "https://graph.facebook.com"
TOO_MUCH = envelope(100, "Please reduce the amount of data you're asking for, then retry your request", 1487534)
NOT_READY = envelope(2601, "Error accessing adreport job.", 1815107)
THROTTLED = envelope(17, "(#17) User request limit reached", 2446079, is_transient=True)
BUSINESS_USAGE = json.dumps(
    {
        ACCOUNT: [
            {
                "type": "ads_insights",
                "call_count": 100,
                "total_cputime": 17,
                "total_time": 31,
                "estimated_time_to_regain_access": 4,
                "ads_api_access_tier": "standard_access",
            }
        ]
    }
)

_LISTS = {"actions", "action_values", "video_play_actions", "video_p100_watched_actions"}
_KNOWN = {
    "account_id",
    "account_currency",
    "campaign_id",
    "campaign_name",
    "adset_id",
    "adset_name",
    "ad_id",
    "ad_name",
    "impressions",
    "reach",
    "clicks",
    "inline_link_clicks",
    "spend",
    "frequency",
    "unique_clicks",
    *_LISTS,
}
_COMPLETED = ("Job Completed", 100)


@dataclass
class Day:
    """The numbers of an ad on one day. ``windows`` holds per action type what each attribution window says."""

    impressions: int = 0
    clicks: int = 0
    link_clicks: int = 0
    spend: str = "0"
    reach: int | None = None
    actions: dict[str, str] = field(default_factory=dict)
    values: dict[str, str] = field(default_factory=dict)
    plays: int | None = None
    windows: dict[str, dict[str, str]] = field(default_factory=dict)

    def fields(self, windows: Iterable[str]) -> dict[str, Any]:
        """Return the fields of a row, zeros left out."""
        actions = [self._entry(kind, value, windows) for kind, value in self.actions.items() if Decimal(value)]
        values = [self._entry(kind, value, windows) for kind, value in self.values.items() if Decimal(value)]
        found: dict[str, Any] = {
            "impressions": str(self.impressions or ""),
            "clicks": str(self.clicks or ""),
            "inline_link_clicks": str(self.link_clicks or ""),
            "spend": self.spend if Decimal(self.spend) else "",
            "reach": str(self.reach or ""),
            "actions": actions,
            "action_values": values,
            "video_play_actions": [{"action_type": "video_view", "value": str(self.plays)}] if self.plays else [],
        }
        return {name: value for name, value in found.items() if value}

    def _entry(self, kind: str, value: str, windows: Iterable[str]) -> dict[str, str]:
        told = self.windows.get(kind, {})
        return {"action_type": kind, "value": value, **{one: told[one] for one in windows if one in told}}


@dataclass
class Ad:
    """One ad: where it hangs, what it shows and its days."""

    id: str
    adset: str = "6215293450001"
    campaign: str = "6215293444271"
    name: str = "Ad"
    created: datetime = datetime(2026, 7, 1, 8, tzinfo=UTC)
    status: str = "ACTIVE"
    creative: dict[str, str] = field(default_factory=dict)
    days: dict[date, Day] = field(default_factory=dict)


@dataclass
class Job:
    """A background report and how often it was looked at."""

    query: dict[str, str]
    polls: int = 0


@dataclass
class FakeMetaAds:
    """The server. Set its fields, add to ``failures``, read ``calls``.

    ``longest`` is the most days of one report, ``longest_page`` the most rows that may be asked for, ``states`` what
    each look at a job finds (then: completed). ``retired`` names fields that the version no longer knows.
    """

    now: datetime = datetime(2026, 8, 20, 12, tzinfo=UTC)
    token: str = TOKEN
    version: str = "v25.0"
    zone: str = "Europe/Berlin"
    currency: str = "EUR"
    ads: list[Ad] = field(default_factory=list)
    permissions: dict[str, str] = field(default_factory=lambda: {"ads_read": "granted"})
    longest: int = 10_000
    longest_page: int = 10_000
    page_size: int = 500
    states: list[tuple[str, int]] = field(default_factory=list)
    retired: set[str] = field(default_factory=set)
    empty_last_page: bool = False
    repeating_cursor: bool = False
    failures: list[Failure] = field(default_factory=list)
    headers: dict[str, str] = field(default_factory=dict)
    calls: list[Call] = field(default_factory=list)
    jobs: dict[str, Job] = field(default_factory=dict)

    async def __call__(self, scope: Scope, receive: Receive, send: Send) -> None:
        await served(scope, receive, send, self._heard)

    def _heard(self, call: Call) -> Answer:
        self.calls.append(call)
        status, headers, body = self._answer(call)
        return status, {"facebook-api-version": self.version, **headers}, body

    def paths(self) -> list[str]:
        """Return the calls so far as ``METHOD path``, without the version."""
        return [f"{call.method} {call.path.split('/', 2)[2]}" for call in self.calls]

    def ranges(self) -> list[tuple[str, str]]:
        """Return the ranges of days that reports were asked for."""
        told = [json.loads(call.query["time_range"]) for call in self.calls if "time_range" in call.query]
        return [(one["since"][5:], one["until"][5:]) for one in told]

    def _answer(self, call: Call) -> Answer:
        failed = failing(self.failures, call.path)
        if failed is not None:
            return failed
        try:
            return 200, self.headers, json.dumps(self._route(call)).encode()
        except Refused as refused:
            return refused.status, self.headers, refused.body

    def _route(self, call: Call) -> dict[str, Any]:
        if call.headers.get("authorization") != f"Bearer {self.token}":
            raise Refused(DEAD_TOKEN)
        _, _, owner, *edge = call.path.split("/")
        if owner in self.jobs:
            return self._of_job(owner, edge, call)
        if owner == "me":
            return {"data": [{"permission": name, "status": status} for name, status in self.permissions.items()]}
        if owner != f"act_{ACCOUNT}":
            raise Refused(GONE)
        if not edge:
            return self._account()
        if edge == ["insights"]:
            return self._begin(call) if call.method == "POST" else self._report(call, call.query)
        return self._paged(call, self._listed(edge[0]))

    def _account(self) -> dict[str, Any]:
        names = {"name": "Acme", "currency": self.currency, "timezone_name": self.zone}
        return {"account_id": ACCOUNT, "id": f"act_{ACCOUNT}", **names}

    # -------------------------------------------------------------------------------------------- listings

    def _listed(self, edge: str) -> list[dict[str, Any]]:
        if edge == "ads":
            return [self._ad(ad) for ad in self.ads]
        sets = {ad.adset: ad for ad in self.ads}
        if edge == "adsets":
            return [self._node(name, "Set", campaign_id=ad.campaign) for name, ad in sets.items()]
        return [self._node(name, "Campaign") for name in {ad.campaign: ad for ad in self.ads}]

    def _node(self, name: str, what: str, **more: Any) -> dict[str, Any]:
        created = "2026-07-01T10:00:00+0200"
        return {
            "id": name,
            "name": f"{what} {name[-3:]}",
            "effective_status": "ACTIVE",
            "created_time": created,
            **more,
        }

    def _ad(self, ad: Ad) -> dict[str, Any]:
        return {
            "id": ad.id,
            "name": ad.name,
            "adset_id": ad.adset,
            "campaign_id": ad.campaign,
            "effective_status": ad.status,
            "created_time": ad.created.strftime("%Y-%m-%dT%H:%M:%S+0000"),
            "updated_time": ad.created.strftime("%Y-%m-%dT%H:%M:%S+0000"),
            "adset": {"name": f"Set {ad.adset[-3:]}", "id": ad.adset},
            "campaign": {"name": f"Campaign {ad.campaign[-3:]}", "id": ad.campaign},
            "creative": {"id": f"9{ad.id}", **ad.creative},
        }

    # -------------------------------------------------------------------------------------------- reports

    def _report(self, call: Call, query: Mapping[str, str]) -> dict[str, Any]:
        if "time_range" not in query:
            return {"data": []}
        self._refuse(query)
        if int(call.query.get("limit", "25")) > self.longest_page:
            raise Refused(TOO_MUCH)
        return self._paged(call, self._rows(query))

    def _refuse(self, query: Mapping[str, str]) -> None:
        wrong = [name for name in query["fields"].split(",") if name not in _KNOWN or name in self.retired]
        if wrong:
            are = "is" if len(wrong) == 1 else "are"
            raise Refused(envelope(100, f"(#100) {', '.join(wrong)} {are} not valid for fields param. please check"))
        since, until = _range(query)
        if (until - since).days + 1 > self.longest:
            raise Refused(TOO_MUCH)

    def _rows(self, query: Mapping[str, str]) -> list[dict[str, Any]]:
        since, until = _range(query)
        windows = json.loads(query.get("action_attribution_windows", "[]"))
        named = {one for rule in json.loads(query.get("filtering", "[]")) for one in rule["value"]}
        fields = query["fields"].split(",")
        rows = []
        for day, group in self._groups(query["level"], since, until, named):
            numbers = group[0][1] if len(group) == 1 else _sum([one for _, one in group])
            names = self._names(query["level"], group[0][0])
            row = {**names, **numbers.fields(windows)}
            dates = {"date_start": str(day), "date_stop": str(day)}
            rows.append({**{name: row[name] for name in fields if name in row}, **dates})
        return rows

    def _groups(
        self, level: str, since: date, until: date, named: set[str]
    ) -> Iterable[tuple[date, list[tuple[Ad, Day]]]]:
        groups: dict[tuple[str, date], list[tuple[Ad, Day]]] = {}
        for ad in self.ads:
            owner = {"ad": ad.id, "adset": ad.adset, "campaign": ad.campaign}[level]
            for day, numbers in ad.days.items():
                if since <= day <= until and (not named or ad.id in named):
                    groups.setdefault((owner, day), []).append((ad, numbers))
        return [(day, group) for (_, day), group in sorted(groups.items(), key=lambda one: (one[0][1], one[0][0]))]

    def _names(self, level: str, ad: Ad) -> dict[str, str]:
        names = {"account_id": ACCOUNT, "account_currency": self.currency}
        names |= {"campaign_id": ad.campaign, "campaign_name": f"Campaign {ad.campaign[-3:]}"}
        if level != "campaign":
            names |= {"adset_id": ad.adset, "adset_name": f"Set {ad.adset[-3:]}"}
        return names | {"ad_id": ad.id, "ad_name": ad.name} if level == "ad" else names

    def _paged(self, call: Call, listed: list[dict[str, Any]]) -> dict[str, Any]:
        size = min(int(call.query.get("limit", "25")), self.page_size)
        start = int(base64.b64decode(call.query.get("after", "MA==")))
        shown = listed[start : start + size]
        if not listed:
            return {"data": []}
        more = start + size < len(listed) or self.repeating_cursor or (self.empty_last_page and bool(shown))
        after = _cursor(start if self.repeating_cursor else start + size)
        link = f"{HOST}{call.path}?{urlencode({**call.query, 'access_token': self.token, 'after': after})}"
        cursors = {"before": _cursor(start), "after": after}
        return {"data": shown, "paging": {"cursors": cursors, **({"next": link} if more else {})}}

    # -------------------------------------------------------------------------------------------- jobs

    def _begin(self, call: Call) -> dict[str, Any]:
        self._refuse(call.query)
        # The same report has the same id, so that two fetches of one instant can be compared.
        digest = hashlib.sha256(repr(sorted(call.query.items())).encode()).digest()
        name = str(10**15 + int.from_bytes(digest[:6], "big"))
        self.jobs[name] = Job(query=call.query)
        return {"report_run_id": name}

    def _of_job(self, name: str, edge: list[str], call: Call) -> dict[str, Any]:
        job = self.jobs[name]
        if edge == ["insights"]:
            return self._report(call, job.query)
        status, percent = self.states[job.polls] if job.polls < len(self.states) else _COMPLETED
        job.polls += 1
        return {"id": name, "async_status": status, "async_percent_completion": percent}


def _range(query: Mapping[str, str]) -> tuple[date, date]:
    told = json.loads(query["time_range"])
    return date.fromisoformat(told["since"]), date.fromisoformat(told["until"])


def _cursor(position: int) -> str:
    return base64.b64encode(str(position).encode()).decode()


def _sum(days: list[Day]) -> Day:
    """Return the numbers of an ad set or campaign: sums, but for reach, which cannot be one."""
    return Day(
        impressions=sum(day.impressions for day in days),
        clicks=sum(day.clicks for day in days),
        link_clicks=sum(day.link_clicks for day in days),
        spend=str(sum(Decimal(day.spend) for day in days)),
        reach=max((day.reach or 0 for day in days), default=0),
        actions=_sums([day.actions for day in days]),
        values=_sums([day.values for day in days]),
    )


def _sums(parts: list[dict[str, str]]) -> dict[str, str]:
    kinds = {kind for part in parts for kind in part}
    return {kind: str(sum(Decimal(part.get(kind, "0")) for part in parts)) for kind in sorted(kinds)}
