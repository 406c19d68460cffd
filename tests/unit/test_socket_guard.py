from __future__ import annotations

import asyncio
import socket
from pathlib import Path

import pytest

from tests.socket_guard import NetworkClosedError

ELSEWHERE = ("192.0.2.1", 9)


@pytest.mark.parametrize("method", ["connect", "connect_ex"])
def test_other_machines_are_out_of_reach(method: str) -> None:
    with socket.socket() as client, pytest.raises(NetworkClosedError, match=r"192\.0\.2\.1"):
        getattr(client, method)(ELSEWHERE)


def test_datagrams_are_kept_too() -> None:
    with socket.socket(type=socket.SOCK_DGRAM) as client, pytest.raises(NetworkClosedError):
        client.sendto(b"x", ELSEWHERE)


def test_names_are_not_looked_up() -> None:
    with pytest.raises(NetworkClosedError, match="platform\\.example"):
        socket.getaddrinfo("platform.example", 443)


async def test_asyncio_is_guarded() -> None:
    with pytest.raises(NetworkClosedError):
        await asyncio.open_connection(*ELSEWHERE)


@pytest.mark.parametrize("host", ["localhost", "127.0.0.1"])
def test_this_machine_is_open(host: str) -> None:
    with socket.create_server(("127.0.0.1", 0)) as server:
        socket.create_connection((host, server.getsockname()[1])).close()


def test_unix_sockets_are_open(tmp_path: Path) -> None:
    path = str(tmp_path / "s")
    with socket.socket(socket.AF_UNIX) as server, socket.socket(socket.AF_UNIX) as client:
        server.bind(path)
        server.listen()
        client.connect(path)
