r"""Patterns that match in time linear in the text: a small regular language, run by keeping all states at once. Pure.

Literals, ``.``, classes, ``\d \w \s`` and their opposites, groups, ``|``, ``* + ?`` and ``{m,n}``, ``^`` and ``$``
at the ends. What looks back or ahead is not part of it: that is what makes engines run for ever.
"""

from __future__ import annotations

import functools
from collections.abc import Callable

import msgspec

from service.errors import Invalid

MOST_CHARACTERS = 100
_MOST_STATES = 1000
_MOST_REPEATS = 50
_DEEPEST = 20
_SPECIAL = frozenset("\\.[]()|*+?{}^$")

Accepts = Callable[[str], bool]


class State(msgspec.Struct):
    """One state: it takes a character to ``then``, or goes on for nothing to all of ``free``."""

    accepts: Accepts | None = None
    then: int = -1
    free: tuple[int, ...] = ()


Piece = tuple[int, int]
"""The first and the last state of a part of a pattern."""


class Pattern:
    """A compiled pattern. It is searched for anywhere in a text, unless it is tied to an end."""

    def __init__(self, text: str) -> None:
        """Compile. Raises :class:`Invalid` for what is no pattern or too large a one."""
        if len(text) > MOST_CHARACTERS:
            raise Invalid(f"a pattern has at most {MOST_CHARACTERS} characters", code="bad_pattern")
        self._at_start, self._at_end = text.startswith("^"), text.endswith("$") and not text.endswith("\\$")
        reader = _Reader(text[self._at_start : len(text) - self._at_end])
        self._first, self._last = reader.whole()
        self._states = reader.states

    def found_in(self, text: str) -> bool:
        """Tell whether the pattern is found."""
        now = self._closed({self._first})
        for character in text:
            if self._last in now and not self._at_end:
                return True
            stepped = {
                state.then
                for state in (self._states[number] for number in now)
                if state.accepts is not None and state.accepts(character)
            }
            now = self._closed(stepped if self._at_start else stepped | {self._first})
        return self._last in now

    def _closed(self, numbers: set[int]) -> set[int]:
        waiting, found = list(numbers), set(numbers)
        while waiting:
            for number in self._states[waiting.pop()].free:
                if number not in found:
                    found.add(number)
                    waiting.append(number)
        return found


@functools.lru_cache(maxsize=256)
def compiled(text: str) -> Pattern:
    """Return a pattern, compiled once."""
    return Pattern(text)


class _Reader:
    """Reads a pattern into states, by descent."""

    def __init__(self, text: str) -> None:
        self.text = text
        self.at = 0
        self.depth = 0
        self.states: list[State] = []

    def whole(self) -> Piece:
        piece = self._choice()
        if self.at < len(self.text):
            raise self._wrong("a bracket is closed that was not opened")
        return piece

    def _wrong(self, why: str) -> Invalid:
        return Invalid(f"no pattern: {why}", code="bad_pattern")

    def _state(self) -> int:
        if len(self.states) >= _MOST_STATES:
            raise self._wrong("it is too large")
        self.states.append(State())
        return len(self.states) - 1

    def _join(self, one: int, *others: int) -> None:
        self.states[one].free += others

    def _choice(self) -> Piece:
        self.depth += 1
        if self.depth > _DEEPEST:
            raise self._wrong("it is too deep")
        first, last = self._state(), self._state()
        while True:
            begin, end = self._sequence()
            self._join(first, begin)
            self._join(end, last)
            if self._next() != "|":
                break
            self.at += 1
        self.depth -= 1
        return first, last

    def _sequence(self) -> Piece:
        first = last = self._state()
        while self._next() not in ("", "|", ")"):
            begin, end = self._repeated()
            self._join(last, begin)
            last = end
        return first, last

    def _next(self) -> str:
        return self.text[self.at : self.at + 1]

    def _repeated(self) -> Piece:
        begins = self.at
        piece = self._single()
        sign = self._next()
        if not sign or sign not in "*+?{":
            return piece
        low, high = self._counts()
        if self._next() and self._next() in "*+?{":
            raise self._wrong("a repetition is repeated")
        return self._copies(piece, begins, low, high)

    def _counts(self) -> tuple[int, int | None]:
        sign = self._next()
        self.at += 1
        if sign != "{":
            return {"*": (0, None), "+": (1, None), "?": (0, 1)}[sign]
        inside, closed, _ = self.text[self.at :].partition("}")
        low, comma, high = inside.partition(",")
        if not closed or not low.isdecimal() or (high and not high.isdecimal()):
            raise self._wrong("a number of repetitions is written {m}, {m,} or {m,n}")
        self.at += len(inside) + 1
        least, most = int(low[:4]), int(high[:4]) if high else None if comma else int(low[:4])
        if max(least, most or 0) > _MOST_REPEATS or (most is not None and most < least):
            raise self._wrong(f"repetitions go up to {_MOST_REPEATS}")
        return least, most

    def _copies(self, piece: Piece, begins: int, low: int, high: int | None) -> Piece:
        """Return a part as often as it may come, read again for each time."""
        first = last = self._state()
        for number in range(high if high is not None else max(low, 1)):
            begin, end = piece if number == 0 else self._again(begins)
            self._join(last, begin)
            if number >= low:
                self._join(last, end)
            if high is None and number == max(low, 1) - 1:
                self._join(end, begin)
            last = end
        return first, last

    def _again(self, begins: int) -> Piece:
        after, self.at = self.at, begins
        piece = self._single()
        self.at = after
        return piece

    def _single(self) -> Piece:
        character = self._next()
        if character == "(":
            self.at += 3 if self.text.startswith("(?:", self.at) else 1
            piece = self._choice()
            if self._next() != ")":
                raise self._wrong("a bracket is not closed")
            self.at += 1
            return piece
        first, last = self._state(), self._state()
        self.states[first].accepts, self.states[first].then = self._accepts(character), last
        return first, last

    def _accepts(self, character: str) -> Accepts:
        self.at += 1
        if character == ".":
            return lambda _: True
        if character == "[":
            return self._class()
        if character == "\\":
            return self._escaped()
        if character in _SPECIAL:
            raise self._wrong(f"{character} stands where nothing is to repeat or to end")
        return lambda other: other == character

    def _escaped(self) -> Accepts:
        character = self._next()
        self.at += 1
        kinds: dict[str, Accepts] = {
            "d": str.isdecimal,
            "s": str.isspace,
            "w": lambda other: other.isalnum() or other == "_",
        }
        if character in kinds:
            return kinds[character]
        if character.lower() in kinds and character:
            opposite = kinds[character.lower()]
            return lambda other: not opposite(other)
        if not character or character.isalnum():
            raise self._wrong("an escape is one of d, w, s, D, W, S, or a sign")
        return lambda other: other == character

    def _class(self) -> Accepts:
        opposite = self._next() == "^"
        self.at += opposite
        parts: list[Accepts] = []
        while not parts or self._next() != "]":
            if not self._next():
                raise self._wrong("a class is not closed")
            parts.append(self._range())
        self.at += 1
        return lambda other: any(part(other) for part in parts) is not opposite

    def _range(self) -> Accepts:
        character = self._next()
        self.at += 1
        if character == "\\":
            return self._escaped()
        upper = self.text[self.at + 1 : self.at + 2]
        if self._next() != "-" or upper in ("", "]"):
            return lambda other: other == character
        self.at += 2
        if upper < character:
            raise self._wrong("a range of characters ascends")
        return lambda other: character <= other <= upper
