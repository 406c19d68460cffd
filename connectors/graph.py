"""Meta's Graph dialect: error envelopes, usage headers, cursors and subscription challenges.

What Instagram, Facebook pages and Threads share and no other platform has. It holds no metric and no endpoint of any
of them; how single values are read is in ``connectors.graph_values``.
"""

from __future__ import annotations

import enum
import hmac
import re
from collections.abc import AsyncIterator, Callable, Mapping, Sequence
from http import HTTPStatus
from typing import Any
from urllib.parse import parse_qsl, urlsplit

import msgspec

from connectors import faults, values, walks, webhooks
from connectors.contract import Http, NotPermitted, Reply, Response, TryLater, WebhookRequest
from connectors.contract import Usage as BudgetUsage

_NAME = "the Graph API"
_THROTTLED_WAIT = 3600.0  # the windows of Meta's limits are hours, and calls made meanwhile count too
_SHARES = ("call_count", "total_time", "total_cputime")  # of its limit, in percent
_MOST_PAGES = 500
_LONGEST_CURSOR = 4096


# ------------------------------------------------------------------------------------------------ errors


class Refusal(enum.StrEnum):
    """What an error of the Graph API asks for."""

    THROTTLED = "throttled"
    TEMPORARY = "temporary"
    DEAD_TOKEN = "dead_token"  # noqa: S105 - a class of errors
    PERMISSION = "permission"
    GONE = "gone"  # the object does not exist, or this token does not see it
    TOO_FEW_VIEWERS = "too_few_viewers"
    BEFORE_BUSINESS = "before_business"  # posted before the account became a professional one: for ever
    OTHER_TOKEN = "other_token"  # noqa: S105 - a person's token where the page's own is asked for
    NEEDS_PROOF = "needs_proof"  # the app takes calls with a proof of its secret only
    BAD_METRIC = "bad_metric"
    BAD_REQUEST = "bad_request"


class Fault(faults.Fault, frozen=True, kw_only=True):
    """An error of the Graph API, classed. ``told`` is its lower-case text."""

    refusal: Refusal
    code: int = 0
    subcode: int | None = None


def _fault(refusal: Refusal, code: int, subcode: int | None = None, told: str = "") -> Fault:
    label = f"code {code}" + (f", subcode {subcode}" if subcode is not None else "")
    return Fault(refusal=refusal, label=label, code=code, subcode=subcode, told=told)


_THROTTLE_CODES = frozenset({4, 17, 32, 341, 613, *range(80000, 80015)})
_TOKEN_CODES = frozenset({102, 190})
_PERMISSION_CODES = frozenset({3, 10, *range(200, 300)})
_TEMPORARY_CODES = frozenset({1, 2})
_TOO_FEW = "not enough viewers"
_PAGE_TOKEN = "page access token"  # noqa: S105 - words of the platform
_PROOF = "appsecret_proof"
_OF_ONE_OBJECT = frozenset(
    {Refusal.GONE, Refusal.TOO_FEW_VIEWERS, Refusal.BEFORE_BUSINESS, Refusal.BAD_METRIC, Refusal.BAD_REQUEST}
)


def fault_of(body: Mapping[str, Any], status: int = HTTPStatus.OK) -> Fault | None:
    """Return the error of an answer, or None. A 200 with an error envelope is an error too."""
    error = body.get("error")
    if not isinstance(error, dict):
        return None if status == HTTPStatus.OK else _fault(_by_status(status), status)
    code = error["code"] if type(error.get("code")) is int else 0
    # The subcode is often absent.
    subcode = error["error_subcode"] if type(error.get("error_subcode")) is int else None
    told = " ".join(values.text(error.get(name)) or "" for name in ("message", "error_user_title")).lower()
    transient = error.get("is_transient") is True or status >= HTTPStatus.INTERNAL_SERVER_ERROR
    return _fault(_refusal(code, subcode, told, transient=transient), code, subcode, told)


def _by_status(status: int) -> Refusal:
    # Without an envelope it is no answer of the API: nothing about one object can be learnt from it.
    return Refusal.BAD_REQUEST if status == HTTPStatus.NOT_FOUND else Refusal(faults.by_status(status).value)


def _refusal(code: int, subcode: int | None, told: str, *, transient: bool) -> Refusal:
    ordered = (
        (code in _THROTTLE_CODES, Refusal.THROTTLED),
        # Before the codes of dead tokens and of permissions, under which both are told.
        (_PAGE_TOKEN in told, Refusal.OTHER_TOKEN),
        (_PROOF in told, Refusal.NEEDS_PROOF),
        (code in _TOKEN_CODES or "session has been invalidated" in told, Refusal.DEAD_TOKEN),
        (transient or code in _TEMPORARY_CODES, Refusal.TEMPORARY),
        # Code 10 has two meanings: a story with fewer than five viewers is no missing permission.
        (code in _PERMISSION_CODES and _TOO_FEW in told, Refusal.TOO_FEW_VIEWERS),
        (code in _PERMISSION_CODES, Refusal.PERMISSION),
        (subcode == 2108006, Refusal.BEFORE_BUSINESS),  # noqa: PLR2004 - Meta's number has no other name
        (code == 100 and (subcode == 33 or "does not exist" in told), Refusal.GONE),  # noqa: PLR2004 - as above
        (code == 100 and "metric" in told, Refusal.BAD_METRIC),  # noqa: PLR2004 - as above
    )
    return next((refusal for holds, refusal in ordered if holds), Refusal.BAD_REQUEST)


def raise_fault(fault: Fault, headers: Mapping[str, str], needs: str = "") -> None:
    """Raise what a fault means for the whole account; ``needs`` names the permission that the call takes."""
    if fault.refusal is Refusal.THROTTLED:
        told = usage(headers)
        wait = told.regain_seconds if told is not None and told.regain_seconds else _THROTTLED_WAIT
        raise TryLater(f"{_NAME} throttles ({fault.label})", wait)
    if fault.refusal is Refusal.OTHER_TOKEN:
        raise NotPermitted(f"the token is a person's, the page's own is asked for: {needs} ({fault.label})")
    if fault.refusal is Refusal.NEEDS_PROOF:
        raise NotPermitted(f"the app demands a proof of its secret: switch that off in its settings ({fault.label})")
    faults.raise_refusal(fault.refusal, _NAME, fault.label, needs)


def examine(response: Response, needs: str = "") -> tuple[dict[str, Any], Fault | None]:
    """Return the object of an answer and the fault that concerns one object alone, if any.

    Raises what concerns the whole account or comes from something other than the Graph API (:func:`raise_fault`), and
    :class:`TryLater` for an answer that is no JSON object: a body cut short comes whole the next time.
    """
    body = faults.body_of(response, _NAME)
    fault = fault_of(body, response.status)
    if fault is not None and (fault.refusal not in _OF_ONE_OBJECT or "error" not in body):
        raise_fault(fault, response.headers, needs)
    return body, fault


def require(response: Response, needs: str = "") -> dict[str, Any]:
    """Return the object of an answer. Raises for every fault."""
    body, fault = examine(response, needs)
    if fault is not None:
        raise_fault(fault, response.headers, needs)
    return body


def refused_metrics(fault: Fault, asked: Sequence[str]) -> tuple[str, ...]:
    """Return which of the asked metrics an error names as wrong; empty when it does not say.

    Meta says it by position (``metric[2] must be one of``), by listing what is allowed, or by the metric's name.
    """
    positions = {int(found) for found in re.findall(r"metric\[(\d{1,3})\]", fault.told)}
    if positions:
        return tuple(name for index, name in enumerate(asked) if index in positions)
    named = faults.named_in(fault.told, asked)
    return tuple(name for name in asked if name not in named) if "must be one of" in fault.told else named


# ------------------------------------------------------------------------------------------------ usage


class Usage(msgspec.Struct, frozen=True, kw_only=True):
    """How much of its budget a call's account has used: the highest of all percentages, and the seconds until access
    is regained (0: not lost).
    """

    percent: float = 0.0
    regain_seconds: float = 0.0


def usage(headers: Mapping[str, str]) -> Usage | None:
    """Return what ``X-App-Usage`` and ``X-Business-Use-Case-Usage`` say; None when absent, which is normal."""
    app = _header(headers, "x-app-usage")
    told = _header(headers, "x-business-use-case-usage")
    business = [entry for entries in told.values() for entry in values.items(entries)]
    tallies = [values.mapping(entry) for entry in (app, *business) if entry]
    if not tallies:
        return None
    percent = max(values.figure(tally.get(name)) for tally in tallies for name in _SHARES)
    minutes = max(values.figure(tally.get("estimated_time_to_regain_access")) for tally in tallies)
    return Usage(percent=percent, regain_seconds=minutes * 60)


def usages(headers: Mapping[str, str]) -> tuple[BudgetUsage, ...]:
    """Return the same per budget: ``app`` and each kind of business use (``pages``, ``instagram``, ...)."""
    told = _header(headers, "x-business-use-case-usage")
    business = [values.mapping(entry) for entries in told.values() for entry in values.items(entries)]
    kinds = [(values.text(entry.get("type"), 40), entry) for entry in business]
    app = _header(headers, "x-app-usage")
    found: dict[str, BudgetUsage] = {}
    for bucket, tally in [*([("app", app)] if app else []), *kinds]:
        if bucket:
            one = _budget_usage(bucket, tally)
            found[bucket] = max(found.get(bucket, one), one, key=_urgency)
    return tuple(found.values())


def _urgency(usage_: BudgetUsage) -> tuple[float, float]:
    return usage_.wait or 0.0, usage_.used or 0.0


def _budget_usage(bucket: str, tally: Mapping[str, Any]) -> BudgetUsage:
    percent = max(values.figure(tally.get(name)) for name in _SHARES)
    regain = values.figure(tally.get("estimated_time_to_regain_access")) * 60
    return BudgetUsage(bucket=bucket, used=min(percent / 100, 1.0), reset=regain or None, wait=regain or None)


def _header(headers: Mapping[str, str], name: str) -> dict[str, Any]:
    return values.readable(headers.get(name, "").encode())


# ------------------------------------------------------------------------------------------------ paging


class Sheet(msgspec.Struct, frozen=True, kw_only=True):
    """One page of a listing and the cursor after it (empty: it was the last).

    ``fault`` is the error of a listing that was not to be had and may be missing.
    """

    response: Response
    body: dict[str, Any]
    cursor: dict[str, str]
    fault: Fault | None = None


_CURSOR_KEYS = ("after", "until", "__paging_token")


def only_cursor(cursor: Mapping[str, str]) -> dict[str, str]:
    """Return the paging part of a task's cursor."""
    return {key: cursor[key] for key in _CURSOR_KEYS if key in cursor}


def next_cursor(body: Mapping[str, Any]) -> dict[str, str]:
    """Return the parameters that ask for the page after this one; empty on the last.

    Only a missing ``next`` ends a listing: a last page still has cursors, and a page may be empty with more behind
    it. The link itself is never followed, it carries the token and could lead anywhere; time-paged edges have their
    parameters in it and nowhere else.
    """
    paging = values.mapping(body.get("paging"))
    link = paging.get("next")
    if not isinstance(link, str) or not link:
        return {}
    after = values.mapping(paging.get("cursors")).get("after")
    found = {"after": after} if isinstance(after, str) and after else _in_link(link) or {"after": ""}
    return {name: walks.place(at, _LONGEST_CURSOR) for name, at in found.items()}


def next_after(body: Mapping[str, Any]) -> dict[str, str]:
    """Return the same of a platform that names no next page: it goes on while there is something and a place after."""
    after = values.mapping(values.mapping(body.get("paging")).get("cursors")).get("after")
    if not values.items(body.get("data")) or not isinstance(after, str) or not after:
        return {}
    return {"after": walks.place(after, _LONGEST_CURSOR)}


def _in_link(link: str) -> dict[str, str]:
    from_query = dict(parse_qsl(urlsplit(link).query))
    return only_cursor(from_query)


async def listing(
    http: Http,
    path: str,
    params: Mapping[str, str],
    cursor: Mapping[str, str],
    needs: str = "",
    *,
    optional: bool = False,
    following: Callable[[Mapping[str, Any]], dict[str, str]] = next_cursor,
) -> AsyncIterator[Sheet]:
    """Yield the pages of a cursor edge from ``cursor`` on. Not for insights: their paging never ends.

    An ``optional`` one that the account does not have is one page with the fault. Raises :class:`ConnectorError` for a
    listing that comes back to a page or does not end after 500.
    """
    at = only_cursor(cursor)
    turns = walks.Turns(_MOST_PAGES, _place(at))
    while True:
        response = await http.get(path, {**params, **at})
        body, fault = examine(response, needs)
        if fault is not None and not optional:
            raise_fault(fault, response.headers, needs)
        at = following(body)
        yield Sheet(response=response, body=body, cursor=at, fault=fault)
        if not turns.on_to(_place(at)):
            return


def _place(cursor: Mapping[str, str]) -> str:
    return "&".join(f"{name}={cursor[name]}" for name in sorted(cursor))


# ------------------------------------------------------------------------------------------------ subscription


def handshake(request: WebhookRequest, verify_token: str) -> Reply | None:
    """Answer ``hub.mode=subscribe``: the challenge as plain text, or 403. None when it is no handshake.

    An empty configured token never matches, and what a browser could take for markup is not echoed.
    """
    if request.method != "GET" or request.query.get("hub.mode") != "subscribe":
        return None
    offered = request.query.get("hub.verify_token", "").encode(errors="replace")
    challenge = request.query.get("hub.challenge", "")
    is_ours = bool(verify_token) and hmac.compare_digest(offered, verify_token.encode())
    return webhooks.echoed(challenge) if is_ours and webhooks.is_plain(challenge) else Reply(status=403)
