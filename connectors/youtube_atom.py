"""A small reader of Atom feeds that cannot be tricked: no document type, no entity, no depth, no codec.

What makes XML dangerous to read (entities that grow or that reach for files) needs a document type, so a document
with one is refused before anything of it is used. What is left is a tree of names, attributes and text. It knows no
platform.
"""

from __future__ import annotations

from collections.abc import Iterator
from xml.parsers import expat

import msgspec

from connectors.contract import BadPayload

_DEEPEST = 16
_MOST_ELEMENTS = 20_000
_SEPARATOR = " "  # stands in no address of a namespace and in no name


class Element(msgspec.Struct):
    """An element: ``name`` is its namespace, a space and its local name; attributes without a namespace are bare."""

    name: str
    attributes: dict[str, str]
    text: str = ""
    children: list[Element] = msgspec.field(default_factory=list)

    def all(self, name: str) -> Iterator[Element]:
        """Yield the children of a name."""
        return (child for child in self.children if child.name == name)

    def first(self, name: str) -> str | None:
        """Return the text of the first child of a name; None where there is none."""
        return next((child.text.strip() for child in self.all(name)), None)


class _Refused(Exception):  # noqa: N818 - private, and it is caught where it is raised
    """The document holds what a feed has no need of."""


class _Builder:
    """Grows the tree from the events of the parser."""

    def __init__(self) -> None:
        self.root: Element | None = None
        self._open: list[Element] = []
        self._count = 0

    def start(self, name: str, attributes: dict[str, str]) -> None:
        self._count += 1
        if len(self._open) >= _DEEPEST or self._count > _MOST_ELEMENTS:
            raise _Refused
        element = Element(name, attributes)
        if self._open:
            self._open[-1].children.append(element)
        else:
            self.root = element
        self._open.append(element)

    def end(self, _name: str) -> None:
        self._open.pop()

    def data(self, data: str) -> None:
        if self._open:
            self._open[-1].text += data


def _refuse(*_: object) -> None:
    raise _Refused


def read(body: bytes) -> Element:
    """Return the root of a document. Raises :class:`BadPayload` for what is none, or holds what a feed does not need.

    The body is UTF-8 whatever it declares (a byte order mark of UTF-16 apart, which the parser reads by itself): other
    encodings would be read by whatever codecs the process has.
    """
    builder = _Builder()
    parser = expat.ParserCreate("utf-8", _SEPARATOR)
    parser.buffer_text = True
    parser.StartElementHandler = builder.start
    parser.EndElementHandler = builder.end
    parser.CharacterDataHandler = builder.data
    parser.StartDoctypeDeclHandler = _refuse
    parser.EntityDeclHandler = _refuse
    parser.ExternalEntityRefHandler = _refuse  # type: ignore[assignment]  # it never returns
    try:
        parser.Parse(body, True)  # noqa: FBT003 - the parser's own way to say that this is all
    except (expat.ExpatError, ValueError, _Refused):
        root = None
    else:
        root = builder.root
    if root is None:
        raise BadPayload("the body is not a readable feed")
    return root
