"""A real broker as a hospital would run it: TLS 1.3, SCRAM-SHA-512 users, and rights for each process of the hub."""

from __future__ import annotations

import contextlib
import dataclasses
import datetime
import ipaddress
from collections.abc import Mapping
from dataclasses import dataclass
from pathlib import Path

from cryptography import x509
from cryptography.hazmat.primitives import hashes, serialization
from cryptography.hazmat.primitives.asymmetric import ec
from cryptography.x509.oid import ExtendedKeyUsageOID, NameOID
from kafka import KafkaAdminClient
from kafka.admin import UserScramCredentialUpsertion

from hub.log.kafka import RIGHTS, KafkaSettings, ensure_rights, ensure_topics
from tests.parts.broker import Broker, Cluster, check_jars, new_cluster_id, node_settings, quick_settings
from tests.parts.ports import free_ports

PASSWORDS: Mapping[str, str] = {user: f"{user}-geheim" for user in ("admin", *RIGHTS)}


@dataclass
class SecureCluster:
    """The broker and, for each process of the hub, the settings of its own user."""

    cluster: Cluster
    cafile: Path

    def settings(self, user: str, **changes: object) -> KafkaSettings:
        """How this user reaches the broker."""
        return dataclasses.replace(
            self.cluster.settings, security_protocol="SASL_SSL", sasl_mechanism="SCRAM-SHA-512", username=user,
            password=PASSWORDS.get(user, ""), cafile=str(self.cafile), **changes)  # type: ignore[arg-type]  # KafkaSettings' own


def start_secure(home: Path) -> SecureCluster:
    """One ready broker with the topics `received` and `recorded`, the users, and their rights."""
    check_jars()
    home.mkdir(parents=True, exist_ok=True)
    make_certificates(home)
    client, mutual, control = free_ports(3)
    folder = home / "node1"
    settings = node_settings(1, 1, f"1@127.0.0.1:{control}", folder / "data") | _listeners(client, mutual, control, home)
    reach = {"security_protocol": "SASL_SSL", "sasl_mechanism": "SCRAM-SHA-512", "sasl_plain_username": "admin",
             "sasl_plain_password": PASSWORDS["admin"], "ssl_cafile": str(home / "ca.pem")}
    address = f"127.0.0.1:{client}"
    broker = Broker(folder, settings, new_cluster_id(), address, client=reach,
                    format_options=("--add-scram", f"SCRAM-SHA-512=[name=admin,password={PASSWORDS['admin']}]"))
    broker.start()
    broker.wait_ready()
    secure = SecureCluster(Cluster([broker], quick_settings(address)), home / "ca.pem")
    _fill(secure, address, reach)
    return secure


def _fill(secure: SecureCluster, address: str, reach: Mapping[str, object]) -> None:
    with contextlib.closing(KafkaAdminClient(bootstrap_servers=address, **reach)) as admin:
        admin.alter_user_scram_credentials(
            [UserScramCredentialUpsertion(user, "SCRAM-SHA-512", PASSWORDS[user], iterations=8192) for user in RIGHTS])
    ensure_topics(secure.settings("admin"), ["received", "recorded"], 3, 1, 1)
    ensure_rights(secure.settings("admin"), {process: f"User:{process}" for process in RIGHTS})


def _listeners(client: int, mutual: int, control: int, certificates: Path) -> dict[str, str]:
    jaas = "org.apache.kafka.common.security.scram.ScramLoginModule required;"
    return {
        "listeners": f"CLIENT://127.0.0.1:{client},MTLS://127.0.0.1:{mutual},CONTROLLER://127.0.0.1:{control}",
        "advertised.listeners": f"CLIENT://127.0.0.1:{client},MTLS://127.0.0.1:{mutual}",
        "listener.security.protocol.map": "CLIENT:SASL_SSL,MTLS:SSL,CONTROLLER:SSL",
        "inter.broker.listener.name": "MTLS",
        "listener.name.client.sasl.enabled.mechanisms": "SCRAM-SHA-512",
        "listener.name.client.scram-sha-512.sasl.jaas.config": jaas,
        "listener.name.mtls.ssl.client.auth": "required", "listener.name.controller.ssl.client.auth": "required",
        "ssl.keystore.type": "PEM", "ssl.keystore.location": str(certificates / "broker.pem"),
        "ssl.truststore.type": "PEM", "ssl.truststore.location": str(certificates / "ca.pem"),
        "ssl.enabled.protocols": "TLSv1.3", "ssl.principal.mapping.rules": "RULE:^CN=([^,]+).*$/$1/,DEFAULT",
        "authorizer.class.name": "org.apache.kafka.metadata.authorizer.StandardAuthorizer",
        "super.users": "User:broker;User:admin", "allow.everyone.if.no.acl.found": "false",
    }


def make_certificates(folder: Path) -> None:
    """A CA (`ca.pem`) and the broker's key, certificate and CA in one file (`broker.pem`), good for three days."""
    ca_key, key = ec.generate_private_key(ec.SECP256R1()), ec.generate_private_key(ec.SECP256R1())
    ca_name = _name("Ooievaar test CA")
    ca = _certificate(ca_name, ca_name, ca_key.public_key(), ca_key, x509.BasicConstraints(ca=True, path_length=0))
    names = x509.SubjectAlternativeName([x509.IPAddress(ipaddress.ip_address("127.0.0.1")), x509.DNSName("localhost")])
    # The broker is its own client on the inner listeners.
    uses = x509.ExtendedKeyUsage([ExtendedKeyUsageOID.SERVER_AUTH, ExtendedKeyUsageOID.CLIENT_AUTH])
    own = _certificate(_name("broker"), ca_name, key.public_key(), ca_key, names, uses)
    pem = serialization.Encoding.PEM
    secret = key.private_bytes(pem, serialization.PrivateFormat.PKCS8, serialization.NoEncryption())
    (folder / "ca.pem").write_bytes(ca.public_bytes(pem))
    (folder / "broker.pem").touch(mode=0o600)
    (folder / "broker.pem").write_bytes(secret + own.public_bytes(pem) + ca.public_bytes(pem))


def _certificate(subject: x509.Name, issuer: x509.Name, key: ec.EllipticCurvePublicKey, signer: ec.EllipticCurvePrivateKey,
                 *extensions: x509.ExtensionType) -> x509.Certificate:
    now = datetime.datetime.now(datetime.UTC)
    builder = x509.CertificateBuilder(issuer, subject, key, x509.random_serial_number(), now - datetime.timedelta(hours=1),
                                      now + datetime.timedelta(days=3))
    for extension in extensions:
        builder = builder.add_extension(extension, critical=isinstance(extension, x509.BasicConstraints))
    return builder.sign(signer, hashes.SHA256())


def _name(common: str) -> x509.Name:
    return x509.Name([x509.NameAttribute(NameOID.COMMON_NAME, common)])
