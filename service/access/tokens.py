"""Read tokens: what a browser may hold instead of a key. For minutes, for named campaigns, for reading alone.

Tickets are tokens for what cannot send a header (an ``EventSource``): they stand in an address, where they may be seen,
and so are good for one use within a minute.

A token is ``tbk_read_`` (a ticket ``tbk_once_``), its claims as base64url of JSON, a dot, and an HMAC-SHA256 of both
under a key that is derived from the data key of its workspace. There is one algorithm and no header that could choose
another. It speaks for the API key that asked for it: it may do no more than that may now, and ends with it.
"""

from __future__ import annotations

import base64
import binascii
import hashlib
import hmac
from collections.abc import Iterable
from datetime import UTC, datetime, timedelta
from typing import Annotated, NamedTuple
from uuid import UUID

import msgspec
import sqlalchemy as sa
from sqlalchemy.dialects.postgresql import insert
from sqlalchemy.ext.asyncio import AsyncConnection

from service.access import keys
from service.access.keys import Principal, Scope
from service.access.secrets import Vault, WorkspaceVault
from service.context import Context
from service.db.engine import Database
from service.db.tables import spent_tickets, workspaces
from service.errors import Forbidden, Unauthorised

LONGEST = timedelta(minutes=15)
READS = (Scope.KPIS_READ, Scope.PROVENANCE_READ, Scope.COSTS_READ)
"""What a token may be for."""
MOST_CAMPAIGNS = 50
TICKET = timedelta(seconds=60)
"""How long a ticket may be used; what it opens goes on as long as its maker may ask."""
SIZE = 4096
_AHEAD = timedelta(seconds=60)
_PURPOSE = "read tokens 1"
_Seconds = Annotated[int, msgspec.Meta(ge=0, le=2**33)]


class Kind(NamedTuple):
    """What a text is for: how it begins, what it says it is for, and how long it may last."""

    mark: str
    audience: str
    longest: timedelta


READ = Kind("tbk_read_", "tallybook:read", LONGEST)
ONCE = Kind("tbk_once_", "tallybook:once", TICKET)


class _Claims(msgspec.Struct, frozen=True, kw_only=True, forbid_unknown_fields=True):
    aud: str
    wsp: UUID
    key: UUID
    cmp: tuple[UUID, ...]
    scp: tuple[Scope, ...]
    iat: _Seconds
    exp: _Seconds
    ends: _Seconds | None = None
    one: UUID | None = None


class ReadToken(msgspec.Struct, frozen=True, kw_only=True):
    """A token at the moment when it is made. Its repr hides it."""

    token: str
    expires_at: datetime

    def __repr__(self) -> str:
        return f"ReadToken({self.expires_at}, ***)"


def is_token(text: str | None) -> bool:
    """Tell whether a bearer text wants to be a read token."""
    return text is not None and text.startswith(READ.mark)


def make(
    vault: WorkspaceVault,
    principal: Principal,
    campaigns: Iterable[UUID],
    scopes: Iterable[Scope],
    lasting: timedelta,
    now: datetime,
    kind: Kind = READ,
    one: UUID | None = None,
) -> ReadToken:
    """Return a token that speaks for ``principal``. Raises :class:`Forbidden` for a scope that its key lacks."""
    wanted = tuple(sorted(set(scopes)))
    for scope in wanted:
        if scope not in READS:
            raise Forbidden(f"a read token is not for {scope.value}")
        keys.require(principal, scope)
    begun = int(now.timestamp())
    claims = _Claims(
        aud=kind.audience,
        wsp=vault.workspace_id,
        key=principal.key_id,
        cmp=tuple(sorted(set(campaigns))),
        scp=wanted,
        iat=begun,
        exp=begun + int(min(lasting, kind.longest).total_seconds()),
        ends=int(principal.expires_at.timestamp()) if principal.expires_at is not None else None,
        one=one,
    )
    body = kind.mark + _text(msgspec.json.encode(claims))
    token = f"{body}.{_text(_mac(vault, body))}"
    return ReadToken(token=token, expires_at=datetime.fromtimestamp(claims.exp, UTC))


def ticket(vault: WorkspaceVault, principal: Principal, campaign_id: UUID, context: Context) -> ReadToken:
    """Return a ticket that speaks for ``principal`` about a campaign, once."""
    scopes = [scope for scope in READS if principal.may(scope)]
    return make(vault, principal, [campaign_id], scopes, TICKET, context.now(), ONCE, context.new_id())


async def authenticate(db: Database, vault: Vault, token: str, context: Context, kind: Kind = READ) -> Principal:
    """Return who a token or a ticket speaks for; a ticket is spent by it.

    Raises :class:`Unauthorised`, the same for every reason.
    """
    refusal = Unauthorised("a valid API key is needed")
    body, _, mac = token.partition(".")
    try:
        claims = msgspec.json.decode(_bytes(body.removeprefix(kind.mark)), type=_Claims) if len(token) <= SIZE else None
        given = _bytes(mac)
    except (msgspec.MsgspecError, ValueError):
        raise refusal from None
    if claims is None or not body.startswith(kind.mark) or not _timely(claims, kind, context.now()):
        raise refusal
    async with db.workspace(claims.wsp) as connection:
        home = await _vault(connection, claims.wsp, vault)
        if home is None or not hmac.compare_digest(_mac(home, body), given):
            raise refusal
        issuer = await keys.live(connection, claims.wsp, claims.key, context.now())
        if issuer is None or (kind is ONCE and not await _spend(connection, claims, token, context.now())):
            raise refusal
    until = claims.exp if kind is READ else claims.ends
    ends = [datetime.fromtimestamp(until, UTC)] if until is not None else []
    ends += [issuer.expires_at] if issuer.expires_at is not None else []
    return msgspec.structs.replace(
        issuer,
        scopes=frozenset(scope for scope in claims.scp if scope in READS and issuer.may(scope)),
        campaigns=frozenset(claims.cmp),
        expires_at=min(ends, default=None),
    )


def _timely(claims: _Claims, kind: Kind, now: datetime) -> bool:
    begun, ends = (datetime.fromtimestamp(at, UTC) for at in (claims.iat, claims.exp))
    return claims.aud == kind.audience and now < ends <= begun + kind.longest and begun <= now + _AHEAD


async def _spend(connection: AsyncConnection, claims: _Claims, token: str, now: datetime) -> bool:
    """Note that a ticket was used; False where it was before, on whichever replica."""
    rows = spent_tickets
    await connection.execute(rows.delete().where(rows.c.workspace_id == claims.wsp, rows.c.expires_at < now - _AHEAD))
    used = {
        "workspace_id": claims.wsp,
        "ticket_hash": hashlib.sha256(token.encode()).digest(),
        "expires_at": datetime.fromtimestamp(claims.exp, UTC),
    }
    done = insert(rows).values(used).on_conflict_do_nothing().returning(rows.c.ticket_hash)
    return await connection.scalar(done) is not None


async def _vault(connection: AsyncConnection, workspace_id: UUID, vault: Vault) -> WorkspaceVault | None:
    wrapped = await connection.scalar(sa.select(workspaces.c.data_key).where(workspaces.c.workspace_id == workspace_id))
    return vault.open_workspace(workspace_id, wrapped) if wrapped is not None else None


def _mac(vault: WorkspaceVault, body: str) -> bytes:
    return hmac.new(vault.derived(_PURPOSE), body.encode(), hashlib.sha256).digest()


def _text(value: bytes) -> str:
    return base64.urlsafe_b64encode(value).rstrip(b"=").decode()


def _bytes(text: str) -> bytes:
    """Return what a text stands for. Raises ValueError for any other way of writing it."""
    try:
        value = base64.b64decode(text + "=" * (-len(text) % 4), altchars=b"-_", validate=True)
    except binascii.Error as error:
        raise ValueError("no base64url") from error
    if _text(value) != text:
        raise ValueError("not as it was written")
    return value
