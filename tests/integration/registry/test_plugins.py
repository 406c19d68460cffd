"""Plugins: found, checked, left out when broken, described."""

from __future__ import annotations

import sys
from importlib.metadata import EntryPoint
from types import ModuleType

import pytest

from connectors.contract import Connector, MetricMapping
from connectors.standard_webhooks import CONNECTOR as WEBHOOKS
from service import plugins
from tests.integration.api.office import Platform


class NoName(Platform):
    name = ""


class Derived(Platform):
    metrics = (MetricMapping(wire="sum", metric="engagements"), MetricMapping(wire="x", metric="lykes"))


class BadOptions(Platform):
    options = dict  # type: ignore[assignment]


class BadPlatform(Platform):
    platform = "Chirper!"


class Bare(Connector):
    name = "chirper"
    title = "Chirper"
    version = "1"


@pytest.fixture
def module(monkeypatch: pytest.MonkeyPatch) -> ModuleType:
    """A module of a third party with connectors of all sorts."""
    made = ModuleType("third_party")
    for name, value in {
        "GOOD": Platform(),
        "CLASS": Platform,
        "NO_NAME": NoName(),
        "DERIVED": Derived(),
        "BAD_OPTIONS": BadOptions(),
        "BAD_PLATFORM": BadPlatform(),
        "BARE": Bare(),
    }.items():
        setattr(made, name, value)
    monkeypatch.setitem(sys.modules, "third_party", made)
    return made


def point(name: str, value: str) -> EntryPoint:
    return EntryPoint(name=name, value=value, group=plugins.GROUP)


@pytest.mark.usefixtures("module")
def test_a_broken_plugin_is_reported_and_the_others_work() -> None:
    found = plugins.discover(
        [
            point("standard_webhooks", "connectors.standard_webhooks:CONNECTOR"),
            point("gone", "no_such_module:CONNECTOR"),
            point("empty", "third_party:NOTHING"),
            point("chirper", "third_party:GOOD"),
            point("files", "connectors.files:CONNECTOR"),
        ]
    )
    assert list(found.connectors) == ["chirper", "files", "standard_webhooks"]
    assert found.broken == {
        "gone": "cannot be imported: ModuleNotFoundError",
        "empty": "cannot be imported: AttributeError",
    }


@pytest.mark.parametrize(
    ("name", "value", "reason"),
    [
        ("chirper", "third_party:CLASS", "no instance"),
        ("other", "third_party:GOOD", "calls itself 'chirper'"),
        ("chirper", "third_party:NO_NAME", "name is missing"),
        ("chirper", "third_party:DERIVED", "metric 'engagements' is derived"),
        ("chirper", "third_party:DERIVED", "metric 'lykes' is not in the dictionary"),
        ("chirper", "third_party:BAD_OPTIONS", "options is no msgspec struct"),
        ("chirper", "third_party:BARE", "options is no msgspec struct"),
        ("chirper", "third_party:BAD_PLATFORM", "platform is not a word"),
    ],
)
@pytest.mark.usefixtures("module")
def test_what_is_wrong_is_said(name: str, value: str, reason: str) -> None:
    found = plugins.discover([point(name, value)])
    assert found.connectors == {}
    assert reason in found.broken[name]


@pytest.mark.usefixtures("module")
def test_of_two_with_one_name_the_first_works() -> None:
    found = plugins.discover([point("chirper", "third_party:GOOD"), point("chirper", "third_party:DERIVED")])
    assert list(found.connectors) == ["chirper"]
    twice = plugins.discover([point("files", "connectors.files:CONNECTOR")] * 2)
    assert list(twice.connectors) == ["files"]
    assert "two connectors" in twice.broken["files"]


def test_a_schema_is_offered_or_not() -> None:
    assert (WEBHOOKS.schema() or {})["$schema"]
    assert Platform().schema() is None
    assert plugins.schema_text(Platform()) is None
