"""What the process says about itself: metrics with their help texts, and structured logs.

No label names a workspace, an account or a post: their number is not ours to bound. Bodies, tokens, addresses of
webhooks and personal data are never logged.
"""

from __future__ import annotations

import logging
import sys
from collections.abc import MutableMapping
from typing import Any

import structlog
from prometheus_client import CollectorRegistry, Counter, Gauge, Histogram, generate_latest
from prometheus_client.exposition import CONTENT_TYPE_LATEST

REGISTRY = CollectorRegistry(auto_describe=True)

HTTP_REQUESTS = Counter(
    "tallybook_http_requests_total",
    "HTTP requests answered, by method, route template and status",
    ("method", "route", "status"),
    registry=REGISTRY,
)
HTTP_SECONDS = Histogram(
    "tallybook_http_request_seconds",
    "Time from the first byte of a request to the last of its answer, by route template",
    ("route",),
    buckets=(0.005, 0.01, 0.025, 0.05, 0.1, 0.25, 0.5, 1, 2.5, 5, 10, 30),
    registry=REGISTRY,
)
PROBLEMS = Counter(
    "tallybook_problems_total", "Problem documents answered, by their code", ("code",), registry=REGISTRY
)
PARTITION_DAYS = Gauge(
    "tallybook_partition_days_left", "Days from today for which every table has its partitions", registry=REGISTRY
)
BROKEN_PLUGINS = Gauge(
    "tallybook_broken_plugins", "Installed connectors that were left out because they do not work", registry=REGISTRY
)


def exposition() -> tuple[bytes, str]:
    """Return the metrics in the text format of Prometheus, and its media type."""
    return generate_latest(REGISTRY), CONTENT_TYPE_LATEST


def configure_logging(level: str = "info") -> None:
    """Write one JSON object per line to standard error, nothing below ``level``; logs of libraries included."""
    number = logging.getLevelNamesMapping()[level.upper()]
    structlog.configure(
        processors=[
            structlog.contextvars.merge_contextvars,
            structlog.processors.add_log_level,
            structlog.processors.TimeStamper(fmt="iso", utc=True),
            _plain,
            structlog.processors.JSONRenderer(ensure_ascii=True),
        ],
        wrapper_class=structlog.make_filtering_bound_logger(number),
        logger_factory=structlog.PrintLoggerFactory(sys.stderr),
        cache_logger_on_first_use=True,
    )
    logging.basicConfig(level=max(number, logging.WARNING), handlers=[Bridge()], force=True)


class Bridge(logging.Handler):
    """Hands the logs of libraries on without tracebacks: those quote statements, their values and paths."""

    def emit(self, record: logging.LogRecord) -> None:
        """Write the first line of a message, and the type of an error."""
        error = record.exc_info[0].__name__ if record.exc_info and record.exc_info[0] is not None else None
        text = record.getMessage().partition("\n")[0][:300]
        structlog.get_logger(record.name).log(record.levelno, "library", logger=record.name, text=text, error=error)


def _plain(_logger: Any, _method: str, event: MutableMapping[str, Any]) -> MutableMapping[str, Any]:
    """Leave out what a log line may not hold whoever writes it: tracebacks quote statements and their values."""
    error = event.pop("exc_info", None)
    if isinstance(error, BaseException):
        event["error"] = type(error).__name__
    return event


# ------------------------------------------------------------------------------------------------ deliveries

DELIVERIES_LANDED = Counter(
    "tallybook_deliveries_landed_total",
    "Deliveries taken in, by channel and by what became of them: stored, duplicate or conflict",
    ("channel", "outcome"),
    registry=REGISTRY,
)
LANDING_BATCH = Histogram(
    "tallybook_landing_batch_deliveries",
    "Deliveries that shared one commit",
    buckets=(1, 2, 5, 10, 20, 50, 100, 200, 500),
    registry=REGISTRY,
)
LANDING_REFUSED = Counter(
    "tallybook_landing_refused_total",
    "Deliveries that were not taken in, by reason: busy, away or unstorable",
    ("reason",),
    registry=REGISTRY,
)
WEBHOOKS_REJECTED = Counter(
    "tallybook_webhooks_rejected_total",
    "Webhook requests not accepted, by reason: address, signature, size, encoding, slow",
    ("reason",),
    registry=REGISTRY,
)
DELIVERIES_READ = Counter(
    "tallybook_deliveries_read_total", "Deliveries read into the books, by fate", ("fate",), registry=REGISTRY
)
DELIVERIES_POSTPONED = Counter(
    "tallybook_deliveries_postponed_total", "Tries of single deliveries that failed and are repeated", registry=REGISTRY
)
BATCHES_REPEATED = Counter(
    "tallybook_batches_repeated_total",
    "Postings run again after a conflict or a lost connection",
    registry=REGISTRY,
)
SUMS_SECONDS = Histogram(
    "tallybook_running_sums_seconds",
    "Time in which the running sums of a campaign were brought up to date",
    buckets=(0.01, 0.03, 0.1, 0.3, 1, 3, 10, 30),
    registry=REGISTRY,
)
LEASES_LOST = Counter(
    "tallybook_leases_lost_total", "Postings thrown away because another worker had taken over", registry=REGISTRY
)
LOST_HINTS = Counter(
    "tallybook_lost_hints_total", "Sources with waiting deliveries that only the sweep found", registry=REGISTRY
)
FETCH_TASKS = Counter(
    "tallybook_fetch_tasks_total",
    "Units of pulling that ended, by connector and state",
    ("connector", "state"),
    registry=REGISTRY,
)
FETCH_PAGES = Counter(
    "tallybook_fetch_pages_total", "Pages fetched and kept, by connector", ("connector",), registry=REGISTRY
)
TOKEN_RENEWALS = Counter(
    "tallybook_token_renewals_total",
    "Renewals of access tokens, by connector and outcome: renewed, refused, app_refused, failed",
    ("connector", "outcome"),
    registry=REGISTRY,
)
TOKEN_SECONDS = Gauge(
    "tallybook_token_seconds_left",
    "Seconds until the first access token of a connector's sources ends, where its end is known",
    ("connector",),
    registry=REGISTRY,
)
NEEDS_REAUTH = Gauge(
    "tallybook_sources_need_reauth", "Sources whose account a person must connect again", registry=REGISTRY
)
BUDGET_WAITS = Counter(
    "tallybook_budget_waits_total",
    "Calls that waited for a rate budget, by connector and outcome: waited here, or put off",
    ("connector", "outcome"),
    registry=REGISTRY,
)
CIRCUITS = Counter(
    "tallybook_circuit_changes_total",
    "Circuits of platform and account that opened, probed or closed, by connector",
    ("connector", "change"),
    registry=REGISTRY,
)
SUBSCRIPTIONS = Counter(
    "tallybook_subscriptions_total",
    "Subscriptions asked for or renewed, by connector and outcome",
    ("connector", "outcome"),
    registry=REGISTRY,
)
