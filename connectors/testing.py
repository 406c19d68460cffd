"""The contract as a suite of checks: what every connector must do, run against its own recordings.

:func:`contract_suite` returns named checks. With pytest::

    SUITE = contract_suite(CONNECTOR, RECORDINGS, signed=[...], pulls=[...], agree=[...])


    @pytest.mark.parametrize("check", SUITE, ids=str)
    async def test_contract(check: Check) -> None:
        await check()

Without pytest, ``asyncio.run(check())`` does the same: nothing of a test library is imported. A broken contract is a
:class:`ContractBroken`. The suite proves form, not facts: that a number is the right one is for the tests of the
connector, which write it down by hand or give it as ``Recording.items``.
"""

from __future__ import annotations

import re
from collections.abc import Awaitable, Callable, Sequence
from datetime import timedelta
from functools import partial
from http import HTTPStatus
from typing import Any

import msgspec

from connectors.contract import STORED, Connector, Delivery, Item, Outcome
from connectors.testing_bodies import variants
from connectors.testing_counting import PULL_CHECKS, Agreeing, agreeing, counted_once
from connectors.testing_fetching import FETCH_CHECKS, Pull
from connectors.testing_items import ContractBroken, During, Sound, outcome, require
from connectors.testing_signatures import SIGNATURE_CHECKS, Signed

__all__ = ["Agreeing", "Check", "ContractBroken", "Pull", "Recording", "Signed", "contract_suite"]

_NAME = re.compile(r"[a-z][a-z0-9_]{0,63}")


class Recording(msgspec.Struct, frozen=True, kw_only=True):
    """One delivery as the platform sends it.

    ``options`` None means the connector's defaults; ``items`` None means *not compared*. ``unreadable`` says that the
    whole delivery is refused.
    """

    name: str
    delivery: Delivery
    options: Any = None
    items: tuple[Item, ...] | None = None
    unreadable: bool = False


class Check(msgspec.Struct, frozen=True):
    """One check by name. Calling and awaiting it raises :class:`ContractBroken` or returns."""

    name: str
    run: Callable[[], Awaitable[None] | None]

    def __str__(self) -> str:
        return self.name

    async def __call__(self) -> None:
        pending = self.run()
        if pending is not None:
            await pending


def contract_suite(
    connector: Connector,
    recordings: Sequence[Recording],
    *,
    signed: Sequence[Signed] = (),
    pulls: Sequence[Pull] = (),
    agree: Sequence[Agreeing] = (),
    most: int = 250,
) -> list[Check]:
    """Return the checks for ``connector``.

    ``agree`` are pairs of deliveries that speak of the same thing: a push and the page that is fetched for it.
    ``most`` bounds how many broken copies of each recording are tried in each way of breaking. A connector with
    webhooks needs at least one :class:`Signed`, one that is fetched a :class:`Pull` for each kind: a suite without
    them fails, so that nothing is left out in silence.
    """
    checks = [
        Check("declaration", partial(_declaration, connector)),
        Check("metrics", partial(_metrics, connector)),
        Check("cases", partial(_cases, connector, recordings, signed, pulls)),
    ]
    for recording in recordings:
        checks.append(Check(f"{recording.name}: reading", partial(_reading, connector, recording)))
        checks.append(Check(f"{recording.name}: totality", partial(_totality, connector, recording, most)))
    if connector.capabilities.webhook:
        checks.append(Check("replies", partial(_replies, connector)))
    for one in signed:
        checks += [Check(f"{one.name}: {name}", partial(run, connector, one)) for name, run in SIGNATURE_CHECKS]
    for pull in pulls:
        label = f"fetch {pull.name or pull.task.kind}"
        every = (*FETCH_CHECKS, *PULL_CHECKS)
        checks += [Check(f"{label}: {name}", partial(fetching, connector, pull)) for name, fetching in every]
    if pulls:
        checks.append(Check("counted once", partial(counted_once, connector, pulls)))
    checks += [Check(f"{pair.name}: agreeing", partial(agreeing, connector, pair)) for pair in agree]
    return checks


# ------------------------------------------------------------------------------------------------ declaration


def _declaration(connector: Connector) -> None:
    require(_NAME.fullmatch(connector.name), "name is lower case letters, digits and underscores")
    require(connector.title.strip() and connector.version.strip(), "title and version are said")
    require(connector.platform is None or _NAME.fullmatch(connector.platform), "platform is a name or None")
    require(issubclass(connector.options, msgspec.Struct), "options is a msgspec struct")
    require(connector.options.__struct_config__.frozen, "options is frozen")
    defaults = connector.options()  # every option has a default
    require(msgspec.convert(msgspec.to_builtins(defaults), connector.options) == defaults, "options are not plain data")
    able = connector.capabilities
    require(able.webhook or able.fetch or able.upload, "the connector can do nothing")
    require(able.max_body > 0, "max_body is positive")
    kinds = [kind.name for kind in able.fetch]
    require(len(set(kinds)) == len(kinds), "a fetch kind is declared twice")
    require(all(kind.every > timedelta(0) for kind in able.fetch), "a fetch kind is due without a pause")
    for address in {connector.base_url, connector.address(defaults)} - {""}:
        require(able.simulated or address.startswith("https://"), "the address of a real platform is https")
    require(isinstance(connector.check_options(defaults), list), "check_options returns a list")
    schema = connector.schema()
    require(schema is None or msgspec.json.decode(msgspec.json.encode(schema)) == schema, "the schema is no plain JSON")


def _metrics(connector: Connector) -> None:
    require(connector.metrics, "no metric is declared")
    for one in connector.metrics:
        require(one.wire, "a wire metric has no name")
        require(one.metric is None or one.metric in STORED, f"{one.wire} becomes {one.metric}, which is not stored")
        require(one.metric is not None or one.note, f"{one.wire} is not mapped and no note says why")


def _cases(
    connector: Connector, recordings: Sequence[Recording], signed: Sequence[Signed], pulls: Sequence[Pull]
) -> None:
    able = connector.capabilities
    require(recordings, "no recording is given")
    require(not able.webhook or signed, "webhooks are declared and no signed request is given")
    missing = {kind.name for kind in able.fetch} - {pull.task.kind for pull in pulls}
    require(not missing, f"no pull is given for {', '.join(sorted(missing))}")


# ------------------------------------------------------------------------------------------------ reading


def _reading(connector: Connector, recording: Recording) -> None:
    options = _options(connector, recording)
    before = (msgspec.to_builtins(recording.delivery), msgspec.to_builtins(options))
    first = outcome(connector, recording.delivery, options)
    require(first == outcome(connector, recording.delivery, options), "the same delivery is read in two ways")
    after = (msgspec.to_builtins(recording.delivery), msgspec.to_builtins(options))
    require(before == after, "reading changes the delivery or the options")
    if isinstance(first, str):
        require(recording.unreadable, f"the recording is refused: {first}")
        return
    require(not recording.unreadable, "the recording is read, a refusal was expected")
    require(recording.items is None or list(recording.items) == first, f"other items are read: {first}")


def _totality(connector: Connector, recording: Recording, most: int) -> None:
    options = _options(connector, recording)
    sound: Sound = set()
    for done, body in variants(recording.delivery.body, most):
        delivery = msgspec.structs.replace(recording.delivery, body=body)
        with During(f"tried: {done}"):
            first = outcome(connector, delivery, options, sound)
            require(first == outcome(connector, delivery, options, sound), "the same delivery is read in two ways")


def _options(connector: Connector, recording: Recording) -> Any:
    return connector.options() if recording.options is None else recording.options


def _replies(connector: Connector) -> None:
    for heard in Outcome:
        reply = connector.reply(heard)
        require(HTTPStatus.OK <= reply.status < HTTPStatus.NETWORK_AUTHENTICATION_REQUIRED, "a reply has a status")
        accepted = heard is not Outcome.BAD_SIGNATURE
        require(not accepted or reply.status < HTTPStatus.MULTIPLE_CHOICES, f"{heard.value} is answered as a failure")
