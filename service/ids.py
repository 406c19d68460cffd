"""Public ids: a UUIDv7 with a prefix that says what it names, and the way back.

The text is the prefix and the 32 hex digits, without hyphens: ``cmp_01890a5d...``. It is not a secret.
"""

from __future__ import annotations

import uuid

from service.errors import NotFound

_DIGITS = 32
PREFIXES = {
    "workspace": "wsp_",
    "strategy": "stg_",
    "campaign": "cmp_",
    "source": "src_",
    "subject": "sub_",
    "creator": "crt_",
    "delivery": "dlv_",
    "posting": "pst_",
    "key": "key_",
}


def show(kind: str, value: uuid.UUID) -> str:
    """Return the public text of an id of ``kind`` (a key of :data:`PREFIXES`)."""
    return PREFIXES[kind] + value.hex


def read(kind: str, text: str) -> uuid.UUID:
    """Return the UUID in a public id. Raises :class:`NotFound` for any other text: it can name nothing."""
    prefix = PREFIXES[kind]
    digits = text.removeprefix(prefix)
    if text.startswith(prefix) and len(digits) == _DIGITS and digits.isascii() and digits.isalnum():
        try:
            return uuid.UUID(hex=digits)
        except ValueError:
            pass
    raise NotFound(f"no such {kind}")
