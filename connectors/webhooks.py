"""Webhooks as the pushed platforms have them: the keys of a source, answers to challenges, hints that come once.

How a request is signed is in ``connectors.signatures``; what a body means is its platform's.
"""

from __future__ import annotations

from collections.abc import Iterable, Iterator, Mapping

import msgspec

from connectors.contract import Item, RefreshHint, Reply, Secret, Source, SubjectRef

_LONGEST_CHALLENGE = 256
_NO_SNIFF = {"x-content-type-options": "nosniff"}


def ring(source: Source, *credentials: str) -> tuple[Secret, ...]:
    """Return the keys that webhooks are signed with: the source's ring, else the first of the credentials it has."""
    found = (source.credentials[name] for name in credentials or ("app_secret",) if source.credentials.get(name))
    return source.secrets or (Secret(value=next(found, "")),)


def has_key(keys: Iterable[Secret]) -> bool:
    """Whether a ring holds a key: without one nothing can be verified."""
    return any(key.value for key in keys)


def lasting(keys: Iterable[Secret]) -> str:
    """Return the key that answers a challenge: the one without an end, for others are on their way out."""
    held = [key for key in keys if key.value]
    without_end = [key.value for key in held if key.valid_until is None]
    return without_end[0] if without_end else held[-1].value if held else ""


def is_plain(challenge: str) -> bool:
    """Whether a challenge may be sent back as it came: short, and nothing that a browser could take for markup."""
    fits = 0 < len(challenge) <= _LONGEST_CHALLENGE and challenge.isascii() and challenge.isprintable()
    return fits and not set(challenge) & set("<>\"'&")


def echoed(challenge: str) -> Reply:
    """Return the answer that is the challenge itself, as plain text."""
    headers = {"content-type": "text/plain; charset=utf-8", **_NO_SNIFF}
    return Reply(status=200, body=challenge.encode(), headers=headers)


def answered(answer: Mapping[str, str]) -> Reply:
    """Return the answer that is a JSON object."""
    return Reply(
        status=200, body=msgspec.json.encode(answer), headers={"content-type": "application/json", **_NO_SNIFF}
    )


def hints_once(items: Iterable[Item]) -> Iterator[Item]:
    """Yield all items, the hints last and once per subject: a burst of comments is one thing to fetch."""
    hints: dict[SubjectRef, RefreshHint] = {}
    for item in items:
        if isinstance(item, RefreshHint):
            hints.setdefault(item.subject, item)
        else:
            yield item
    yield from hints.values()
