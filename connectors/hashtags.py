"""Hashtags in texts, by the one definition of what a tag is made of and each platform's habits as data.

A tag is letters, marks, digits and connectors of any script after a number sign, ASCII's or the full-width one. It is
kept once, composed (NFC), in lower case and without the sign, in the order of the text. A sign inside a word or an
address opens none. Where a platform names the tags itself, those are what counts: :func:`named`.
"""

from __future__ import annotations

import unicodedata
from collections.abc import Iterable

import msgspec

SIGNS = "#\uff03"
LONGEST = 100
MOST = 60
SCRIPT_JOINERS = "\u200c\u200d"
"""What joins letters within words of some scripts."""
EMOJI_JOINERS = SCRIPT_JOINERS + "\U0001f3fb\U0001f3fc\U0001f3fd\U0001f3fe\U0001f3ff"
"""The same, and the tones of skin: what joins one emoji out of several."""
LETTERS = ("L", "M", "N", "Pc")
EMOJI = "So"


class Hashtags(msgspec.Struct, frozen=True, kw_only=True):
    """The habits of a platform.

    ``letters`` are the beginnings of the Unicode categories that a tag is made of, ``joiners`` what it may hold beside
    them, ``shut`` what closes the sign after it (addresses, entities, escapes). ``chained`` says that a sign right
    after a tag opens the next one (``#one#two``), ``numbers`` that digits alone are a tag.
    """

    letters: tuple[str, ...] = LETTERS
    joiners: str = SCRIPT_JOINERS
    shut: str = "&/"
    chained: bool = False
    numbers: bool = True

    def within(self, *texts: str) -> tuple[str, ...]:
        """Return the distinct tags of texts."""
        return distinct(tag for text in texts for tag in self._tags(unicodedata.normalize("NFC", text)))

    def _tags(self, text: str) -> Iterable[str]:
        ended = -1  # where a tag has just ended
        for at, letter in enumerate(text):
            if letter not in SIGNS:
                continue
            end = self._end(text, at + 1)
            is_open = (self.chained and at == ended) or not self._is_inside(text, at)
            # What a shut sign begins is no tag, and yet one to the sign after it.
            ended = end if end > at + 1 else -1
            tag = text[at + 1 : end]
            if is_open and (self.numbers or not tag.isdecimal()):
                yield tag

    def _end(self, text: str, start: int) -> int:
        return next((at for at in range(start, len(text)) if not self._is_letter(text[at])), len(text))

    def _is_inside(self, text: str, at: int) -> bool:
        return at > 0 and (text[at - 1] in self.shut or self._is_letter(text[at - 1]))

    def _is_letter(self, letter: str) -> bool:
        return letter in self.joiners or unicodedata.category(letter).startswith(self.letters)


def named(tags: Iterable[str]) -> tuple[str, ...]:
    """Return the distinct tags that a platform has found itself."""
    return distinct(unicodedata.normalize("NFC", tag) for tag in tags)


def distinct(tags: Iterable[str]) -> tuple[str, ...]:
    """Return tags as they are kept: in lower case, each once; empty ones, too long ones and too many are left out."""
    return tuple(dict.fromkeys(tag.lower() for tag in tags if 0 < len(tag) <= LONGEST))[:MOST]
