"""The page of the connectors: what each declares, in the shape that ``GET /v1/capabilities`` gives it, as Markdown."""

from __future__ import annotations

from collections.abc import Iterable, Iterator

from connectors.contract import Connector
from service.capabilities import Access, Call, Described, Fetch, Login, Mapped, describe
from tools.pages import code, page, table, yes

_UNITS = ((86400, "d"), (3600, "h"), (60, "min"), (1, "s"))


def connectors_page(connectors: Iterable[Connector]) -> str:
    """Return the page: one table of all, then a section for each."""
    listed = sorted(map(describe, connectors), key=lambda one: one.name)
    head = ("name", "title", "version", "webhook", "fetch", "upload", "restated for", "late by", "days of")
    body = table(head, map(_overview, listed)) + "".join(map(_section, listed))
    introduction = (
        "What each connector can do and what it makes of the platform's own names; "
        "`GET /v1/capabilities` and `tallybook connectors --json` say the same."
    )
    return page("Connectors", introduction, body)


def _overview(of: Described) -> tuple[str, ...]:
    fetches = ", ".join(f"{kind.kind} every {span(kind.every)}" for kind in of.fetch)
    flags = (yes(of.webhook), fetches, yes(of.upload), span(of.settle), span(of.lag), of.day_zone)
    return (code(of.name), of.title, of.version, *flags)


def _section(of: Described) -> str:
    parts = [f"## {of.title}", table(("what", ""), _facts(of)).rstrip()]
    if of.fetch:
        parts.append(_fetches(of))
    parts += _ways(of)
    if of.metrics:
        parts.append(_metrics(of.metrics))
    return "\n" + "\n\n".join(parts) + "\n"


# ------------------------------------------------------------------------------------------------ facts


def _facts(of: Described) -> Iterator[tuple[str, str]]:
    yield "connector", code(of.name) + (", simulated" if of.simulated else "")
    yield "platform", of.platform or "whichever the source names"
    if of.hosts:
        yield "hosts", ", ".join(map(code, of.hosts))
    yield "webhooks", _webhooks(of)
    if of.fetch:
        yield "restated for", span(of.settle) or "not said"
        yield "late by", span(of.lag) or "not said"
    if of.day_zone:
        yield "days of", of.day_zone
    for limit in of.budgets:
        yield "budget", f"{code(limit.bucket)}: {limit.calls} calls in {span(limit.window)} for each {limit.per}"
    if of.rate_limit:
        yield "rate limit", of.rate_limit


def _webhooks(of: Described) -> str:
    if not of.webhook:
        return "none"
    told = ["asked for by `tallybook source subscribe`" if of.subscription.asked else "set up at the platform"]
    if of.subscription.lease:
        told.append(f"renewed before {span(of.subscription.lease)} are over")
    if of.signature_headers:
        told.append("verified with " + ", ".join(map(code, of.signature_headers)))
    return "; ".join(told)


def _fetches(of: Described) -> str:
    head = ("fetch", "every", "reads again", "single subjects")
    rows = [(code(kind.kind), span(kind.every), span(kind.look_back), _singly(kind)) for kind in of.fetch]
    return table(head, rows).rstrip()


def _singly(kind: Fetch) -> str:
    if not kind.subjects:
        return ""
    calls = f" in {kind.calls} calls" if kind.calls > 1 else ""
    sweep = f"; all of them every {span(kind.sweep)}" if kind.sweep != kind.every else ""
    return f"{kind.batch} at a time{calls}{sweep}"


# ------------------------------------------------------------------------------------------------ authentication


def _ways(of: Described) -> Iterator[str]:
    if of.auth.credentials or of.auth.oauth2:
        yield table(("authentication", ""), _terms(of.auth)).rstrip()
    for variant in of.auth_variants:
        chosen = ", ".join(f"{name}={value}" for name, value in variant.options.items())
        yield table((f"with {code(chosen)}", ""), _terms(variant.auth)).rstrip()


def _terms(auth: Access) -> Iterator[tuple[str, str]]:
    yield "kind", auth.kind
    for name, purpose in auth.credentials.items():
        yield code(name), purpose
    if auth.scopes:
        yield "scopes", ", ".join(map(code, auth.scopes))
    if auth.kind != "none":
        yield "token in", code(f"{auth.header}: {auth.scheme} ...".replace(":  ", ": "))
    if auth.oauth2 is not None:
        yield from _login(auth.oauth2)


def _login(login: Login) -> Iterator[tuple[str, str]]:
    if login.key:
        yield "tokens for", f"what {code(login.key)} signs; nobody logs in"
    else:
        yield "login at", code(login.authorize_url) + (", with PKCE" if login.pkce else "")
        yield "code", _call(login.code)
    if login.exchange is not None:
        yield "exchange", _call(login.exchange)
    yield "refresh", _call(login.refresh) if login.refresh else "none: a person connects the account again"
    yield "token lives", span(login.lifetime) or "as the answer says"
    if login.refresh is not None:
        yield "renewed", f"{span(login.refresh_before)} before its end"
    if login.refresh is not None and login.refresh.sends == "refresh_token":
        dies = "; dies with its use" if login.rotates else ""
        yield "refresh token lives", (span(login.refresh_lifetime) or "without a stated end") + dies


def _call(call: Call) -> str:
    grant = f", grant {code(call.grant)}" if call.grant else ""
    return f"{code(call.url)} as {call.method}{grant}" + (", HTTP Basic" if call.basic else "")


# ------------------------------------------------------------------------------------------------ metrics


def _metrics(metrics: Iterable[Mapped]) -> str:
    head = ("wire name", "metric", "kind", "unit", "of", "use", "mapping", "may be", "note")
    return table(head, map(_metric, metrics)).rstrip()


def _metric(mapped: Mapped) -> tuple[str, ...]:
    return (
        code(mapped.wire),
        code(mapped.metric),
        mapped.kind or "",
        mapped.unit or "",
        ", ".join(mapped.subject_types),
        mapped.use.replace("_", " "),
        code(mapped.mapping),
        ", ".join(mapped.quality),
        mapped.note,
    )


def span(seconds: int | None) -> str:
    """Return a duration in its largest whole unit, or nothing for none."""
    for size, unit in _UNITS:
        if seconds and seconds % size == 0:
            return f"{seconds // size} {unit}"
    return ""
