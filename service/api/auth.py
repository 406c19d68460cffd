"""Who may call what: a bearer key, its workspace and one scope per route. A route that declares nothing is closed.

A route declares itself by the type of a parameter: :data:`ReadsRegistry` and its like for keys of a workspace,
:data:`Instance` for keys of the instance, :data:`Anyone` for any key. What needs no key stands in no route of ``/v1``
but those that :data:`OPEN` names.
"""

from __future__ import annotations

from typing import Annotated, Any
from uuid import UUID

import msgspec
from fastapi import Depends, Request
from fastapi.security import HTTPAuthorizationCredentials, HTTPBearer

from service import ids
from service.access import keys, tokens
from service.access.keys import Principal, Scope
from service.api.limits import BUDGETS
from service.api.state import Parts
from service.errors import Forbidden, NotFound

OPEN = {
    "/v1/webhooks/{address}": "the address is the secret, the signature the proof",
    "/v1/sources/callback": "a browser comes from a platform; the state is the secret: random, once, ten minutes",
    "/v1/schemas/{connector}": "a public format, for senders that have no key",
}
"""Routes below ``/v1`` that ask for no key, and why."""

_OWN_PAST = frozenset({"", "previous_period", "previous_year"})
"""Comparisons in which no other campaign has a part."""

_bearer = HTTPBearer(
    auto_error=False, scheme_name="key", description="an API key, `tbk_live_...`; about a campaign a read token too"
)


class Caller(msgspec.Struct, frozen=True, kw_only=True):
    """A key of a workspace that has the scope of the route."""

    workspace_id: UUID
    principal: Principal


async def principal_of(
    request: Request, parts: Parts, credentials: Annotated[HTTPAuthorizationCredentials | None, Depends(_bearer)]
) -> Principal:
    """Return who asks, within the budget of the key. Raises Unauthorised, TooMany."""
    token = credentials.credentials if credentials is not None else None
    if token is not None and tokens.is_token(token):
        principal = await tokens.authenticate(parts.db, parts.vault, token, parts.context)
        _confine(request, principal)
    else:
        principal = await keys.authenticate(parts.db, token, parts.context)
    request.scope[BUDGETS].require(request.scope, principal.key_id)
    return principal


def _confine(request: Request, principal: Principal) -> None:
    """Let a read token ask about its campaigns alone; any other campaign is none, wherever a route names it."""
    named = request.path_params.get("campaign")
    if named is None:
        raise Forbidden("a read token is for answers about its campaigns")
    others = [text for text in request.path_params.values() if text.startswith(ids.PREFIXES["campaign"])]
    if any(ids.read("campaign", text) not in (principal.campaigns or ()) for text in (named, *others)):
        raise NotFound("no such campaign")
    if not _OWN_PAST.issuperset(request.query_params.getlist("compare")):
        raise Forbidden("a read token compares a campaign with its own past alone")


Asking = Annotated[Principal, Depends(principal_of)]


class Needs:
    """A dependency: a key of a workspace with one scope."""

    def __init__(self, scope: Scope) -> None:
        """Name the scope."""
        self.scope = scope

    def __call__(self, principal: Asking) -> Caller:
        if principal.workspace_id is None:
            raise Forbidden("an instance key keeps workspaces; this needs a key of a workspace")
        keys.require(principal, self.scope)
        return Caller(workspace_id=principal.workspace_id, principal=principal)


class NeedsTicket:
    """A dependency: a key of a workspace with one scope, or a ticket in the address in place of a key."""

    def __init__(self, scope: Scope) -> None:
        """Name the scope."""
        self.scope = scope

    async def __call__(
        self,
        request: Request,
        parts: Parts,
        credentials: Annotated[HTTPAuthorizationCredentials | None, Depends(_bearer)],
    ) -> Caller:
        ticket = request.query_params.get("ticket")
        if ticket is None or credentials is not None:
            return Needs(self.scope)(await principal_of(request, parts, credentials))
        principal = await tokens.authenticate(parts.db, parts.vault, ticket, parts.context, tokens.ONCE)
        _confine(request, principal)
        request.scope[BUDGETS].require(request.scope, principal.key_id)
        return Needs(self.scope)(principal)


class NeedsInstance:
    """A dependency: an instance key."""

    scope = "instance"

    def __call__(self, principal: Asking) -> Principal:
        if not principal.instance:
            raise Forbidden("this needs an instance key")
        return principal


class NeedsKey:
    """A dependency: any key, of a workspace or of the instance."""

    scope = "any"

    def __call__(self, principal: Asking) -> Principal:
        return principal


ReadsKpis = Annotated[Caller, Depends(Needs(Scope.KPIS_READ))]
WatchesKpis = Annotated[Caller, Depends(NeedsTicket(Scope.KPIS_READ))]
ReadsProvenance = Annotated[Caller, Depends(Needs(Scope.PROVENANCE_READ))]
ReadsCosts = Annotated[Caller, Depends(Needs(Scope.COSTS_READ))]
ReadsRegistry = Annotated[Caller, Depends(Needs(Scope.REGISTRY_READ))]
WritesRegistry = Annotated[Caller, Depends(Needs(Scope.REGISTRY_WRITE))]
WritesDeliveries = Annotated[Caller, Depends(Needs(Scope.DELIVERIES_WRITE))]
Administers = Annotated[Caller, Depends(Needs(Scope.ADMIN))]
Instance = Annotated[Principal, Depends(NeedsInstance())]
Anyone = Annotated[Principal, Depends(NeedsKey())]


def scope_of(route: Any) -> str | None:
    """Return the scope that a route declares by a parameter, ``any`` or ``instance``; None where it declares none."""
    waiting = [route.dependant] if getattr(route, "dependant", None) is not None else []
    while waiting:
        dependant = waiting.pop()
        if isinstance(dependant.call, Needs | NeedsTicket | NeedsInstance | NeedsKey):
            return str(dependant.call.scope)
        waiting += dependant.dependencies
    return None


def visible_workspace(principal: Principal, workspace_id: UUID, scope: Scope) -> UUID:
    """Return a workspace that the key may see: its own with ``scope``, or any for an instance key.

    Raises NotFound for another key's workspace, Forbidden for a missing scope.
    """
    if not principal.instance:
        if principal.workspace_id != workspace_id:
            raise NotFound("no such workspace")
        keys.require(principal, scope)
    return workspace_id
