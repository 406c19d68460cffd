"""LinkedIn pages of organisations: pulled posts, their statistics, followers and days, pushed notifications.

Counted once. The lifetime statistics of each post count. Days of the organisation hold the activity of all its posts
again and are checks, but for what no post reports: followers gained and visits of the page. Distinct people reached are
kept per post and, in a scope of their own, per day of the organisation; they are never added. All statistics leave paid
delivery out, so they are organic; only followers are won in both ways, each told and booked apart.

Clicks are all clicks on a post, on the link, the logo or *see more*. The ``engagement`` is a rate and no number. A
day's followers are net: below nothing they are followers lost. Likes of a day may be negative and are then left out of
the check. The number of followers comes from the network's size, for the statistics give only who they are, in parts
that do not add up. A video's views are plays of three seconds and more, known for six months after publication.

A post without activity is absent from the statistics, and so is a deleted one: neither is booked as zero. Totals of the
organisation without days are those of the last twelve months, a window that moves, and are not asked for. Days are UTC
days; the last two are missing and those before are restated for some more.

The key of a delivery is made of the ids of its notifications. A subscription names the app, the member of the token and
the organisation, does not end, and is refused to apps that LinkedIn has not reviewed.

This file is what the service calls; its parts are ``linkedin_metrics`` (the tables), ``linkedin_account`` (options,
calls), ``linkedin_answers`` (errors, quotas), ``linkedin_values``, ``linkedin_reading``, ``linkedin_fetching`` and
``linkedin_pushes``.
"""

from __future__ import annotations

from collections.abc import AsyncIterator, Iterable, Mapping, Sequence
from datetime import datetime, timedelta
from http import HTTPStatus
from typing import Any

from connectors import pages, proving, rules, values, webhooks
from connectors.contract import (
    Auth,
    AuthKind,
    Capabilities,
    Connector,
    ConnectorError,
    Delivery,
    Finding,
    Http,
    Item,
    MetricMapping,
    NeedsReauth,
    NotPermitted,
    OAuth2,
    Page,
    Reply,
    Response,
    Source,
    Task,
    TokenCall,
    TryLater,
    Usage,
    Verified,
    WebhookRequest,
)
from connectors.linkedin_account import SCOPES, LinkedInOptions, Organisation
from connectors.linkedin_answers import DAY, require, usage_of
from connectors.linkedin_fetching import KINDS, SETTLE, pages_of
from connectors.linkedin_metrics import ANSWERS
from connectors.linkedin_pushes import EVENT, challenge_response, delivery_key, is_challenge, read_push, verify
from connectors.linkedin_reading import read_page

_TOKENS = "https://www.linkedin.com/oauth/v2/accessToken"
_KEYS = ("app_secret", "client_secret")
_DONE = frozenset({HTTPStatus.OK, HTTPStatus.CREATED, HTTPStatus.NO_CONTENT})


class LinkedIn(Connector):
    """See the head of this module."""

    name = "linkedin"
    title = "LinkedIn"
    version = "1"
    platform = "linkedin"
    options = LinkedInOptions
    base_url = "https://api.linkedin.com/rest"
    auth = Auth(
        kind=AuthKind.OAUTH2,
        credentials={
            "access_token": "of a member who is an administrator of the page; lives for 60 days",
            "refresh_token": "renews it for a year; only approved apps are given one",
            "client_id": "of the app, for renewing",
            "client_secret": "of the app, for renewing",
            "app_secret": "the client secret again; signs the webhooks, the source's webhook secret",
            "callback": "the public https address of the source's webhook, where the service does not know its own",
        },
        scopes=SCOPES,
        oauth2=OAuth2(
            authorize_url="https://www.linkedin.com/oauth/v2/authorization",
            code=TokenCall(url=_TOKENS, grant="authorization_code", sends="code"),
            refresh=TokenCall(url=_TOKENS, grant="refresh_token", sends="refresh_token"),
            lifetime=timedelta(days=60),
            refresh_lifetime=timedelta(days=365),
            refresh_before=timedelta(days=7),
        ),
    )
    capabilities = Capabilities(
        webhook=True,
        signature_headers=("x-li-signature",),
        fetch=KINDS,
        settle=SETTLE,
        lag=timedelta(days=2),
        day_zone="UTC",
        rate_limit="per endpoint, app and member in a UTC day, shown in the developer portal only; 429 without a wait",
    )
    metrics: Sequence[MetricMapping] = tuple(rules.declared(ANSWERS))

    def cost(self, method: str, path: str) -> tuple[str, float]:
        """Return the one budget of a day, which no document numbers: quotas are told in the portal alone."""
        _ = method, path
        return DAY, 1.0

    def usage(self, response: Response) -> Sequence[Usage]:
        return usage_of(response)

    def handshake(self, request: WebhookRequest, source: Source) -> Reply | None:
        challenge = request.query.get("challengeCode")
        if request.method != "GET" or challenge is None:
            return None
        secret = webhooks.lasting(webhooks.ring(source, *_KEYS))
        if not secret or not is_challenge(challenge):
            return Reply(status=403)
        response = challenge_response(challenge, secret)
        return webhooks.answered({"challengeCode": challenge, "challengeResponse": response})

    def verify(self, request: WebhookRequest, source: Source, now: datetime) -> Verified:
        verify(request.headers.get("x-li-signature"), request.body, webhooks.ring(source, *_KEYS), now)
        return Verified(key=delivery_key(request.body))

    def parse(self, delivery: Delivery, options: Any) -> Iterable[Item]:
        return pages.read(delivery, self.title, read_push, read_page)

    def fetch(self, http: Http, task: Task, now: datetime) -> AsyncIterator[Page]:
        return pages_of(Organisation(http, task.source), task, now)

    async def check(self, http: Http, source: Source) -> list[Finding]:
        of = Organisation(http, source)
        administered = await _check_role(of)
        if not administered.ok:
            return [administered, *_check_secrets(source)]
        found = [
            administered,
            await proving.readable("the posts", _read_posts(of)),
            await proving.readable("followers and statistics", _read_statistics(of)),
        ]
        return [*found, _check_application(source), *_check_secrets(source)]

    async def subscribe(self, http: Http, source: Source, now: datetime) -> None:
        """Ask for notifications about the organisation's posts, in the name of the member of the token."""
        of, callback = Organisation(http, source), source.webhook_url or source.credentials.get("callback", "")
        if not (of.options.application and callback):
            raise ConnectorError("a subscription takes the number of the app (option application) and a public address")
        roles = _roles_in(require(await of.roles(), of.statistics_need))
        member = next((one.get("roleAssignee") for one in roles if _organisation_of(one) == of.urn), None)
        if not isinstance(member, str):
            raise NotPermitted(f"the member is no administrator of the organisation {of.number}")
        response = await of.subscribe(member, EVENT, callback)
        if response.status not in _DONE:
            require(response, "of an app with webhooks (no Development tier)")


# ------------------------------------------------------------------------------------------------ proving a source


async def _check_role(of: Organisation) -> Finding:
    try:
        urn = of.urn
        body = require(await of.roles(), of.statistics_need)
    except (NeedsReauth, TryLater) as error:
        return proving.unreachable(error, "LinkedIn")
    except ConnectorError as error:
        return Finding(ok=False, text=f"the member's roles are not readable: {error}")
    if urn not in map(_organisation_of, _roles_in(body)):
        return Finding(ok=False, text=f"the member is no administrator of the organisation {of.number}")
    return Finding(ok=True, text=f"the token is accepted and the member administers the organisation {of.number}")


def _roles_in(body: Mapping[str, Any]) -> list[dict[str, Any]]:
    return [values.mapping(one) for one in values.items(body.get("elements"))]


def _organisation_of(role: Mapping[str, Any]) -> Any:
    return role.get("organization", role.get("organizationTarget"))


def _check_application(source: Source) -> Finding:
    if source.options.application:
        return Finding(ok=True, text="pushes are asked for by `tallybook source subscribe`")
    return Finding(ok=True, text="to be pushed to, set the option application: the app's number in its portal")


async def _read_posts(of: Organisation) -> None:
    require(await of.posts(0, 1), of.posts_need)


async def _read_statistics(of: Organisation) -> None:
    require(await of.size(), of.statistics_need)
    require(await of.totals(), of.statistics_need)


def _check_secrets(source: Source) -> list[Finding]:
    missing = proving.unsigned(webhooks.ring(source, *_KEYS), "client secret")
    if not source.credentials.get("refresh_token"):
        missing.append(Finding(ok=True, text="no refresh token: a person must connect again every 60 days"))
    return missing


CONNECTOR = LinkedIn()
