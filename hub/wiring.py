"""The one place that names concrete parts and puts them together. The processes (`hub/embedded.py`, `connecting.py`, `looping.py`,
`serving.py`) start and stop what is built here.

What builds a part also imports it, within its function: four processes that start at once on a small machine should each load what they
use, and not what the other three do.
"""

from __future__ import annotations

from collections.abc import Callable, Iterable
from concurrent.futures import ThreadPoolExecutor
from dataclasses import dataclass
from datetime import UTC, date, datetime
from typing import TYPE_CHECKING, Any

from connectors.contract import Mapping, Source
from fhir_profiles.errors import Invalid, Missing
from fhir_profiles.identifiers import Bsn, pseudonym_of
from hub.database import Database
from hub.demo import ORGANISATIONS, SOURCES, WOMEN
from hub.log.keys import Keyring
from hub.settings import Settings, load_sources
from hub.stores import Stores, open_stores

if TYPE_CHECKING:
    from audit.trail import Trail
    from authz.ask import Asker
    from authz.consents import Consents
    from authz.demo import DemoIssuer
    from authz.tokens import Tokens
    from hub.door import Door
    from hub.mapper.mapper import Mapper
    from hub.plan.project import Projector
    from hub.plan.read import PlanReader
    from hub.plan.rebuild import Report


def now() -> datetime:
    """The present moment in UTC. The one clock of the hub."""
    return datetime.now(UTC)


def utc_now() -> str:
    """The present moment as ISO 8601 text to the millisecond: what pure parts are given."""
    return now().isoformat(timespec="milliseconds").replace("+00:00", "Z")


def all_mappings() -> list[Mapping]:
    """Every mapping, in the order in which `ooievaar map` asks them."""
    from connectors.epic.mapping import EpicMapping
    from connectors.hix.mapping import HixMapping
    from connectors.practice.mapping import PracticeMapping

    return [HixMapping(), PracticeMapping(), EpicMapping()]


def sources_of(settings: Settings) -> dict[str, Source]:
    """The registered senders by id: those of the demo, or those in the file that the settings name."""
    path = settings.sources_file or settings.data / "sources.toml"
    # A file that was named and is not there is a fault; no file at all is a hub without senders.
    named = load_sources(path) if path.exists() or settings.sources_file else ()
    return {source.id: source for source in (*(SOURCES if settings.demo else ()), *named)}


def clients_of(settings: Settings) -> dict[str, str]:
    """The URA behind each OAuth client that may send."""
    return {source.client_id: source.ura for source in sources_of(settings).values() if source.client_id}


def pseudonym_key(stores: Stores) -> bytes:
    """The key under which a BSN becomes a pseudonym."""
    return stores.keyring.secret("pseudonym")


def pseudonyms(stores: Stores) -> Callable[[str], str]:
    """From the digits of a BSN to the pseudonym; raises `Invalid` for what is no BSN."""
    key = pseudonym_key(stores)
    return lambda digits: pseudonym_of(Bsn(digits), key)


def build_mapper(settings: Settings, stores: Stores) -> Mapper:
    """The mapper with every mapping and registered source."""
    from hub.identity.people import Identities
    from hub.identity.vault import Vault
    from hub.mapper.mapper import Mapper

    identities = Identities(Vault(stores.keyring, pseudonym_key(stores)), stores.keyring, stores.keyring.secret("identity"))
    return Mapper({m.name: m for m in all_mappings()}, sources_of(settings), identities, stores.keyring, stores.keyring.secret("memory"), utc_now)


def build_projector(stores: Stores) -> Projector:
    """The projector with every section."""
    from hub.plan.project import Projector
    from hub.plan.sections import SECTIONS

    return Projector(stores.keyring, SECTIONS)


def _today() -> date:
    return now().date()


@dataclass(frozen=True)
class Access:
    """Everything that reading takes."""

    door: Door
    trail: Trail
    consents: Consents
    reader: PlanReader


def build_access(settings: Settings, stores: Stores) -> Access:
    """The door with the trail behind it and the plans beyond it."""
    from audit.entry import Where
    from audit.trail import Trail
    from authz.consents import Consents
    from authz.engine import load_policies
    from hub.door import Door
    from hub.facts import Views
    from hub.plan.read import PlanReader

    reader = PlanReader(stores.hub, stores.keyring)
    trail = Trail(stores.audit, stores.keyring, now)
    consents = Consents(stores.hub, stores.keyring, now)
    pool = ThreadPoolExecutor(8, "door") if settings.database.get_secret_value() else None
    where = Where(observer="ooievaar-serve", site=settings.base_url)
    views = Views(reader, _today)
    return Access(Door(stores.hub, views, consents, trail, views, load_policies(), where, now, pool), trail, consents, reader)


def demo_issuer(settings: Settings, base_url: str) -> DemoIssuer:
    """Who signs tokens in the demo: the provider that is built into the hub at this address."""
    from authz.demo import DemoIssuer, signing_key

    return DemoIssuer(base_url + "/demo/oidc", settings.login.audience, signing_key(settings.data / "keys" / "demo-signing.jwk"))


def build_tokens(settings: Settings, stores: Stores) -> Tokens:
    """Verifies bearer tokens: of the demo's issuer, or of the provider that the settings name."""
    from authz.tokens import FetchedKeys, StaticKeys, Tokens

    if settings.demo:
        issuer = demo_issuer(settings, settings.base_url)
        return Tokens(issuer.issuer, issuer.audience, StaticKeys(issuer.jwks()), pseudonym_key(stores), now_s)
    if not settings.login.issuer:
        # No provider is named: nobody can have a token, and every bearer is refused.
        return Tokens("https://nobody.invalid", settings.login.audience, StaticKeys({"keys": []}), pseudonym_key(stores), now_s)
    return Tokens(settings.login.issuer, settings.login.audience, FetchedKeys(lambda: _jwks(settings.login.issuer), now_s), pseudonym_key(stores), now_s)


def now_s() -> float:
    """The present moment in seconds since 1970."""
    return now().timestamp()


def _jwks(issuer: str) -> dict[str, Any]:
    import httpx2

    with httpx2.Client(timeout=5.0) as client:
        found = client.get(issuer.rstrip("/") + "/.well-known/openid-configuration").raise_for_status().json()
        keys: dict[str, Any] = client.get(found["jwks_uri"]).raise_for_status().json()
    return keys


def names_of(settings: Settings) -> dict[str, str]:
    """The name of the organisation behind each source id and each URA."""
    sources = sources_of(settings)
    named = {source.id: source.organisation for source in sources.values()} | {source.ura: source.organisation for source in sources.values()}
    return (ORGANISATIONS if settings.demo else {}) | named


def rebuild_views(settings: Settings, *, processes: int, check: bool, progress: Callable[[int, int], None]) -> Report:
    """Fold the whole log anew, in several processes."""
    from hub.plan.rebuild import rebuild

    return rebuild(Opener(settings), processes=processes, check=check, progress=progress)


@dataclass(frozen=True)
class Opener:
    """Opens the hub again in another process; can be pickled."""

    settings: Settings

    def __call__(self) -> tuple[Database, Keyring]:
        """The database of the views and the keyring."""
        stores = open_stores(self.settings, create=False)
        return stores.hub, stores.keyring


def explanation(settings: Settings, stores: Stores, who: str, about: str, sections: tuple[str, ...]) -> dict[str, Any]:
    """The decision for a question now, with its reasons in words. Facts are learned, content is not read.

    Raises `Missing` for someone or a woman that is not known.
    """
    from authz.ask import Ask, Purpose, Role
    from authz.decide import decide
    from authz.explain import explain
    from fhir_profiles.codes import SECTIONS

    access = build_access(settings, stores)
    asker = _asker(who, pseudonym_key(stores))
    subject = _subject(about, stores)
    purpose = {Role.CLIENT: Purpose.PATIENT_REQUEST, Role.AUDITOR: Purpose.AUDIT}.get(asker.role, Purpose.TREATMENT)
    ask, known, _ = access.door.learn(Ask(asker, subject, sections or SECTIONS, purpose, interaction="explain"))
    decision = decide(ask, known, access.door.policies)
    closed = {section: reason for section, reason in decision.reasons.items() if section not in decision.allowed}
    return {"words": explain(ask, known, decision, access.door.policies), "open": sorted(decision.allowed), "closed": closed,
            "policies": list(decision.policies), "release": decision.release, "relation": known.relation, "consent": known.consent}


def _asker(who: str, key: bytes) -> Asker:
    from authz.ask import Asker, Role
    from authz.demo import accounts

    account = next((a for a in accounts() if who.casefold() in (a.name.casefold(), a.person.casefold())), None)
    if account is not None:
        subject = pseudonym_of(Bsn(account.bsn), key) if account.bsn else ""
        return Asker(f"demo-{account.name}", account.person, account.role, account.organisation.ura, account.organisation.name,
                     account.organisation.type, subject, "high")
    role, _, ura = who.partition("/")
    if role not in {r.value for r in Role}:
        raise Missing(f"say who: an account ({', '.join(a.name for a in accounts())}) or ROLE/URA", code="no-account")
    return Asker("explain", role, Role(role), ura, ura, "", "", "high")


def _subject(about: str, stores: Stores) -> str:
    """The pseudonym of a woman of the demo, or the one that was given when the hub knows it. Raises `Missing` for somebody else."""
    from sqlalchemy import select

    from hub.tables import vault

    for name, bsn in WOMEN:
        if about.casefold() in (name.casefold(), name.split()[0].casefold()):
            return pseudonym_of(Bsn(bsn), pseudonym_key(stores))
    if about.isdigit():
        raise Invalid("give her pseudonym, not a number", code="not-a-pseudonym")
    with stores.hub.read() as tx:
        if tx.execute(select(vault.c.subject).where(vault.c.subject == about)).first() is None:
            raise Missing("the hub knows no woman by this pseudonym", code="no-woman")
    return about


def ready_checks(stores: Stores, more: Iterable[tuple[str, Callable[[], bool]]] = ()) -> dict[str, Callable[[], bool]]:
    """What must answer before this process may get traffic."""

    def database() -> bool:
        with stores.hub.read() as tx:
            return bool(tx.exec_driver_sql("SELECT 1").scalar() == 1)

    return {"database": database, **dict(more)}
