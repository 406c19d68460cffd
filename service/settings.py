"""The settings of a process: one small frozen class, read from ``TALLYBOOK_*`` variables or the files they name."""

from __future__ import annotations

import os
import re
from collections.abc import Callable, Mapping
from pathlib import Path
from typing import Annotated, Any, Literal

from pydantic import BaseModel, ConfigDict, Field, SecretStr, ValidationError
from pydantic_settings import BaseSettings, NoDecode, SettingsConfigDict

from service.errors import Misconfigured

PREFIX = "TALLYBOOK_"
_ORIGIN = re.compile(r"https?://(\[[0-9a-f:]+\]|[a-z0-9.-]+)(:[1-9][0-9]{0,4})?")
_APP = re.compile(PREFIX + r"OAUTH_([A-Z0-9_]{1,60})_CLIENT_(ID|SECRET)(_FILE)?")
_APP_ROWS = (
    (
        PREFIX + "OAUTH_<CONNECTOR>_CLIENT_ID",
        "",
        "id of your app at the connector's platform, to connect accounts by login",
    ),
    (PREFIX + "OAUTH_<CONNECTOR>_CLIENT_SECRET", "", "its secret; a public client has none"),
)


class OAuthApp(BaseModel):
    """An app at a platform: people let it read their accounts."""

    model_config = ConfigDict(frozen=True)

    client_id: str = Field(min_length=1)
    client_secret: SecretStr | None = None


class Settings(BaseSettings):
    """Every field is ``TALLYBOOK_<NAME>``, or ``TALLYBOOK_<NAME>_FILE`` naming a file that holds the value."""

    model_config = SettingsConfigDict(env_prefix=PREFIX, frozen=True, extra="ignore")

    env: Literal["dev", "prod"] = Field("dev", description="`prod` refuses defaults that are only safe on a laptop")
    host: str = Field("127.0.0.1", description="address to listen on")
    port: int = Field(8000, ge=0, le=65535, description="port to listen on; 0 takes a free one")
    data_dir: Path = Field(
        Path(".tallybook"), description="where the embedded PostgreSQL and its master key live; no spaces in the path"
    )
    database_url: SecretStr | None = Field(
        None, description="service role, `postgresql://...`; unset: the embedded PostgreSQL in the data directory"
    )
    migrate_url: SecretStr | None = Field(None, description="owner role, read by `tallybook migrate` alone")
    master_key: SecretStr | None = Field(
        None, description="base64 of 32 bytes that wrap the data key of each workspace; the embedded default makes one"
    )
    pool_size: int = Field(10, ge=2, le=200, description="database connections of one process")
    max_body: int = Field(
        4 * 1024 * 1024, ge=1024, description="largest webhook or upload body in bytes where the connector sets none"
    )
    max_upload: int = Field(256 * 1024 * 1024, ge=1024, description="largest uploaded file in bytes")
    connector_urls: Annotated[dict[str, str], NoDecode] = Field(
        default_factory=dict, description="base address per connector as `name=url,...`; for tests and the demo"
    )
    cors_origins: Annotated[tuple[str, ...], NoDecode] = Field(
        (), description="origins whose pages may call the API, as `https://app.example,...`; never `*`"
    )
    requests_per_minute: int = Field(
        6000, ge=0, description="requests that one key may make in a minute, counted by each process; 0: no limit"
    )
    public_url: str | None = Field(
        None,
        pattern=r"^https?://[A-Za-z0-9.\[\]:_-]+(/[A-Za-z0-9._~/-]*)?$",
        description="where platforms and browsers reach this service; needed to subscribe and to connect by login",
    )
    oauth_apps: Annotated[dict[str, OAuthApp], NoDecode] = Field(default_factory=dict, exclude=True)
    log_level: Literal["debug", "info", "warning", "error"] = Field(
        "info", description="least severe line that is logged"
    )
    worker_batch: int = Field(
        1000, ge=1, le=20000, description="deliveries of one source that one posting takes at most"
    )
    worker_poll_seconds: float = Field(1.0, gt=0, description="longest pause of an idle worker")
    lease_seconds: float = Field(60.0, gt=0, description="after this a claim of a dead worker is taken over")
    max_attempts: int = Field(8, ge=1, description="tries before a delivery becomes a dead letter")
    retry_seconds: float = Field(2.0, ge=0, description="first pause before a failed delivery is tried again; doubles")
    keep_deliveries_days: int = Field(
        0,
        ge=0,
        le=36500,
        description="days that raw deliveries are kept; 0: for ever; `tallybook retain` drops the rest",
    )
    keep_months: int = Field(
        0,
        ge=0,
        le=1200,
        description="months of numbers kept before the present one; 0: for ever; `tallybook retain` drops the rest",
    )
    schedule_seconds: float = Field(5.0, gt=0, description="how often the scheduler looks for due fetches")


def load(environ: Mapping[str, str] | None = None) -> Settings:
    """Return the settings of ``environ`` (default: the process's). Raises :class:`Misconfigured` with the name."""
    given = os.environ if environ is None else environ
    values: dict[str, Any] = {}
    for name in _plain():
        variable = PREFIX + name.upper()
        text = _given(given, variable)
        if text is not None:
            values[name] = _READERS[name](variable, text) if name in _READERS else text
    values["oauth_apps"] = _apps(given)
    try:
        return Settings.model_validate(values)
    except ValidationError as error:
        first = error.errors(include_input=False, include_url=False)[0]
        variable = PREFIX + str(first["loc"][0]).upper()
        raise Misconfigured(f"{variable}: {first['msg']}") from None


def _plain() -> list[str]:
    """Return the fields that are one variable each."""
    return [name for name in Settings.model_fields if name != "oauth_apps"]


def _given(given: Mapping[str, str], variable: str) -> str | None:
    """Return the value of a variable or of the file that it names. Raises :class:`Misconfigured`."""
    text, file = given.get(variable), given.get(variable + "_FILE")
    if text is not None and file is not None:
        raise Misconfigured(f"{variable} and {variable}_FILE are both set")
    return text if file is None else _read(variable, file)


def _apps(given: Mapping[str, str]) -> dict[str, dict[str, str]]:
    """Return the apps by connector. Raises :class:`Misconfigured` for a secret without an id."""
    found: dict[str, dict[str, str]] = {}
    for match in filter(None, map(_APP.fullmatch, sorted(given))):
        name, what = match[1], match[2]
        text = _given(given, f"{PREFIX}OAUTH_{name}_CLIENT_{what}")
        if text:
            found.setdefault(name.lower(), {})[f"client_{what.lower()}"] = text
    for name, app in found.items():
        if "client_id" not in app:
            raise Misconfigured(f"{PREFIX}OAUTH_{name.upper()}_CLIENT_ID is missing beside its secret")
    return found


def _read(variable: str, file: str) -> str:
    try:
        return Path(file).read_text(encoding="utf-8").strip()
    except (OSError, UnicodeDecodeError) as error:
        raise Misconfigured(f"{variable}_FILE cannot be read: {type(error).__name__}") from None


def _pairs(variable: str, text: str) -> dict[str, str]:
    pairs = [part.partition("=") for part in text.split(",") if part.strip()]
    if any(not middle for _, middle, _ in pairs):
        raise Misconfigured(f"{variable}: expected name=url,name=url")
    return {name.strip(): url.strip() for name, _, url in pairs}


def _origins(variable: str, text: str) -> tuple[str, ...]:
    origins = tuple(part.strip() for part in text.split(",") if part.strip())
    if wrong := [origin for origin in origins if not _ORIGIN.fullmatch(origin)]:
        raise Misconfigured(f"{variable}: {wrong[0][:100]!r} is no origin as a browser sends it, https://app.example")
    return origins


_READERS: Mapping[str, Callable[[str, str], Any]] = {"connector_urls": _pairs, "cors_origins": _origins}


def describe() -> list[tuple[str, str, str]]:
    """Return (variable, default, meaning) of every setting, for the configuration table."""
    rows = []
    for name in _plain():
        field = Settings.model_fields[name]
        default = (
            "" if field.default is None or field.is_required() else str(field.get_default(call_default_factory=True))
        )
        rows.append((PREFIX + name.upper(), "" if default in {"{}", "()"} else default, field.description or ""))
    return [*rows, *_APP_ROWS]
