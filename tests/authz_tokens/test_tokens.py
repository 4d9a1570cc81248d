"""A bearer token becomes an asker, or nobody: one test for every known way to fool a JWT check (R7)."""

from __future__ import annotations

import base64
import hashlib
import hmac
import timeit
from collections.abc import Callable
from typing import Any

import orjson
import pytest
from hypothesis import given
from hypothesis import strategies as st
from joserfc import jws
from joserfc.jwk import ECKey, RSAKey

from authz.ask import Role
from authz.tokens import BadToken, FetchedKeys, StaticKeys, Tokens
from fhir_profiles.identifiers import Bsn, pseudonym_of

NOW = 1_800_000_000
PSEUDONYMS = b"k" * 32
EC = ECKey.generate_key("P-256")
EC384 = ECKey.generate_key("P-384")
RSA = RSAKey.generate_key(2048)
OTHER = ECKey.generate_key("P-256")
JWKS: dict[str, list[dict[str, Any]]] = {
    "keys": [
        {**EC.as_dict(private=False), "kid": "ec", "alg": "ES256"},
        {**EC384.as_dict(private=False), "kid": "ec384"},
        {**RSA.as_dict(private=False), "kid": "rsa", "alg": "RS256"},
        {**RSA.as_dict(private=False), "kid": "pss", "alg": "PS256"},
        {**OTHER.as_dict(private=False), "kid": "encryption", "use": "enc"},
        {"kty": "oct", "kid": "shared", "k": "c2VjcmV0", "alg": "HS256"},
    ]
}
MIDWIFE = {
    "iss": "https://login.example",
    "aud": "ooievaar",
    "sub": "marit",
    "name": "Marit Jansen",
    "jti": "1",
    "iat": NOW,
    "exp": NOW + 300,
    "acr": "high",
    "role": "midwife",
    "ura": "00700001",
    "organisation": "De Lepelaar",
    "organisation_type": "G3",
    "client_id": "viewer",
}
NOOR = {
    "iss": "https://login.example",
    "aud": "ooievaar",
    "sub": "noor",
    "name": "Noor",
    "jti": "2",
    "iat": NOW,
    "exp": NOW + 300,
    "acr": "substantial",
    "role": "client",
    "bsn": "999990019",
}


def tokens(clock: Callable[[], float] = lambda: NOW, **more: Any) -> Tokens:
    return Tokens("https://login.example", "ooievaar", StaticKeys(JWKS), PSEUDONYMS, clock, **more)


def signed(claims: object, key: ECKey | RSAKey = EC, **header: object) -> str:
    head: dict[str, Any] = {"alg": "ES256", "kid": "ec", **header}
    payload = claims if isinstance(claims, bytes) else orjson.dumps(claims)
    return jws.serialize_compact(head, payload, key, algorithms=["ES256", "ES384", "RS256", "PS256", "RS384"])


def b64(raw: bytes) -> str:
    return base64.urlsafe_b64encode(raw).rstrip(b"=").decode()


def refused(token: str, code: str | None = None, **more: Any) -> None:
    with pytest.raises(BadToken) as caught:
        tokens(**more).asker(token)
    assert code is None or caught.value.code == code
    assert token not in str(caught.value) + caught.value.challenge
    assert 'error="invalid_token"' in caught.value.challenge


@pytest.mark.parametrize(
    ("key", "header"),
    [(EC, {}), (EC384, {"alg": "ES384", "kid": "ec384"}), (RSA, {"alg": "RS256", "kid": "rsa"}), (RSA, {"alg": "PS256", "kid": "pss"})],
)
def test_each_pinned_algorithm_is_taken_with_its_own_key(key: ECKey | RSAKey, header: dict[str, str]) -> None:
    asker = tokens().asker(signed(MIDWIFE, key, **header))
    assert (asker.id, asker.role, asker.ura, asker.assurance, asker.vendor) == ("marit", Role.MIDWIFE, "00700001", "high", "viewer")


def test_a_womans_bsn_becomes_her_pseudonym_and_stays_nowhere() -> None:
    asker = tokens().asker(signed({**NOOR, "sub": "999990019"}))
    assert asker.subject == asker.id == pseudonym_of(Bsn("999990019"), PSEUDONYMS)
    assert "999990019" not in repr(asker)


def test_the_public_key_as_an_hmac_secret_is_refused() -> None:
    pem = RSA.as_pem(private=False)
    for kid, alg in (("rsa", "HS256"), ("shared", "HS256")):
        body = f"{b64(orjson.dumps({'alg': alg, 'kid': kid}))}.{b64(orjson.dumps(MIDWIFE))}"
        refused(f"{body}.{b64(hmac.new(pem, body.encode(), hashlib.sha256).digest())}")


@pytest.mark.parametrize("alg", ["none", "None", "NONE", "", None])
def test_no_signature_is_no_token(alg: str | None) -> None:
    refused(f"{b64(orjson.dumps({'alg': alg, 'kid': 'ec'}))}.{b64(orjson.dumps(MIDWIFE))}.")


@pytest.mark.parametrize("name", ["jwk", "jku", "x5u", "x5c", "crit", "b64", "zip", "cty"])
def test_a_header_may_not_bring_its_own_key_or_rules(name: str) -> None:
    value: Any = {"jwk": OTHER.as_dict(private=False), "crit": ["exp"], "x5c": ["MIIB"], "b64": True}.get(name, "https://evil.example/keys")
    head = {"alg": "ES256", "kid": "ec", name: value}
    body = f"{b64(orjson.dumps(head))}.{b64(orjson.dumps(MIDWIFE))}"
    key = OTHER if name == "jwk" else EC
    genuine = jws.serialize_compact({"alg": "ES256", "kid": "ec"}, orjson.dumps(MIDWIFE), key).split(".")[2]
    refused(f"{body}.{genuine}", "header")


@pytest.mark.parametrize(
    ("kid", "alg", "key"), [("ec", "ES256", OTHER), ("rsa", "PS256", RSA), ("pss", "RS256", RSA), ("rsa", "RS384", RSA)]
)
def test_a_key_is_used_with_no_other_algorithm_and_no_other_key_in_its_place(kid: str, alg: str, key: ECKey | RSAKey) -> None:
    refused(signed(MIDWIFE, key, alg=alg, kid=kid))


@pytest.mark.parametrize("kid", ["nobody", "encryption", "shared", "", "../ec", None, 7, ["ec"]])
def test_a_key_id_that_is_unknown_or_absent_is_refused(kid: object) -> None:
    head = b64(orjson.dumps({"alg": "ES256", "kid": kid}))
    rest = signed(MIDWIFE).split(".", 1)[1]
    refused(f"{head}.{rest}")
    refused(f"{b64(orjson.dumps({'alg': 'ES256'}))}.{rest}", "key")


def test_two_keys_with_one_id_are_not_trusted_at_all() -> None:
    with pytest.raises(ValueError, match="two keys"):
        StaticKeys({"keys": [JWKS["keys"][0], {**JWKS["keys"][1], "kid": "ec"}]})


def test_a_short_rsa_key_is_not_trusted() -> None:
    with pytest.raises(ValueError, match="2048"), pytest.warns():
        StaticKeys({"keys": [{**RSAKey.generate_key(1024).as_dict(private=False), "kid": "short"}]})


@pytest.mark.parametrize(
    ("change", "code"),
    [
        ({"aud": "another"}, "audience"),
        ({"aud": ["another", "third"]}, "audience"),
        ({"aud": [["ooievaar"]]}, "audience"),
        ({"aud": None}, "audience"),
        ({"iss": "https://evil.example"}, "issuer"),
        ({"iss": "https://login.example/"}, "issuer"),
        ({"iat": NOW - 400, "exp": NOW}, "expired"),
        ({"exp": NOW - 1, "iat": NOW - 300}, "expired"),
        ({"nbf": NOW + 120}, "not-yet"),
        ({"iat": NOW + 120}, "not-yet"),
        ({"exp": NOW + 3601}, "lifetime"),
        ({"exp": 2**62}, "lifetime"),
        ({"iat": NOW - 9000}, "lifetime"),
        ({"exp": "1800000300"}, "times"),
        ({"exp": True}, "times"),
        ({"exp": NOW + 300.5}, "times"),
        ({"nbf": "soon"}, "times"),
        ({"iat": None}, "times"),
        ({"role": "king"}, "role"),
        ({"role": ""}, "role"),
        ({"role": ["midwife"]}, "role"),
        ({"ura": ""}, "ura"),
        ({"ura": "1"}, "ura"),
        ({"role": "system", "ura": ""}, "ura"),
        ({"role": "system", "client_id": ""}, "client_id"),
        ({"acr": "highest"}, "acr"),
        ({"sub": " "}, "sub"),
        ({"name": "x" * 201}, "name"),
        ({"name": "a\nb"}, "name"),
        ({"bsn": "999990019"}, "bsn"),
    ],
)
def test_a_claim_that_does_not_fit_refuses_the_token(change: dict[str, object], code: str) -> None:
    refused(signed({**MIDWIFE, **change}), code)


@pytest.mark.parametrize("bsn", ["999990010", "", 999990019, None, "000000000"])
def test_a_woman_without_a_true_bsn_is_nobody(bsn: object) -> None:
    refused(signed({**NOOR, "bsn": bsn}), "bsn")


@pytest.mark.parametrize("name", ["iss", "aud", "sub", "jti", "iat", "exp", "acr", "role", "ura"])
def test_a_missing_claim_refuses_the_token(name: str) -> None:
    refused(signed({k: v for k, v in MIDWIFE.items() if k != name}))


@pytest.mark.parametrize(
    "token",
    [
        "",
        ".",
        "..",
        "a.b.c",
        "a.b",
        "a.b.c.d.e",
        "é.é.é",
        "x" * 9000,
        b64(b"[]") + ".e30.AA",
        b64(b'{"alg":"ES256","kid":"ec"') + ".e30.AA",
    ],
)
def test_garbage_is_refused_in_one_way(token: str) -> None:
    with pytest.raises(BadToken) as caught:
        tokens().asker(token)
    assert len(token) < 3 or token not in str(caught.value) + caught.value.challenge


@pytest.mark.parametrize("payload", [b"", b"[]", b"7", b"null", b"{", b"\xff\xfe", b"[" * 5000])
def test_a_signed_payload_that_holds_no_claims_is_refused(payload: bytes) -> None:
    refused(signed(payload))


@given(st.text(max_size=200))
def test_no_text_at_all_gives_anything_but_a_refusal(text: str) -> None:
    with pytest.raises(BadToken):
        tokens().asker(text)


def raw(token: str) -> list[bytes]:
    return [base64.urlsafe_b64decode(part + "==") for part in token.split(".")]


@given(st.integers(0, 10_000), st.integers(0, 63))
def test_a_token_with_one_changed_character_is_refused(at: int, new: int) -> None:
    token = GENUINE
    i = at % len(token)
    letter = "ABCDEFGHIJKLMNOPQRSTUVWXYZabcdefghijklmnopqrstuvwxyz0123456789-_"[new]
    changed = token[:i] + letter + token[i + 1 :]
    # The last character of a base64 text carries bits that mean nothing; a change there is no change.
    if changed.count(".") == 2 and raw(changed) == raw(token):
        return
    with pytest.raises(BadToken):
        tokens().asker(changed)


GENUINE = signed(MIDWIFE)


def test_a_remembered_token_stops_at_its_end() -> None:
    now = [float(NOW)]
    subject = tokens(lambda: now[0])
    token = signed(MIDWIFE)
    assert subject.asker(token) is subject.asker(token)
    now[0] = NOW + 300
    assert subject.known(token) is None
    with pytest.raises(BadToken, match="not valid"):
        subject.asker(token)


def test_the_memory_of_tokens_is_bounded() -> None:
    subject = tokens(remember=2)
    first, *rest = [signed({**MIDWIFE, "jti": str(n)}) for n in range(4)]
    for token in (first, *rest):
        subject.asker(token)
    assert subject.known(first) is None
    assert subject.known(rest[-1]) is not None


def test_a_remembered_token_costs_next_to_nothing() -> None:
    subject, token = tokens(), GENUINE
    subject.asker(token)
    best = min(timeit.repeat(lambda: subject.asker(token), number=2000, repeat=7)) / 2000
    assert best < 20e-6, f"{best * 1e6:.1f} us"


def test_fetched_keys_follow_a_new_key_but_do_not_ask_for_every_unknown_one() -> None:
    now, asked, served = [0.0], [0], [{"keys": [JWKS["keys"][0]]}]

    def fetch() -> dict[str, Any]:
        asked[0] += 1
        return served[0]

    keys = FetchedKeys(fetch, lambda: now[0], max_age_s=600, wait_s=30)
    assert keys.of("ec") and keys.of("ec") and asked[0] == 1
    assert all(keys.of("guess") is None for _ in range(50)) and asked[0] == 1
    served[0], now[0] = {"keys": [{**JWKS["keys"][1], "kid": "new"}]}, 31
    assert keys.of("new") and keys.of("ec") is None and asked[0] == 2


def test_keys_that_cannot_be_fetched_again_serve_a_while_and_then_nothing_is_trusted() -> None:
    now, broken = [0.0], [False]

    def fetch() -> dict[str, Any]:
        if broken[0]:
            raise OSError
        return JWKS

    keys = FetchedKeys(fetch, lambda: now[0], max_age_s=600, wait_s=30)
    assert keys.of("ec")
    broken[0], now[0] = True, 700
    assert keys.of("ec")
    now[0] = 1300
    assert keys.of("ec") is None
