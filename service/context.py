"""The three impure inputs (time, ids, randomness) in one object that is passed in; no other file calls them."""

from __future__ import annotations

import os
import random
import secrets
import time
import uuid
from collections.abc import Callable
from datetime import UTC, datetime

import msgspec
from asyncpg.pgproto.pgproto import UUID as DriverUuid  # noqa: N811 - it is no constant

_RANDOM_BYTES = 10
_DRAWN_AT_ONCE = 256 * _RANDOM_BYTES
# What becomes of the random bytes that share theirs with the version (the first) and the variant (the third).
_VERSION_7 = bytes(byte & 0x0F | 0x70 for byte in range(256))
_VARIANT_2 = bytes(byte & 0x3F | 0x80 for byte in range(256))


class _Uuid7:
    """Makes UUIDv7s: 48 bits of Unix milliseconds, then random bits (RFC 9562, 5.7).

    Random bytes are drawn for many ids at once: asking the system for each takes longer than all else. The ids are of
    the class that the database driver gives and takes without a detour, a :class:`uuid.UUID` like any other.
    """

    def __init__(self) -> None:
        self._drawn = b""
        self._place = 0
        # A copy of the process would make the same ids.
        os.register_at_fork(after_in_child=self._draw)

    def __call__(self) -> uuid.UUID:
        """Return a new id."""
        if self._place == len(self._drawn):
            self._draw()
        place = self._place
        self._place = after = place + _RANDOM_BYTES
        made: uuid.UUID = DriverUuid((time.time_ns() // 1_000_000).to_bytes(6, "big") + self._drawn[place:after])
        return made

    def _draw(self) -> None:
        drawn = bytearray(secrets.token_bytes(_DRAWN_AT_ONCE))
        drawn[::_RANDOM_BYTES] = drawn[::_RANDOM_BYTES].translate(_VERSION_7)
        drawn[2::_RANDOM_BYTES] = drawn[2::_RANDOM_BYTES].translate(_VARIANT_2)
        self._drawn = bytes(drawn)
        self._place = 0


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
        now=lambda: datetime.now(UTC), new_id=_Uuid7(), token=secrets.token_bytes, uniform=random.SystemRandom().random
    )


def fixed(at: datetime, seed: int = 0) -> Context:
    """Return a context that stands still at ``at`` and draws ids and randomness from ``seed``: for tests."""
    source = random.Random(seed)

    def new_id() -> uuid.UUID:
        value = int(at.timestamp() * 1000) << 80 | source.getrandbits(80)
        value = value & ~(0xF << 76) | 0x7 << 76
        return uuid.UUID(int=value & ~(0x3 << 62) | 0x2 << 62)

    return Context(now=lambda: at, new_id=new_id, token=source.randbytes, uniform=source.random)
