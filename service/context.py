"""The three impure inputs (time, ids, randomness) in one object that is passed in; no other file calls them."""

from __future__ import annotations

import random
import secrets
import time
import uuid
from collections.abc import Callable
from datetime import UTC, datetime

import msgspec


def _uuid7() -> uuid.UUID:
    """Return a UUIDv7: 48 bits of Unix milliseconds, then random bits (RFC 9562, 5.7)."""
    value = (time.time_ns() // 1_000_000) << 80 | secrets.randbits(80)
    value = value & ~(0xF << 76) | 0x7 << 76
    return uuid.UUID(int=value & ~(0x3 << 62) | 0x2 << 62)


class Context(msgspec.Struct, frozen=True, kw_only=True):
    """``now`` gives an aware UTC instant, ``new_id`` a UUIDv7, ``token`` n random bytes, ``uniform`` a float in [0, 1).

    ``monotonic`` is seconds on a clock that only goes forward, for time-outs and intervals.
    """

    now: Callable[[], datetime]
    new_id: Callable[[], uuid.UUID]
    token: Callable[[int], bytes]
    uniform: Callable[[], float]
    monotonic: Callable[[], float] = time.monotonic


def real() -> Context:
    """Return the context of a running process."""
    return Context(
        now=lambda: datetime.now(UTC), new_id=_uuid7, token=secrets.token_bytes, uniform=random.SystemRandom().random
    )


def fixed(at: datetime, seed: int = 0) -> Context:
    """Return a context that stands still at ``at`` and draws ids and randomness from ``seed``: for tests."""
    source = random.Random(seed)

    def new_id() -> uuid.UUID:
        value = int(at.timestamp() * 1000) << 80 | source.getrandbits(80)
        value = value & ~(0xF << 76) | 0x7 << 76
        return uuid.UUID(int=value & ~(0x3 << 62) | 0x2 << 62)

    return Context(now=lambda: at, new_id=new_id, token=source.randbytes, uniform=source.random)
