"""Closes the network to tests: sockets reach this machine only, and no other name is looked up.

A pytest plugin. It guards the Python sockets of the test processes; a program that a test starts is not guarded.
"""

from __future__ import annotations

import ipaddress
import socket
from collections.abc import Callable, Generator
from typing import Any

import pytest


class NetworkClosedError(RuntimeError):
    """A test reached for another machine. No OSError: code that retries network errors must not hide it."""


def refuse_connection(family: int, address: object) -> None:
    """Let Unix sockets and addresses of this machine pass. Raises :class:`NetworkClosedError` for others."""
    if family == socket.AF_UNIX:
        return
    host = _text(address[0]) if isinstance(address, tuple) else repr(address)
    parsed = _parse(host)
    if not (_is_own_name(host) or (parsed and (parsed.is_loopback or parsed.is_unspecified))):
        message = f"tests may reach localhost only, not {address!r}: hand in a fake"
        raise NetworkClosedError(message)


def refuse_lookup(host: object) -> None:
    """Let literal addresses and localhost pass. Raises :class:`NetworkClosedError` for names that need a resolver."""
    name = _text(host)
    if not _is_own_name(name) and _parse(name) is None:
        message = f"tests may look up localhost only, not {name!r}: hand in a fake"
        raise NetworkClosedError(message)


def _text(host: object) -> str:
    return host.decode(errors="replace") if isinstance(host, bytes) else str(host or "")


def _is_own_name(host: str) -> bool:
    return host.lower() in {"", "localhost"}


def _parse(host: str) -> ipaddress.IPv4Address | ipaddress.IPv6Address | None:
    try:
        return ipaddress.ip_address(host.partition("%")[0])
    except ValueError:
        return None


def _guarded(method: Callable[..., Any]) -> Callable[..., Any]:
    """Return a socket method whose last argument is an address, with the guard before it."""

    def call(self: socket.socket, *arguments: Any) -> Any:
        refuse_connection(self.family, arguments[-1])
        return method(self, *arguments)

    return call


@pytest.fixture(scope="session", autouse=True)
def closed_network() -> Generator[None]:
    """Guard connections, datagrams and name look-ups for the whole run."""
    lookup = socket.getaddrinfo

    def guarded_lookup(host: Any, *arguments: Any, **more: Any) -> Any:
        refuse_lookup(host)
        return lookup(host, *arguments, **more)

    with pytest.MonkeyPatch.context() as patch:
        for name in ("connect", "connect_ex", "sendto"):
            patch.setattr(socket.socket, name, _guarded(getattr(socket.socket, name)))
        patch.setattr(socket, "getaddrinfo", guarded_lookup)
        yield
