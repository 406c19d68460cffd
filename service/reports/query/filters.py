"""Conditions as a query writes them: lists of an operator, a name and values, joined by and, or, not. Pure.

A condition on what a subject is narrows what is summed; one on a KPI (``having``) chooses among rows.
"""

from __future__ import annotations

import operator
from collections.abc import Callable, Iterator, Mapping, Sequence
from decimal import Decimal, InvalidOperation
from fractions import Fraction
from typing import Any

import msgspec

from service.errors import Invalid, TooLarge
from service.registry.checks import nearest
from service.reports.query.pattern import compiled

DEEPEST = 6
MOST_CONDITIONS = 50
MOST_VALUES = 200
LONGEST_VALUE = 300
JOINS = ("and", "or", "not")
EQUAL = ("is", "is_not")
TEXTS = ("contains", "contains_not", "matches")
SIZES = ("gte", "gt", "lte", "lt")
Number = Fraction | int | float
"""What is compared: all of them exactly, whatever they are set against."""
_SIZED: Mapping[str, Callable[[Any, Any], bool]] = {
    "gte": operator.ge,
    "gt": operator.gt,
    "lte": operator.le,
    "lt": operator.lt,
}
OPERATORS = (*EQUAL, *TEXTS, *SIZES, "is_null")
_PARTS = 4
_SHORT_LIST = 30

Words = tuple[str | None, ...]
"""What a subject is in one respect: one word, several (hashtags), or None where it is unknown."""


class Condition(msgspec.Struct, frozen=True, kw_only=True):
    """One condition. ``values`` are texts, or numbers where sizes are compared; ``pointer`` is where it stands."""

    operator: str
    name: str
    values: tuple[str | Fraction, ...] = ()
    case_sensitive: bool = True
    pointer: str = ""


class Join(msgspec.Struct, frozen=True, kw_only=True):
    """Conditions joined by ``and`` or ``or``; ``not`` has one."""

    join: str
    parts: tuple[Node, ...]


Node = Condition | Join


class Names(msgspec.Struct, frozen=True, kw_only=True):
    """The names that conditions may be about: those of words, those of numbers, and the words that some may have.

    ``tags`` are kept in lower case and without their sign, however they are written.
    """

    words: tuple[str, ...] = ()
    numbers: tuple[str, ...] = ()
    closed: Mapping[str, tuple[str, ...]] = msgspec.field(default_factory=dict)
    tags: tuple[str, ...] = ()

    @property
    def all(self) -> tuple[str, ...]:
        """Return every name."""
        return *self.words, *self.numbers


def read(given: Any, names: Names, place: str) -> Node | None:
    """Return what is given as conditions; None for nothing.

    ``place`` begins every pointer. Raises :class:`Invalid` for what means nothing, :class:`TooLarge` for too much.
    """
    if given is None or given == []:
        return None
    reader = _Reader(names)
    return reader.node(given, place, 1)


def conditions(node: Node | None) -> Iterator[Condition]:
    """Yield the conditions in a tree."""
    if isinstance(node, Join):
        for part in node.parts:
            yield from conditions(part)
    elif node is not None:
        yield node


class _Reader:
    def __init__(self, names: Names) -> None:
        self.names = names
        self.count = 0

    def node(self, given: Any, place: str, depth: int) -> Node:
        if depth > DEEPEST:
            raise TooLarge(f"conditions are at most {DEEPEST} deep: {place}")
        if not isinstance(given, list) or not given:
            raise _wrong("a condition is a list: an operator, a name, values", place)
        if all(isinstance(part, list) for part in given):
            return self._joined("and", given, place, depth)
        word = given[0]
        if word in JOINS:
            return self._join(word, given, place, depth)
        if not isinstance(word, str) or word not in OPERATORS:
            raise _not_allowed(word, (*JOINS, *OPERATORS), f"{place}/0", "unknown_operator")
        return self._condition(word, given, place)

    def _join(self, join: str, given: list[Any], place: str, depth: int) -> Join:
        if len(given) != 2 or not isinstance(given[1], list):  # noqa: PLR2004 - the word and what it joins
            raise _wrong(f"{join} is followed by one list", place)
        if join == "not":
            return Join(join=join, parts=(self.node(given[1], f"{place}/1", depth + 1),))
        return self._joined(join, given[1], f"{place}/1", depth)

    def _joined(self, join: str, given: list[Any], place: str, depth: int) -> Join:
        if not given:
            raise _wrong(f"{join} joins at least one condition", place)
        if len(given) > MOST_CONDITIONS:
            raise TooLarge(f"at most {MOST_CONDITIONS} conditions: {place}")
        return Join(
            join=join,
            parts=tuple(self.node(part, f"{place}/{number}", depth + 1) for number, part in enumerate(given)),
        )

    def _condition(self, word: str, given: list[Any], place: str) -> Condition:
        self.count += 1
        if self.count > MOST_CONDITIONS:
            raise TooLarge(f"at most {MOST_CONDITIONS} conditions: {place}")
        name = given[1] if len(given) > 1 else None
        if not isinstance(name, str) or name not in self.names.all:
            raise _not_allowed(name, self.names.all, f"{place}/1", "unknown_dimension")
        is_number = name in self.names.numbers
        fitting = (*EQUAL, *SIZES, "is_null") if is_number else (*EQUAL, *TEXTS, "is_null")
        if word not in fitting:
            raise _not_allowed(word, fitting, f"{place}/0", "unfitting_operator")
        if word == "is_null":
            if len(given) > 2:  # noqa: PLR2004 - the word and the name
                raise _wrong("is_null takes no values", place)
            return Condition(operator=word, name=name, pointer=place)
        values = self._values(given, name, word, place)
        return Condition(operator=word, name=name, values=values, case_sensitive=_case(given, place), pointer=place)

    def _values(self, given: list[Any], name: str, word: str, place: str) -> tuple[str | Fraction, ...]:
        if len(given) < 3:  # noqa: PLR2004 - the word, the name, the values
            raise _wrong(f"{word} takes values", place)
        listed = given[2] if isinstance(given[2], list) else [given[2]]
        at = f"{place}/2"
        if len(listed) > MOST_VALUES:
            raise TooLarge(f"at most {MOST_VALUES} values: {at}")
        if not listed or (word in SIZES and len(listed) != 1):
            raise _wrong("one value" if word in SIZES else "at least one value", at)
        if name in self.names.numbers:
            return tuple(_number(value, at) for value in listed)
        texts = tuple(_text(value, at) for value in listed)
        if name in self.names.tags and word != "matches":
            texts = tuple(text.removeprefix("#").lower() for text in texts)
        self._check(name, word, texts, at)
        return texts

    def _check(self, name: str, word: str, texts: Sequence[str], at: str) -> None:
        allowed = self.names.closed.get(name)
        if word in EQUAL and allowed is not None:
            for text in texts:
                if text not in allowed:
                    raise _not_allowed(text, allowed, at, "not_allowed")
        if word == "matches":
            for text in texts:
                try:
                    compiled(text)
                except Invalid as error:
                    raise Invalid(str(error), pointer=at, code=error.code) from None


def _wrong(why: str, place: str) -> Invalid:
    return Invalid(why, pointer=place, code="bad_filter")


def _not_allowed(word: object, allowed: tuple[str, ...], place: str, code: str) -> Invalid:
    near = nearest(word, allowed) if isinstance(word, str) else None
    listed = allowed if len(allowed) <= _SHORT_LIST else ()
    shown = f"{word[:40]!r}" if isinstance(word, str) else "this"
    return Invalid(f"{shown} is not one of them", pointer=place, code=code, allowed=listed, nearest=near)


def _case(given: list[Any], place: str) -> bool:
    if len(given) < _PARTS:
        return True
    modifiers = given[3]
    if len(given) > _PARTS or not isinstance(modifiers, dict):
        raise _wrong("an operator, a name, values and an object of modifiers", place)
    for key in modifiers:
        if key != "case_sensitive":
            raise _not_allowed(key, ("case_sensitive",), f"{place}/3", "unknown_field")
    if not isinstance(modifiers.get("case_sensitive"), bool):
        raise _wrong("case_sensitive is true or false", f"{place}/3")
    return bool(modifiers["case_sensitive"])


def _text(value: Any, place: str) -> str:
    if not isinstance(value, str):
        raise _wrong("values of this name are texts", place)
    if len(value) > LONGEST_VALUE:
        raise TooLarge(f"a value has at most {LONGEST_VALUE} characters: {place}")
    return value


def _number(value: Any, place: str) -> Fraction:
    if isinstance(value, bool) or not isinstance(value, int | float | str) or len(str(value)) > 40:  # noqa: PLR2004
        raise _wrong("values of this name are numbers", place)
    try:
        found = Decimal(str(value))
    except InvalidOperation:
        raise _wrong("values of this name are numbers", place) from None
    if not found.is_finite() or abs(found.adjusted()) > 40:  # noqa: PLR2004 - more digits than any count has
        raise _wrong("a finite number", place)
    return Fraction(found)


# ------------------------------------------------------------------------------------------------ deciding


def meets(node: Node, words: Callable[[str], Words], number: Callable[[str], Number | None]) -> bool:
    """Tell whether something meets conditions, given its words and numbers by name.

    What is unknown meets ``is_null`` and what it is *not*, and nothing else; of several words one is enough.
    """
    if isinstance(node, Condition):
        if node.operator in SIZES or (node.values and isinstance(node.values[0], Fraction)):
            return sized(node, number(node.name))
        return _spoken(node, words(node.name), number)
    found = (meets(part, words, number) for part in node.parts)
    if node.join == "and":
        return all(found)
    return any(found) if node.join == "or" else not any(found)


def sized(condition: Condition, number: Number | None) -> bool:
    """Tell whether a number (None: unknown) meets a condition."""
    if number is None:
        return condition.operator in ("is_null", "is_not")
    if condition.operator == "is_null":
        return False
    values = [value for value in condition.values if isinstance(value, Fraction)]
    if condition.operator in SIZES:
        return _SIZED[condition.operator](number, values[0])
    return (number in values) is (condition.operator == "is")


def _spoken(condition: Condition, words: Words, number: Callable[[str], Number | None]) -> bool:
    known = [word for word in words if word is not None]
    if condition.operator == "is_null":
        return not known and number(condition.name) is None
    opposite = condition.operator in ("is_not", "contains_not")
    return any(_says(condition, word) for word in known) is not opposite


def _says(condition: Condition, word: str) -> bool:
    values = [value for value in condition.values if isinstance(value, str)]
    if not condition.case_sensitive:
        word, values = word.casefold(), [value.casefold() for value in values]
    if condition.operator in EQUAL:
        return word in values
    if condition.operator in ("contains", "contains_not"):
        return any(value in word for value in values)
    return any(compiled(value).found_in(word[:LONGEST_VALUE]) for value in values)
