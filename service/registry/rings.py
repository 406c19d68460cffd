"""The keys that senders sign with, and the addresses they send to: made, turned over, kept sealed or hashed."""

from __future__ import annotations

import base64
import hashlib
from collections.abc import Mapping, Sequence
from datetime import datetime, timedelta
from uuid import UUID

import msgspec

from connectors.contract import Secret
from service.access.secrets import WorkspaceVault
from service.context import Context

LONGEST = 5
"""Keys in a ring: the newest and those that still overlap with it."""


def new_secret(context: Context) -> str:
    """Return a signing key in the form of Standard Webhooks: ``whsec_`` and base64 of 32 random bytes."""
    return "whsec_" + base64.b64encode(context.token(32)).decode()


def new_address(context: Context) -> str:
    """Return the unguessable last part of a webhook address: base64url of 32 random bytes."""
    return base64.urlsafe_b64encode(context.token(32)).rstrip(b"=").decode()


def address_hash(address: str) -> bytes:
    """Return what is kept of a webhook address."""
    return hashlib.sha256(address.encode("utf-8", "surrogatepass")).digest()


def turned(ring: Sequence[Secret], value: str, now: datetime, overlap: timedelta) -> tuple[Secret, ...]:
    """Return the ring with ``value`` first; what was valid until now stays so for ``overlap`` at most."""
    end = now + overlap
    older = [
        Secret(value=secret.value, valid_until=min(end, secret.valid_until or end))
        for secret in ring
        if secret.value != value
    ]
    live = [secret for secret in older if secret.valid_until is not None and secret.valid_until > now]
    return (Secret(value=value), *live[: LONGEST - 1])


def seal_ring(vault: WorkspaceVault, source_id: UUID, ring: Sequence[Secret]) -> bytes | None:
    """Return the ring as ``sources.secrets`` holds it; an empty one is null."""
    return vault.seal("sources", "secrets", source_id, msgspec.json.encode(ring)) if ring else None


def unseal_ring(vault: WorkspaceVault, source_id: UUID, sealed: bytes | None) -> tuple[Secret, ...]:
    """Return the ring of a source. Raises :class:`service.access.secrets.SealBroken`."""
    if sealed is None:
        return ()
    return msgspec.json.decode(vault.unseal("sources", "secrets", source_id, sealed), type=tuple[Secret, ...])


def seal_credentials(vault: WorkspaceVault, source_id: UUID, credentials: Mapping[str, str]) -> bytes | None:
    """Return credentials as ``sources.credentials`` holds them; none are null."""
    return vault.seal("sources", "credentials", source_id, msgspec.json.encode(credentials)) if credentials else None


def unseal_credentials(vault: WorkspaceVault, source_id: UUID, sealed: bytes | None) -> dict[str, str]:
    """Return the credentials of a source. Raises :class:`service.access.secrets.SealBroken`."""
    if sealed is None:
        return {}
    return msgspec.json.decode(vault.unseal("sources", "credentials", source_id, sealed), type=dict[str, str])


def seal_address(vault: WorkspaceVault, source_id: UUID, address: str) -> bytes:
    """Return a webhook address as ``sources.address`` holds it."""
    return vault.seal("sources", "address", source_id, address.encode())


def unseal_address(vault: WorkspaceVault, source_id: UUID, sealed: bytes) -> str:
    """Return the webhook address of a source. Raises :class:`service.access.secrets.SealBroken`."""
    return vault.unseal("sources", "address", source_id, sealed).decode()
