"""How a command ends: its exit code and its one line. Imports nothing that takes time."""

from __future__ import annotations

import enum

import typer


class Code(enum.IntEnum):
    """What a program that calls a command may rely on; 75 is ``EX_TEMPFAIL`` of sysexits."""

    DONE = 0
    FAILED = 1
    USAGE = 2
    PARTLY = 3
    LATER = 75


class Ended(typer.TyperException):
    """The end of a command that could not do what it was asked: a code and one line for a person."""

    def __init__(self, code: Code, message: str) -> None:
        super().__init__(" ".join(message.split()))
        self.exit_code = int(code)
