"""Instagram professional accounts through the Graph API: pulled media, stories and account days, pushed story totals.

Counted once. Likes and comments come twice: from the media node (``like_count``, ``comments_count``) and from the
insights (``likes``, ``comments``). The node's count, because every media has it, albums and media from before the
account became professional too, and because a listing gives a hundred of them per call; the insights' are checks.
Totals of the account per day hold the numbers of its posts again and are checks; only what no post reports (followers,
taps on the profile's links) counts there. Followers gained are the day series ``follower_count``, which is new
followers despite its name; ``follows_and_unfollows`` counts for those lost and checks the gain.

Views are impressions as well (rule ``meta_views@1``: Meta replaced impressions, plays and video views by views); an
older ``impressions`` stays impressions alone. Reach is never added; the account's includes ads, a media's does not.
Days are Pacific days throughout: Meta's series are, and totals are asked for the same days.

An account is connected by one of two logins (option ``login``), which differ in host, permissions, life of the token
and in what is pushed. This connector publishes nothing and reads no messages.

This file is what the service calls; its parts are ``instagram_metrics`` (the tables), ``instagram_account`` (options,
hosts, permissions, logins), ``instagram_fetching``, ``instagram_reading`` and ``instagram_pushes``. What it shares with
other platforms of Meta's is in ``connectors.graph*``.
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
from connectors.graph_connector import GraphConnector
from connectors.instagram_account import HOSTS, OAUTH2, SCOPES, Account, InstagramOptions
from connectors.instagram_fetching import KINDS, LOOK_BACK, pages_of
from connectors.instagram_metrics import ANSWERS
from connectors.instagram_pushes import read_push
from connectors.instagram_reading import read_page
from connectors.rules import declared

_PUSHED = "comments,live_comments"  # fields of the Instagram login; stories' totals are not among them
_BUDGET = "instagram"  # as Meta's headers call it
_LINK = "instagram_business_account"


def _auth(login: str) -> Auth:
    return Auth(
        kind=AuthKind.OAUTH2,
        credentials={
            "access_token": "page, system user or Instagram user token; read only",
            "app_secret": "signs the webhooks; the source's webhook secret",
            "verify_token": "chosen by you, entered where the webhook is set up at Meta",
        },
        scopes=SCOPES[login],
        oauth2=OAUTH2[login],
    )


class Instagram(GraphConnector):
    """See the head of this module."""

    name = "instagram"
    title = "Instagram"
    version = "1"
    platform = "instagram"
    options = InstagramOptions
    base_url = HOSTS["facebook"]
    auth = _auth("facebook")
    capabilities = Capabilities(
        webhook=True,
        signature_headers=("x-hub-signature-256",),
        fetch=KINDS,
        settle=LOOK_BACK,
        lag=timedelta(hours=48),
        day_zone=graph_values.PACIFIC,
        rate_limit="4800 calls per impression in 24 hours; X-App-Usage, X-Business-Use-Case-Usage; errors 4, 17, 80002",
        budgets=graph_login.budgets(_BUDGET),
    )
    metrics: Sequence[MetricMapping] = tuple(declared(ANSWERS))

    def address(self, options: InstagramOptions) -> str:
        """Return the base address of the login: one of two constants, whatever the options say."""
        return HOSTS[options.login]

    def auth_for(self, options: InstagramOptions) -> Auth:
        """Return how an account is connected by the login of its options; ``auth`` is that of the default one."""
        return _auth(options.login)

    def cost(self, method: str, path: str) -> tuple[str, float]:
        return graph_login.cost(_BUDGET, path)

    def parse(self, delivery: Delivery, options: Any) -> Iterable[Item]:
        return pages.read(delivery, self.title, read_push, read_page)

    def fetch(self, http: Http, task: Task, now: datetime) -> AsyncIterator[Page]:
        return pages_of(Account(http, task.source), task, now)

    async def check(self, http: Http, source: Source) -> list[Finding]:
        account, secrets = Account(http, source), graph_proving.secret_findings(source)
        reachable = await graph_proving.account_finding(account, self.title, "id,username", "username")
        if not reachable.ok:
            return [reachable, *secrets]
        media = await graph_proving.listing_finding(account, "media", "media")
        permissions = await graph_proving.permission_findings(account, SCOPES[account.login])
        return [reachable, media, *permissions, await _check_subscription(account), *secrets]

    async def subscribe(self, http: Http, source: Source, now: datetime) -> None:
        """Ask for pushes. With the Facebook login any field of the page switches those of the account on."""
        account = Account(http, source)
        owner, fields = "me", _PUSHED
        if account.login == "facebook":
            owner, fields = await graph_proving.page_with(account, _LINK) or "me", "feed"
        params = {"subscribed_fields": fields}
        graph.require(await http.post(account.path(owner, "subscribed_apps"), params), "pages_manage_metadata")


async def _check_subscription(account: Account) -> Finding:
    try:
        owner = await graph_proving.page_with(account, _LINK) if account.login == "facebook" else "me"
        body = graph.require(await account.get(owner or "me", "subscribed_apps"), "pages_manage_metadata")
    except ConnectorError:
        return Finding(ok=False, text="the webhook subscription cannot be read; stories are polled meanwhile")
    if not values.items(body.get("data")):
        return Finding(ok=False, text="no webhook subscription: nothing is pushed, stories are polled")
    if account.login == "instagram":
        return Finding(ok=True, text="subscribed; this login is pushed no story totals, stories are polled")
    return Finding(ok=True, text="subscribed; the field story_insights must be chosen in the app's dashboard")


CONNECTOR = Instagram()
