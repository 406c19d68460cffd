"""TikTok accounts through the Business API: totals of posts, days of the account, events that say what to look at.

Counted once. Views, likes, comments, shares, favourites (saves) and watch time are totals of each post. The account's
days hold the posts' numbers again and are checks; only what no post reports (followers won and lost, visits of the
profile) counts there. Clicks and leads are told of each post and once more of the account: the posts' count, the
account's are checks; with the profile's visits it is the other way, since many of them come from no post. Clicks on
the website are link clicks; those on mail, telephone, address and app-store buttons are clicks among all clicks.
Leads are what TikTok claims: ``conversions_platform`` with the goal ``lead_submission``.

TikTok has no impressions: they stay unknown, and views are views. Reach is unique people, of a post and of the account
by day, never added. Counters mix organic and paid views, so nothing is said of either. Numbers of posts and days are
one or two days late, those of a post end a year after publication; what is missing of a quiet post keeps its last
value. Days are UTC days. Errors come with HTTP 200 and a code.

This file is what the service calls; its parts are ``tiktok_metrics`` (the tables), ``tiktok_account`` (permissions,
calls), ``tiktok_faults``, ``tiktok_fetching``, ``tiktok_reading`` and ``tiktok_pushes``.
"""

from __future__ import annotations

from collections.abc import AsyncIterator, Iterable, Sequence
from datetime import datetime, timedelta
from typing import Any

import msgspec

from connectors import pages, proving, rules, values, webhooks
from connectors.contract import (
    Auth,
    AuthKind,
    Budget,
    Capabilities,
    Connector,
    ConnectorError,
    Delivery,
    Finding,
    Http,
    Item,
    MetricMapping,
    OAuth2,
    Page,
    Response,
    Source,
    Task,
    TokenCall,
    Usage,
    Verified,
    WebhookRequest,
)
from connectors.faults import Refusal
from connectors.tiktok_account import DAYS, HOST, LIST, SCOPES, STATS, VERSION, Account, TiktokOptions
from connectors.tiktok_faults import THROTTLED_WAIT, examine, fault_of, raise_fault
from connectors.tiktok_fetching import KINDS, SETTLE, pages_of
from connectors.tiktok_metrics import ANSWERS
from connectors.tiktok_pushes import key_of, read_push, verify
from connectors.tiktok_reading import read_page

_TOKENS = f"{HOST}/{VERSION}/tt_user/oauth2"
_BUCKET = "account"
_EVENTS = ("COMMENT", "VIDEO")
_JSON = {"content-type": "application/json"}


class Tiktok(Connector):
    """See the head of this module."""

    name = "tiktok"
    title = "TikTok"
    version = "1"
    platform = "tiktok"
    options = TiktokOptions
    base_url = HOST
    auth = Auth(
        kind=AuthKind.OAUTH2,
        credentials={
            "access_token": "of a TikTok account with analytics switched on; read only",
            "app_id": "of the app at TikTok for Business; needed to subscribe",
            "app_secret": "signs the webhooks; the source's webhook secret",
            "callback": "the public https address of the source's webhook, where the service does not know its own",
        },
        scopes=SCOPES,
        header="access-token",
        scheme="",
        oauth2=OAuth2(
            authorize_url="https://www.tiktok.com/v2/auth/authorize/",
            code=TokenCall(
                url=f"{_TOKENS}/token/", grant="authorization_code", sends="auth_code", method="json", answer=("data",)
            ),
            refresh=TokenCall(
                url=f"{_TOKENS}/refresh_token/",
                grant="refresh_token",
                sends="refresh_token",
                method="json",
                answer=("data",),
            ),
            client_id="client_key",
            scope_separator=",",
            lifetime=timedelta(seconds=86_400),
            refresh_lifetime=timedelta(seconds=31_536_000),
            refresh_before=timedelta(hours=1),
        ),
    )
    capabilities = Capabilities(
        webhook=True,
        signature_headers=("tiktok-signature",),
        fetch=KINDS,
        settle=SETTLE,
        lag=timedelta(hours=48),
        day_zone="UTC",
        rate_limit="40 calls per minute, account and endpoint; 10 per second and 600 per minute per app; code 40100",
        budgets=(
            Budget(bucket=_BUCKET, calls=40, window=timedelta(minutes=1)),
            Budget(bucket="app", calls=600, window=timedelta(minutes=1), per="app"),
        ),
    )
    metrics: Sequence[MetricMapping] = tuple(rules.declared(ANSWERS))

    def usage(self, response: Response) -> Sequence[Usage]:
        fault = fault_of(values.readable(response.body), response.status)
        is_throttled = fault is not None and fault.refusal is Refusal.THROTTLED
        return (Usage(bucket=_BUCKET, wait=THROTTLED_WAIT),) if is_throttled else ()

    def verify(self, request: WebhookRequest, source: Source, now: datetime) -> Verified:
        verify(request.headers.get("tiktok-signature"), request.body, webhooks.ring(source), now)
        return Verified(key=key_of(request.body))

    def parse(self, delivery: Delivery, options: Any) -> Iterable[Item]:
        return pages.read(delivery, self.title, read_push, read_page)

    def fetch(self, http: Http, task: Task, now: datetime) -> AsyncIterator[Page]:
        return pages_of(Account(http, task.source), task, now)

    async def check(self, http: Http, source: Source) -> list[Finding]:
        try:
            account = Account(http, source)
        except ConnectorError as error:
            return [Finding(ok=False, text=str(error)), *_check_pushes(source)]
        reachable = await _check_account(account)
        if not reachable.ok:
            return [reachable, *_check_pushes(source)]
        found = [
            await proving.readable("the followers", account.ask("business/get", ("followers_count",), STATS, {})),
            await proving.readable("the days of the account", account.ask("business/get", ("video_views",), DAYS, {})),
            await proving.readable("the posts", account.ask("business/video/list", ("item_id",), LIST, {})),
        ]
        return [reachable, *found, *_check_pushes(source)]

    async def subscribe(self, http: Http, source: Source, now: datetime) -> None:
        """Set the address for the events of the whole app: TikTok keeps one for each kind of event."""
        app, callback = source.credentials.get("app_id", ""), _callback(source)
        secret = next((one.value for one in webhooks.ring(source) if one.value), "")
        if not (app and secret and callback):
            raise ConnectorError("a subscription takes the app's id and secret and the webhook's address")
        for event in _EVENTS:
            asked = {"app_id": app, "secret": secret, "event_type": event, "callback_url": callback}
            body = msgspec.json.encode(asked)
            response = await http.post(f"{VERSION}/business/webhook/update/", body=body, headers=_JSON)
            _, fault = examine(response, "webhooks of the app", tells=False)
            if fault is not None:
                raise_fault(fault, "webhooks of the app")


def _callback(source: Source) -> str:
    """Return the address to push to: the source's own, or one that was given."""
    return source.webhook_url or source.credentials.get("callback", "")


# ------------------------------------------------------------------------------------------------ proving a source


async def _check_account(account: Account) -> Finding:
    try:
        answer = await account.ask("business/get", ("username", "display_name"), "user.info.basic", {})
    except ConnectorError as error:
        return proving.unreachable(error, "TikTok")
    name = values.printable(values.text(answer.data.get("username"))) or "without a name"
    return Finding(ok=True, text=f"the token is accepted and the account {name} is readable")


def _check_pushes(source: Source) -> list[Finding]:
    missing = proving.unsigned(webhooks.ring(source)) + proving.missing(
        (source.credentials.get("app_id"), "no app id: webhooks can be set up in the developer portal alone"),
        (_callback(source), "no webhook address is given: nothing is pushed, posts are polled"),
    )
    return missing or [Finding(ok=True, text="webhooks can be subscribed to, one address for all accounts of the app")]


CONNECTOR = Tiktok()
