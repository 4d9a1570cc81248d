"""The keyring: sealed under a key of its own, erased with it, and never under the wrong key-encryption key."""

from __future__ import annotations

import threading
from pathlib import Path

import pytest

from fhir_profiles.errors import Unavailable
from hub.database import open_sqlite
from hub.log.keys import Erased, Keyring, load_kek
from hub.settings import Settings
from hub.stores import open_stores


def keyring(folder: Path) -> Keyring:
    return Keyring(open_sqlite(folder / "keys.db", ["keys"]), load_kek(folder / "kek", create=True))


def test_what_was_sealed_opens_again_in_another_process_of_the_same_hub(tmp_path: Path) -> None:
    sealed = keyring(tmp_path).seal("a/-/C1", b"hello", b"here")
    assert keyring(tmp_path).open("a/-/C1", sealed, b"here") == b"hello"
    assert b"hello" not in sealed


def test_a_sealed_text_does_not_open_in_another_place_or_when_it_was_changed(tmp_path: Path) -> None:
    ring = keyring(tmp_path)
    sealed = ring.seal("a/-/C1", b"hello", b"here")
    for wrong, bound in ((sealed, b"there"), (sealed[:-1] + bytes([sealed[-1] ^ 1]), b"here")):
        with pytest.raises(Unavailable):
            ring.open("a/-/C1", wrong, bound)


def test_destroying_a_womans_keys_erases_hers_and_no_one_elses(tmp_path: Path) -> None:
    ring = keyring(tmp_path)
    hers, theirs = ring.seal("a/e1/C1", b"hers", b""), ring.seal("b/e1/C1", b"theirs", b"")
    assert ring.destroy("a/") == 1
    for each in (ring, keyring(tmp_path)):
        with pytest.raises(Erased):
            each.open("a/e1/C1", hers, b"")
        assert each.open("b/e1/C1", theirs, b"") == b"theirs"


def test_two_who_make_the_same_key_at_once_end_with_one(tmp_path: Path) -> None:
    keyring(tmp_path)
    rings = [keyring(tmp_path) for _ in range(4)]
    sealed: list[bytes] = []
    threads = [threading.Thread(target=lambda ring=ring: sealed.append(ring.seal("a/-/C1", b"x", b""))) for ring in rings]
    for thread in threads:
        thread.start()
    for thread in threads:
        thread.join()
    assert [keyring(tmp_path).open("a/-/C1", each, b"") for each in sealed] == [b"x"] * 4


def test_many_keys_are_made_in_one_durable_write(tmp_path: Path) -> None:
    ring = keyring(tmp_path)
    ring.ensure(f"{n}/-/C1" for n in range(2_000))
    again = keyring(tmp_path)
    assert again.open("1999/-/C1", ring.seal("1999/-/C1", b"x", b""), b"") == b"x"


def test_a_hub_does_not_start_under_another_key(tmp_path: Path) -> None:
    settings = Settings(data=tmp_path)
    open_stores(settings).close()
    settings.kek.write_bytes(b"k" * 32)
    with pytest.raises(Unavailable) as caught:
        open_stores(settings)
    assert caught.value.code == "kek-wrong"


def test_a_hub_whose_key_is_lost_does_not_make_a_new_one(tmp_path: Path) -> None:
    settings = Settings(data=tmp_path)
    open_stores(settings).close()
    settings.kek.unlink()
    with pytest.raises(Unavailable) as caught:
        open_stores(settings)
    assert caught.value.code == "kek-missing"
    assert not settings.kek.exists()


def test_the_key_file_is_for_its_owner_only_and_a_short_one_is_refused(tmp_path: Path) -> None:
    path = tmp_path / "keys" / "kek"
    assert len(load_kek(path, create=True)) == 32
    assert path.stat().st_mode & 0o077 == 0
    path.write_bytes(b"short")
    with pytest.raises(Unavailable):
        load_kek(path, create=True)
