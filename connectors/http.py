"""The client that a connector is handed: one platform host, one credential, caps, patience.

It carries a request to the host of its base address and nowhere else, gives up early and says so in the words of the
contract. It knows no platform: throttling that is told in a body, paging and error envelopes belong to the connector.
Limits follow the rules of outgoing requests: connect 3 s, 30 s in all, 16 MiB, redirects and proxies of the
environment off.
"""

from __future__ import annotations

import asyncio
import re
import zlib
from collections.abc import Awaitable, Callable, Mapping, Sequence
from copy import copy
from datetime import UTC, datetime
from email.utils import parsedate_to_datetime
from http import HTTPStatus
from http.cookiejar import CookieJar, DefaultCookiePolicy
from typing import Any, Protocol
from urllib.parse import unquote_plus

import httpx
import msgspec

from connectors.contract import BadPayload, ConnectorError, Response, TryLater, Unreachable, Usage
from connectors.transport import Transport

_ABSOLUTE = re.compile(r"[A-Za-z][A-Za-z0-9+.-]*://")
_SECONDS = re.compile(r"[0-9]+(\.[0-9]+)?")
_LONGEST_NUMBER = 18
_THROTTLED = frozenset({HTTPStatus.TOO_MANY_REQUESTS, HTTPStatus.SERVICE_UNAVAILABLE})
_TOKEN_PARAMETERS = ("access_token", "input_token", "refresh_token", "client_secret", "appsecret_proof")
_AS_IT_IS: Mapping[str, Any] = {"stream": True, "auth": None, "follow_redirects": False}
_MIB = 1024 * 1024


class Limits(msgspec.Struct, frozen=True, kw_only=True):
    """Bounds of one request. Times are seconds; ``max_bytes`` counts the wire, ``max_body`` the unpacked answer.

    ``longest_pause`` is what is waited here at most before the caller is told to come back; ``longest_wait`` bounds
    what a platform may ask for.
    """

    connect: float = 3.0
    total: float = 30.0
    max_bytes: int = 16 * _MIB
    max_body: int = 16 * _MIB
    attempts: int = 4
    first_pause: float = 0.5
    longest_pause: float = 20.0
    longest_wait: float = 86_400.0


DEFAULT = Limits()


class Pace(Protocol):
    """The rate budget of a source: asked before a call, told of every answer."""

    async def draw(self, method: str, path: str) -> None:
        """Wait until a call may leave. Raises :class:`TryLater` where that takes longer than is waited here."""
        ...

    async def heard(self, response: Response) -> Sequence[Usage]:
        """Take note of what an answer says of the platform's limits, and return it."""
        ...


class NoPace:
    """No limit but the platform's own refusals."""

    async def draw(self, method: str, path: str) -> None:
        return

    async def heard(self, response: Response) -> Sequence[Usage]:
        return ()


class _BrokenOff(Exception):  # noqa: N818 - private, and it is caught where it is raised
    """No whole answer came; ``sent`` says whether the platform may have seen the request."""

    def __init__(self, reason: str, *, sent: bool) -> None:
        super().__init__(reason)
        self.sent = sent


class _Client(httpx.AsyncClient):
    """A client that hands a request to its transport and the answer back, where that is all that is asked of it.

    No cookie is looked for in each answer only to be thrown away, and no address is written to a log.
    """

    def __init__(self, limits: Limits, transport: httpx.AsyncBaseTransport) -> None:
        super().__init__(
            transport=transport,
            trust_env=False,
            follow_redirects=False,
            timeout=_timeout(limits),
            cookies=CookieJar(DefaultCookiePolicy(allowed_domains=[])),
        )
        self._network = transport

    async def send(self, request: httpx.Request, **asked: Any) -> httpx.Response:
        if asked != _AS_IT_IS:
            return await super().send(request, **asked)
        if self.is_closed:
            raise RuntimeError("the client is closed")
        answer = await self._network.handle_async_request(request)
        answer.request = request
        return answer


def new_client(limits: Limits = DEFAULT, transport: httpx.AsyncBaseTransport | None = None) -> httpx.AsyncClient:
    """Return a client fit for :class:`PlatformHttp`: no proxies of the environment, no redirects, no cookies kept."""
    return _Client(limits, transport or Transport())


class PlatformHttp:
    """:class:`connectors.contract.Http` over an httpx client that several sources may share.

    ``base_url`` comes from the composition root and fixes scheme, host and port. ``pace`` is the rate budget that calls
    draw on and that hears every answer, throttled ones included; ``on_response`` hears them too. ``hears`` picks the
    overloads that are handed to the connector. ``secret`` calls are those to token endpoints: what they send is a
    secret, and it travels in their address where the platform wants it there.
    """

    def __init__(  # noqa: PLR0913 - each is a part that the composition root or a test chooses
        self,
        client: httpx.AsyncClient,
        base_url: str,
        *,
        now: Callable[[], datetime],
        uniform: Callable[[], float],
        token: str = "",
        header: str = "authorization",
        scheme: str = "Bearer",
        hosts: Mapping[str, str] | None = None,
        open_hosts: frozenset[str] = frozenset(),
        limits: Limits = DEFAULT,
        sleep: Callable[[float], Awaitable[None]] = asyncio.sleep,
        on_response: Callable[[Response], None] | None = None,
        pace: Pace | None = None,
        hears: Callable[[Response], bool] = lambda _: False,
        secret: bool = False,
    ) -> None:
        if client.trust_env:
            raise ValueError("the client reads proxies and credentials of the environment: give trust_env=False")
        self._lead_to(base_url)
        self._client = client
        self._now = now
        self._uniform = uniform
        self._token = token
        self._sent_as = (header, f"{scheme} {token}" if scheme else token)
        self._hosts = hosts or {}
        self._open_hosts = open_hosts
        self._limits = limits
        self._timeouts = {"timeout": _timeout(limits).as_dict()}
        self._sleep = sleep
        self._on_response = on_response
        self._pace = pace or NoPace()
        self._hears = hears
        self._secret = secret

    def __repr__(self) -> str:
        """Name the host and hide the token."""
        return f"PlatformHttp({self._base.host!r})"

    async def get(
        self, path: str, params: Mapping[str, str] | None = None, *, headers: Mapping[str, str] | None = None
    ) -> Response:
        return await self._patiently(self._request("GET", path, params, b"", headers), repeats=True)

    async def post(
        self,
        path: str,
        params: Mapping[str, str] | None = None,
        body: bytes = b"",
        *,
        headers: Mapping[str, str] | None = None,
        reads: bool = False,
    ) -> Response:
        return await self._patiently(self._request("POST", path, params, body, headers), repeats=reads)

    async def put(
        self,
        path: str,
        params: Mapping[str, str] | None = None,
        body: bytes = b"",
        *,
        headers: Mapping[str, str] | None = None,
    ) -> Response:
        return await self._patiently(self._request("PUT", path, params, body, headers), repeats=True)

    def at(self, host: str) -> PlatformHttp:
        """Return the client of another declared host. Raises :class:`ConnectorError` for an unknown name.

        An open host gets no token; that a token does not travel in an address holds there as well.
        """
        if host not in self._hosts:
            raise ConnectorError(f"no host is called {host}")
        other = copy(self)
        other._lead_to(self._hosts[host])  # noqa: SLF001 - it is one of us
        if host in self._open_hosts:
            other._sent_as = ("", "")  # noqa: SLF001 - as above
        return other

    def _request(
        self, method: str, path: str, params: Mapping[str, str] | None, body: bytes, headers: Mapping[str, str] | None
    ) -> httpx.Request:
        # Built without the client, so that no cookie or header of another source is merged in.
        address, given = self._address(path, params), self._headers(headers)
        return httpx.Request(method, address, headers=given, content=body, extensions=self._timeouts)

    def _lead_to(self, base_url: str) -> None:
        self._base = _base(base_url)
        self._origin = _origin(self._base)
        self._stem = str(self._base).rstrip("/")
        self._root = self._base.path.rstrip("/")

    def _address(self, path: str, params: Mapping[str, str] | None) -> httpx.URL:
        text = path if _ABSOLUTE.match(path) else f"{self._stem}/{path.lstrip('/')}"
        try:
            url = _with_parameters(text, params)
        except (httpx.InvalidURL, ValueError):
            url = None
        if url is None or url.userinfo or _origin(url) != self._origin:
            raise ConnectorError(f"an address leads away from {self._base.host}")
        if not self._secret and self._may_tell(url.query):
            url = self._untold(url)
        return url.copy_with(fragment=None) if url.fragment else url

    def _may_tell(self, query: bytes) -> bool:
        """Tell whether a token may stand in a query, as a name or a value: unpacked as a whole it holds all of them."""
        said = unquote_plus(query.decode("ascii"))
        return any(name in said for name in _TOKEN_PARAMETERS) or bool(self._token and self._token in said)

    def _untold(self, url: httpx.URL) -> httpx.URL:
        """Return an address without the parameters of tokens. Raises where the token is the value of another one."""
        given = url.params
        for name in [name for name in _TOKEN_PARAMETERS if name in given]:
            given, url = given.remove(name), url.copy_remove_param(name)
        if self._token and self._token in given.values():
            raise ConnectorError("a token does not travel in an address")
        return url

    async def _patiently(self, request: httpx.Request, *, repeats: bool) -> Response:
        attempt = 0
        while True:
            attempt += 1
            await self._pace.draw(request.method, self._path(request.url))
            failed, again = await self._attempt(request, repeats=repeats)
            if isinstance(failed, Response):
                return failed
            pause = self._pause(attempt) if failed.seconds is None else failed.seconds
            if not again or attempt >= self._limits.attempts or pause > self._limits.longest_pause:
                raise failed
            await self._sleep(pause)

    async def _attempt(self, request: httpx.Request, *, repeats: bool) -> tuple[Response | TryLater, bool]:
        """Return the answer, or why there is none to give; and whether the request may be sent again."""
        host = self._base.host
        try:
            response = await self._exchange(request)
        except _BrokenOff as broken:
            return Unreachable(f"{host} {broken}", sent=broken.sent), repeats or not broken.sent
        told = await self._pace.heard(response)
        if not _is_overload(response.status) or self._hears(response):
            return response, False
        asked = retry_after(response.headers, response.received_at, self._limits.longest_wait)
        if asked is None and response.status in _THROTTLED:
            asked = _asked_by(told, self._limits.longest_wait)
        reason = f"{host} answered {response.status}"
        if asked is None and response.status >= HTTPStatus.INTERNAL_SERVER_ERROR:
            return Unreachable(reason, asked, response), repeats
        return TryLater(reason, asked, response), repeats

    def _path(self, url: httpx.URL) -> str:
        """Return the path below the base address: what a connector calls its paths."""
        return url.path.removeprefix(self._root)

    def _pause(self, attempt: int) -> float:
        """Full jitter: anything between nothing and the doubled pause."""
        return self._uniform() * min(self._limits.longest_pause, self._limits.first_pause * 2.0 ** (attempt - 1))

    async def _exchange(self, request: httpx.Request) -> Response:
        try:
            async with asyncio.timeout(self._limits.total):
                answer = await self._client.send(request, **_AS_IT_IS)
                try:
                    content = await self._read(answer)
                finally:
                    await answer.aclose()
        except (httpx.ConnectError, httpx.ConnectTimeout):
            broken = _BrokenOff("cannot be reached", sent=False)
        except (httpx.TransportError, TimeoutError, zlib.error):
            broken = _BrokenOff("broke off its answer", sent=True)
        else:
            return self._heard(answer, content)
        # Raised here and not in the handler: httpx errors hold the request and with it the token.
        raise broken

    def _headers(self, more: Mapping[str, str] | None) -> dict[str, str]:
        headers = {"accept": "application/json", "user-agent": "tallybook"}
        headers |= {name.lower(): value for name, value in (more or {}).items()}
        headers["accept-encoding"] = "gzip"
        name, value = self._sent_as
        if self._token and name:
            headers[name] = value
        return headers

    def _heard(self, answer: httpx.Response, content: bytes) -> Response:
        headers = {name: value for name, value in answer.headers.items() if name != "set-cookie"}
        response = Response(status=answer.status_code, headers=headers, body=content, received_at=self._now())
        if self._on_response is not None:
            self._on_response(response)
        return response

    async def _read(self, answer: httpx.Response) -> bytes:
        """Unpack while reading: a few kilobytes can hold gigabytes, so the cap stands before the memory."""
        unpack = _unpacker(answer.headers.get("content-encoding", ""))
        pieces: list[bytes] = []
        received = size = 0
        async for chunk in answer.aiter_raw():
            received += len(chunk)
            piece = chunk if unpack is None else unpack.decompress(chunk, self._limits.max_body - size + 1)
            size += len(piece)
            if received > self._limits.max_bytes or size > self._limits.max_body:
                raise BadPayload(f"the answer of {self._base.host} is larger than allowed")
            pieces.append(piece)
        if unpack is not None and received and (not unpack.eof or unpack.unused_data):
            raise _BrokenOff("broke off its answer", sent=True)
        return b"".join(pieces)


def retry_after(headers: Mapping[str, str], now: datetime, longest: float) -> float | None:
    """Return the seconds a ``Retry-After`` asks for, clamped to [0, longest]; None when absent or unreadable.

    Both forms of RFC 9110, 10.2.3 are read: seconds (fractions too, which some send) and an HTTP date (a date without a
    zone is UTC).
    """
    text = headers.get("retry-after", "").strip()
    if text.isascii() and _SECONDS.fullmatch(text):
        # A number too long for an instant is a wish for the longest wait, not a mistake of the sender's.
        whole = text.partition(".")[0].lstrip("0")
        return longest if len(whole) > _LONGEST_NUMBER else min(float(text), longest)
    try:
        date = parsedate_to_datetime(text)
    except (ValueError, TypeError, OverflowError):
        return None
    date = date.replace(tzinfo=UTC) if date.tzinfo is None else date
    return min(max((date - now).total_seconds(), 0.0), longest)


def _asked_by(told: Sequence[Usage], longest: float) -> float | None:
    """Return the longest wait that a throttled answer asks for in its platform's own words; None where it has none."""
    spent = [one.reset for one in told if one.reset and (one.remaining == 0 or (one.used or 0) >= 1)]
    waits = [wait for wait in (*(one.wait for one in told), *spent) if wait is not None and wait > 0]
    return min(max(waits), longest) if waits else None


def _is_overload(status: int) -> bool:
    return status == HTTPStatus.TOO_MANY_REQUESTS or status >= HTTPStatus.INTERNAL_SERVER_ERROR


def _base(base_url: str) -> httpx.URL:
    url = httpx.URL(base_url)
    if url.scheme not in {"http", "https"} or not url.host or url.userinfo or url.query or url.fragment:
        raise ValueError("a base address is http(s)://host[:port][/path] and nothing else")
    return url


def _origin(url: httpx.URL) -> tuple[bytes, bytes]:
    """Return scheme, host and port as httpx writes them: in small letters, without a port that goes without saying."""
    return url.raw_scheme, url.netloc


def _with_parameters(text: str, params: Mapping[str, str] | None) -> httpx.URL:
    """Return an address with parameters, taken apart once. Raises :class:`httpx.InvalidURL` or ``ValueError``."""
    if not params:
        return httpx.URL(text)
    if "?" in text or "#" in text:
        return httpx.URL(text).copy_merge_params(dict(params))
    return httpx.URL(f"{text}?{httpx.QueryParams(dict(params))}")


def _timeout(limits: Limits) -> httpx.Timeout:
    return httpx.Timeout(limits.total, connect=limits.connect)


def _unpacker(encoding: str) -> zlib._Decompress | None:
    name = encoding.strip().lower()
    if name in {"", "identity"}:
        return None
    if name not in {"gzip", "x-gzip"}:
        raise BadPayload("an answer is packed in a way that was not asked for")
    return zlib.decompressobj(wbits=16 + zlib.MAX_WBITS)
