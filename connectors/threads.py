"""Threads through its Graph API: pulled posts, replies and account days; pushes say what to pull again.

Counted once. Every post counts by its own insights. Shares are what people passed on: reposts, quotes and shares in one
sum, whose parts are kept as checks. Views are views and never impressions: Threads replaced nothing by them. Replies
are comments; the account's own replies are posts too, with numbers of their own that their first post does not hold.

The account's days hold likes, replies, reposts and quotes of the posts once more and are checks. What the platform
calls the account's views are visits of the profile, no sum of posts' views. Clicks are on links, stated one by one, and
stand on the account alone. Followers are a level that knows no window. Days are Pacific days: the series ends its
buckets at that midnight, and totals are asked for the same days. There is no reach, no saves and nothing paid.

Threads has an app id and secret of its own within Meta's, and a token that renews itself. This file is what the service
calls; its parts are ``threads_metrics`` (the tables), ``threads_account``, ``threads_fetching``, ``threads_reading``
and ``threads_pushes``. What it shares with other platforms of Meta's is in ``connectors.graph*``.
"""

from __future__ import annotations

from collections.abc import AsyncIterator, Iterable, Sequence
from datetime import datetime, timedelta
from typing import Any

from connectors import graph, graph_proving, graph_values, pages
from connectors.contract import (
    Auth,
    AuthKind,
    Budget,
    Capabilities,
    ConnectorError,
    Delivery,
    Finding,
    Http,
    Item,
    MetricMapping,
    NotPermitted,
    Page,
    Source,
    Task,
)
from connectors.graph_connector import GraphConnector
from connectors.rules import declared
from connectors.threads_account import HOST, OAUTH2, SCOPES, Account, ThreadsOptions
from connectors.threads_fetching import KINDS, pages_of
from connectors.threads_metrics import ANSWERS, FOLLOWERS_SET, LOOK_BACK
from connectors.threads_pushes import read_push
from connectors.threads_reading import read_page

_BUDGET = "threads"
_LEAST_CALLS = 48_000  # 4800 for each impression, of which ten are taken at least


class Threads(GraphConnector):
    """See the head of this module."""

    name = "threads"
    title = "Threads"
    version = "1"
    platform = "threads"
    options = ThreadsOptions
    base_url = HOST
    auth = Auth(
        kind=AuthKind.OAUTH2,
        credentials={
            "access_token": "the account's own token, of the Threads app; read only",
            "app_secret": "of the Threads app, not of the main one: signs the webhooks",
            "verify_token": "chosen by you, entered where the webhook is set up at Meta",
        },
        scopes=SCOPES,
        oauth2=OAUTH2,
    )
    capabilities = Capabilities(
        webhook=True,
        signature_headers=("x-hub-signature-256",),
        fetch=KINDS,
        settle=LOOK_BACK,
        lag=timedelta(hours=48),
        day_zone=graph_values.PACIFIC,
        rate_limit="4800 calls per impression in 24 hours, 48000 at least; X-App-Usage; errors 4, 17, 32, 613",
        budgets=(Budget(bucket=_BUDGET, calls=_LEAST_CALLS, window=timedelta(days=1)),),
    )
    metrics: Sequence[MetricMapping] = tuple(declared(ANSWERS))

    def parse(self, delivery: Delivery, options: Any) -> Iterable[Item]:
        return pages.read(delivery, self.title, read_push, read_page)

    def fetch(self, http: Http, task: Task, now: datetime) -> AsyncIterator[Page]:
        return pages_of(Account(http, task.source), task, now)

    async def check(self, http: Http, source: Source) -> list[Finding]:
        account, secrets = Account(http, source), graph_proving.secret_findings(source)
        reachable = await graph_proving.account_finding(account, self.title, "id,username", "username")
        if not reachable.ok:
            return [reachable, *secrets]
        posts = await graph_proving.listing_finding(account, "threads", "posts")
        pushed = Finding(ok=True, text="webhooks are subscribed in the app's dashboard: replies, publish and delete")
        return [reachable, posts, await _check_insights(account), pushed, *secrets]


async def _check_insights(account: Account) -> Finding:
    """Only a missing permission is a fault of the set-up: insights fail for young and quiet accounts too."""
    response = await account.get(account.id, "threads_insights", metric=FOLLOWERS_SET[0])
    try:
        graph.require(response, account.insights)
    except NotPermitted as error:
        return Finding(ok=False, text=f"insights are not readable: {error}")
    except ConnectorError as error:
        return Finding(ok=True, text=f"insights could not be proven at the moment: {error}")
    return Finding(ok=True, text="the insights of the account are readable")


CONNECTOR = Threads()
