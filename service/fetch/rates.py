"""What is drawn on one rate limit, and what its platform says of it: the rule, pure. Where it is kept is elsewhere.

A limit is counted in slots of a twentieth of its window. A call leaves in the slot it was drawn in or in the next, and
counts for so long that no window of the platform, wherever it begins, holds more calls than the limit. What the
platform says goes before what was counted: its share used replaces the count, its rest bounds it until it begins anew.
"""

from __future__ import annotations

from collections.abc import Sequence

import msgspec

from connectors.contract import Budget, Usage

SLOTS = 20
KEPT = SLOTS + 2
"""Slots that a call counts in: those of a window, the one it was drawn in and the one it may leave in."""
_LEASES = 100  # a lease is this part of a limit at most
_PART_OF_ROOM = 10  # and this part of what is left, so that the last calls are handed out one by one
_SAID = 60.0  # seconds for which a word without an end counts where no window is known
_SAME_PERIOD = 2.0


class Level(msgspec.Struct, frozen=True, kw_only=True, omit_defaults=True):
    """How far a limit is used. Times are Unix seconds; ``counts`` are of the slots up to ``slot``, the newest last.

    ``limit`` is a higher one than documented, as the platform said; ``left`` what it said is left until ``left_until``,
    less what was drawn since; nothing leaves until ``blocked_until``.
    """

    slot: int = 0
    counts: tuple[float, ...] = ()
    limit: float | None = None
    left: float | None = None
    left_until: float = 0.0
    blocked_until: float = 0.0


class Drawn(msgspec.Struct, frozen=True, kw_only=True):
    """What a draw gave: calls or points to use before ``until``, or the seconds to wait. None: no limit.

    What is used at once may leave until ``latest``.
    """

    level: Level
    got: float | None = 0.0
    until: float = 0.0
    latest: float = 0.0
    wait: float = 0.0


def draw(level: Level, budget: Budget | None, cost: float, now: float) -> Drawn:
    """Take ``cost`` and, where there is much left, some more for the calls that follow."""
    if level.blocked_until > now:
        return Drawn(level=level, wait=level.blocked_until - now)
    level = _advanced(level, budget, now)
    said = level.left if level.left is not None and level.left_until > now else None
    limit = _limit(level, budget)
    rooms = [room for room in (said, None if limit is None else limit - sum(level.counts)) if room is not None]
    if not rooms:
        return Drawn(level=level, got=None)
    # A call that costs more than the whole limit must not wait for ever.
    needed = cost if limit is None else min(cost, limit)
    room = min(rooms)
    if room < needed:
        return Drawn(level=level, wait=_wait(level, budget, needed, now))
    taken = max(needed, min((limit or said or 0.0) / _LEASES, room / _PART_OF_ROOM))
    counts = (*level.counts[:-1], level.counts[-1] + taken) if level.counts else ()
    level = msgspec.structs.replace(level, counts=counts, left=None if said is None else said - taken)
    until = _slot_end(level, budget, now)
    latest = until if budget is None else until + _length(budget)
    return Drawn(level=level, got=max(taken, cost), until=until, latest=latest)


def told(level: Level, budget: Budget | None, usage: Usage, now: float, *, guessed: bool = False) -> Level:
    """Return a level corrected by what the platform said of it; ``guessed``: what was drawn are estimates."""
    level = _advanced(level, budget, now)
    if usage.wait is not None and usage.wait > 0:
        level = msgspec.structs.replace(level, blocked_until=max(level.blocked_until, now + usage.wait))
    if usage.limit is not None and budget is not None and usage.limit > budget.calls:
        level = msgspec.structs.replace(level, limit=usage.limit)
    limit = _limit(level, budget)
    if usage.remaining is not None:
        rest = max(usage.remaining, 0.0)
        # Calls and points are exact where a share is rounded: what was drawn just now is in them or in the next word.
        used = usage.used if usage.used is not None else 1 - rest / usage.limit if usage.limit else None
        level = level if used is None else _corrected(level, limit, min(max(used, 0.0), 1.0), recent=0)
        return _rest(level, budget, rest, usage.reset, now, guessed=guessed)
    if usage.used is None:
        return level
    if usage.used >= 1:
        return _rest(_corrected(level, limit, 1.0), budget, 0.0, usage.reset, now)
    return _corrected(level, limit, max(usage.used, 0.0))


def share_used(level: Level, budget: Budget | None, now: float) -> float | None:
    """Return how much of a limit is used, from 0 to 1; None where none is known."""
    level = _advanced(level, budget, now)
    limit = _limit(level, budget)
    if level.blocked_until > now or (level.left is not None and level.left_until > now and level.left <= 0):
        return 1.0
    if limit is None:
        return None
    counted = sum(level.counts) / limit
    said = 1 - level.left / limit if level.left is not None and level.left_until > now else 0.0
    return min(max(counted, said, 0.0), 1.0)


# ------------------------------------------------------------------------------------------------ parts


def _limit(level: Level, budget: Budget | None) -> float | None:
    return None if budget is None else level.limit or float(budget.calls)


def _length(budget: Budget) -> float:
    return budget.window.total_seconds() / SLOTS


def _advanced(level: Level, budget: Budget | None, now: float) -> Level:
    """Let slots that are out of the window go. A clock that is behind counts in the newest slot there is."""
    if budget is None:
        return level
    slot = max(int(now // _length(budget)), level.slot)
    passed = min(slot - level.slot, KEPT) if level.counts else KEPT
    kept: Sequence[float] = level.counts[passed:] if level.counts else ()
    counts = (*kept, *([0.0] * (KEPT - len(kept))))
    return msgspec.structs.replace(level, slot=slot, counts=counts)


def _slot_end(level: Level, budget: Budget | None, now: float) -> float:
    """Return until when a lease is good: it counts from its slot on, so it is used there or not at all."""
    return now + _SAID / SLOTS if budget is None else (level.slot + 1) * _length(budget)


def _wait(level: Level, budget: Budget | None, needed: float, now: float) -> float:
    """Return the seconds until there is room again."""
    waits = [0.0]
    if level.left is not None and level.left_until > now and level.left < needed:
        waits.append(level.left_until - now)
    limit = _limit(level, budget)
    if budget is not None and limit is not None:
        room, first = limit - sum(level.counts), level.slot - KEPT + 1
        for place, count in enumerate(level.counts):
            if room >= needed:
                break
            room += count
            waits.append((first + place + KEPT) * _length(budget) - now)
    return max(waits)


def _rest(
    level: Level, budget: Budget | None, rest: float, reset: float | None, now: float, *, guessed: bool = False
) -> Level:
    """Keep what is left as the platform says. Answers overtake each other: within one period it only shrinks.

    What was taken off by guesses is given back by the next word.
    """
    window = budget.window.total_seconds() if budget is not None else _SAID
    until = now + (window if reset is None else reset)
    same = level.left is not None and level.left_until > now and abs(level.left_until - until) <= _SAME_PERIOD
    if same and level.left is not None and not guessed:
        rest = min(rest, level.left)
    return msgspec.structs.replace(level, left=rest, left_until=until)


def _corrected(level: Level, limit: float | None, used: float, recent: int = 2) -> Level:
    """Set the count to the platform's, but for the newest slots: what was drawn there may not have been counted."""
    if limit is None or not level.counts:
        return level
    split = len(level.counts) - recent
    total, newest, aim = sum(level.counts), sum(level.counts[split:]), used * limit
    if aim >= total:
        return msgspec.structs.replace(level, counts=(*level.counts[:-1], level.counts[-1] + aim - total))
    older = total - newest
    part = max(aim - newest, 0.0) / older if older > 0 else 0.0
    counts = (*(count * part for count in level.counts[:split]), *level.counts[split:])
    return msgspec.structs.replace(level, counts=counts)
