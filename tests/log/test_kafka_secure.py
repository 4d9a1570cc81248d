"""The Kafka log on a broker with TLS 1.3, passwords, and rights for each process: what is not given is refused, clearly."""

from __future__ import annotations

import dataclasses
import socket
import ssl
import uuid
from pathlib import Path

import pytest

from fhir_profiles.errors import Unavailable
from hub.log.kafka import KafkaLog, KafkaSettings
from tests.log.records import everything, record, take
from tests.parts.secure import SecureCluster, make_certificates

pytestmark = pytest.mark.kafka


def test_each_process_does_its_own_work(kafka_secure: SecureCluster) -> None:
    incoming, event = record(1, key="woman-7"), record(2, key="woman-7")
    group = uuid.uuid4().hex[:6]
    connect = KafkaLog("received", kafka_secure.settings("connect"))
    [place] = connect.append([incoming])
    mapper = KafkaLog("received", kafka_secure.settings("map"))
    reader = mapper.reader(f"map-{group}", lambda _: -1)
    assert incoming in [s.record for s in take(reader, lambda found: incoming in [s.record for s in found])]
    assert mapper.get(place) == incoming
    recorded = KafkaLog("recorded", kafka_secure.settings("map"))
    recorded.append([event])
    projector = KafkaLog("recorded", kafka_secure.settings("project"))
    taking = projector.reader(f"project-{group}", lambda _: -1)
    assert event in [s.record for s in take(taking, lambda found: event in [s.record for s in found])]
    serve = KafkaLog("received", kafka_secure.settings("serve"))
    assert serve.end()[place.partition] >= place.offset, "serve may see how far the log is, for the status page"
    for part in (reader, taking, connect, mapper, recorded, projector, serve):
        part.close()


@pytest.mark.parametrize(("user", "topic"), [("map", "received"), ("project", "recorded"), ("serve", "received"), ("serve", "recorded")])
def test_a_process_may_not_write_where_it_has_no_right(kafka_secure: SecureCluster, user: str, topic: str) -> None:
    log = KafkaLog(topic, kafka_secure.settings(user))
    before = log.end()
    with pytest.raises(Unavailable) as caught:
        log.append([record(1)])
    assert caught.value.code == "log-forbidden"
    assert log.end() == before
    log.close()


@pytest.mark.parametrize(("user", "topic"), [("connect", "recorded"), ("project", "received")])
def test_a_process_cannot_even_see_a_topic_that_is_not_its_own(kafka_secure: SecureCluster, user: str, topic: str) -> None:
    with pytest.raises(Unavailable) as caught:
        KafkaLog(topic, kafka_secure.settings(user))
    assert caught.value.code == "topic-invisible"


@pytest.mark.parametrize(("user", "topic"), [("connect", "received"), ("serve", "recorded")])
def test_a_process_that_may_see_a_topic_may_still_not_read_it(kafka_secure: SecureCluster, user: str, topic: str) -> None:
    admin = KafkaLog(topic, kafka_secure.settings("admin"))
    admin.append([record(1)])
    log = KafkaLog(topic, kafka_secure.settings(user, request_timeout_ms=2_000))
    with pytest.raises(Unavailable) as caught:
        everything(log)
    assert caught.value.code == "log-forbidden"
    log.close()
    admin.close()


def test_a_process_may_not_join_the_group_of_another(kafka_secure: SecureCluster) -> None:
    log = KafkaLog("recorded", kafka_secure.settings("project"))
    reader = log.reader("map-plan", lambda _: -1)
    with pytest.raises(Unavailable) as caught:
        take(reader, bool)
    assert caught.value.code == "log-forbidden"
    reader.close()
    log.close()


@pytest.mark.parametrize("change", [{"password": "verkeerd"}, {"username": "nobody"}, {"sasl_mechanism": "PLAIN"},
                                    {"security_protocol": "SASL_PLAINTEXT"}])
def test_who_cannot_prove_who_he_is_gets_nowhere(kafka_secure: SecureCluster, change: dict[str, object]) -> None:
    settings = kafka_secure.settings("map", bootstrap_timeout_ms=2_000)
    with pytest.raises(Unavailable) as caught:
        KafkaLog("received", _changed(settings, change))
    assert caught.value.code == "log-away"


def test_a_broker_with_a_certificate_of_another_ca_is_not_trusted(kafka_secure: SecureCluster, tmp_path: Path) -> None:
    make_certificates(tmp_path)
    settings = kafka_secure.settings("map", bootstrap_timeout_ms=2_000)
    with pytest.raises(Unavailable):
        KafkaLog("received", _changed(settings, {"cafile": str(tmp_path / "ca.pem")}))


def test_the_broker_speaks_tls_1_3_and_nothing_older(kafka_secure: SecureCluster) -> None:
    host, port = kafka_secure.cluster.settings.bootstrap.split(":")
    context = ssl.create_default_context(cafile=str(kafka_secure.cafile))
    with socket.create_connection((host, int(port))) as plain, context.wrap_socket(plain, server_hostname="localhost") as secured:
        assert secured.version() == "TLSv1.3"
    context.maximum_version = ssl.TLSVersion.TLSv1_2
    with socket.create_connection((host, int(port))) as plain, pytest.raises(ssl.SSLError):
        context.wrap_socket(plain, server_hostname="localhost")


def test_a_password_is_not_in_the_text_of_the_settings(kafka_secure: SecureCluster) -> None:
    settings = kafka_secure.settings("map")
    assert settings.password and settings.password not in repr(settings)


def _changed(settings: KafkaSettings, change: dict[str, object]) -> KafkaSettings:
    return dataclasses.replace(settings, **change)  # type: ignore[arg-type]  # names and types are KafkaSettings' own
