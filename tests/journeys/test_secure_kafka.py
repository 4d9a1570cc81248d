"""The short journey on a Kafka with TLS, SCRAM and rights for each process: every process has a user that may do its own work and no more."""

from __future__ import annotations

from datetime import UTC, datetime
from pathlib import Path

import pytest

from connectors.hix import story as hix
from connectors.practice import simulator as practice
from hub.log.kafka import RIGHTS
from tests.journeys.hub_process import RunningHub, scaled
from tests.journeys.people import browser, clients_on, eventually, leaks, post_bundles, send
from tests.parts.secure import PASSWORDS, SecureCluster

TODAY = datetime.now(UTC).date()
pytestmark = [pytest.mark.kafka, pytest.mark.postgres, pytest.mark.xdist_group("kafka_secure")]


def as_user(name: str) -> dict[str, str]:
    """The settings with which a process logs in at the broker."""
    return {"KAFKA__USERNAME": name, "KAFKA__PASSWORD": PASSWORDS[name]}


@pytest.mark.slow
@pytest.mark.timeout(180)
def test_with_tls_and_rights_per_process_a_bundle_and_a_result_reach_the_midwife(kafka_secure: SecureCluster, postgres: str, tmp_path: Path) -> None:
    reach = {"KAFKA__BOOTSTRAP": kafka_secure.settings("serve").bootstrap, "KAFKA__SECURITY_PROTOCOL": "SASL_SSL",
             "KAFKA__SASL_MECHANISM": "SCRAM-SHA-512", "KAFKA__CAFILE": str(kafka_secure.cafile)}
    # The topics and the rights were made by who looks after the broker; no process of the hub may do so.
    with scaled(tmp_path, postgres, reach, users={name: as_user(name) for name in RIGHTS}, make_topics=False) as hub:
        answers = post_bundles(hub, [practice.current_pregnancy(practice.NOOR, TODAY, 84, gravidity=2, parity=1)])
        assert [answer.status_code for answer in answers] == [200]
        assert [answer.code for answer in send(hub, [hix.noor(TODAY)[0], hix.noor(TODAY)[2]])] == ["AA", "AA"]
        with browser(hub, "marit") as marit:
            eventually(lambda: "Noor Verhoeven" in clients_on(marit.get("/zorg").text), "Noor stands in the work list")
            noor = clients_on(marit.get("/zorg").text)["Noor Verhoeven"]
            eventually(lambda: "118/76" in marit.get(f"/zorg/plan/{noor}").text, "the hospital's blood pressure is in the overview")
        a_wrong_password_is_told_and_not_repeated(hub)
        assert set(hub.stop().values()) == {0}
        output = hub.output()
    assert leaks(output) == []
    assert not [secret for secret in PASSWORDS.values() if secret in output]


def a_wrong_password_is_told_and_not_repeated(hub: RunningHub) -> None:
    told = hub.command("status", **as_user("serve") | {"KAFKA__PASSWORD": "not-the-password"})
    assert told.code == 2
    assert "not-the-password" not in told.out + told.err
    assert "Traceback" not in told.err
