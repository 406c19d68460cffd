"""Signatures against public and computed vectors, and everything that is nearly one."""

from __future__ import annotations

import base64
import hmac
import json
from collections.abc import Callable
from datetime import UTC, datetime, timedelta
from pathlib import Path
from typing import Any

import pytest
from cryptography.hazmat.primitives.asymmetric.ed25519 import Ed25519PrivateKey
from cryptography.hazmat.primitives.serialization import Encoding, PublicFormat
from hypothesis import given
from hypothesis import strategies as st

from connectors.contract import Secret, SignatureInvalid
from connectors.signatures import (
    MAX_EXAMINED,
    TOLERANCE,
    active,
    body_base64,
    hub_sha1,
    hub_sha256,
    sign_standard_webhooks,
    standard_secret_problem,
    standard_webhooks,
    timed_hex,
)

VECTORS: list[dict[str, Any]] = json.loads(
    (Path(__file__).parents[2] / "recordings" / "standard_webhooks" / "signature_vectors.json").read_bytes()
)
STANDARD, STRIPE, SHOPIFY, WOO, META = VECTORS
NOW = datetime(2025, 3, 2, 18, tzinfo=UTC)
SECRET = STANDARD["secret"]
OTHER = "whsec_" + base64.b64encode(b"another key of thirty two bytes!").decode()
BODY = b'{"a": 1}'
SIGNED_AT = datetime.fromtimestamp(1_614_265_330, UTC)

Scheme = Callable[[str | None, bytes, tuple[Secret, ...], datetime], None]
TEXT_KEYED: list[tuple[Scheme, dict[str, Any], datetime]] = [
    (hub_sha256, META, NOW),
    (body_base64, SHOPIFY, NOW),
    (body_base64, WOO, NOW),
    (timed_hex, STRIPE, datetime.fromtimestamp(1_731_264_000, UTC)),
]
text_keyed = pytest.mark.parametrize(("scheme", "vector", "now"), TEXT_KEYED, ids=lambda one: getattr(one, "name", ""))


def ring(*values: str) -> tuple[Secret, ...]:
    return tuple(Secret(value=value) for value in values)


def signed(body: bytes = BODY, secret: str = SECRET, message_id: str = "msg_1", at: datetime = NOW) -> dict[str, str]:
    return sign_standard_webhooks(secret, message_id, at, body)


def believed(headers: dict[str, str], body: bytes = BODY, *secrets: str, now: datetime = NOW) -> bool:
    try:
        standard_webhooks(headers, body, ring(*(secrets or (SECRET,))), now)
    except SignatureInvalid:
        return False
    return True


def only(vector: dict[str, Any]) -> str:
    (value,) = vector["headers"].values()
    return str(value)


# ------------------------------------------------------------------------------------------------ vectors


def test_the_public_vector_of_standard_webhooks() -> None:
    body = STANDARD["body"].encode()
    assert standard_webhooks(STANDARD["headers"], body, ring(SECRET), SIGNED_AT) == "msg_p5jXN8AQM9LWM0D4loKWxJek"
    assert sign_standard_webhooks(SECRET, "msg_p5jXN8AQM9LWM0D4loKWxJek", SIGNED_AT, body) == STANDARD["headers"]


def test_the_secret_is_taken_without_its_prefix_and_headers_by_their_older_names() -> None:
    older = {name.replace("webhook-", "svix-"): value for name, value in STANDARD["headers"].items()}
    body = STANDARD["body"].encode()
    key = standard_webhooks(older, body, ring(SECRET.removeprefix("whsec_")), SIGNED_AT)
    assert key == STANDARD["headers"]["webhook-id"]


def test_names_of_both_families_are_not_mixed() -> None:
    mixed = signed()
    mixed["svix-signature"] = mixed.pop("webhook-signature")
    assert not believed(mixed)


@text_keyed
def test_the_vectors_of_schemes_keyed_by_text(scheme: Scheme, vector: dict[str, Any], now: datetime) -> None:
    scheme(only(vector), vector["body"].encode(), ring("not this one", vector["secret"]), now)


@text_keyed
def test_nothing_near_a_vector_is_believed(scheme: Scheme, vector: dict[str, Any], now: datetime) -> None:
    header, body, keys = only(vector), vector["body"].encode(), ring(vector["secret"])
    near = [header[:at] + chr(ord(letter) ^ 1) + header[at + 1 :] for at, letter in enumerate(header)]
    near += [header[:at] for at in range(len(header))] + [header + "0", header.swapcase(), "ü", "\ud800", "x" * 99_999]
    for wrong in (*near, None):
        with pytest.raises(SignatureInvalid):
            scheme(wrong, body, keys, now)
    for at in range(len(body)):
        with pytest.raises(SignatureInvalid):
            scheme(header, body[:at] + bytes([body[at] ^ 1]) + body[at + 1 :], keys, now)
    for wrong_keys in (ring(vector["secret"] + "x"), ring(""), ()):
        with pytest.raises(SignatureInvalid):
            scheme(header, body, wrong_keys, now)


@pytest.mark.parametrize("scheme", [hub_sha256, body_base64])
def test_a_signature_with_the_empty_key_is_not_believed(scheme: Scheme) -> None:
    # HMAC-SHA256 of the empty text by the empty key.
    digest = "b613679a0814d9ec772f95d778c35fc5ff1697c493715653c6c712144292c5ad"
    header = f"sha256={digest}" if scheme is hub_sha256 else base64.b64encode(bytes.fromhex(digest)).decode()
    with pytest.raises(SignatureInvalid):
        scheme(header, b"", ring(""), NOW)


@pytest.mark.parametrize("length", [1, 63, 64, 65, 200])
def test_a_key_of_any_length_makes_the_mac_of_the_library(length: int) -> None:
    key = "k" * length
    for body in (b"", BODY, BODY * 100):
        hub_sha256("sha256=" + hmac.digest(key.encode(), body, "sha256").hex(), body, ring(key), NOW)


def test_hubs_sign_with_sha1_and_the_header_does_not_choose() -> None:
    sha1, sha256 = (hmac.digest(b"key", BODY, name).hex() for name in ("sha1", "sha256"))
    hub_sha1(f"sha1={sha1}", BODY, ring("other", "key"), NOW)
    for header in (f"sha256={sha256}", f"sha1={sha256}", f"sha1={sha1[1:]}", sha1, "", None):
        with pytest.raises(SignatureInvalid):
            hub_sha1(header, BODY, ring("key"), NOW)


def test_a_timed_signature_has_the_name_of_its_platform() -> None:
    header = only(STRIPE)
    now, body, keys = datetime.fromtimestamp(1_731_264_000, UTC), STRIPE["body"].encode(), ring(STRIPE["secret"])
    timed_hex(header.replace("v1=", "s="), body, keys, now, version="s")
    with pytest.raises(SignatureInvalid):
        timed_hex(header, body, keys, now, version="s")


def test_the_header_names_no_scheme() -> None:
    digest = only(META).removeprefix("sha256=")
    for header in (digest, f"sha1={digest}", f"none={digest}", f"SHA256={digest}", f"sha256={digest},sha256={digest}"):
        with pytest.raises(SignatureInvalid):
            hub_sha256(header, META["body"].encode(), ring(META["secret"]), NOW)
    for version in ("v0", "v2", "v1a", "V1", "", "none"):
        headers = signed()
        headers["webhook-signature"] = headers["webhook-signature"].replace("v1", version)
        assert not believed(headers)


def test_the_body_is_raw_bytes() -> None:
    odd = b'{ "a" :\t1, "b": "\\u00e4" }\r\n'
    assert believed(signed(odd), odd)
    assert not believed(signed(odd), json.dumps(json.loads(odd)).encode())
    assert believed(signed(b"\xff\x00"), b"\xff\x00")


# ------------------------------------------------------------------------------------------------ rotation


def test_any_of_several_signatures_and_keys_is_enough() -> None:
    headers = signed()
    headers["webhook-signature"] = f"v1,AAAA v9,x {signed(secret=OTHER)['webhook-signature']} {'v1,' + 'A' * 43 + '='}"
    assert believed(headers, BODY, SECRET, OTHER)
    assert not believed(headers, BODY, SECRET)


@pytest.mark.parametrize(("before", "taken"), [(MAX_EXAMINED - 1, True), (MAX_EXAMINED, False)])
def test_at_most_eight_signatures_are_examined(before: int, taken: bool) -> None:
    headers = signed()
    headers["webhook-signature"] = " ".join(["v1,AAAA"] * before + [headers["webhook-signature"]])
    assert believed(headers) is taken
    assert believed(headers, BODY, SECRET) is taken


def test_a_key_works_until_its_end() -> None:
    ends = NOW + timedelta(hours=1)
    secrets = (Secret(value="old", valid_until=ends), Secret(value="new"), Secret(value=""))
    assert active(secrets, NOW) == ("old", "new")
    assert active(secrets, ends - timedelta(microseconds=1)) == ("old", "new")
    assert active(secrets, ends) == ("new",)


# ------------------------------------------------------------------------------------------------ time


@pytest.mark.parametrize(("seconds", "taken"), [(0, True), (299, True), (300, True), (301, False), (86_400, False)])
@pytest.mark.parametrize("sign", [1, -1])
def test_the_signed_time_is_near_now_on_both_sides(seconds: int, taken: bool, sign: int) -> None:
    assert timedelta(seconds=300) == TOLERANCE
    assert believed(signed(), now=NOW + sign * timedelta(seconds=seconds)) is taken


@pytest.mark.parametrize(
    "text",
    ["", " ", "1e9", "+{}", "-{}", "{}.0", " {}", "{} ", "0x10", "1_740_938_400", "9" * 13, "9" * 5_000, "١٢", "{}a"],
)
def test_a_signed_time_is_digits_and_nothing_else(text: str) -> None:
    stamp = text.format(int(NOW.timestamp()))
    headers = signed() | {"webhook-timestamp": stamp}
    assert not believed(headers)
    with pytest.raises(SignatureInvalid):
        timed_hex(f"t={stamp},v1=00", BODY, ring("key"), NOW)


def test_a_time_that_was_not_signed_is_not_believed() -> None:
    late = NOW + timedelta(hours=1)
    assert not believed(signed() | {"webhook-timestamp": str(int(late.timestamp()))}, now=late)


# ------------------------------------------------------------------------------------------------ headers and keys


@pytest.mark.parametrize("name", ["webhook-id", "webhook-timestamp", "webhook-signature"])
@pytest.mark.parametrize("value", [None, "", " ", "ü", "\ud800", "\x00", "x" * 100_000, "a.b", "v1,é"])
def test_headers_that_are_none_are_refused_and_nothing_else_happens(name: str, value: str | None) -> None:
    headers = {key: text for key, text in signed().items() if key != name}
    assert not believed(headers if value is None else headers | {name: value})


def test_the_signed_parts_cannot_be_cut_elsewhere() -> None:
    """The text ``m.<time>.<time>.{}`` is signed; a full stop in the id would let it be read as another message."""
    stamp = str(int(NOW.timestamp()))
    headers = signed(f"{stamp}.{{}}".encode(), message_id="m")
    assert believed(headers, f"{stamp}.{{}}".encode())
    assert not believed(headers | {"webhook-id": f"m.{stamp}"}, b"{}")


@pytest.mark.parametrize("secret", ["", "whsec_", "whpk_", "whsec_!", "not base64", "QUFB=", "whsk_QUFB", "ünïcode"])
def test_a_key_that_is_none_never_verifies(secret: str) -> None:
    assert not believed(signed(), BODY, secret)
    assert standard_secret_problem(secret)


def test_an_id_has_a_length() -> None:
    assert believed(signed(message_id="m" * 256))
    assert not believed(signed(message_id="m" * 257))


def test_what_is_wrong_with_a_key_is_said_when_it_is_set_up() -> None:
    assert standard_secret_problem(SECRET) is None
    assert standard_secret_problem(SECRET.removeprefix("whsec_")) is None
    assert standard_secret_problem("whsec_QUFB") == "the secret has 3 bytes, at least 24 are asked for"
    assert "base64" in (standard_secret_problem("hunter2!") or "")
    for unreadable in ("hunter2!", "whsec_", ""):
        with pytest.raises(ValueError, match="not base64"):
            sign_standard_webhooks(unreadable, "m", NOW, b"")


# ------------------------------------------------------------------------------------------------ ed25519

PRIVATE = Ed25519PrivateKey.from_private_bytes(bytes(range(32)))
PUBLIC = "whpk_" + base64.b64encode(PRIVATE.public_key().public_bytes(Encoding.Raw, PublicFormat.Raw)).decode()


def signed_by_key(body: bytes = BODY) -> dict[str, str]:
    stamp = str(int(NOW.timestamp()))
    signature = base64.b64encode(PRIVATE.sign(f"msg_1.{stamp}.".encode() + body)).decode()
    return {"webhook-id": "msg_1", "webhook-timestamp": stamp, "webhook-signature": f"v1a,{signature}"}


def test_an_asymmetric_signature_is_checked_by_the_public_key() -> None:
    assert standard_secret_problem(PUBLIC) is None
    assert standard_secret_problem("whpk_QUFB")
    assert believed(signed_by_key(), BODY, SECRET, PUBLIC)
    assert not believed(signed_by_key(), BODY + b" ", PUBLIC)
    assert not believed(signed_by_key(), BODY, SECRET)
    other = "whpk_" + base64.b64encode(b"\x01" * 32).decode()
    assert not believed(signed_by_key(), BODY, other)


def test_a_public_key_is_no_shared_secret() -> None:
    """Who knows the public key cannot sign by it as if it were a secret."""
    as_secret = "whsec_" + PUBLIC.removeprefix("whpk_")
    assert not believed(signed(secret=as_secret), BODY, PUBLIC)
    v1 = signed_by_key()
    v1["webhook-signature"] = v1["webhook-signature"].replace("v1a,", "v1,")
    assert not believed(v1, BODY, PUBLIC)


@given(st.binary(min_size=32, max_size=32), st.binary(max_size=80))
def test_any_public_key_and_any_signature_end_in_a_verdict(key: bytes, signature: bytes) -> None:
    headers = signed_by_key() | {"webhook-signature": "v1a," + base64.b64encode(signature).decode()}
    assert believed(headers, BODY, "whpk_" + base64.b64encode(key).decode()) in {True, False}
    assert not believed(headers | {"webhook-signature": "v1a,"}, BODY, "whpk_" + base64.b64encode(key).decode())


# ------------------------------------------------------------------------------------------------ any text


@given(st.text(), st.text(), st.text(), st.binary(max_size=20), st.text(max_size=50))
def test_any_header_is_refused_without_another_error(
    message_id: str, stamp: str, signature: str, body: bytes, secret: str
) -> None:
    secret = secret.encode("utf-8", "replace").decode()
    headers = {"webhook-id": message_id, "webhook-timestamp": stamp, "webhook-signature": signature}
    assert not believed(headers, body, secret or "x")
    for scheme in (hub_sha1, hub_sha256, body_base64, timed_hex):
        with pytest.raises(SignatureInvalid):
            scheme(f"t={stamp},v1={signature}", body, ring(secret), NOW)
        with pytest.raises(SignatureInvalid):
            scheme(signature, body, ring(secret), NOW)


@given(
    st.binary(max_size=300), st.binary(min_size=1, max_size=64), st.from_regex(r"[A-Za-z0-9_-]{1,64}", fullmatch=True)
)
def test_what_is_signed_is_believed(body: bytes, key: bytes, message_id: str) -> None:
    secret = base64.b64encode(key).decode()
    assert standard_webhooks(signed(body, secret, message_id), body, ring(SECRET, secret), NOW) == message_id
