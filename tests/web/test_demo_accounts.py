"""The cast of the demo and the tokens that it gets."""

from __future__ import annotations

import stat
from concurrent.futures import ThreadPoolExecutor
from pathlib import Path

import pytest

from authz.ask import Role
from authz.demo import DemoIssuer, account, accounts, signing_key
from authz.tokens import StaticKeys, Tokens
from fhir_profiles.errors import Missing
from tests.web.conftest import KEY, Clock, subject_of

AUDIENCE = "http://127.0.0.1:8080/fhir"


@pytest.fixture
def issuer(tmp_path: Path) -> DemoIssuer:
    """The demo's issuer with a fresh key."""
    return DemoIssuer("http://127.0.0.1:8080/demo/oidc", AUDIENCE, signing_key(tmp_path / "keys" / "demo.json"), Clock().seconds)


@pytest.mark.parametrize("name", [one.name for one in accounts()])
def test_every_token_of_the_cast_is_taken_by_the_api(issuer: DemoIssuer, name: str) -> None:
    asker = Tokens(issuer.issuer, AUDIENCE, StaticKeys(issuer.jwks()), KEY, issuer.now).asker(issuer.issue(name))
    assert (asker.name, asker.role) == (account(name).person, account(name).role)
    assert asker.subject == (subject_of(name) if asker.role is Role.CLIENT else "")


def test_the_cast_is_the_one_of_the_story() -> None:
    assert [one.name for one in accounts()] == ["noor", "samira", "lotte", "marit", "anna", "joke", "tess", "ravi", "praktijk"]


def test_nobody_else_gets_a_token(issuer: DemoIssuer) -> None:
    with pytest.raises(Missing):
        issuer.issue("piet")


def test_the_key_is_made_once_and_only_its_owner_reads_it(tmp_path: Path) -> None:
    path = tmp_path / "keys" / "demo.json"
    with ThreadPoolExecutor(8) as pool:
        kids = {key.kid for key in pool.map(lambda _: signing_key(path), range(16))}
    assert len(kids) == 1
    assert stat.S_IMODE(path.stat().st_mode) == 0o600
    assert [file.name for file in path.parent.iterdir()] == ["demo.json"]


def test_the_published_key_set_holds_no_private_part(issuer: DemoIssuer) -> None:
    assert "d" not in issuer.jwks()["keys"][0]  # type: ignore[index]  # a list of keys
