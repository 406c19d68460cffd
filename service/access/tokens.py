"""Read tokens: what a browser may hold instead of a key. For minutes, for named campaigns, for reading alone.

A token is ``tbk_read_``, its claims as base64url of JSON, a dot, and an HMAC-SHA256 of both under a key that is
derived from the data key of its workspace. There is one algorithm and no header that could choose another. It speaks
for the API key that asked for it: it may do no more than that may now, and ends with it.
"""

from __future__ import annotations

import base64
import binascii
import hashlib
import hmac
from collections.abc import Iterable
from datetime import UTC, datetime, timedelta
from typing import Annotated
from uuid import UUID

import msgspec
import sqlalchemy as sa
from sqlalchemy.ext.asyncio import AsyncConnection

from service.access import keys
from service.access.keys import Principal, Scope
from service.access.secrets import Vault, WorkspaceVault
from service.context import Context
from service.db.engine import Database
from service.db.tables import workspaces
from service.errors import Forbidden, Unauthorised

MARK = "tbk_read_"
AUDIENCE = "tallybook:read"
LONGEST = timedelta(minutes=15)
READS = (Scope.KPIS_READ, Scope.PROVENANCE_READ, Scope.COSTS_READ)
"""What a token may be for."""
MOST_CAMPAIGNS = 50
_SIZE = 4096
_AHEAD = timedelta(seconds=60)
_PURPOSE = "read tokens 1"
_Seconds = Annotated[int, msgspec.Meta(ge=0, le=2**33)]


class _Claims(msgspec.Struct, frozen=True, kw_only=True, forbid_unknown_fields=True):
    aud: str
    wsp: UUID
    key: UUID
    cmp: tuple[UUID, ...]
    scp: tuple[Scope, ...]
    iat: _Seconds
    exp: _Seconds


class ReadToken(msgspec.Struct, frozen=True, kw_only=True):
    """A token at the moment when it is made. Its repr hides it."""

    token: str
    expires_at: datetime

    def __repr__(self) -> str:
        return f"ReadToken({self.expires_at}, ***)"


def is_token(text: str | None) -> bool:
    """Tell whether a bearer text wants to be a read token."""
    return text is not None and text.startswith(MARK)


def make(
    vault: WorkspaceVault,
    principal: Principal,
    campaigns: Iterable[UUID],
    scopes: Iterable[Scope],
    lasting: timedelta,
    now: datetime,
) -> ReadToken:
    """Return a token that speaks for ``principal``. Raises :class:`Forbidden` for a scope that its key lacks."""
    wanted = tuple(sorted(set(scopes)))
    for scope in wanted:
        if scope not in READS:
            raise Forbidden(f"a read token is not for {scope.value}")
        keys.require(principal, scope)
    begun = int(now.timestamp())
    claims = _Claims(
        aud=AUDIENCE,
        wsp=vault.workspace_id,
        key=principal.key_id,
        cmp=tuple(sorted(set(campaigns))),
        scp=wanted,
        iat=begun,
        exp=begun + int(min(lasting, LONGEST).total_seconds()),
    )
    body = MARK + _text(msgspec.json.encode(claims))
    token = f"{body}.{_text(_mac(vault, body))}"
    return ReadToken(token=token, expires_at=datetime.fromtimestamp(claims.exp, UTC))


async def authenticate(db: Database, vault: Vault, token: str, context: Context) -> Principal:
    """Return who a token speaks for. Raises :class:`Unauthorised`, the same for every reason."""
    refusal = Unauthorised("a valid API key is needed")
    body, _, mac = token.partition(".")
    try:
        claims = msgspec.json.decode(_bytes(body.removeprefix(MARK)), type=_Claims) if len(token) <= _SIZE else None
        given = _bytes(mac)
    except (msgspec.MsgspecError, ValueError):
        raise refusal from None
    if claims is None or not _timely(claims, context.now()):
        raise refusal
    async with db.workspace(claims.wsp) as connection:
        home = await _vault(connection, claims.wsp, vault)
        if home is None or not hmac.compare_digest(_mac(home, body), given):
            raise refusal
        issuer = await keys.live(connection, claims.wsp, claims.key, context.now())
    if issuer is None:
        raise refusal
    ends = datetime.fromtimestamp(claims.exp, UTC)
    return msgspec.structs.replace(
        issuer,
        scopes=frozenset(scope for scope in claims.scp if scope in READS and issuer.may(scope)),
        campaigns=frozenset(claims.cmp),
        expires_at=ends if issuer.expires_at is None else min(ends, issuer.expires_at),
    )


def _timely(claims: _Claims, now: datetime) -> bool:
    begun, ends = (datetime.fromtimestamp(at, UTC) for at in (claims.iat, claims.exp))
    return claims.aud == AUDIENCE and now < ends <= begun + LONGEST and begun <= now + _AHEAD


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
