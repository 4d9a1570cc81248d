"""received → recorded: what is new makes events, what is known makes none, what cannot be taken waits with its reason."""

from __future__ import annotations

import contextlib
from datetime import date
from random import Random
from typing import Any

import orjson
import pytest
from sqlalchemy import select, update

from connectors.practice.simulator import NOOR as PERSON
from connectors.practice.simulator import current_pregnancy, story
from fhir_profiles.errors import Unavailable
from fhir_profiles.identifiers import Bsn
from hub import wiring
from hub.api.resources import observations as observations_of
from hub.log.port import START
from hub.log.received import Incoming, to_record
from hub.stores import open_stores
from hub.tables import held, residue, seen
from tests.mapper.conftest import HIX, PRACTICE, Bench

NOOR, SAMIRA = "999990019", "999990020"


def oru(bsn: str = NOOR, *, hb: str = "6.0", status: str = "F", at: str = "20261124100000", control: str = "M1", order: str = "LAB-1", more: str = "",
        sent: str = "") -> bytes:
    return "\r".join([
        rf"MSH|^~\&|HIX|RIJNOEVER|OOIEVAAR|HUB|{sent or at}||ORU^R01^ORU_R01|{control}|P|2.5|||AL|NE|NLD|UNICODE UTF-8",
        f"PID|1||{bsn}^^^NLMINBIZA^NNNLD||Verhoeven&&Verhoeven^Noor||19940312|F",
        f"OBR|1||{order}^LAB|LAB^Laboratorium^L|||20261124090000|||||||||||||||{at}||LAB|{status}",
        f"OBX|1|NM|718-7^Hemoglobine^LN||{hb}|mmol/L|||||{status}|||20261124090000{more}", "",
    ]).encode()


def hb_of(bench: Bench, bsn: str = NOOR) -> tuple[str, tuple[str, ...]]:
    """The Hb shown, and the values that it replaced."""
    line = next(line for line in bench.plan(bsn).sections["measurements"].lines if line.concept == "haemoglobin")
    assert line.shown is not None
    return line.shown.text.replace("\u00a0", " "), tuple(v.text.replace("\u00a0", " ") for v in line.shown.earlier)


def test_an_unchanged_repeat_makes_no_event_whatever_its_control_id(bench: Bench) -> None:
    bench.give(HIX, oru())
    before = len(bench.events())
    bench.give(HIX, oru(control="M2", sent="20261124110000"))
    assert len(bench.events()) == before
    assert bench.balance(HIX) == {"received": 2, "recorded": 1, "unchanged": 1, "ignored": 0, "held": 0, "events": before}


def test_a_corrected_result_replaces_the_old_one_and_keeps_it(bench: Bench) -> None:
    bench.give(HIX, oru())
    bench.give(HIX, oru(hb="6.6", status="C", at="20261124113000"))
    assert hb_of(bench) == ("6,6 mmol/L", ("6 mmol/L",)) or hb_of(bench) == ("6,6 mmol/L", ("6,0 mmol/L",))


@pytest.mark.parametrize("at", ["20261124113000", "20261124100000"], ids=["stamped later", "stamped alike"])
def test_a_correction_wins_though_it_comes_first(bench: Bench, at: str) -> None:
    bench.give(HIX, oru(hb="6.6", status="C", at=at))
    bench.give(HIX, oru())
    assert hb_of(bench)[0] == "6,6 mmol/L"


def test_a_retry_storm_of_an_old_version_after_its_correction_makes_no_event(bench: Bench) -> None:
    bench.give(HIX, oru())
    bench.give(HIX, oru(hb="6.6", status="C", at="20261124113000"))
    before = len(bench.events())
    for _ in range(3):
        bench.give(HIX, oru())
    assert len(bench.events()) == before
    assert bench.balance(HIX)["unchanged"] == 3


def test_two_women_with_the_same_order_number_never_share_a_result(bench: Bench) -> None:
    bench.give(HIX, oru(NOOR, hb="6.0"))
    bench.give(HIX, oru(SAMIRA, hb="7.7"))
    assert hb_of(bench, NOOR)[0].startswith("6")
    assert hb_of(bench, SAMIRA)[0] == "7,7 mmol/L"
    assert len({event.identity for event in bench.events()}) == 2


def test_a_message_that_cannot_be_mapped_is_held_and_the_rest_go_on(bench: Bench) -> None:
    bench.give(HIX, b"this is no message")
    bench.give(HIX, oru("999990018"))
    bench.give(HIX, oru())
    balance = bench.balance(HIX)
    assert (balance["received"], balance["recorded"], balance["held"]) == (3, 1, 2)
    with bench.stores.hub.read() as tx:
        assert set(tx.execute(select(held.c.code)).scalars()) == {"no-msh", "bsn-check"}


def test_a_part_that_waits_holds_the_message_while_its_good_parts_are_recorded(bench: Bench) -> None:
    bench.give(HIX, oru(more="\rOBX|2|NM|99999-9^Onbekend^LN||12|mmol/L||||||F"))
    assert hb_of(bench)[0].startswith("6")
    assert bench.balance(HIX) == {"received": 1, "recorded": 0, "unchanged": 0, "ignored": 0, "held": 1, "events": 1}


def test_a_held_message_that_is_sent_through_again_moves_in_the_balance(bench: Bench) -> None:
    registered = bench.worker._mapper.sources
    bench.worker._mapper.sources = {}
    bench.give(HIX, oru())
    assert bench.balance(HIX)["held"] == 1
    bench.worker._mapper.sources = registered
    with bench.stores.hub.write() as tx:
        tx.execute(update(held).values(state="again"))
    bench.worker._looked = 0.0
    bench.worker.before()
    assert bench.balance(HIX) == {"received": 1, "recorded": 1, "unchanged": 0, "ignored": 0, "held": 0, "events": 1}
    with bench.stores.hub.read() as tx:
        assert set(tx.execute(select(held.c.state)).scalars()) == {"settled"}


def test_a_fault_of_the_mapping_holds_the_message_and_names_itself(bench: Bench, monkeypatch: pytest.MonkeyPatch) -> None:
    def broken(*_: object) -> None:
        raise ZeroDivisionError

    monkeypatch.setattr(type(bench.worker._mapper.mappings["hix"]), "to_fhir", broken)
    bench.give(HIX, oru())
    with bench.stores.hub.read() as tx:
        assert tx.execute(select(held.c.code)).scalar_one() == "mapping-fault"
    assert bench.balance(HIX)["held"] == 1


def test_fields_that_no_rule_explains_are_counted_by_place_and_not_kept(bench: Bench) -> None:
    bench.give(HIX, oru(more="\rZXX|1|iets geheims"))
    with bench.stores.hub.read() as tx:
        rows = tx.execute(select(residue)).all()
    assert rows and all("geheims" not in str(row) for row in rows)


def test_no_event_header_view_key_or_memory_holds_a_bsn_or_a_name(bench: Bench) -> None:
    for bundle in story(date(2026, 11, 24), seed=1):
        bench.give(PRACTICE, orjson.dumps(bundle), "application/fhir+json")
    bench.give(HIX, oru())
    for file in bench.settings.data.glob("*.db*"):
        content = file.read_bytes()
        for word in (NOOR, SAMIRA, "Verhoeven", "Aydin", "1994-03-12", "19940312"):
            assert word.encode() not in content, (file.name, word)


def test_an_erased_woman_leaves_nothing_to_map_and_nothing_that_waits(bench: Bench) -> None:
    bench.give(HIX, oru())
    subject = wiring.pseudonyms(bench.stores)(NOOR)
    assert bench.stores.keyring.destroy(subject) > 0
    assert bench.plan(NOOR).sections.get("measurements") is None or not bench.plan(NOOR).sections["measurements"].lines


def test_the_vault_gives_back_the_number_and_no_one_else_has_it(bench: Bench) -> None:
    bench.give(HIX, oru())
    vault = bench.worker._mapper.identities.vault  # type: ignore[attr-defined]  # the concrete identities have one
    with bench.stores.hub.read() as tx:
        assert vault.reveal(tx, wiring.pseudonyms(bench.stores)(NOOR)) == Bsn(NOOR)


def test_batches_of_any_size_and_order_give_the_same_views(tmp_path_factory: pytest.TempPathFactory) -> None:
    messages = [oru(NOOR), oru(NOOR, hb="6.6", status="C", at="20261124113000"),
                oru(SAMIRA, hb="7.1", order="LAB-2"), oru(NOOR, hb="7.0", order="LAB-3", control="M9")]
    shown = set()
    for turn in range(4):
        from hub.settings import Settings
        from hub.stores import open_stores

        settings = Settings(data=tmp_path_factory.mktemp("hub"), demo=True)
        stores = open_stores(settings)
        bench = Bench(settings, stores)
        for body in Random(turn).sample(messages, len(messages)):
            bench.give(HIX, body)
        lines = bench.plan(NOOR).sections["measurements"].lines
        shown.add(repr([(line.concept, sorted(v.text for v in line.history)) for line in lines]))
        stores.close()
    assert len(shown) == 1


def test_memory_marks_tell_nothing_without_their_key(bench: Bench) -> None:
    bench.give(HIX, oru())
    with bench.stores.hub.read() as tx:
        marks = tx.execute(select(seen.c.marks)).scalars().all()
    assert marks and all(b"6.0" not in bytes(m) and b"haemoglobin" not in bytes(m) for m in marks)


def test_while_the_keys_are_away_a_message_is_neither_held_nor_counted_but_mapped_later(bench: Bench) -> None:
    bench.received.append([to_record(Incoming("hix", HIX, "", oru(), "", "2026-11-24T10:00:00.000Z"), bench.stores.keyring)])
    with contextlib.closing(open_stores(bench.settings)) as stores:
        restarted = Bench(bench.settings, stores)
        batch = restarted.received.read(START, 50)
        with stores.keys.write() as tx:
            tx.exec_driver_sql("ALTER TABLE client_key RENAME TO away")
        with pytest.raises(Unavailable):
            restarted.worker.step(batch)
        with stores.keys.write() as tx:
            tx.exec_driver_sql("ALTER TABLE away RENAME TO client_key")
        restarted.worker.step(batch)
        assert restarted.balance(HIX) == {"received": 1, "recorded": 1, "unchanged": 0, "ignored": 0, "held": 0, "events": len(restarted.events())}


def observations(bench: Bench) -> list[tuple[str, dict[str, Any]]]:
    """Status and resource of every Observation that the API makes of Noor's plan."""
    return [(made["status"], made) for made, _ in observations_of(bench.plan(NOOR))]


def test_a_preliminary_result_stays_preliminary_until_its_final_one(bench: Bench) -> None:
    bench.give(HIX, oru(status="P"))
    assert [status for status, _ in observations(bench)] == ["preliminary"]
    bench.give(HIX, oru(hb="6.2", at="20261124113000"))
    assert [status for status, _ in observations(bench)] == ["final"]


def test_a_preliminary_observation_of_a_practice_stays_preliminary(bench: Bench) -> None:
    bundle = current_pregnancy(PERSON, date(2026, 11, 24), 84, gravidity=2, parity=1)
    of_hb = next(e["resource"] for e in bundle["entry"] if "718-7" in str(e["resource"].get("code")))
    of_hb["status"] = "preliminary"
    bench.give(PRACTICE, orjson.dumps(bundle), "application/fhir+json")
    assert [status for status, made in observations(bench) if made["code"]["text"] == "Hb"] == ["preliminary"]


def test_a_result_that_could_not_be_obtained_is_cancelled_and_says_why(bench: Bench) -> None:
    bench.give(HIX, oru(hb="", status="X"))
    [(status, made)] = observations(bench)
    assert (status, made["dataAbsentReason"]["coding"][0]["code"]) == ("cancelled", "not-performed")


def test_a_result_without_a_status_is_not_called_final(bench: Bench) -> None:
    bench.give(HIX, oru(status=""))
    assert [status for status, _ in observations(bench)] == ["unknown"]


@pytest.mark.parametrize("day", ["20900101", "18500101", "20261231"])
def test_a_result_of_a_day_that_cannot_have_been_is_held_and_nowhere_to_be_seen(bench: Bench, day: str) -> None:
    bench.give(HIX, oru().replace(b"|||20261124090000\r", b"|||" + day.encode() + b"\r"))
    assert bench.balance(HIX) == {"received": 1, "recorded": 0, "unchanged": 0, "ignored": 0, "held": 1, "events": 0}
    with bench.stores.hub.read() as tx:
        assert [tuple(row) for row in tx.execute(select(held.c.code, held.c.path))] == [("date-impossible", "OBX[1]-14")]
