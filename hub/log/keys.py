"""The keyring: one data key per woman, pregnancy and class, wrapped by a key-encryption key that stands outside the database.

AES-256-GCM throughout. Destroying a wrapped key erases everything sealed under it, in logs, views and backups together.
A sealed text is one version byte, a 12-byte nonce, and the ciphertext with its tag.
"""

from __future__ import annotations

import contextlib
import hashlib
import os
import threading
from collections import OrderedDict
from collections.abc import Iterable, Iterator, Sequence
from http import HTTPStatus
from pathlib import Path
from typing import Any, Final

from cryptography.exceptions import InvalidTag
from cryptography.hazmat.primitives.ciphers.aead import AESGCM
from sqlalchemy import delete, select
from sqlalchemy.exc import SQLAlchemyError

from fhir_profiles.errors import BirthCareError, Unavailable
from hub.database import Database, Question
from hub.tables import client_key
from hub.upsert import insert_new

_VERSION: Final = b"\x01"
_WITNESS: Final = "hub/-/witness"
_CACHE: Final = 20_000
_CHUNK: Final = 900
_WRAPPED: Final = "SELECT '', '', '', '', '', wrapped, CAST(NULL AS BYTEA) FROM client_key WHERE name = ?"


class Erased(BirthCareError):
    """The key was destroyed on purpose: what it sealed is gone."""

    issue, status = "not-found", HTTPStatus.GONE


def holds_keys(database: Database) -> bool:
    """Whether anything was ever sealed here: then a new key-encryption key would be a wrong one."""
    with database.read() as tx:
        return tx.execute(select(client_key.c.name).limit(1)).first() is not None


def load_kek(path: Path, *, create: bool) -> bytes:
    """The 32-byte key-encryption key in a file of its own; made with mode 0600 when `create` and absent.

    Raises `Unavailable` when the file is missing or has another length.
    """
    if create and not path.exists():
        _make_kek(path)
    try:
        key = path.read_bytes()
    except OSError as error:
        raise Unavailable("the key-encryption key cannot be read", code="kek-missing") from error
    if len(key) != 32:
        raise Unavailable("the key-encryption key does not have 32 bytes", code="kek-length")
    return key


def _make_kek(path: Path) -> None:
    """Make the file whole under another name; of two processes that start together, the first to link it wins."""
    path.parent.mkdir(parents=True, exist_ok=True, mode=0o700)
    fresh = path.with_name(f"{path.name}.{os.urandom(6).hex()}")
    with os.fdopen(os.open(fresh, os.O_WRONLY | os.O_CREAT | os.O_EXCL, 0o600), "wb") as file:
        file.write(os.urandom(32))
        file.flush()
        os.fsync(file.fileno())
    try:
        os.link(fresh, path)
    except FileExistsError:
        pass  # another process was first, and its key is the one
    fresh.unlink()


@contextlib.contextmanager
def _reached() -> Iterator[None]:
    try:
        yield
    except SQLAlchemyError as error:
        raise Unavailable("the keys cannot be reached; try again later", code="keys-away") from error


class Keyring:
    """Seals and opens under named keys; makes a key the first time its name is used to seal. Safe to use from several threads.

    Raises `Unavailable` while the database of the keys does not answer: a text that cannot be opened now is neither broken nor erased.
    """

    def __init__(self, database: Database, kek: bytes) -> None:
        self._database = database
        self._kek = kek
        self._wrap = AESGCM(kek)
        self._cache: OrderedDict[str, tuple[AESGCM, bytes]] = OrderedDict()
        self._lock = threading.Lock()

    def prove(self) -> None:
        """Check that the key-encryption key is the one of this database, by a witness that the first start leaves there.

        Raises `Unavailable` when it is another: nothing may be taken in or shown under a wrong key.
        """
        insert = [{"name": _WITNESS, "wrapped": self._wrapped(_WITNESS, AESGCM.generate_key(256))}]
        with self._database.read() as tx:
            some = tx.execute(select(client_key.c.name, client_key.c.wrapped).order_by(client_key.c.name != _WITNESS).limit(1)).first()
        if some is None:
            with self._database.write() as tx:
                insert_new(tx, client_key, insert)
                some = tx.execute(select(client_key.c.name, client_key.c.wrapped).where(client_key.c.name == _WITNESS)).one()
        self._unwrapped(some.name, bytes(some.wrapped))

    def secret(self, purpose: str) -> bytes:
        """A 32-byte secret of the hub for one purpose (pseudonyms, memory of what was seen), derived from the key-encryption key."""
        return hashlib.blake2b(purpose.encode(), key=self._kek, digest_size=32, person=b"ooievaar").digest()

    def seal(self, name: str, plain: bytes, bound: bytes) -> bytes:
        """Encrypt `plain` under the key `name`; `bound` must be given again to open."""
        nonce = os.urandom(12)
        return _VERSION + nonce + self._cipher(name, make=True).encrypt(nonce, plain, bound)

    def open(self, name: str, sealed: bytes, bound: bytes) -> bytes:
        """Decrypt; raises `Erased` when the key is gone, `Unavailable` when the text was changed or bound to something else."""
        try:
            return self._cipher(name, make=False).decrypt(sealed[1:13], sealed[13:], bound)
        except InvalidTag as error:
            raise Unavailable("a sealed text does not open", code="seal-broken") from error

    def question(self, name: str, database: Database) -> Question | None:
        """What to ask `database` for the mark of a key, beside other questions; None when the keys stand in another."""
        return (_WRAPPED, (name,)) if database is self._database else None

    def mark(self, name: str, found: Sequence[tuple[Any, ...]] | None = None) -> bytes:
        """What tells the key `name` from every other that had or will have this name; b"" when there is none. The key is then in memory.

        Asked of the database every time (or read from the rows that were `found` by `question`): what another process destroyed, or made
        anew, is forgotten here too.
        """
        if found is None:
            try:
                found = self._database.fetch(_WRAPPED, (name,))
            except Exception as error:
                raise Unavailable("the keys cannot be reached; try again later", code="keys-away") from error
        mark = bytes(found[0][5]) if found else b""
        known = self._cache.get(name)
        if (known[1] if known is not None else b"") == mark:
            return mark
        with self._lock:
            # Read once more, because a key may be destroyed between the question and the lock.
            self._cache.pop(name, None)
            self._load_all((name,))
            known = self._cache.get(name)
            return known[1] if known is not None else b""

    def ensure(self, names: Iterable[str]) -> None:
        """Have these keys ready: reads those that are not in memory and makes those that are missing, all in one durable write."""
        with self._lock:
            wanted = sorted(name for name in set(names) if name not in self._cache)
            if not wanted:
                return
            missing = [name for name in wanted if name not in self._load_all(wanted)]
            if missing:
                rows = [{"name": name, "wrapped": self._wrapped(name, AESGCM.generate_key(256))} for name in missing]
                with _reached(), self._database.write() as tx:
                    # Where another process was first, its key is the one.
                    insert_new(tx, client_key, rows)
                self._load_all(missing)

    def _load_all(self, names: Sequence[str]) -> set[str]:
        found: set[str] = set()
        with _reached(), self._database.read() as tx:
            for start in range(0, len(names), _CHUNK):
                query = select(client_key.c.name, client_key.c.wrapped).where(client_key.c.name.in_(names[start:start + _CHUNK]))
                for name, wrapped in tx.execute(query):
                    self._remember(name, bytes(wrapped))
                    found.add(name)
        return found

    def _wrapped(self, name: str, key: bytes) -> bytes:
        nonce = os.urandom(12)
        return nonce + self._wrap.encrypt(nonce, key, name.encode())

    def _unwrapped(self, name: str, wrapped: bytes) -> AESGCM:
        try:
            return AESGCM(self._wrap.decrypt(wrapped[:12], wrapped[12:], name.encode()))
        except InvalidTag as error:
            raise Unavailable("a data key does not fit the key-encryption key", code="kek-wrong") from error

    def _remember(self, name: str, wrapped: bytes) -> None:
        self._cache[name] = self._unwrapped(name, wrapped), wrapped
        if len(self._cache) > _CACHE:
            self._cache.popitem(last=False)

    def destroy(self, prefix: str) -> int:
        """Destroy every key whose name starts with `prefix` (a subject, or a subject and pregnancy); returns how many."""
        with self._lock, self._database.write() as tx:
            gone = tx.execute(delete(client_key).where(client_key.c.name.startswith(prefix, autoescape=True)))
            for name in [name for name in self._cache if name.startswith(prefix)]:
                del self._cache[name]
        return gone.rowcount

    def _cipher(self, name: str, *, make: bool) -> AESGCM:
        known = self._cache.get(name)
        if known is not None:
            return known[0]
        if make:
            self.ensure((name,))
        else:
            with self._lock:
                self._load_all((name,))
        known = self._cache.get(name)
        if known is None:
            raise Erased("this has been erased")
        return known[0]
