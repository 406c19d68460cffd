"""The client of connectors: where it goes, what it takes, how long it waits, and what it never tells."""

from __future__ import annotations

import asyncio
import gzip
import traceback
import tracemalloc
from collections.abc import AsyncIterator, Callable, Sequence
from datetime import UTC, datetime, timedelta
from email.utils import format_datetime
from typing import Any
from urllib.parse import parse_qsl, unquote

import httpx
import pytest
from hypothesis import given
from hypothesis import strategies as st

from connectors.contract import BadPayload, ConnectorError, Http, Response, TryLater, Unreachable, Usage
from connectors.http import Limits, PlatformHttp, new_client, retry_after

NOW = datetime(2026, 8, 20, 12, tzinfo=UTC)
TOKEN = "EAAB-secret-token"
BASE = "https://graph.example/api"


class Chunks(httpx.AsyncByteStream):
    """A body in pieces that counts how many were taken."""

    def __init__(self, pieces: list[bytes]) -> None:
        self.pieces = pieces
        self.taken = 0
        self.closed = False

    async def __aiter__(self) -> AsyncIterator[bytes]:
        for piece in self.pieces:
            self.taken += 1
            yield piece

    async def aclose(self) -> None:
        self.closed = True


Answer = Callable[[httpx.Request], httpx.Response]


class Platform(httpx.AsyncBaseTransport):
    """A transport that answers from a list, the last one for ever, and keeps the requests."""

    def __init__(self, *answers: httpx.Response | Exception | Answer) -> None:
        self.answers = list(answers)
        self.requests: list[httpx.Request] = []

    async def handle_async_request(self, request: httpx.Request) -> httpx.Response:
        self.requests.append(request)
        answer = self.answers.pop(0) if len(self.answers) > 1 else self.answers[0]
        if isinstance(answer, Exception):
            raise answer
        return answer if isinstance(answer, httpx.Response) else answer(request)


def answer(status: int = 200, body: bytes = b"{}", **headers: str) -> Answer:
    named = {name.replace("_", "-"): value for name, value in headers.items()}
    return lambda _: httpx.Response(status, headers=named, stream=Chunks([body]))


class Desk:
    """A client over a platform, the pauses it made and the answers it told of."""

    def __init__(
        self,
        platform: Platform,
        *,
        base: str = BASE,
        uniform: float = 0.5,
        limits: Limits | None = None,
        **more: Any,
    ) -> None:
        self.platform = platform
        self.pauses: list[float] = []
        self.heard: list[Response] = []
        self.client = new_client(transport=platform)
        self.http = PlatformHttp(
            self.client,
            base,
            token=TOKEN,
            now=lambda: NOW,
            uniform=lambda: uniform,
            limits=limits or Limits(),
            sleep=self._sleep,
            on_response=self.heard.append,
            **more,
        )

    async def _sleep(self, seconds: float) -> None:
        self.pauses.append(seconds)

    def addresses(self) -> list[str]:
        return [str(request.url) for request in self.platform.requests]


async def test_an_answer_has_its_status_headers_body_and_time() -> None:
    desk = Desk(Platform(answer(404, b'{"a":1}', X_App_Usage="{}", Set_Cookie="a=b")))
    http: Http = desk.http
    response = await http.get("v1/me", {"fields": "id,name", "after": "a=&b"})
    assert (response.status, response.body, response.received_at) == (404, b'{"a":1}', NOW)
    assert response.headers == {"x-app-usage": "{}"}
    assert desk.addresses() == [f"{BASE}/v1/me?fields=id%2Cname&after=a%3D%26b"]
    assert desk.heard == [response]
    (request,) = desk.platform.requests
    assert request.headers["authorization"] == f"Bearer {TOKEN}"
    assert request.extensions["timeout"] == {"connect": 3.0, "read": 30.0, "write": 30.0, "pool": 30.0}


async def test_without_a_token_there_is_no_authorization() -> None:
    platform = Platform(answer())
    bare = PlatformHttp(new_client(transport=platform), BASE, now=lambda: NOW, uniform=lambda: 0.0)
    await bare.get("x")
    assert "authorization" not in platform.requests[0].headers


async def test_cookies_and_headers_of_a_shared_client_are_not_sent() -> None:
    platform = Platform(answer(Set_Cookie="session=1"))
    client = new_client(transport=platform)
    client.headers["x-other"] = "source"
    for _ in range(2):
        await PlatformHttp(client, BASE, now=lambda: NOW, uniform=lambda: 0.0).get("x")
    assert "cookie" not in platform.requests[1].headers
    assert "x-other" not in platform.requests[1].headers
    assert len(client.cookies.jar) == 0


# ------------------------------------------------------------------------------------------------ where it goes


@pytest.mark.parametrize(
    "path",
    [
        "https://evil.example/v1/me",
        "http://graph.example/v1/me",
        "https://graph.example:8443/v1",
        "https://graph.example.evil.example/",
        "https://graph.example@evil.example/",
        "https://user:pass@graph.example/",
        "https://evil.example#@graph.example/",
        "ftp://graph.example/",
        "file:///etc/passwd",
        "HTTPS://EVIL.EXAMPLE/",
        "https:///x",
        "v1/\x00",
    ],
)
async def test_another_host_is_refused(path: str) -> None:
    desk = Desk(Platform(answer()))
    with pytest.raises(ConnectorError):
        await desk.http.get(path)
    assert desk.platform.requests == []


@pytest.mark.parametrize(
    "path",
    [
        "//evil.example/x",
        "/\\evil.example",
        "@evil.example/",
        "evil.example",
        "..//..//x",
        "urn:li:1",
        "?a=https://evil.example",
    ],
)
async def test_a_relative_path_stays_at_home(path: str) -> None:
    desk = Desk(Platform(answer()))
    await desk.http.get(path)
    assert [request.url.host for request in desk.platform.requests] == ["graph.example"]


async def test_a_link_to_the_same_host_loses_its_token() -> None:
    desk = Desk(Platform(answer()))
    await desk.http.get(f"https://GRAPH.example:443/api/x?access_token={TOKEN}&after=2#f")
    assert desk.addresses() == ["https://graph.example/api/x?after=2"]


@pytest.mark.parametrize(
    "name", ["access_token", "acc%65ss_token", "refresh%5Ftoken", "client_secret", "appsecret_proof"]
)
async def test_a_link_loses_any_token_however_it_is_written(name: str) -> None:
    desk = Desk(Platform(answer()))
    await desk.http.get(f"x?a=1&{name}=other&b=2")
    await desk.http.get(f"x?{name}", {"b": "2"})
    assert desk.addresses() == [f"{BASE}/x?a=1&b=2", f"{BASE}/x?b=2"]


@pytest.mark.parametrize("text", [TOKEN, TOKEN.replace("-", "%2D"), TOKEN.replace("t", "%74")])
async def test_the_token_is_refused_as_a_parameter(text: str) -> None:
    desk = Desk(Platform(answer()))
    with pytest.raises(ConnectorError, match="does not travel"):
        await desk.http.get(f"x?q={text}")
    with pytest.raises(ConnectorError, match="does not travel"):
        await desk.http.get("x", {"q": unquote(text)})
    assert desk.platform.requests == []


_ODD = (
    "//",
    "/",
    "\\",
    "@",
    ":",
    ":443",
    "?",
    "#",
    "&",
    "=",
    "%2f",
    "%40",
    "%",
    "+",
    ".",
    "..",
    ";",
    "[",
    "]",
    " ",
    "\t",
)
_WORDS = (
    "https://",
    "HTTP://",
    "ftp://",
    "graph.example",
    "GRAPH.example",
    "evil.example",
    "user:pw",
    "xn--",
    "ä",
    "a",
)
_TELLING = ("access_token", "acc%65ss_token", "refresh_token=", "client_secret", TOKEN, TOKEN.replace("s", "%73"))
_MADE = st.lists(st.sampled_from((*_ODD, *_WORDS, *_TELLING)), max_size=7).map("".join)


@given(start=st.sampled_from(["", "", BASE, "https://graph.example"]), path=_MADE, params=st.dictionaries(_MADE, _MADE))
async def test_whatever_an_address_is_made_of_it_stays_at_home_and_tells_no_token(
    start: str, path: str, params: dict[str, str]
) -> None:
    desk = Desk(Platform(answer()))
    try:
        await desk.http.get(start + path, params)
    except ConnectorError:
        assert desk.platform.requests == []
        return
    (request,) = desk.platform.requests
    assert (request.url.scheme, request.url.netloc, request.url.userinfo) == ("https", b"graph.example", b"")
    assert (request.headers["host"], request.url.fragment) == ("graph.example", "")
    said = dict(parse_qsl(request.url.query.decode(), keep_blank_values=True))
    assert not {"access_token", "refresh_token", "client_secret"} & said.keys()
    assert TOKEN not in said.values()


async def test_parameters_join_those_of_the_path() -> None:
    desk = Desk(Platform(answer()))
    await desk.http.get("x?a=1&b=2#f", {"b": "3", "c": "ä +"})
    await desk.http.get("y", {"c": "ä +%20&", "d": ""})
    assert desk.addresses() == [f"{BASE}/x?a=1&b=3&c=%C3%A4+%2B", f"{BASE}/y?c=%C3%A4+%2B%2520%26&d="]


async def test_redirects_are_answers() -> None:
    desk = Desk(Platform(answer(302, Location="https://evil.example/")))
    desk.client.follow_redirects = True
    assert (await desk.http.get("x")).status == 302
    assert len(desk.platform.requests) == 1


@pytest.mark.parametrize(
    "base", ["", "graph.example", "ftp://x", "https://u:p@x", "https://x?a=1", "https://x#f", "https://"]
)
def test_a_base_address_is_a_host_and_a_path(base: str) -> None:
    with pytest.raises(ValueError, match="base address"):
        Desk(Platform(answer()), base=base)


async def test_a_client_that_reads_the_environment_is_refused() -> None:
    async with httpx.AsyncClient() as client:
        with pytest.raises(ValueError, match="trust_env"):
            PlatformHttp(client, BASE, now=lambda: NOW, uniform=lambda: 0.0)


# ------------------------------------------------------------------------------------------------ caps

SMALL = Limits(max_bytes=1000, max_body=2000, attempts=1)


async def test_a_body_over_the_cap_is_not_read_to_its_end() -> None:
    body = Chunks([b"x" * 400] * 1000)
    desk = Desk(Platform(httpx.Response(200, stream=body)), limits=SMALL)
    with pytest.raises(BadPayload, match="larger"):
        await desk.http.get("x")
    assert body.taken == 3
    assert body.closed


@pytest.mark.parametrize(("size", "passes"), [(2000, True), (2001, False), (50_000_000, False)])
async def test_an_unpacked_body_has_its_own_cap(size: int, passes: bool) -> None:
    packed = gzip.compress(b"a" * size)
    limits = Limits(max_bytes=100_000, max_body=2000, attempts=1)
    desk = Desk(Platform(answer(200, packed, Content_Encoding="gzip")), limits=limits)
    if passes:
        assert len((await desk.http.get("x")).body) == size
    else:
        with pytest.raises(BadPayload, match="larger"):
            await desk.http.get("x")


@pytest.mark.parametrize("size", [1000, 1001])
async def test_the_wire_has_a_cap(size: int) -> None:
    desk = Desk(Platform(answer(200, b"x" * size)), limits=SMALL)
    if size == 1000:
        assert len((await desk.http.get("x")).body) == size
    else:
        with pytest.raises(BadPayload):
            await desk.http.get("x")


@given(st.binary(max_size=3000), st.lists(st.integers(1, 200), max_size=10))
async def test_any_packed_body_comes_whole_in_any_pieces(body: bytes, cuts: list[int]) -> None:
    packed = gzip.compress(body)
    pieces = []
    for cut in cuts:
        pieces.append(packed[:cut])
        packed = packed[cut:]
    stream = Chunks([*pieces, packed])
    desk = Desk(Platform(httpx.Response(200, headers={"content-encoding": "gzip"}, stream=stream)))
    assert (await desk.http.get("x")).body == body


async def test_a_packed_body_cut_short_is_asked_for_again() -> None:
    packed = gzip.compress(b'{"data":[]}')
    desk = Desk(
        Platform(answer(200, packed[:-4], Content_Encoding="gzip"), answer(200, packed, Content_Encoding="gzip"))
    )
    assert (await desk.http.get("x")).body == b'{"data":[]}'
    assert len(desk.platform.requests) == 2


async def test_unpacking_stops_at_the_cap_and_not_behind_it() -> None:
    packed = gzip.compress(b"a" * 50_000_000)
    desk = Desk(Platform(answer(200, packed, Content_Encoding="gzip")), limits=Limits(max_body=2000, attempts=1))
    tracemalloc.start()
    try:
        with pytest.raises(BadPayload):
            await desk.http.get("x")
        _, peak = tracemalloc.get_traced_memory()
    finally:
        tracemalloc.stop()
    assert peak < 5_000_000


@pytest.mark.parametrize("encoding", ["br", "deflate", "gzip, gzip", "zstd"])
async def test_only_what_was_asked_for_is_unpacked(encoding: str) -> None:
    desk = Desk(Platform(answer(200, b"x", Content_Encoding=encoding)))
    with pytest.raises(BadPayload):
        await desk.http.get("x")


async def test_a_body_that_is_not_packed_as_it_says_is_a_broken_answer() -> None:
    desk = Desk(Platform(answer(200, b"plain", Content_Encoding="gzip")), limits=Limits(attempts=2))
    with pytest.raises(TryLater):
        await desk.http.get("x")
    assert len(desk.platform.requests) == 2


async def test_a_dripping_answer_ends_with_the_total_time() -> None:
    class Drip(Chunks):
        async def __aiter__(self) -> AsyncIterator[bytes]:
            while True:
                await asyncio.sleep(0.01)
                yield b"x"

    drip = Drip([])
    desk = Desk(Platform(httpx.Response(200, stream=drip)), limits=Limits(total=0.05, attempts=1))
    with pytest.raises(TryLater, match="broke off"):
        await desk.http.get("x")
    assert drip.closed


# ------------------------------------------------------------------------------------------------ patience


@pytest.mark.parametrize(
    "trouble",
    [
        httpx.ConnectError("refused"),
        httpx.ConnectTimeout("late"),
        httpx.ReadTimeout("late"),
        httpx.RemoteProtocolError("half"),
        httpx.ReadError("reset"),
        answer(429),
        answer(500),
        answer(503),
    ],
)
async def test_a_passing_trouble_is_waited_out(trouble: httpx.Response | Exception) -> None:
    desk = Desk(Platform(trouble, answer(200, b"[]")))
    assert (await desk.http.get("x")).body == b"[]"
    assert desk.pauses == [0.25]


async def test_a_lasting_trouble_is_handed_back() -> None:
    desk = Desk(Platform(answer(503)))
    with pytest.raises(TryLater, match=r"graph\.example answered 503") as caught:
        await desk.http.get("x")
    assert caught.value.seconds is None
    assert len(desk.platform.requests) == 4
    assert desk.pauses == [0.25, 0.5, 1.0]  # half of 0.5, 1 and 2 seconds


@given(uniform=st.floats(0, 1, exclude_max=True), attempts=st.integers(1, 12))
async def test_pauses_are_full_jitter_below_a_doubling_bound(uniform: float, attempts: int) -> None:
    desk = Desk(Platform(answer(500)), uniform=uniform, limits=Limits(attempts=attempts))
    with pytest.raises(TryLater):
        await desk.http.get("x")
    assert desk.pauses == [uniform * min(20.0, 0.5 * 2**n) for n in range(attempts - 1)]


async def test_a_short_wait_that_is_asked_for_is_kept() -> None:
    desk = Desk(Platform(answer(429, Retry_After="7"), answer()))
    await desk.http.get("x")
    assert desk.pauses == [7.0]


async def test_a_long_wait_is_the_callers() -> None:
    desk = Desk(Platform(answer(503, Retry_After="3600"), answer()))
    with pytest.raises(TryLater) as caught:
        await desk.http.get("x")
    assert caught.value.seconds == 3600
    assert desk.pauses == []


@pytest.mark.parametrize(
    ("text", "seconds"),
    [
        ("0", 0.0),
        ("120", 120.0),
        (" 5 ", 5.0),
        ("999999999999", 86_400.0),
        (format_datetime(NOW + timedelta(seconds=90), usegmt=True), 90.0),
        (format_datetime(NOW - timedelta(hours=1), usegmt=True), 0.0),
        (format_datetime(NOW + timedelta(days=400), usegmt=True), 86_400.0),
        ("Thu, 20 Aug 2026 12:00:30 -0000", 30.0),
        ("-5", None),
        ("1e9", None),
        ("1.5", 1.5),
        ("1" * 20, 86_400.0),
        ("0" * 30 + "7", 7.0),
        ("٣", None),
        ("soon", None),
        ("", None),
        ("Thu, 99 Aug 99999 12:00:30 GMT", None),
    ],
)
def test_both_forms_of_a_wait_are_read_and_clamped(text: str, seconds: float | None) -> None:
    assert retry_after({"retry-after": text}, NOW, 86_400.0) == seconds


@given(st.text())
def test_any_wait_is_none_or_within_bounds(text: str) -> None:
    seconds = retry_after({"retry-after": text}, NOW, 60.0)
    assert seconds is None or 0 <= seconds <= 60


async def test_every_answer_is_heard_the_throttled_ones_too() -> None:
    desk = Desk(Platform(answer(429, X_Usage="100"), answer(200, X_Usage="10")))
    await desk.http.get("x")
    assert [(response.status, response.headers["x-usage"]) for response in desk.heard] == [(429, "100"), (200, "10")]


# ------------------------------------------------------------------------------------------------ posting


async def test_a_post_sends_its_body() -> None:
    desk = Desk(Platform(answer(200, b"ok")))
    assert (await desk.http.post("x", {"a": "1"}, b"body")).body == b"ok"
    (request,) = desk.platform.requests
    assert (request.method, request.read(), request.headers["content-length"]) == ("POST", b"body", "4")


async def test_a_post_is_repeated_only_when_nothing_was_sent() -> None:
    desk = Desk(Platform(httpx.ConnectError("refused"), answer(200, b"ok")))
    assert (await desk.http.post("x")).body == b"ok"
    for trouble in (httpx.ReadTimeout("late"), answer(503), answer(429, Retry_After="3")):
        desk = Desk(Platform(trouble, answer()))
        with pytest.raises(TryLater):
            await desk.http.post("x")
        assert len(desk.platform.requests) == 1


# ------------------------------------------------------------------------------------------------ secrets


@pytest.mark.parametrize(
    "trouble", [httpx.ConnectError(f"to {TOKEN}"), httpx.ReadError(TOKEN), answer(500, TOKEN.encode())]
)
async def test_no_error_holds_the_token_or_the_request(trouble: httpx.Response | Exception) -> None:
    desk = Desk(Platform(trouble), limits=Limits(attempts=2))
    with pytest.raises(TryLater) as caught:
        await desk.http.get("x")
    told = traceback.TracebackException.from_exception(caught.value)
    assert TOKEN not in "".join(told.format())
    assert caught.value.__cause__ is None
    assert caught.value.__context__ is None
    assert repr(desk.http) == "PlatformHttp('graph.example')"


async def test_being_cancelled_is_no_trouble_to_wait_out() -> None:
    started = asyncio.Event()

    class Silent(httpx.AsyncBaseTransport):
        async def handle_async_request(self, request: httpx.Request) -> httpx.Response:
            started.set()
            await asyncio.Event().wait()
            raise AssertionError

    http = PlatformHttp(new_client(transport=Silent()), BASE, now=lambda: NOW, uniform=lambda: 0.0)
    work = asyncio.create_task(http.get("x"))
    await started.wait()
    work.cancel()
    with pytest.raises(asyncio.CancelledError):
        await work


# ------------------------------------------------------------------------------------------------ budgets, other hosts


class Told:
    """A budget that notes the calls it is asked for and says of every answer the same."""

    def __init__(self, *usages: Usage, refuses: bool = False) -> None:
        self.usages = usages
        self.refuses = refuses
        self.drawn: list[tuple[str, str]] = []
        self.answers: list[int] = []

    async def draw(self, method: str, path: str) -> None:
        if self.refuses:
            raise TryLater("the budget is used up", 60.0)
        self.drawn.append((method, path))

    async def heard(self, response: Response) -> Sequence[Usage]:
        self.answers.append(response.status)
        return self.usages


async def test_every_try_draws_on_the_budget_and_every_answer_is_told_to_it() -> None:
    pace = Told()
    desk = Desk(Platform(answer(500), answer(200)), pace=pace)
    await desk.http.get("v1/users/me?x=1")
    await desk.http.get(f"{BASE}/v1/next")
    assert pace.drawn == [("GET", "/v1/users/me"), ("GET", "/v1/users/me"), ("GET", "/v1/next")]
    assert pace.answers == [500, 200, 200]


async def test_a_budget_that_is_used_up_lets_nothing_leave() -> None:
    desk = Desk(Platform(answer()), pace=Told(refuses=True))
    with pytest.raises(TryLater):
        await desk.http.get("x")
    assert desk.platform.requests == []


@pytest.mark.parametrize(
    ("usage", "seconds"),
    [
        (Usage(bucket="a", wait=90.0), 90.0),
        (Usage(bucket="a", remaining=0.0, reset=120.0), 120.0),
        (Usage(bucket="a", used=1.0, reset=1e9), 86_400.0),
        (Usage(bucket="a", used=0.5, reset=120.0), None),
        (Usage(bucket="a", wait=0.0), None),
    ],
)
async def test_a_throttled_answer_is_waited_for_as_its_platform_says(usage: Usage, seconds: float | None) -> None:
    desk = Desk(Platform(answer(429)), pace=Told(usage))
    with pytest.raises(TryLater) as caught:
        await desk.http.get("x")
    assert caught.value.seconds == seconds
    assert not isinstance(caught.value, Unreachable)


async def test_the_header_goes_before_the_words_of_the_platform() -> None:
    desk = Desk(Platform(answer(429, Retry_After="30")), pace=Told(Usage(bucket="a", wait=90.0)))
    with pytest.raises(TryLater) as caught:
        await desk.http.get("x")
    assert caught.value.seconds == 30.0


async def test_a_fault_of_theirs_does_not_wait_for_a_budget() -> None:
    desk = Desk(Platform(answer(500, b"sorry")), pace=Told(Usage(bucket="a", wait=90.0)))
    with pytest.raises(Unreachable) as caught:
        await desk.http.get("x")
    assert caught.value.seconds is None
    assert caught.value.response is not None
    assert caught.value.response.body == b"sorry"
    assert "sorry" not in repr(caught.value)


@pytest.mark.parametrize(("error", "sent"), [(httpx.ConnectError("no"), False), (httpx.ReadTimeout("late"), True)])
async def test_whether_a_request_may_have_been_seen_is_said(error: Exception, sent: bool) -> None:
    desk = Desk(Platform(error), limits=Limits(attempts=1))
    with pytest.raises(Unreachable) as caught:
        await desk.http.post("x")
    assert caught.value.sent is sent


async def test_an_overload_that_the_connector_reads_is_handed_over_at_once() -> None:
    desk = Desk(Platform(answer(500, b"reduce the amount")), hears=lambda response: b"reduce" in response.body)
    assert (await desk.http.get("x")).status == 500
    assert len(desk.platform.requests) == 1


async def test_a_put_is_sent_again() -> None:
    desk = Desk(Platform(httpx.ReadTimeout("late"), answer()))
    await desk.http.put("hooks/1", body=b"{}")
    assert [request.method for request in desk.platform.requests] == ["PUT", "PUT"]


async def test_only_the_hosts_of_the_platform_see_the_token() -> None:
    hosts = {"hub": "https://hub.example", "data": "https://data.example"}
    desk = Desk(Platform(answer()), hosts=hosts, open_hosts=frozenset({"hub"}))
    await desk.http.at("hub").post("subscribe")
    await desk.http.at("data").get("x")
    await desk.http.get("x")
    assert ["authorization" in request.headers for request in desk.platform.requests] == [False, True, True]
    with pytest.raises(ConnectorError):
        await desk.http.at("hub").get("x", {"a": TOKEN})


async def test_calls_to_token_endpoints_keep_what_they_say() -> None:
    platform = Platform(answer())
    http = PlatformHttp(new_client(transport=platform), BASE, now=lambda: NOW, uniform=lambda: 0.0, secret=True)
    await http.get("token", {"access_token": "a", "client_secret": "b"})
    assert dict(platform.requests[0].url.params) == {"access_token": "a", "client_secret": "b"}
