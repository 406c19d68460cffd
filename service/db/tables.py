"""Every table as SQLAlchemy Core, in three classes, with the rules that bind them.

*Tenant* tables belong to one workspace: ``workspace_id`` stands first in every primary, unique and foreign key and
row-level security is enabled and forced. *Control* tables hold routes, leases and hints: hashes and ids only, no
workspace data. A test walks the catalogue and holds the database to this list. Money, conversions and their values
are ``bigint`` millionths; null is *not reported*; every instant is ``timestamptz``.

Hot tables (entries, tallies, deliveries) carry no foreign keys: their rows are written by one place that has just
looked the keys up, and a check per row would cost a third of the posting.
"""

from __future__ import annotations

from typing import Any

import sqlalchemy as sa
from sqlalchemy.dialects.postgresql import ARRAY, BYTEA, JSONB, TIMESTAMP

from connectors.contract import ADDITIVE, STORED

metadata = sa.MetaData(
    naming_convention={
        "pk": "pk_%(table_name)s",
        "uq": "uq_%(table_name)s_%(column_0_N_name)s",
        "fk": "fk_%(table_name)s_%(referred_table_name)s",
        "ix": "ix_%(table_name)s_%(column_0_N_name)s",
        "ck": "ck_%(table_name)s_%(constraint_name)s",
    }
)

INSTANT = TIMESTAMP(timezone=True)


def _workspace() -> sa.Column[Any]:
    return sa.Column("workspace_id", sa.Uuid, nullable=False)


def _metric_columns(keys: tuple[str, ...]) -> list[sa.Column[Any]]:
    return [sa.Column(key, sa.BigInteger) for key in keys]


def _key(*columns: str) -> sa.PrimaryKeyConstraint:
    return sa.PrimaryKeyConstraint("workspace_id", *columns)


def _points_at(table: str, column: str) -> sa.ForeignKeyConstraint:
    return sa.ForeignKeyConstraint(["workspace_id", column], [f"{table}.workspace_id", f"{table}.{column}"])


def _text(name: str, *, empty: bool = False) -> sa.Column[Any]:
    return sa.Column(name, sa.Text, nullable=False, server_default=sa.text("''") if empty else None)


def _at(name: str, *, nullable: bool = False) -> sa.Column[Any]:
    return sa.Column(name, INSTANT, nullable=nullable)


def _batch() -> sa.Column[Any]:
    return sa.Column("batch", sa.BigInteger, nullable=False, comment="key of the posting, known before its number")


def _json(name: str, default: str = "{}") -> sa.Column[Any]:
    return sa.Column(name, JSONB, nullable=False, server_default=sa.text(f"'{default}'::jsonb"))


# ------------------------------------------------------------------------------------------------ registry

workspaces = sa.Table(
    "workspaces",
    metadata,
    _workspace(),
    _text("name"),
    _text("zone"),
    _text("currency"),
    sa.Column("data_key", BYTEA, nullable=False, comment="the workspace's data key, wrapped by the master key"),
    _at("created_at"),
    sa.Column("kept_from", INSTANT, comment="nothing is written before it: retention takes or took it"),
    _key(),
)

api_keys = sa.Table(
    "api_keys",
    metadata,
    _workspace(),
    sa.Column("key_id", sa.Uuid, nullable=False),
    _text("name"),
    _text("prefix"),
    sa.Column("key_hash", BYTEA, nullable=False),
    sa.Column("scopes", ARRAY(sa.Text), nullable=False),
    _at("created_at"),
    _at("expires_at", nullable=True),
    _at("revoked_at", nullable=True),
    _key("key_id"),
    sa.ForeignKeyConstraint(["workspace_id"], ["workspaces.workspace_id"]),
)

strategies = sa.Table(
    "strategies",
    metadata,
    _workspace(),
    sa.Column("strategy_id", sa.Uuid, nullable=False),
    _text("name"),
    _text("description", empty=True),
    _json("objectives", "[]"),
    sa.Column("starts", sa.Date),
    sa.Column("ends", sa.Date),
    _at("created_at"),
    _at("updated_at"),
    _key("strategy_id"),
    sa.ForeignKeyConstraint(["workspace_id"], ["workspaces.workspace_id"]),
)

campaigns = sa.Table(
    "campaigns",
    metadata,
    _workspace(),
    sa.Column("campaign_id", sa.Uuid, nullable=False),
    sa.Column("strategy_id", sa.Uuid),
    _text("name"),
    _text("zone"),
    _text("currency"),
    _at("created_at"),
    _key("campaign_id"),
    sa.ForeignKeyConstraint(["workspace_id"], ["workspaces.workspace_id"]),
    _points_at("strategies", "strategy_id"),
    comment="what never changes of a campaign; the rest is dated by posting in campaign_versions",
)

campaign_versions = sa.Table(
    "campaign_versions",
    metadata,
    _workspace(),
    sa.Column("campaign_id", sa.Uuid, nullable=False),
    sa.Column("version", sa.Integer, nullable=False),
    _batch(),
    _text("name"),
    _text("kind"),
    sa.Column("starts", sa.Date, nullable=False),
    sa.Column("ends", sa.Date, nullable=False),
    sa.Column("budget", sa.BigInteger, comment="millionths of the campaign's currency"),
    sa.Column("margin", sa.Integer, comment="millionths; null where it is not known"),
    sa.Column("click_days", sa.SmallInteger, comment="how long a click may lead to a conversion; null: the default"),
    sa.Column("view_days", sa.SmallInteger, comment="how long a view may; null: the default"),
    _json("goals", "[]"),
    sa.Column("tactics", ARRAY(sa.Text), nullable=False, server_default=sa.text("'{}'")),
    _json("rules", "[]"),
    sa.Column("archived", sa.Boolean, nullable=False, server_default=sa.false()),
    _key("campaign_id", "version"),
    _points_at("campaigns", "campaign_id"),
)

sources = sa.Table(
    "sources",
    metadata,
    _workspace(),
    sa.Column("source_id", sa.Uuid, nullable=False),
    _text("connector"),
    _text("platform"),
    _text("account", empty=True),
    _text("name"),
    _json("options"),
    sa.Column("credentials", BYTEA, comment="sealed JSON object of names and values"),
    sa.Column("secrets", BYTEA, comment="sealed JSON list: the ring of webhook keys"),
    sa.Column("address_hash", BYTEA, comment="SHA-256 of the webhook address"),
    sa.Column("address", BYTEA, comment="sealed: the webhook address, to subscribe with"),
    sa.Column("counts", sa.Boolean, nullable=False, comment="false: another source is of record for this account"),
    _at("tracks_from"),
    _text("state"),
    _text("state_detail", empty=True),
    _at("created_at"),
    _at("updated_at"),
    _key("source_id"),
    sa.ForeignKeyConstraint(["workspace_id"], ["workspaces.workspace_id"]),
)

creators = sa.Table(
    "creators",
    metadata,
    _workspace(),
    sa.Column("creator_id", sa.Uuid, nullable=False),
    _text("name"),
    _text("notes", empty=True),
    _at("created_at"),
    _at("updated_at"),
    _key("creator_id"),
    sa.ForeignKeyConstraint(["workspace_id"], ["workspaces.workspace_id"]),
)

creator_profiles = sa.Table(
    "creator_profiles",
    metadata,
    _workspace(),
    _text("platform"),
    _text("external_id"),
    sa.Column("creator_id", sa.Uuid, nullable=False),
    _key("platform", "external_id"),
    _points_at("creators", "creator_id"),
    sa.Index(None, "workspace_id", "creator_id"),
    comment="which profiles are one person; a profile belongs to one creator",
)

# ------------------------------------------------------------------------------------------------ inbox

deliveries = sa.Table(
    "deliveries",
    metadata,
    _workspace(),
    _at("received_at"),
    sa.Column("delivery_id", sa.Uuid, nullable=False),
    sa.Column("source_id", sa.Uuid, nullable=False),
    _text("channel"),
    _text("connector"),
    _json("options"),
    _json("headers"),
    _json("request"),
    sa.Column("body", BYTEA, nullable=False),
    sa.Column("body_hash", BYTEA, nullable=False),
    sa.Column("conflict_of", sa.Uuid, comment="the earlier delivery with this key and another body"),
    _key("received_at", "delivery_id"),
    postgresql_partition_by="RANGE (received_at)",
)

delivery_keys = sa.Table(
    "delivery_keys",
    metadata,
    _workspace(),
    sa.Column("source_id", sa.Uuid, nullable=False),
    sa.Column("key_hash", BYTEA, nullable=False),
    sa.Column("delivery_id", sa.Uuid, nullable=False),
    sa.Column("body_hash", BYTEA, nullable=False),
    _at("received_at"),
    _key("source_id", "key_hash"),
    comment="the ledger of what was received, unpartitioned: a retry on another day meets its first copy here",
)

delivery_queue = sa.Table(
    "delivery_queue",
    metadata,
    _workspace(),
    sa.Column("source_id", sa.Uuid, nullable=False),
    sa.Column("delivery_id", sa.Uuid, nullable=False),
    _at("received_at"),
    _at("ready_at"),
    sa.Column("attempt", sa.Integer, nullable=False, server_default=sa.text("0"), comment="fences the claim"),
    _at("lease_until", nullable=True),
    _text("error", empty=True),
    sa.Column(
        "again", sa.Boolean, nullable=False, server_default=sa.false(), comment="it was posted before: read anew"
    ),
    _key("source_id", "delivery_id"),
    sa.Index("ix_delivery_queue_again", "workspace_id", "source_id", postgresql_where=sa.text("again")),
    comment="what is not posted yet; a row is deleted by the transaction that finishes it",
)

delivery_outcomes = sa.Table(
    "delivery_outcomes",
    metadata,
    _workspace(),
    _at("received_at"),
    sa.Column("delivery_id", sa.Uuid, nullable=False),
    sa.Column("turn", sa.Integer, nullable=False, comment="1 for the first outcome, one more per replay"),
    sa.Column("source_id", sa.Uuid, nullable=False),
    _text("outcome"),
    _text("connector_version"),
    sa.Column("posting", sa.BigInteger),
    sa.Column("items", sa.Integer, nullable=False),
    sa.Column("entries", sa.Integer, nullable=False),
    _json("drops", "[]"),
    sa.Column("attempts", sa.Integer, nullable=False),
    _text("error", empty=True),
    _at("finished_at"),
    _key("received_at", "delivery_id", "turn"),
    postgresql_partition_by="RANGE (received_at)",
)

refresh_hints = sa.Table(
    "refresh_hints",
    metadata,
    _workspace(),
    sa.Column("source_id", sa.Uuid, nullable=False),
    _text("external_id"),
    _text("type"),
    _at("hinted_at"),
    _key("source_id", "external_id"),
    comment="subjects to fetch soon; coalesced by subject, deleted when fetched",
)

refresh_looks = sa.Table(
    "refresh_looks",
    metadata,
    _workspace(),
    sa.Column("source_id", sa.Uuid, nullable=False),
    _text("kind"),
    _text("external_id"),
    _at("asked_at", nullable=True),
    _at("answered_at", nullable=True),
    _key("source_id", "kind", "external_id"),
    comment="when a kind of task last asked for a subject by name, and last with an answer",
)

fetch_tasks = sa.Table(
    "fetch_tasks",
    metadata,
    _workspace(),
    sa.Column("source_id", sa.Uuid, nullable=False),
    _text("kind"),
    _at("slot"),
    _text("state"),
    sa.Column("attempt", sa.Integer, nullable=False),
    _at("lease_until"),
    _json("cursor"),
    sa.Column("pages", sa.Integer, nullable=False, server_default=sa.text("0")),
    _text("error", empty=True),
    _at("started_at"),
    _at("finished_at", nullable=True),
    _key("source_id", "kind", "slot"),
    comment="one row per source, kind and slot: the unique row decides which replica fetches",
)

source_tokens = sa.Table(
    "source_tokens",
    metadata,
    _workspace(),
    sa.Column("source_id", sa.Uuid, nullable=False),
    _at("obtained_at"),
    _at("expires_at", nullable=True),
    _at("refresh_expires_at", nullable=True),
    sa.Column("estimated", sa.Boolean, nullable=False, comment="nobody said when it ends: reckoned from its lifetime"),
    sa.Column("generation", sa.Integer, nullable=False, comment="counts the tokens that were kept"),
    _at("claimed_until", nullable=True),
    _at("next_try", nullable=True),
    _text("error", empty=True),
    _key("source_id"),
    _points_at("sources", "source_id"),
    comment="until when the tokens of a source live, and who renews them; a claim that ran out is a lost answer",
)

connect_requests = sa.Table(
    "connect_requests",
    metadata,
    _workspace(),
    sa.Column("state_hash", BYTEA, nullable=False),
    sa.Column("wanted", BYTEA, nullable=False, comment="sealed JSON: what to connect, and the proof key"),
    _at("expires_at"),
    _key("state_hash"),
    sa.ForeignKeyConstraint(["workspace_id"], ["workspaces.workspace_id"]),
    comment="accounts that people are connecting at a platform; each row answers one callback",
)

subscriptions = sa.Table(
    "subscriptions",
    metadata,
    _workspace(),
    sa.Column("source_id", sa.Uuid, nullable=False),
    _at("subscribed_at", nullable=True),
    _at("ends_at", nullable=True),
    _at("renew_at", nullable=True),
    _at("claimed_until", nullable=True),
    _text("error", empty=True),
    _key("source_id"),
    _points_at("sources", "source_id"),
    comment="what a platform was asked to push, and when to ask again",
)

# ------------------------------------------------------------------------------------------------ subjects

subjects = sa.Table(
    "subjects",
    metadata,
    _workspace(),
    sa.Column("subject_id", sa.Uuid, nullable=False),
    _text("platform"),
    _text("external_id"),
    _text("type"),
    _batch(),
    _json("facts"),
    sa.Column("observed_at", INSTANT, comment="the newest observed_at of its lines"),
    sa.Column(
        "longest",
        sa.SmallInteger,
        nullable=False,
        server_default=sa.text("1"),
        comment="days of its longest window that counts",
    ),
    _key("subject_id"),
    sa.UniqueConstraint("workspace_id", "platform", "external_id"),
    comment="facts is a cache: name to [observed_at, value], the newest of subject_facts",
)

subject_facts = sa.Table(
    "subject_facts",
    metadata,
    _workspace(),
    sa.Column("subject_id", sa.Uuid, nullable=False),
    _batch(),
    sa.Column("facts", JSONB, nullable=False),
    _key("subject_id", "batch"),
    comment="append-only: name to [observed_at, value] of the facts that became the newest, dated by posting",
)

memberships = sa.Table(
    "memberships",
    metadata,
    _workspace(),
    sa.Column("campaign_id", sa.Uuid, nullable=False),
    sa.Column("subject_id", sa.Uuid, nullable=False),
    _batch(),
    sa.Column("sign", sa.SmallInteger, nullable=False, comment="1 joins, -1 leaves"),
    sa.Column("version", sa.Integer, nullable=False, comment="of the campaign whose rules decided"),
    _key("campaign_id", "subject_id", "batch"),
    sa.Index(None, "workspace_id", "subject_id"),
)

moves = sa.Table(
    "moves",
    metadata,
    _workspace(),
    sa.Column("campaign_id", sa.Uuid, nullable=False),
    sa.Column("after", sa.Uuid, nullable=False, comment="subjects up to this one are decided"),
    _key("campaign_id"),
    comment="campaigns whose rules changed and whose subjects are being moved, a few at a time",
)

window_steps = sa.Table(
    "window_steps",
    metadata,
    _workspace(),
    sa.Column("campaign_id", sa.Uuid, nullable=False),
    sa.Column("version", sa.Integer, nullable=False, comment="of the campaign whose windows come to its members"),
    _batch(),
    sa.Column("after", sa.Uuid, nullable=False, comment="for subjects up to this one they hold"),
    _key("campaign_id", "version", "batch"),
    comment="append-only: how far other windows of touches have come; a version without a line holds for all at once",
)

# ------------------------------------------------------------------------------------------------ ledger

books = sa.Table(
    "books",
    metadata,
    _workspace(),
    sa.Column("posting", sa.BigInteger, nullable=False, comment="the number of the newest posting"),
    _at("recorded_at"),
    _key(),
)

postings = sa.Table(
    "postings",
    metadata,
    _workspace(),
    sa.Column("posting", sa.BigInteger, nullable=False),
    sa.Column("posting_id", sa.Uuid, nullable=False),
    _batch(),
    _at("recorded_at"),
    _text("cause"),
    sa.Column("source_id", sa.Uuid),
    sa.Column("deliveries", sa.Integer, nullable=False),
    sa.Column("entries", sa.Integer, nullable=False),
    sa.Column(
        "touches",
        sa.Boolean,
        nullable=False,
        server_default=sa.false(),
        comment="what it changed of running sums is noted",
    ),
    _key("posting"),
    sa.UniqueConstraint("workspace_id", "posting_id"),
    sa.UniqueConstraint("workspace_id", "batch"),
    sa.Index(None, "workspace_id", "recorded_at"),
    sa.Index("ix_postings_untouched", "workspace_id", "posting", postgresql_where=sa.text("not touches")),
)

series = sa.Table(
    "series",
    metadata,
    _workspace(),
    sa.Column("series_id", sa.BigInteger, nullable=False, comment="hash of what follows"),
    sa.Column("source_id", sa.Uuid, nullable=False),
    _text("kind"),
    _text("scope", empty=True),
    _text("zone", empty=True),
    _text("currency", empty=True),
    sa.Column("paid", sa.SmallInteger, nullable=False, comment="1 paid, 0 organic, -1 not said"),
    _text("goal", empty=True),
    sa.Column("counted", sa.Boolean, nullable=False, comment="false: a check series, reconciled and never added"),
    _key("series_id"),
    comment="with a subject and, for windows, a validity: one series of the ledger",
)

entries = sa.Table(
    "entries",
    metadata,
    _workspace(),
    sa.Column("subject_id", sa.Uuid, nullable=False),
    _at("valid_from"),
    _at("valid_to"),
    sa.Column("series_id", sa.BigInteger, nullable=False),
    _batch(),
    sa.Column("line", sa.Integer, nullable=False),
    sa.Column("sign", sa.SmallInteger, nullable=False, comment="1 as read, -1 takes an earlier line back"),
    sa.Column("cause", sa.SmallInteger, nullable=False),
    sa.Column("flags", sa.SmallInteger, nullable=False, comment="bits of service.ledger.series.Flag"),
    _at("observed_at"),
    sa.Column("delivery_id", sa.Uuid, nullable=False),
    _at("received_at"),
    sa.Column("day", sa.Date, comment="first source day of a window of whole days"),
    sa.Column("days", sa.SmallInteger, nullable=False),
    sa.Column("event_key", BYTEA),
    *_metric_columns(STORED),
    sa.Column(
        "mark",
        sa.SmallInteger,
        nullable=False,
        server_default=sa.text("0"),
        comment="bits of service.ledger.series.Mark: how the line is kept, nothing that it says",
    ),
    _key("subject_id", "valid_from", "batch", "line"),
    sa.Index(
        "ix_entries_suspected",
        "workspace_id",
        "subject_id",
        "valid_from",
        postgresql_where=sa.text("(flags & 64) <> 0"),
    ),
    sa.Index(
        "ix_entries_said",
        "workspace_id",
        "subject_id",
        "valid_from",
        postgresql_where=sa.text("(flags & 1920) <> 0"),
    ),
    sa.Index(
        "ix_entries_people",
        "workspace_id",
        "subject_id",
        "valid_from",
        postgresql_where=sa.text("reach is not null or followers is not null"),
    ),
    postgresql_partition_by="RANGE (valid_from)",
)

balances = sa.Table(
    "balances",
    metadata,
    _workspace(),
    sa.Column("subject_id", sa.Uuid, nullable=False),
    sa.Column("series_id", sa.BigInteger, nullable=False),
    _at("at"),
    sa.Column("earlier", JSONB, comment="metric to instant, for metrics last reported before at"),
    *_metric_columns(STORED),
    _key("subject_id", "series_id"),
    comment="the newest value of lifetime and level series, per metric",
)

retentions = sa.Table(
    "retentions",
    metadata,
    _workspace(),
    _at("kept_from"),
    _batch(),
    sa.Column("since", INSTANT, nullable=False, comment="what begins here or later lost nothing"),
    _json("observed"),
    _key("kept_from"),
    comment="append-only: what was carried before months of validity went; observed: newest of them per platform",
)

resets = sa.Table(
    "resets",
    metadata,
    _workspace(),
    sa.Column("subject_id", sa.Uuid, nullable=False),
    sa.Column("series_id", sa.BigInteger, nullable=False),
    _text("metric"),
    _at("at"),
    _batch(),
    _text("verdict"),
    sa.Column("missing", sa.BigInteger, comment="suspected: what the counter lacked when retention took its fall"),
    _text("actor", empty=True),
    _key("subject_id", "series_id", "metric", "at", "batch"),
    comment="append-only: what people said of falls of counters, and falls that were open when their months went",
)

policies = sa.Table(
    "policies",
    metadata,
    _workspace(),
    _text("kind"),
    _text("name"),
    sa.Column("version", sa.Integer, nullable=False),
    _batch(),
    sa.Column("body", JSONB, nullable=False),
    _key("kind", "name", "version"),
    comment="append-only: tier policies and benchmarks; a change is a new version, dated by posting",
)

confirmations = sa.Table(
    "confirmations",
    metadata,
    _workspace(),
    sa.Column("subject_id", sa.Uuid, nullable=False),
    _at("valid_from"),
    _at("valid_to"),
    sa.Column("series_id", sa.BigInteger, nullable=False),
    sa.Column("mask", sa.BigInteger, nullable=False, comment="bit n: the n-th stored metric was confirmed"),
    _at("confirmed_at"),
    _key("subject_id", "valid_from", "valid_to", "series_id", "mask"),
    postgresql_partition_by="RANGE (valid_from)",
)

events = sa.Table(
    "events",
    metadata,
    _workspace(),
    sa.Column("event_key", BYTEA, nullable=False, comment="hash of source, kind and the sender's id"),
    sa.Column("subject_id", sa.Uuid, nullable=False),
    sa.Column("series_id", sa.BigInteger, nullable=False),
    _at("at"),
    _at("observed_at"),
    _json("metrics"),
    _key("event_key"),
    comment="the newest reading of each event: the balance of event series",
)


def _visit_columns() -> list[sa.Column[Any]]:
    texts = ("click_name", "promo_code", "utm_campaign", "utm_source", "utm_medium", "utm_content", "platform_campaign")
    return [
        sa.Column("customer", BYTEA, comment="keyed hash of what names a person to the sender"),
        sa.Column("click", BYTEA, comment="keyed hash of the click id"),
        *(sa.Column(name, sa.Text) for name in texts),
    ]


def _version_columns() -> list[sa.Column[Any]]:
    return [
        sa.Column("event_key", BYTEA, nullable=False, comment="hash of source, kind and the sender's id"),
        sa.Column("version", sa.Integer, nullable=False, comment="1 for the first; the greatest stands"),
        sa.Column("sign", sa.SmallInteger, nullable=False, comment="1 stands, -1 takes the version back"),
        _batch(),
        sa.Column("source_id", sa.Uuid, nullable=False),
        _text("kind"),
        _at("at"),
        _at("observed_at"),
        sa.Column("subject_id", sa.Uuid, nullable=False),
    ]


def _delivery_columns() -> list[sa.Column[Any]]:
    return [sa.Column("delivery_id", sa.Uuid, nullable=False), _at("received_at")]


touchpoints = sa.Table(
    "touchpoints",
    metadata,
    _workspace(),
    *_version_columns(),
    *_visit_columns(),
    *_delivery_columns(),
    _key("event_key", "version", "sign"),
    sa.Index(None, "workspace_id", "customer", "at", postgresql_where=sa.text("customer is not null")),
    sa.Index("ix_touchpoints_click", "workspace_id", "click", "at", postgresql_where=sa.text("click is not null")),
    sa.Index("ix_touchpoints_subject_id", "workspace_id", "subject_id"),
    comment="append-only: clicks and views that name somebody; persons are keyed hashes",
)

conversions = sa.Table(
    "conversions",
    metadata,
    _workspace(),
    *_version_columns(),
    sa.Column("cause", sa.SmallInteger, nullable=False),
    _text("basis"),
    _text("rule"),
    sa.Column("sale", BYTEA, comment="what an order and its refunds have in common"),
    sa.Column("series_id", sa.BigInteger, nullable=False),
    _text("currency", empty=True),
    _text("goal", empty=True),
    sa.Column("value", sa.BigInteger, comment="millionths of the currency; of a refund above zero"),
    sa.Column("first_order", sa.Boolean),
    sa.Column("cancelled", sa.Boolean, nullable=False, server_default=sa.false()),
    *_visit_columns(),
    *_delivery_columns(),
    _key("event_key", "version", "sign"),
    sa.Index(None, "workspace_id", "customer", "at", postgresql_where=sa.text("customer is not null")),
    sa.Index("ix_conversions_click", "workspace_id", "click", "at", postgresql_where=sa.text("click is not null")),
    sa.Index("ix_conversions_sale", "workspace_id", "sale", postgresql_where=sa.text("sale is not null")),
    comment="append-only: conversions, orders and refunds, each version with the rule that credits it",
)

credits_ = sa.Table(
    "credits",
    metadata,
    _workspace(),
    sa.Column("event_key", BYTEA, nullable=False),
    sa.Column("version", sa.Integer, nullable=False),
    sa.Column("place", sa.SmallInteger, nullable=False),
    _batch(),
    sa.Column("subject_id", sa.Uuid, nullable=False),
    _at("at"),
    sa.Column("touch", BYTEA, comment="event_key of the touch that led here"),
    _at("observed_at"),
    *_delivery_columns(),
    *_metric_columns(("orders", "refunds", "conversions", "conversion_value")),
    _key("event_key", "version", "place"),
    sa.Index(None, "workspace_id", "subject_id", "at"),
    comment="append-only: what each subject gets of a version of a conversion, as its line books it",
)

_TALLY_KEY = ("day", "zone", "basis", "days", "currency", "paid")


def _tally_columns() -> list[sa.Column[Any]]:
    return [
        sa.Column("day", sa.Date, nullable=False, comment="-infinity: openings"),
        _text("zone", empty=True),
        sa.Column("basis", sa.SmallInteger, nullable=False, comment="0 cut to the zone, 1 a source's own days"),
        sa.Column("days", sa.SmallInteger, nullable=False),
        _text("currency", empty=True),
        sa.Column("paid", sa.SmallInteger, nullable=False),
    ]


subject_days = sa.Table(
    "subject_days",
    metadata,
    _workspace(),
    sa.Column("subject_id", sa.Uuid, nullable=False),
    *_tally_columns(),
    *_metric_columns(ADDITIVE),
    sa.Column(
        "carried",
        sa.BigInteger,
        nullable=False,
        server_default=sa.text("0"),
        comment="bit n: the day begins inside a line of the n-th stored metric",
    ),
    _key("subject_id", *_TALLY_KEY),
    sa.Index("ix_subject_days_windows", "workspace_id", "subject_id", "day", postgresql_where=sa.text("days > 1")),
    postgresql_partition_by="RANGE (day)",
)

campaign_days = sa.Table(
    "campaign_days",
    metadata,
    _workspace(),
    sa.Column("campaign_id", sa.Uuid, nullable=False),
    _text("platform"),
    *_tally_columns(),
    *_metric_columns(ADDITIVE),
    _key("campaign_id", "platform", *_TALLY_KEY),
    postgresql_partition_by="RANGE (day)",
)

running_sums = sa.Table(
    "running_sums",
    metadata,
    _workspace(),
    sa.Column("campaign_id", sa.Uuid, nullable=False),
    _text("zone"),
    sa.Column("posting", sa.BigInteger, comment="null: not built yet"),
    sa.Column("roster", BYTEA, nullable=False, comment="ids of subjects, 16 bytes a place; zeros: not to be read"),
    sa.Column("parts", JSONB, nullable=False, comment="zone of whole days or null, currency, paid, by number"),
    _at("built_at"),
    sa.Column("seconds", sa.Double, nullable=False, comment="what the last build took"),
    _key("campaign_id"),
    comment="which campaigns have running sums of their members, and up to which posting",
)

running_days = sa.Table(
    "running_days",
    metadata,
    _workspace(),
    sa.Column("campaign_id", sa.Uuid, nullable=False),
    sa.Column("metric", sa.Text, nullable=False, comment="carried: bits of that day alone"),
    sa.Column("part", sa.SmallInteger, nullable=False, comment="place in running_sums.parts"),
    sa.Column("day", sa.Date, nullable=False, comment="-infinity: openings, in no other day"),
    sa.Column("sums", BYTEA, nullable=False, comment="service.ledger.history.places"),
    _key("campaign_id", "metric", "part", "day"),
    comment="sums of the members of a campaign up to and including a day, place by place",
)

running_touches = sa.Table(
    "running_touches",
    metadata,
    _workspace(),
    sa.Column("campaign_id", sa.Uuid, nullable=False),
    sa.Column("posting", sa.BigInteger, nullable=False),
    sa.Column("first_day", sa.Date, nullable=False, comment="first day that changed; infinity: none"),
    sa.Column("openings", sa.Boolean, nullable=False, comment="openings changed"),
    sa.Column("moved", BYTEA, nullable=False, comment="ids of subjects that joined or left, 16 bytes each"),
    _key("campaign_id", "posting"),
    comment="what postings changed of campaigns that have running sums, until those are brought up to date",
)

# ------------------------------------------------------------------------------------------------ frontends

campaign_postings = sa.Table(
    "campaign_postings",
    metadata,
    _workspace(),
    sa.Column("campaign_id", sa.Uuid, nullable=False, comment="nil: every campaign of the workspace"),
    sa.Column("posting", sa.BigInteger, nullable=False),
    _at("recorded_at"),
    _key("campaign_id"),
    comment="the newest posting that may have changed an answer about a campaign",
)

idempotency_keys = sa.Table(
    "idempotency_keys",
    metadata,
    _workspace(),
    sa.Column("key_id", sa.Uuid, nullable=False, comment="the API key that wrote"),
    sa.Column("name_hash", BYTEA, nullable=False, comment="SHA-256 of the Idempotency-Key"),
    sa.Column("request_id", sa.Uuid, nullable=False, comment="the request that holds the row"),
    sa.Column("fingerprint", BYTEA, nullable=False, comment="SHA-256 of method, path, query and body"),
    _at("created_at"),
    sa.Column("status", sa.SmallInteger, comment="null: under way"),
    sa.Column("media_type", sa.Text),
    sa.Column("body", BYTEA, comment="sealed: an answer may show a secret once"),
    _key("key_id", "name_hash"),
    sa.Index(None, "workspace_id", "created_at"),
    comment="answers to writes by the name that their sender gave them, for a day",
)

spent_tickets = sa.Table(
    "spent_tickets",
    metadata,
    _workspace(),
    sa.Column("ticket_hash", BYTEA, nullable=False, comment="SHA-256 of the ticket"),
    _at("expires_at"),
    _key("ticket_hash"),
    comment="tickets of streams that were used, until they would have ended",
)

# ------------------------------------------------------------------------------------------------ control

tenants = sa.Table(
    "tenants",
    metadata,
    sa.Column("workspace_id", sa.Uuid, nullable=False),
    _at("created_at"),
    sa.PrimaryKeyConstraint("workspace_id"),
    comment="control: which workspaces exist, for sweeps",
)

key_routes = sa.Table(
    "key_routes",
    metadata,
    sa.Column("key_hash", BYTEA, nullable=False),
    sa.Column("workspace_id", sa.Uuid, comment="null: an instance key"),
    sa.Column("key_id", sa.Uuid, nullable=False),
    _at("created_at"),
    sa.PrimaryKeyConstraint("key_hash"),
    comment="control: from the hash of an API key to its workspace",
)

webhook_routes = sa.Table(
    "webhook_routes",
    metadata,
    sa.Column("address_hash", BYTEA, nullable=False),
    sa.Column("workspace_id", sa.Uuid, nullable=False),
    sa.Column("source_id", sa.Uuid, nullable=False),
    sa.PrimaryKeyConstraint("address_hash"),
    comment="control: from the hash of a webhook address to its source",
)

pending_work = sa.Table(
    "pending_work",
    metadata,
    sa.Column("workspace_id", sa.Uuid, nullable=False),
    sa.Column("source_id", sa.Uuid, nullable=False),
    _at("ready_at"),
    _at("lease_until", nullable=True),
    sa.Column("term", sa.BigInteger, nullable=False, server_default=sa.text("0"), comment="fences the lease"),
    sa.PrimaryKeyConstraint("workspace_id", "source_id"),
    comment="control: sources with deliveries to post; the lease makes one poster per source",
)

pending_moves = sa.Table(
    "pending_moves",
    metadata,
    sa.Column("workspace_id", sa.Uuid, nullable=False),
    sa.PrimaryKeyConstraint("workspace_id"),
    comment="control: workspaces in which subjects wait to be moved or credited after a changed campaign",
)

rate_budgets = sa.Table(
    "rate_budgets",
    metadata,
    sa.Column("key", BYTEA, nullable=False),
    _json("state"),
    _at("updated_at"),
    sa.PrimaryKeyConstraint("key"),
    comment="control: what is drawn on a rate limit of a platform, by the hash of its app or account",
)

circuits = sa.Table(
    "circuits",
    metadata,
    sa.Column("key", BYTEA, nullable=False),
    sa.Column("failures", sa.Integer, nullable=False),
    _at("open_until", nullable=True),
    _at("probe_until", nullable=True),
    _at("updated_at"),
    sa.PrimaryKeyConstraint("key"),
    comment="control: platforms that did not answer, by the hash of platform and account",
)

TENANT = frozenset(
    {
        workspaces, api_keys, strategies, campaigns, campaign_versions, sources, creators, creator_profiles,
        deliveries, delivery_keys, delivery_queue, delivery_outcomes, refresh_hints, fetch_tasks, refresh_looks,
        source_tokens, connect_requests, subscriptions,
        subjects, subject_facts, memberships, moves, window_steps,
        books, postings, series, entries, balances, retentions, resets, policies, confirmations, events,
        subject_days, campaign_days, touchpoints, conversions, credits_,
        books, postings, series, entries, balances, confirmations, events, subject_days, campaign_days,
        running_sums, running_days, running_touches,
        campaign_postings, idempotency_keys, spent_tickets,
    }
)  # fmt: skip
CONTROL = frozenset({tenants, key_routes, webhook_routes, pending_work, pending_moves, rate_budgets, circuits})

LANDED = (deliveries, delivery_keys, delivery_queue)
"""Tables that a shared commit of several workspaces may insert into (the landing policy)."""
BY_RECEIPT = (deliveries, delivery_outcomes)
"""Partitioned by day of receipt."""
BY_VALIDITY = (entries, confirmations, subject_days, campaign_days)
"""Partitioned by month of validity, with one partition for all before."""
