"""What an account of a machine says to a token endpoint instead of a person's login: a signed statement (RFC 7523).

The key is the JSON that a platform gives with such an account. Of it the account's name, the key and its id are used,
and no address: where a statement goes to is the connector's own constant.
"""

from __future__ import annotations

import base64
from datetime import datetime, timedelta

import msgspec
from cryptography.hazmat.primitives.asymmetric.padding import PKCS1v15
from cryptography.hazmat.primitives.asymmetric.rsa import RSAPrivateKey
from cryptography.hazmat.primitives.hashes import SHA256
from cryptography.hazmat.primitives.serialization import load_pem_private_key

from connectors.contract import Auth, NeedsReauth

_LIFE = timedelta(hours=1)
_SKEW = timedelta(seconds=30)
"""A statement of the future is refused: clocks differ."""


class _Key(msgspec.Struct):
    """The fields of the JSON that are read. Its repr hides the key."""

    client_email: str
    private_key: str
    private_key_id: str = ""

    def __repr__(self) -> str:
        return "_Key(***)"


def signed(auth: Auth, key: str, audience: str, now: datetime) -> str:
    """Return a statement that the account of ``key`` asks for the scopes of ``auth``, valid for an hour.

    Raises :class:`NeedsReauth` for what is no key: a person has to give another.
    """
    known, private = _loaded(key)
    header = {"alg": "RS256", "typ": "JWT", **({"kid": known.private_key_id} if known.private_key_id else {})}
    issued = now - _SKEW
    claims = {
        "iss": known.client_email,
        "scope": " ".join(auth.scopes),
        "aud": audience,
        "iat": int(issued.timestamp()),
        "exp": int((issued + _LIFE).timestamp()),
    }
    said = b".".join(map(_encoded, (msgspec.json.encode(header), msgspec.json.encode(claims))))
    return b".".join((said, _encoded(private.sign(said, PKCS1v15(), SHA256())))).decode()


def _loaded(key: str) -> tuple[_Key, RSAPrivateKey]:
    try:
        known = msgspec.json.decode(key, type=_Key)
        private = load_pem_private_key(known.private_key.encode(), password=None)
    except (msgspec.MsgspecError, ValueError, TypeError, RecursionError):
        private = None
    if not isinstance(private, RSAPrivateKey):
        raise NeedsReauth("the key of the service account cannot be read: give the whole JSON file of an RSA key")
    return known, private


def _encoded(raw: bytes) -> bytes:
    return base64.urlsafe_b64encode(raw).rstrip(b"=")
