"""Facebook pages through the Graph API: pulled posts, videos, reels and page days; pushes say what to pull again.

Counted once. Reactions come twice, from the post (``reactions.summary``) and from the insights: the insights' count,
because they come with the permission that all numbers need, while a post's own are closed to apps without
``pages_read_user_content``; the post's are checks. Comments and shares stand on the post alone. A reel counts by its
``video_insights`` and is one subject under the id of its video, wherever it is listed.

Views are impressions as well (rule ``meta_views@1``: Meta replaced impressions by views in 2025 and 2026); names that
were retired are not asked for, and in older bodies they are dropped with the reason. Plays of reels are views alone.
Views are asked for by whether ads brought them, and the part without ads counts; a total that is not told apart is
booked in the same series, so that an answer of another shape restates and never adds. What ads brought is a check.

The page's days hold the numbers of its posts again and are checks; what no post reports counts there: interactions in
all, visits of the page, who came and who left. Followers are the page's own count; ``page_follows`` checks it. Days are
Pacific days. Reach is estimated, includes ads and is never added.

This file is what the service calls; its parts are ``facebook_metrics`` (the tables), ``facebook_objects`` (what a post
is), ``facebook_account``, ``facebook_fetching``, ``facebook_reading`` and ``facebook_pushes``. What it shares with
other platforms of Meta's is in ``connectors.graph*``. It publishes nothing, and reads no messages and no visitors.
"""

from __future__ import annotations

from collections.abc import AsyncIterator, Iterable, Sequence
from datetime import datetime, timedelta
from typing import Any

from connectors import graph, graph_login, graph_proving, graph_values, pages, values
from connectors.contract import (
    Auth,
    AuthKind,
    Capabilities,
    ConnectorError,
    Delivery,
    Finding,
    Http,
    Item,
    MetricMapping,
    Page,
    Source,
    Task,
)
from connectors.facebook_account import COUNTS, HOST, SCOPES, SUBSCRIBING, FacebookOptions, FacebookPage
from connectors.facebook_fetching import KINDS, pages_of
from connectors.facebook_metrics import ANSWERS, LOOK_BACK
from connectors.facebook_pushes import read_push
from connectors.facebook_reading import read_page
from connectors.graph_connector import GraphConnector
from connectors.rules import declared

_BUDGET = "pages"  # as Meta's headers call it
_PUSHED = "feed"
_LISTED = "published_posts"


class Facebook(GraphConnector):
    """See the head of this module."""

    name = "facebook"
    title = "Facebook pages"
    version = "1"
    platform = "facebook"
    options = FacebookOptions
    base_url = HOST
    auth = Auth(
        kind=AuthKind.OAUTH2,
        credentials={
            "access_token": "the page's own token, or a system user's token for the page; read only",
            "app_secret": "signs the webhooks; the source's webhook secret",
            "verify_token": "chosen by you, entered where the webhook is set up at Meta",
        },
        scopes=(*SCOPES, COUNTS, SUBSCRIBING),
        oauth2=graph_login.FACEBOOK_LOGIN,
    )
    capabilities = Capabilities(
        webhook=True,
        signature_headers=("x-hub-signature-256",),
        fetch=KINDS,
        settle=LOOK_BACK,
        lag=timedelta(hours=48),
        day_zone=graph_values.PACIFIC,
        rate_limit="4800 calls per engaged person in 24 hours; X-App-Usage, X-Business-Use-Case-Usage; errors 4, 80001",
        budgets=graph_login.budgets(_BUDGET),
    )
    metrics: Sequence[MetricMapping] = tuple(declared(ANSWERS))

    def cost(self, method: str, path: str) -> tuple[str, float]:
        return graph_login.cost(_BUDGET, path)

    def parse(self, delivery: Delivery, options: Any) -> Iterable[Item]:
        return pages.read(delivery, self.title, read_push, read_page)

    def fetch(self, http: Http, task: Task, now: datetime) -> AsyncIterator[Page]:
        return pages_of(FacebookPage(http, task.source), task, now)

    async def check(self, http: Http, source: Source) -> list[Finding]:
        page, secrets = FacebookPage(http, source), graph_proving.secret_findings(source)
        reachable = await graph_proving.account_finding(page, self.title, "id,name", "name")
        if not reachable.ok:
            return [reachable, *secrets]
        found = [reachable, await _check_token(page), await graph_proving.listing_finding(page, _LISTED, "posts")]
        found += await graph_proving.permission_findings(page, SCOPES)
        return [*found, await _check_counts(page), await _check_subscription(page), *secrets]

    async def subscribe(self, http: Http, source: Source, now: datetime) -> None:
        """Ask for the changes of the page's feed; the callback itself is set in the app's dashboard."""
        page = FacebookPage(http, source)
        path, params = page.path(page.id, "subscribed_apps"), {"subscribed_fields": _PUSHED}
        graph.require(await http.post(path, params), SUBSCRIBING)


async def _check_token(page: FacebookPage) -> Finding:
    """Say whose token it is: insights are for the page's own."""
    try:
        body = graph.require(await page.get("me", fields="id"), page.basic)
    except ConnectorError as error:
        return Finding(ok=False, text=f"whose token it is cannot be read: {error}")
    if body.get("id") == page.id:
        return Finding(ok=True, text="the token is the page's own")
    return Finding(ok=False, text="the token is a person's: give the page's own, from me/accounts, for insights")


async def _check_counts(page: FacebookPage) -> Finding:
    try:
        counted = await page.learn()
    except ConnectorError as error:
        return Finding(ok=False, text=f"the counts of posts cannot be read: {error}")
    if counted:
        return Finding(ok=True, text="the counts of comments and reactions are readable")
    return Finding(ok=False, text=f"comments are not counted: the permission {COUNTS} is missing")


async def _check_subscription(page: FacebookPage) -> Finding:
    try:
        body = graph.require(await page.get(page.id, "subscribed_apps"), SUBSCRIBING)
    except ConnectorError:
        return Finding(ok=False, text="the webhook subscription cannot be read; posts are polled meanwhile")
    apps = [values.mapping(app) for app in values.items(body.get("data"))]
    if any(_PUSHED in values.items(app.get("subscribed_fields")) for app in apps):
        return Finding(ok=True, text="subscribed to the changes of the page's feed")
    return Finding(ok=False, text="no webhook subscription: nothing is pushed, posts are polled")


CONNECTOR = Facebook()
