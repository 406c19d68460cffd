"""Connectors as plugins: found by entry point, checked one by one.

A broken plugin is reported and left out; it never keeps the others from working. Ours take the same road as anyone's.
"""

from __future__ import annotations

import re
from collections.abc import Iterable, Mapping
from importlib.metadata import EntryPoint, entry_points
from typing import Any

import msgspec

from connectors.contract import METRICS, STORED, Connector, MetricMapping
from service.errors import Misconfigured

GROUP = "tallybook.connectors"
_NAME = re.compile(r"[a-z][a-z0-9_]{0,39}")


class Plugins(msgspec.Struct, frozen=True, kw_only=True):
    """The connectors that work, by name in order, and why others do not."""

    connectors: Mapping[str, Connector]
    broken: Mapping[str, str] = {}


def discover(found: Iterable[EntryPoint] | None = None) -> Plugins:
    """Load the connectors of ``found`` (default: all that are installed) and check each."""
    points = entry_points(group=GROUP) if found is None else found
    working: dict[str, Connector] = {}
    broken: dict[str, str] = {}
    for point in sorted(points, key=lambda point: (point.name, point.value)):
        try:
            connector = _loaded(point)
        except Misconfigured as error:
            broken[point.name] = str(error)
            continue
        if point.name in working:
            broken[point.name] = "two connectors have this name; the first in order of their places works"
            continue
        working[point.name] = connector
    return Plugins(connectors=working, broken=broken)


def load() -> dict[str, Connector]:
    """Return the installed connectors that work, by name in order."""
    return dict(discover().connectors)


def _loaded(point: EntryPoint) -> Connector:
    try:
        connector = point.load()
    except (ImportError, AttributeError, SyntaxError, TypeError, ValueError) as error:
        raise Misconfigured(f"cannot be imported: {type(error).__name__}") from error
    wrong = problems(connector, point.name)
    if wrong:
        raise Misconfigured("; ".join(wrong))
    checked: Connector = connector
    return checked


def problems(connector: Any, name: str) -> list[str]:
    """Return what keeps ``connector`` from working under ``name``, in plain words; nothing if it is fine."""
    if not isinstance(connector, Connector):
        return ["is no instance of connectors.contract.Connector"]
    texts = {field: getattr(connector, field, None) for field in ("name", "title", "version")}
    wrong = [f"{field} is missing" for field, text in texts.items() if not isinstance(text, str) or not text]
    if connector.platform is not None and not _NAME.fullmatch(connector.platform):
        wrong.append("the platform is not a word of a-z, 0-9 and _")
    if texts["name"] and texts["name"] != name:
        wrong.append(f"calls itself {texts['name']!r}, not {name!r}")
    if not _NAME.fullmatch(name):
        wrong.append("the name is not a word of a-z, 0-9 and _")
    options = getattr(connector, "options", None)
    if not (isinstance(options, type) and issubclass(options, msgspec.Struct)):
        wrong.append("options is no msgspec struct")
    return wrong + _unknown_metrics(connector.metrics)


def _unknown_metrics(mappings: Iterable[MetricMapping]) -> list[str]:
    keys = {mapping.metric for mapping in mappings} - {None, *STORED}
    return [
        f"metric {key!r} is derived and never read" if key in METRICS else f"metric {key!r} is not in the dictionary"
        for key in sorted(str(key) for key in keys)
    ]


def schema_text(connector: Connector) -> bytes | None:
    """Return the JSON Schema of a connector as JSON text, where it has one."""
    document = connector.schema()
    return None if document is None else msgspec.json.encode(document)
