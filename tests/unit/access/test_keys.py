"""Keys as text: form, checksum, what is kept of them."""

from __future__ import annotations

import string
from datetime import UTC, datetime
from uuid import UUID

import pytest
from hypothesis import given
from hypothesis import strategies as st

from service.access import keys
from service.access.keys import NewKey, Principal, Scope
from service.context import fixed
from service.errors import Forbidden

CONTEXT = fixed(datetime(2026, 6, 1, tzinfo=UTC), seed=3)
KEY = keys.mint(CONTEXT)


def test_a_key_has_its_form() -> None:
    assert KEY.startswith("tbk_live_")
    assert len(KEY) == len("tbk_live_") + 43 + 6
    assert keys.well_formed(KEY)
    assert keys.mint(CONTEXT) != KEY


@given(st.integers(min_value=0, max_value=len(KEY) - 1), st.sampled_from(string.ascii_letters + string.digits + "_-"))
def test_one_wrong_letter_is_noticed(place: int, letter: str) -> None:
    typed = KEY[:place] + letter + KEY[place + 1 :]
    assert keys.well_formed(typed) == (typed == KEY)


@given(st.text(max_size=80))
def test_any_other_text_is_no_key(text: str) -> None:
    assert not keys.well_formed(text)
    assert not keys.well_formed(KEY + text) or not text


@pytest.mark.parametrize("typed", [KEY + "\n", " " + KEY, KEY.upper(), KEY[:-1], KEY.replace("tbk_live_", "tbk_test_")])
def test_near_misses_are_no_keys(typed: str) -> None:
    assert not keys.well_formed(typed)


def test_admin_is_every_scope_and_a_missing_one_is_named() -> None:
    admin = Principal(workspace_id=UUID(int=1), key_id=UUID(int=2), scopes=frozenset({Scope.ADMIN}))
    reader = Principal(workspace_id=UUID(int=1), key_id=UUID(int=2), scopes=frozenset({Scope.KPIS_READ}))
    for scope in Scope:
        keys.require(admin, scope)
    keys.require(reader, Scope.KPIS_READ)
    with pytest.raises(Forbidden, match="costs:read"):
        keys.require(reader, Scope.COSTS_READ)


def test_what_is_kept_does_not_show_the_key() -> None:
    assert KEY.encode() not in keys.digest(KEY)
    assert KEY not in repr(NewKey(key_id=UUID(int=1), token=KEY))
