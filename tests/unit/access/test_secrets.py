"""Sealing: what opens, what does not, and what a wrong key is told."""

from __future__ import annotations

import base64
from datetime import UTC, datetime
from uuid import UUID

import pytest
from hypothesis import given
from hypothesis import strategies as st

from service.access.secrets import SealBroken, Vault, WorkspaceVault
from service.context import fixed
from service.errors import Misconfigured

CONTEXT = fixed(datetime(2026, 6, 1, tzinfo=UTC), seed=7)
MASTER = base64.b64encode(bytes(range(32))).decode()
ONE, TWO = UUID(int=1), UUID(int=2)


def vault_of(workspace_id: UUID = ONE, master: str = MASTER) -> WorkspaceVault:
    vault = Vault(master, CONTEXT)
    return vault.open_workspace(workspace_id, vault.new_data_key(workspace_id))


@given(st.binary(max_size=500))
def test_what_was_sealed_opens_in_its_place(plaintext: bytes) -> None:
    vault = vault_of()
    sealed = vault.seal("sources", "secrets", ONE, plaintext)
    assert vault.unseal("sources", "secrets", ONE, sealed) == plaintext
    assert plaintext not in sealed or len(plaintext) < 8


@pytest.mark.parametrize(
    ("table", "column", "row"),
    [("sources", "secrets", TWO), ("sources", "credentials", ONE), ("creators", "secrets", ONE)],
)
def test_a_ciphertext_does_not_open_in_another_place(table: str, column: str, row: UUID) -> None:
    vault = vault_of()
    sealed = vault.seal("sources", "secrets", ONE, b"whsec")
    with pytest.raises(SealBroken):
        vault.unseal(table, column, row, sealed)


def test_a_ciphertext_does_not_open_in_another_workspace() -> None:
    sealed = vault_of(ONE).seal("sources", "secrets", ONE, b"whsec")
    with pytest.raises(SealBroken):
        vault_of(TWO).unseal("sources", "secrets", ONE, sealed)


def test_a_data_key_does_not_open_for_another_workspace() -> None:
    vault = Vault(MASTER, CONTEXT)
    with pytest.raises(SealBroken):
        vault.open_workspace(TWO, vault.new_data_key(ONE))


def test_every_flipped_bit_is_noticed() -> None:
    vault = vault_of()
    sealed = vault.seal("sources", "secrets", ONE, b"whsec_abc")
    for place in range(len(sealed)):
        broken = bytearray(sealed)
        broken[place] ^= 1
        with pytest.raises(SealBroken):
            vault.unseal("sources", "secrets", ONE, bytes(broken))


@given(st.binary(max_size=80))
def test_no_bytes_open_by_chance(sealed: bytes) -> None:
    with pytest.raises(SealBroken):
        vault_of().unseal("sources", "secrets", ONE, sealed)


def test_another_master_key_is_named_as_the_mistake() -> None:
    wrapped = Vault(MASTER, CONTEXT).new_data_key(ONE)
    other = Vault(base64.b64encode(bytes(32)).decode(), CONTEXT)
    with pytest.raises(Misconfigured, match="TALLYBOOK_MASTER_KEY is not the key"):
        other.open_workspace(ONE, wrapped)


@pytest.mark.parametrize("master", ["", "x", "====", base64.b64encode(bytes(31)).decode(), MASTER + "AAAA", "ü"])
def test_a_master_key_is_32_bytes_of_base64(master: str) -> None:
    with pytest.raises(Misconfigured, match="base64 of 32 bytes"):
        Vault(master, CONTEXT)


def test_equal_texts_have_unequal_seals() -> None:
    vault = vault_of()
    assert vault.seal("t", "c", ONE, b"x") != vault.seal("t", "c", ONE, b"x")


def test_no_repr_shows_a_key() -> None:
    vault = Vault(MASTER, CONTEXT)
    shown = repr(vault) + repr(vault_of())
    assert MASTER not in shown
    assert repr(bytes(range(32)))[2:20] not in shown
