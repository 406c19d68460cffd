"""Reads Stripe's events, pushed or listed, and the objects that are fetched for what an event leaves out.

An event is the same object in both ways, so that what was pushed and what was listed say the same at the same instant.
Verifying a request is not done here: see ``connectors.stripe``.
"""

from __future__ import annotations

import re
from collections.abc import Callable, Iterator, Mapping
from datetime import datetime
from typing import Annotated, Any, Literal

import msgspec

from connectors import stripe_metrics as metrics
from connectors import stripe_values as own
from connectors import values
from connectors.contract import (
    BadPayload,
    Conversion,
    Delivery,
    Drop,
    DropReason,
    Item,
    RefreshHint,
    SubjectRef,
    SubjectType,
)
from connectors.values import Refused

ACCOUNT = SubjectRef("account", SubjectType.SHOP)
"""What a hint is about: the account as a whole, which is a subject in no other way."""
_SECONDS = re.compile(r"[0-9]{1,12}")
# Tuples: what stands in their place in a body may be a list, which no set can be asked for.
_PAID = ("paid", "no_payment_required")
_OFF = ("failed", "canceled")


class StripeOptions(msgspec.Struct, frozen=True, kw_only=True, forbid_unknown_fields=True):
    """``counts`` says what an order is: a checkout session that was paid, or a payment, for shops without Checkout.

    ``disputes`` books a lost dispute as a refund. ``connected_account`` names the account of a platform whose events
    are read; without it the events of connected accounts are left out.
    """

    counts: Literal["checkout", "payments"] = "checkout"
    disputes: bool = False
    connected_account: Annotated[str, msgspec.Meta(pattern=r"^(acct_[A-Za-z0-9]{1,64})?\Z")] = ""


class _Said(msgspec.Struct, frozen=True, kw_only=True):
    """Who says it and when: ``at`` is the instant of the event, ``observed_at`` that of the reading."""

    at: datetime
    observed_at: datetime
    received_at: datetime
    options: StripeOptions
    test: bool
    row: int | None = None

    def drop(self, reason: DropReason, detail: str) -> Drop:
        return Drop(reason=reason, row=self.row, detail=detail)

    def of_object(self, fields: Mapping[str, Any]) -> dict[str, Any]:
        """Return what every conversion of an object has."""
        return {
            "customer": own.optional_identifier(fields.get("customer")),
            "test": self.test,
            "observed_at": self.observed_at,
            **msgspec.structs.asdict(own.origin(fields)),
        }


Reader = Callable[[Mapping[str, Any], _Said], Iterator[Item]]


# ------------------------------------------------------------------------------------------------ orders


def _read_session(fields: Mapping[str, Any], said: _Said) -> Iterator[Item]:
    """Read a session that is complete. Complete is not paid: a debit or a voucher is paid days later."""
    if said.options.counts != "checkout":
        yield said.drop(DropReason.NOT_MAPPED, "counted by its payment")
    elif fields.get("payment_status") not in _PAID or fields.get("mode") == "setup":
        yield said.drop(DropReason.NOT_MAPPED, "payment_status")
    else:
        session = own.identifier(fields.get("id"), "id")
        order = own.optional_identifier(fields.get("payment_intent")) or session
        yield _order(order, fields, "amount_total", said)
        if own.hidden_code(fields):
            yield RefreshHint(subject=ACCOUNT, reason="a promotion code without its text")


def _read_payment(fields: Mapping[str, Any], said: _Said) -> Iterator[Item]:
    if said.options.counts != "payments":
        yield said.drop(DropReason.NOT_MAPPED, "counted by its session")
    elif fields.get("invoice"):
        yield said.drop(DropReason.NOT_MAPPED, "invoice")
    else:
        name = "amount" if fields.get("amount_received") is None else "amount_received"
        yield _order(own.identifier(fields.get("id"), "id"), fields, name, said)


def _read_charge(fields: Mapping[str, Any], said: _Said) -> Iterator[Item]:
    """Read a charge: it counts where nothing else tells of the payment."""
    if said.options.counts != "payments" or fields.get("payment_intent"):
        yield said.drop(DropReason.NOT_MAPPED, "counted by its payment")
    elif fields.get("captured") is not True or fields.get("paid") is not True:
        yield said.drop(DropReason.NOT_MAPPED, "captured")
    else:
        name = "amount" if fields.get("amount_captured") is None else "amount_captured"
        yield _order(own.identifier(fields.get("id"), "id"), fields, name, said)


def _order(order: str, fields: Mapping[str, Any], name: str, said: _Said) -> Conversion:
    value, currency = _money(fields, name)
    return Conversion(id=order, at=said.at, kind="order", value=value, currency=currency, **said.of_object(fields))


def _money(fields: Mapping[str, Any], name: str) -> tuple[int | None, str | None]:
    """Return (value, currency); a session that asked for no money may name neither."""
    if fields.get(name) is None:
        return None, None
    currency = own.currency(fields.get("currency"))
    return own.amount(fields[name], currency, name), currency


# ------------------------------------------------------------------------------------------------ money that goes back


def _read_refund(fields: Mapping[str, Any], said: _Said) -> Iterator[Item]:
    """Read a refund. One that failed after all is taken back."""
    status = fields.get("status")
    if status != "succeeded" and status not in _OFF:
        yield said.drop(DropReason.NOT_MAPPED, "status")
        return
    payment = fields.get("payment_intent") or fields.get("charge")
    # What an expanded payment says of its origin is the refund's as well.
    origin = payment if isinstance(payment, dict) else fields
    value, currency = _money(fields, "amount")
    yield Conversion(
        id=own.identifier(fields.get("id"), "id"),
        at=own.instant(fields.get("created"), "created", said.received_at),
        kind="refund",
        value=value,
        currency=currency,
        refund_of=own.optional_identifier(payment),
        cancelled=status in _OFF,
        **said.of_object(origin),
    )


def _read_refunds_of_charge(fields: Mapping[str, Any], said: _Said) -> Iterator[Item]:
    """Read the refunds within a charge, which newer versions leave out; its own sum is of all of them."""
    refunds = values.items(values.mapping(fields.get("refunds")).get("data"))
    if not refunds:
        yield RefreshHint(subject=ACCOUNT, reason=metrics.CHARGE_REFUNDED)
    for refund in map(values.mapping, refunds):
        payment = refund.get("payment_intent") or refund.get("charge") or fields.get("payment_intent")
        yield from _guarded(_read_refund, {**refund, "payment_intent": payment}, said)


def _read_dispute(fields: Mapping[str, Any], said: _Said) -> Iterator[Item]:
    if not said.options.disputes or fields.get("status") != "lost":
        yield said.drop(DropReason.NOT_MAPPED, "dispute")
        return
    value, currency = _money(fields, "amount")
    yield Conversion(
        id=own.identifier(fields.get("id"), "id"),
        at=said.at,
        kind="refund",
        value=value,
        currency=currency,
        refund_of=own.optional_identifier(fields.get("payment_intent") or fields.get("charge")),
        **said.of_object(fields),
    )


# ------------------------------------------------------------------------------------------------ events

_READERS: Mapping[str, Reader] = {
    **dict.fromkeys(metrics.SESSIONS, _read_session),
    **dict.fromkeys(metrics.PAYMENTS, _read_payment),
    **dict.fromkeys(metrics.CHARGES, _read_charge),
    **dict.fromkeys(metrics.REFUNDS, _read_refund),
    metrics.CHARGE_REFUNDED: _read_refunds_of_charge,
    metrics.DISPUTE: _read_dispute,
}


def _guarded(reader: Reader, fields: Mapping[str, Any], said: _Said) -> Iterator[Item]:
    try:
        yield from list(reader(fields, said))
    except Refused as refused:
        yield said.drop(refused.reason, refused.detail)


def read_event(event: Any, options: StripeOptions, received_at: datetime, row: int | None = None) -> Iterator[Item]:
    """Read one event."""
    fields = values.mapping(event)
    kind = fields.get("type")
    if not isinstance(kind, str):
        yield Drop(reason=DropReason.MALFORMED, row=row, detail="type")
    elif "related_object" in fields and "data" not in fields:
        yield RefreshHint(subject=ACCOUNT, reason="a thin event")
    elif (fields.get("account") or "") != options.connected_account:
        yield Drop(reason=DropReason.CONFLICT, row=row, detail="account")
    elif kind not in _READERS:
        reason = DropReason.NOT_MAPPED if kind in metrics.UNREAD else DropReason.UNKNOWN_TYPE
        yield Drop(reason=reason, row=row, detail=kind if kind in metrics.UNREAD else "type")
    else:
        yield from _read_known(fields, kind, options, received_at, row)


def _read_known(
    fields: Mapping[str, Any], kind: str, options: StripeOptions, received_at: datetime, row: int | None
) -> Iterator[Item]:
    try:
        at = own.instant(fields.get("created"), "created", received_at)
    except Refused as refused:
        yield Drop(reason=refused.reason, row=row, detail=refused.detail)
        return
    test = fields.get("livemode") is False
    said = _Said(at=at, observed_at=at, received_at=received_at, options=options, test=test, row=row)
    yield from _guarded(_READERS[kind], values.mapping(values.mapping(fields.get("data")).get("object")), said)


def read_push(delivery: Delivery, options: StripeOptions) -> Iterator[Item]:
    """Read a webhook into items. Raises :class:`BadPayload` for a body that is no object."""
    yield from read_event(values.document(delivery.body), options, delivery.received_at)


# ------------------------------------------------------------------------------------------------ pages


def read_page(delivery: Delivery, options: StripeOptions) -> Iterator[Item]:
    """Read a fetched page into items. Raises :class:`BadPayload` for a body or a request that cannot be read."""
    page, body = delivery.request.get("page", ""), values.document(delivery.body)
    if page == "events":
        if not isinstance(body.get("data"), list):
            raise BadPayload("the page has no list named data")
        for row, event in enumerate(body["data"], start=1):
            # A hint in a listing asks for what this very fetch goes on to read.
            yield from (item for item in read_event(event, options, delivery.received_at, row) if not _is_hint(item))
    elif page == "refunds":
        yield from _read_refunds(body, delivery, options)
    elif page == "session":
        yield from _read_paid_session(body, delivery, options)
    else:
        raise BadPayload("the request of the page does not say which page it is")


def _is_hint(item: Item) -> bool:
    return isinstance(item, RefreshHint)


def _read_refunds(body: Mapping[str, Any], delivery: Delivery, options: StripeOptions) -> Iterator[Item]:
    """Read a listing of refunds, each with its payment, which may say where the order came from."""
    for row, refund in enumerate(values.items(body.get("data")), start=1):
        fields = values.mapping(refund)
        # A refund has no mode of its own, its payment has.
        test = values.mapping(fields.get("payment_intent")).get("livemode") is False
        now = delivery.received_at
        said = _Said(at=now, observed_at=now, received_at=now, options=options, test=test, row=row)
        yield from _guarded(_read_refund, fields, said)


def _read_paid_session(body: Mapping[str, Any], delivery: Delivery, options: StripeOptions) -> Iterator[Item]:
    """Read a session asked for with its codes: a newer reading of the payment that its event told."""
    if "error" in body:
        yield Drop(reason=DropReason.NOT_AVAILABLE, detail="session")
        return
    now, test = delivery.received_at, body.get("livemode") is False
    try:
        at = own.instant(_seconds(delivery.request.get("paid_at")), "paid_at", now)
    except Refused:
        raise BadPayload("the request of the page does not say when its event was") from None
    said = _Said(at=at, observed_at=now, received_at=now, options=options, test=test)
    yield from (item for item in _guarded(_read_session, body, said) if not _is_hint(item))


def _seconds(text: str | None) -> int | None:
    return int(text) if text is not None and _SECONDS.fullmatch(text) else None
