"""Proves a source of a Graph platform: one finding per fact, in plain words, for ``check``.

Never by insights alone: they fail for reasons (a young account, a quiet one) that are no fault of the set-up.
"""

from __future__ import annotations

from collections.abc import Sequence

from connectors import graph, graph_values, proving, values
from connectors.contract import ConnectorError, DropReason, Finding, Source
from connectors.graph_account import Account
from connectors.webhooks import ring


async def account_finding(account: Account, title: str, fields: str, shown: str) -> Finding:
    """Say whether the token is accepted and the account readable; ``shown`` is the field that names it."""
    try:
        body = graph.require(await account.get(account.id, fields=fields), account.basic)
    except ConnectorError as error:
        return proving.unreachable(error, title, f"account {account.id}")
    handle = values.text(body.get(shown), 100) or account.id
    return Finding(ok=True, text=f"the token is accepted and the account {handle} is readable")


async def listing_finding(account: Account, edge: str, what: str) -> Finding:
    """Say whether a listing of the account can be read."""
    return await proving.readable(f"the {what} of the account", _listing(account, edge))


async def _listing(account: Account, edge: str) -> None:
    graph.require(await account.get(account.id, edge, fields="id", limit="1"), account.basic)


async def permission_findings(account: Account, wanted: Sequence[str]) -> list[Finding]:
    """Only a person's token of the Facebook login lists its permissions; nothing is wrong with one that does not."""
    try:
        body = graph.require(await account.get("me", "permissions"), account.basic)
    except ConnectorError:
        return [Finding(ok=True, text=f"this token does not list its permissions; needed are {', '.join(wanted)}")]
    entries = [values.mapping(entry) for entry in values.items(body.get("data"))]
    granted = [entry.get("permission") for entry in entries if entry.get("status") == "granted"]
    return proving.permissions(wanted, granted)


def secret_findings(source: Source) -> list[Finding]:
    """Say what webhooks lack; nothing where nothing is missing."""
    verify_token = source.credentials.get("verify_token")
    lacking = proving.missing((verify_token, "no verify token: Meta cannot confirm the webhook address"))
    return proving.unsigned(ring(source)) + lacking


async def page_with(account: Account, field: str) -> str | None:
    """Return the id of the page whose ``field`` is the account; None for a page token, which is *me* itself."""
    path, params = account.path("me", "accounts"), {"fields": f"id,{field}", "limit": "100"}
    try:
        async for sheet in graph.listing(account.http, path, params, {}, "pages_show_list"):
            for page in map(values.mapping, values.items(sheet.body.get("data"))):
                linked = values.mapping(page.get(field)).get("id")
                found = graph_values.identifier(page.get("id"))
                if linked == account.id and not isinstance(found, DropReason):
                    return found
    except ConnectorError:
        return None
    return None
