"""Records put aside by key in temporary files and taken up a bucket at a time: more than fits into memory, once each.

Who has read a million deliveries once does not want to read them again for every hundred subjects.
"""

from __future__ import annotations

import tempfile
import zlib
from collections.abc import Iterator
from contextlib import ExitStack
from typing import IO, Generic, Self, TypeVar

import msgspec

Record = TypeVar("Record")

BUCKETS = 64
_LENGTH = 4


class Spool(Generic[Record]):
    """Records of one type by key. A key without a record is a key all the same."""

    def __init__(self, record: type[Record]) -> None:
        self._encode = msgspec.msgpack.Encoder().encode
        self._decode = msgspec.msgpack.Decoder(tuple[bytes, list[record]]).decode  # type: ignore[valid-type]
        self._stack = ExitStack()
        self._files: list[IO[bytes]] = []

    def __enter__(self) -> Self:
        for _ in range(BUCKETS):
            self._files.append(self._stack.enter_context(tempfile.TemporaryFile()))
        return self

    def __exit__(self, *_error: object) -> None:
        self._stack.close()

    def add(self, key: bytes, record: Record | None = None) -> None:
        """Put a record aside under a key."""
        data = self._encode((key, [] if record is None else [record]))
        file = self._files[zlib.crc32(key) % BUCKETS]
        file.write(len(data).to_bytes(_LENGTH, "big"))
        file.write(data)

    def buckets(self) -> Iterator[dict[bytes, list[Record]]]:
        """Return the records of one bucket after the other, by key, each in the order in which they were added."""
        for file in self._files:
            file.seek(0)
            found: dict[bytes, list[Record]] = {}
            for data in _records(file):
                key, records = self._decode(data)
                found.setdefault(key, []).extend(records)
            yield found


def _records(file: IO[bytes]) -> Iterator[bytes]:
    while header := file.read(_LENGTH):
        yield file.read(int.from_bytes(header, "big"))
