"""Words of closed sets in a query, and where a mistake is said to be."""

from __future__ import annotations

from collections.abc import Iterable

from service.errors import Invalid
from service.registry import checks


def as_body(error: Invalid) -> Invalid:
    """Return a mistake with its place as a JSON pointer into a body."""
    pointer = error.pointer
    if pointer in ("?from", "?to"):
        pointer = f"?range/{pointer[1:]}"
    if not pointer.startswith("?"):
        return error
    return Invalid(str(error), pointer="/" + pointer[1:], code=error.code, allowed=error.allowed, nearest=error.nearest)


def one_of(word: str, allowed: Iterable[str], pointer: str) -> str:
    """Return a word of a closed set. Raises :class:`Invalid` with the set and the nearest of it."""
    words = tuple(allowed)
    if word in words:
        return word
    near = checks.nearest(word, words)
    raise Invalid(f"{word[:40]!r} is not one of them", pointer=pointer, code="not_allowed", allowed=words, nearest=near)
