"""The command ``tallybook``: what there is to call, and what every call ends with. No command is done here.

Commands are loaded by name when they are called: asking for help, or for the health of a container every few seconds,
must not wait for numeric libraries and a web framework.
"""

from __future__ import annotations

import importlib
import signal
import sys
from importlib.metadata import PackageNotFoundError, version
from types import TracebackType
from typing import Annotated, Any, NamedTuple

import typer
from typer.core import TyperGroup
from typer.main import get_command

from service.commands.endings import Code

_INTERRUPTED = 128 + signal.SIGINT


class Place(NamedTuple):
    """Where a command is: a module and the typer application in it; and its line in the help."""

    module: str
    name: str
    text: str


COMMANDS = {
    "serve": Place("serving", "serve_app", "run the service"),
    "demo": Place("demonstrating", "app", "show it all: real and simulated campaigns, their KPIs, over HTTP"),
    "migrate": Place("serving", "migrate_app", "bring the database to the newest migration"),
    "check": Place("checking", "app", "look at settings, database, connectors and sources"),
    "workspace": Place("workspaces", "app", "create and list workspaces"),
    "key": Place("keys", "app", "create, list and revoke API keys"),
    "source": Place("sources", "app", "connect accounts of platforms"),
    "campaign": Place("campaigns", "app", "plan campaigns and say what counts in them"),
    "falls": Place("falling", "app", "list counters that fell, and say what a fall was"),
    "connectors": Place("connecting", "app", "list what can be connected"),
    "import": Place("importing", "app", "read a file of numbers into a workspace"),
    "fetch": Place("fetching", "app", "pull one source, or everything that is due"),
    "replay": Place("replaying", "app", "read kept deliveries again"),
    "retain": Place("retaining", "app", "drop what is older than the settings say"),
    "verify": Place("verifying", "app", "prove the books: balances, tallies, deliveries"),
}
HEALTH = Place("health", "app", "ask the service of this machine whether it is alive")
"""``check --health``: a container asks every few seconds, so it loads next to nothing."""


class Commands(TyperGroup):
    """Shows every command in the help and loads the one that is called."""

    def resolve_command(self, ctx: Any, args: list[str]) -> Any:
        name, _, rest = super().resolve_command(ctx, args)
        if name not in COMMANDS:
            return name, None, rest
        place = HEALTH if name == "check" and "--health" in rest else COMMANDS[name]
        command = get_command(getattr(importlib.import_module(f"service.commands.{place.module}"), place.name))
        command.name = name
        return name, command, rest


def _show_version(asked: bool) -> None:  # noqa: FBT001 - typer calls it
    if asked:
        try:
            typer.echo(f"tallybook {version('tallybook')}")
        except PackageNotFoundError:
            typer.echo("tallybook, not installed")
        raise typer.Exit(Code.DONE)


def _tallybook(
    *, _version: Annotated[bool, typer.Option("--version", callback=_show_version, is_eager=True)] = False
) -> None:
    """Keep the books of social-media campaigns.

    Settings are read from TALLYBOOK_* variables. Exit codes: 0 done, 1 failed, 2 wrong usage, 3 partly, 75 try later.
    """


def application() -> typer.Typer:
    """Return the application with a stand-in for every command."""
    made = typer.Typer(cls=Commands, rich_markup_mode=None, no_args_is_help=True, pretty_exceptions_enable=False)
    made.callback()(_tallybook)
    for name, place in COMMANDS.items():
        made.command(name, help=place.text)(_stand_in)
    return made


def _stand_in() -> None:
    """Replaced by the command of its name when that is called."""


def main(arguments: list[str] | None = None) -> int:
    """Run the command of ``arguments`` and return the exit code.

    Without arguments they are the process's, which then also says an error that nobody expected in one line.
    """
    if arguments is None:
        sys.excepthook = _last_word
    command = get_command(application())
    try:
        code = command.main(arguments, prog_name="tallybook", standalone_mode=False)
    except typer.TyperException as error:
        return _say(error.format_message(), error.exit_code)
    except (typer.Abort, KeyboardInterrupt):
        return _INTERRUPTED
    return int(code) if isinstance(code, int) else int(Code.DONE)


def _say(message: str, code: int) -> int:
    lines = [line.strip() for line in message.splitlines() if line.strip()]
    typer.echo(f"tallybook: {' '.join(lines) or 'wrong usage'}", err=True)
    return code


def _last_word(kind: type[BaseException], error: BaseException, trace: TracebackType | None) -> None:
    if issubclass(kind, KeyboardInterrupt):
        return
    _say(f"internal error: {kind.__name__}; `python -X dev -m service ...` shows where", int(Code.FAILED))
    if sys.flags.dev_mode:
        sys.__excepthook__(kind, error, trace)
