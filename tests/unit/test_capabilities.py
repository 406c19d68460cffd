"""Every installed connector says of itself what a person has to know, in the one shape of the API, CLI and page."""

from __future__ import annotations

import pytest

from connectors.contract import METRICS, Connector
from service import plugins
from service.api.capabilities import CapabilityOutput
from service.capabilities import Use, describe, plain

CONNECTORS = plugins.load()
OURS = sorted(CONNECTORS.items())


@pytest.mark.parametrize("connector", [one for _, one in OURS], ids=[name for name, _ in OURS])
def test_what_is_declared_is_told(connector: Connector) -> None:
    (told,) = plain([connector])
    assert CapabilityOutput.model_validate(told).model_dump() == told
    found = describe(connector)
    assert [kind.kind for kind in found.fetch] == [kind.name for kind in connector.capabilities.fetch]
    assert [limit.bucket for limit in found.budgets] == [limit.bucket for limit in connector.capabilities.budgets]
    assert (found.auth.oauth2 is None) == (connector.auth.oauth2 is None)
    assert connector.base_url in {*found.hosts, ""}
    assert found.options["$ref"].startswith("#/$defs/")


@pytest.mark.parametrize("connector", [one for _, one in OURS], ids=[name for name, _ in OURS])
def test_a_metric_has_a_unit_or_a_reason(connector: Connector) -> None:
    for mapped in describe(connector).metrics:
        if mapped.metric is None:
            assert (mapped.use, mapped.unit) == (Use.NOT_MAPPED, None)
            assert mapped.note, f"{mapped.wire} is left out without a reason"
        else:
            assert mapped.unit == METRICS[mapped.metric].unit
            assert mapped.use is (Use.COUNTED if mapped.counting else Use.CHECK)
            assert mapped.kind, f"{mapped.wire} has no kind"


def test_other_logins_and_hosts_are_found_by_the_options() -> None:
    found = describe(CONNECTORS["instagram"])
    (other,) = found.auth_variants
    assert other.options == {"login": "instagram"}
    assert found.hosts == ["https://graph.facebook.com", "https://graph.instagram.com"]
    assert other.auth.scopes != found.auth.scopes
    assert describe(CONNECTORS["youtube"]).auth_variants == []


def test_who_asks_for_pushes_and_for_how_long() -> None:
    told = {name: describe(connector).subscription for name, connector in CONNECTORS.items()}
    assert (told["youtube"].asked, told["youtube"].lease) == (True, 5 * 86400)
    assert (told["standard_webhooks"].asked, told["standard_webhooks"].lease) == (False, None)
