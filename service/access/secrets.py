"""Secrets at rest: AES-256-GCM under a data key per workspace, which the master key wraps. Not for passwords.

A sealed value is bound to its place (workspace, table, column, row), so a ciphertext that is moved to another row does
not open there. The envelope is a version byte, the id of the key that sealed it, a 96-bit random nonce and the
ciphertext with its tag. A key's id is the first four bytes of its SHA-256: enough to tell a wrong key from damage.
Nothing here answers with an empty value when a seal does not open.
"""

from __future__ import annotations

import base64
import binascii
import hashlib
import hmac
from collections.abc import Callable
from uuid import UUID

from cryptography.exceptions import InvalidTag
from cryptography.hazmat.primitives.ciphers.aead import AESGCM
from cryptography.hazmat.primitives.hashes import SHA256
from cryptography.hazmat.primitives.kdf.hkdf import HKDF

from service.context import Context
from service.errors import Misconfigured, TallybookError

VERSION = 1
KEY_BYTES = 32
_ID_BYTES = 4
_NONCE_BYTES = 12
_HASH_BYTES = 16
_HEAD = 1 + _ID_BYTES + _NONCE_BYTES


class SealBroken(TallybookError):  # noqa: N818 - reads as a state
    """A sealed value was damaged or moved from the row it was sealed for."""


class _WrongKeyError(Exception):
    """The envelope names another key than the one at hand."""


def _key_id(key: bytes) -> bytes:
    return hashlib.sha256(key).digest()[:_ID_BYTES]


def _aad(workspace_id: UUID, table: str, column: str, row_id: UUID, key_id: bytes) -> bytes:
    place = (workspace_id.hex, table, column, row_id.hex, f"{VERSION}.{key_id.hex()}")
    return "|".join(place).encode()


class _Lock:
    """One key that seals and opens envelopes at named places."""

    def __init__(self, key: bytes, workspace_id: UUID, token: Callable[[int], bytes]) -> None:
        """Keep the cipher and the id of ``key``; ``token`` draws nonces."""
        self._key = key
        self._cipher = AESGCM(key)
        # A key of its own for hashes: what seals secrets is used for nothing else.
        self._mac_key = hmac.digest(key, b"tallybook persons", "sha256")
        self._id = _key_id(key)
        self._workspace_id = workspace_id
        self._token = token

    def derived(self, purpose: str) -> bytes:
        return HKDF(SHA256(), KEY_BYTES, self._workspace_id.bytes, purpose.encode()).derive(self._key)

    def close(self, table: str, column: str, row_id: UUID, plaintext: bytes) -> bytes:
        nonce = self._token(_NONCE_BYTES)
        place = _aad(self._workspace_id, table, column, row_id, self._id)
        return bytes((VERSION,)) + self._id + nonce + self._cipher.encrypt(nonce, plaintext, place)

    def open(self, table: str, column: str, row_id: UUID, sealed: bytes) -> bytes:
        if len(sealed) < _HEAD or sealed[0] != VERSION:
            raise SealBroken("a sealed value is damaged")
        key_id, nonce = sealed[1 : 1 + _ID_BYTES], sealed[1 + _ID_BYTES : _HEAD]
        if key_id != self._id:
            raise _WrongKeyError
        try:
            place = _aad(self._workspace_id, table, column, row_id, key_id)
            return self._cipher.decrypt(nonce, sealed[_HEAD:], place)
        except InvalidTag:
            raise SealBroken("a sealed value is damaged or belongs to another row") from None

    def hash(self, purpose: str, text: str) -> bytes:
        named = f"{purpose}|{text}".encode("utf-8", "replace")
        return hmac.digest(self._mac_key, named, "sha256")[:_HASH_BYTES]


class WorkspaceVault:
    """Seals and opens the secrets of one workspace. Its repr shows no key."""

    def __init__(self, lock: _Lock, workspace_id: UUID) -> None:
        """Made by :meth:`Vault.open_workspace`."""
        self._lock = lock
        self.workspace_id = workspace_id

    def __repr__(self) -> str:
        return f"WorkspaceVault({self.workspace_id})"

    def derived(self, purpose: str) -> bytes:
        """Return a key for one purpose, which tells nothing of the data key that it is made from (HKDF, RFC 5869)."""
        return self._lock.derived(purpose)

    def seal(self, table: str, column: str, row_id: UUID, plaintext: bytes) -> bytes:
        """Return the envelope of ``plaintext`` for one column of one row."""
        return self._lock.close(table, column, row_id, plaintext)

    def hash(self, purpose: str, text: str) -> bytes:
        """Return the keyed hash of a text: the same text has the same one in this workspace, and in no other."""
        return self._lock.hash(purpose, text)

    def unseal(self, table: str, column: str, row_id: UUID, sealed: bytes) -> bytes:
        """Return the plaintext of an envelope. Raises :class:`SealBroken` for any other place, key or byte."""
        try:
            return self._lock.open(table, column, row_id, sealed)
        except _WrongKeyError:
            raise SealBroken("a sealed value was sealed with another data key") from None


class Vault:
    """The master key of an instance: it makes and opens the data keys of workspaces. Its repr shows no key."""

    def __init__(self, master: str, context: Context) -> None:
        """Take the master key as base64 of 32 bytes. Raises :class:`Misconfigured` for anything else."""
        self._master = _master_bytes(master)
        self._token = context.token

    def __repr__(self) -> str:
        return "Vault(***)"

    def new_data_key(self, workspace_id: UUID) -> bytes:
        """Return a fresh data key for a workspace, wrapped: what ``workspaces.data_key`` holds."""
        lock = _Lock(self._master, workspace_id, self._token)
        return lock.close("workspaces", "data_key", workspace_id, self._token(KEY_BYTES))

    def open_workspace(self, workspace_id: UUID, wrapped: bytes) -> WorkspaceVault:
        """Unwrap the data key of a workspace.

        Raises :class:`Misconfigured` when another master key wrapped it, :class:`SealBroken` when it is damaged.
        """
        try:
            key = _Lock(self._master, workspace_id, self._token).open("workspaces", "data_key", workspace_id, wrapped)
        except _WrongKeyError:
            raise Misconfigured("TALLYBOOK_MASTER_KEY is not the key that this database was sealed with") from None
        return WorkspaceVault(_Lock(key, workspace_id, self._token), workspace_id)


def _master_bytes(master: str) -> bytes:
    try:
        key = base64.b64decode(master, validate=True)
    except (binascii.Error, ValueError):
        key = b""
    if len(key) != KEY_BYTES:
        raise Misconfigured("TALLYBOOK_MASTER_KEY must be base64 of 32 bytes")
    return key
