"""Bring a database to the newest migration. Runs as the owner role; the service role never needs this."""

from __future__ import annotations

from pathlib import Path

from alembic import command
from alembic.config import Config
from sqlalchemy.engine import make_url

from service.errors import Misconfigured

_INI = Path(__file__).resolve().parents[2] / "alembic.ini"


def config(url: str, service_role: str) -> Config:
    """Return the alembic configuration for a database and the role it grants to."""
    if not _INI.exists():
        raise Misconfigured("alembic.ini is not beside the service: run from a checkout or the image")
    made = Config(_INI)
    made.attributes["url"] = url
    made.attributes["service_role"] = service_role
    return made


def upgrade(url: str, service_role: str) -> None:
    """Upgrade to the newest migration under an advisory lock; several processes may do so at once."""
    command.upgrade(config(url, service_role), "head")


def role_of(url: str) -> str:
    """Return the role of a database address. Raises :class:`Misconfigured` when it names none."""
    role = make_url(url).username
    if not role:
        raise Misconfigured("TALLYBOOK_DATABASE_URL names no role")
    return role
