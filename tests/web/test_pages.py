"""What stands on each page, from sample plans."""

from __future__ import annotations

import re
from dataclasses import replace

import pytest

from fhir_profiles.codes import SECTIONS
from hub.plan.plan import SectionView, Woman
from hub.web.ports import Load, TrailLine
from hub.web.words import iso_of
from tests.web.conftest import Hub, subject_of
from tests.web.sample import HIX, PRACTICE

NOOR = subject_of("noor")


def main_of(html: str) -> str:
    """The text of `<main>`, without tags, on one line."""
    inside = html.split("<main", 1)[1].split("</main>", 1)[0].split(">", 1)[1]
    return re.sub(r"\s+", " ", re.sub(r"<[^>]+>", " ", inside)).replace("\u00ad", "").strip()


def test_her_plan_says_how_far_she_is_and_what_is_known(hub: Hub) -> None:
    text = main_of(hub.client("noor").get("/mijn/plan").text)
    assert "U bent 31 weken en 5 dagen zwanger." in text
    assert "Er zijn twee datums voor de bevalling" in text
    assert "Wij rekenen nu met 21 januari. Marit Jansen zoekt dit uit. U hoeft niets te doen." in text
    assert "penicilline praktijk De Lepelaar · 2019" in text


def with_due_dates(hub: Hub, *days: str, shown: str) -> None:
    """Noor's plan with these due dates from its two sources in turn; one alone is no conflict."""
    known = hub.site.plans[NOOR]
    section = known.sections["pregnancy"]
    at = next(place for place, line in enumerate(section.lines) if line.concept == "due-date")
    value = section.lines[at].shown
    assert value is not None
    said = tuple(replace(value, source=(PRACTICE, HIX)[n % 2], iso=day, text=day, identity=f"due-{n}", event=f"due-{n}") for n, day in enumerate(days))
    line = replace(section.lines[at], voices=said if len(said) > 1 else (), shown=next(value for value in said if value.iso == shown))
    lines = (*section.lines[:at], line, *section.lines[at + 1:])
    hub.site.plans[NOOR] = replace(known, sections={**known.sections, "pregnancy": replace(section, lines=lines)})


def test_a_due_date_that_is_long_past_has_its_year_and_is_said_to_be_past(hub: Hub) -> None:
    with_due_dates(hub, "2027-01-27", "2026-03-07", shown="2026-03-07")
    text = main_of(hub.client("noor").get("/mijn/plan").text)
    assert "27 januari praktijk De Lepelaar" in text and "7 maart 2026 Ziekenhuis Rijnoever" in text
    assert "Wij rekenen nu met 7 maart 2026. Deze datum is voorbij. Marit Jansen zoekt dit uit." in text
    assert text.count("Deze datum is voorbij.") == 2
    with_due_dates(hub, "2026-03-07", shown="2026-03-07")
    assert main_of(hub.client("noor").get("/mijn/plan").text).count("Deze datum is voorbij.") == 1


def test_a_due_date_of_some_weeks_ago_or_of_a_pregnancy_that_ended_is_not_called_past(hub: Hub) -> None:
    with_due_dates(hub, "2026-10-13", shown="2026-10-13")
    assert "Deze datum is voorbij." not in hub.client("noor").get("/mijn/plan").text
    with_due_dates(hub, "2026-03-07", shown="2026-03-07")
    hub.site.plans[NOOR] = replace(hub.site.plans[NOOR], phase="ended")
    assert "Deze datum is voorbij." not in hub.client("noor").get("/mijn/plan").text


def test_what_is_counted_on_a_disagreement_is_values_and_not_sources(hub: Hub) -> None:
    with_due_dates(hub, "2027-01-21", "2027-01-24", "2027-01-21", shown="2027-01-21")
    page = main_of(hub.client("marit").get(f"/zorg/plan/{NOOR}").text)
    assert "À terme datum 2 verschillende waarden" in page and "2 datums" in page and "bronnen oneens" not in page
    assert "Er zijn twee datums voor de bevalling" in main_of(hub.client("noor").get("/mijn/plan").text)


def test_a_woman_whose_name_and_birth_date_no_source_told_is_shown_as_such_on_every_page(hub: Hub) -> None:
    known = hub.site.plans[NOOR]
    results = {"measurements": known.sections["measurements"]}
    hub.site.plans[NOOR] = replace(known, woman=Woman(), dossiers=(), team=(), due="", phase="unknown", sections=results)
    marit, noor = hub.client("marit"), hub.client("noor")
    for page in (f"/zorg/plan/{NOOR}", f"/zorg/plan/{NOOR}/tijdlijn"):
        assert "Naam nog niet bekend geb. nog niet bekend" in main_of(marit.get(page).text)
    assert "6,6 mmol/L" in main_of(marit.get(f"/zorg/plan/{NOOR}").text), "what is known is there all the same"
    assert "naam nog niet bekend nog niet bekend" in main_of(marit.get("/zorg").text)
    assert "Naam nog niet bekend Geboren nog niet bekend" in main_of(noor.get("/mijn/plan").text)


def test_her_blood_group_is_never_chosen_for_her(hub: Hub) -> None:
    text = main_of(hub.client("noor").get("/mijn/plan").text)
    assert "Uw bloedgroep wordt gecontroleerd" in text and "Er zijn twee verschillende antwoorden. Marit Jansen zoekt dit uit." in text
    assert "Ziekenhuis Oostzoom · 11 februari 2024" not in text


def test_a_corrected_result_stands_beside_the_old_one_in_plain_words(hub: Hub) -> None:
    html = hub.client("noor").get("/mijn/plan").text
    assert "<del>6 mmol/L</del> <ins>6,6 mmol/L</ins>" in html
    assert "Deze uitslag is verbeterd. De oude was niet goed." in html


def test_the_four_kinds_of_empty_have_their_own_words_for_her(hub: Hub) -> None:
    text = main_of(hub.client("noor").get("/mijn/plan").text)
    assert "Lengte Dit is nog niet gevraagd." in text
    assert "U bent zwanger van meer dan 1 kind Nee" in text
    assert "Aandoening Dit is niet bekend." in text
    assert "Ziekenhuis Oostzoom geeft geen antwoord. De gegevens zijn van vrijdag." in text


def test_a_withdrawn_result_is_struck_through_and_not_called_unasked(hub: Hub) -> None:
    html = hub.client("noor").get("/mijn/plan").text
    assert "<del>41 cm</del>" in html
    assert "Deze uitslag is ingetrokken." in html


def test_after_a_loss_her_page_is_quiet(hub: Hub) -> None:
    html = hub.client("lotte").get("/mijn/plan").text
    text = main_of(html)
    assert "Uw zwangerschap is geëindigd." in text
    assert "Marit Jansen, verloskundige, is er voor u" in text
    for word in ("U bent", "weken en", "Gefeliciteerd", "voor de bevalling", "21 januari", "24 januari", "wordt verwacht"):
        assert word not in text
    assert 'class="tape none"' in html


def test_the_tape_is_there_for_one_woman_only(hub: Hub) -> None:
    assert ">31+5</text>" in hub.client("noor").get("/mijn/plan").text
    for name, path in (("marit", "/zorg"), ("tess", "/auditor"), ("ravi", "/koppelingen")):
        assert 'class="tape none"' in hub.client(name).get(path).text


def test_an_empty_section_says_what_comes(hub: Hub) -> None:
    plan = hub.site.plans[NOOR]
    hub.site.plans[NOOR] = replace(plan, sections={**plan.sections, "history": SectionView("history", "5", "Voorgeschiedenis")}, team=())
    text = main_of(hub.client("noor").get("/mijn/plan").text)
    assert "Hier staat nog niets. Het komt hier zodra iemand het opschrijft." in text
    assert "Hier staat nog niemand." in text


def test_the_overview_shows_a_value_with_its_source_and_time(hub: Hub) -> None:
    text = main_of(hub.client("marit").get(f"/zorg/plan/{NOOR}").text)
    assert "Noor Verhoeven geb. 12-03-1994 termijn 31+5 à terme 21-01-2027" in text
    assert "G/P G2P1" in text
    assert "Nu verantwoordelijk Marit Jansen, verloskundige" in text
    assert "Hb 6 mmol/L 6,6 mmol/L Rijnoever · 18-11 12:40 gecorrigeerd, was 6 mmol/L" in text
    assert "Lengte niet gevraagd" in text
    assert "Meerlingzwangerschap bekend: nee" in text
    assert "Oostzoom geen antwoord sinds 20-11 16:10" in text


def test_the_overview_puts_what_sources_disagree_on_side_by_side(hub: Hub) -> None:
    text = main_of(hub.client("marit").get(f"/zorg/plan/{NOOR}").text)
    assert "Bloedgroep niet zeker 2 verschillende waarden Opnieuw bepalen. Kruisproef altijd zelf. 0 Oostzoom · 11-02-2024 A Rijnoever" in text
    assert "Plan rekent met 21-01-2027. De definitieve à terme datum" in text


def test_without_a_coordinator_the_ribbon_says_so(hub: Hub) -> None:
    hub.site.plans[NOOR] = replace(hub.site.plans[NOOR], team=())
    html = hub.client("marit").get(f"/zorg/plan/{NOOR}").text
    assert 'class="ribbon none"' in html
    assert "Niemand is nu als verantwoordelijk bekend" in html


def test_what_stays_shut_is_named_with_its_reason(hub: Hub) -> None:
    hub.site.cares[NOOR].add("00700004")
    hub.site.answers[NOOR, "00700004"] = "yes"
    text = main_of(hub.client("joke").get(f"/zorg/plan/{NOOR}").text)
    assert "Voorgeschiedenis niet gedeeld met u Dit deel van het plan is niet open voor uw rol." in text
    assert "penicilline" not in text


def test_after_a_loss_the_caregiver_sees_it_first_and_no_weeks(hub: Hub) -> None:
    text = main_of(hub.client("marit").get(f"/zorg/plan/{subject_of('lotte')}").text)
    assert "Deze zwangerschap eindigde met verlies." in text
    assert "termijn" not in text.lower().replace("termijn tijd", "")
    assert "2 datums" not in text


def test_the_timeline_names_the_place_of_the_message(hub: Hub) -> None:
    text = main_of(hub.client("marit").get(f"/zorg/plan/{NOOR}/tijdlijn").text)
    assert "18-11 12:40 Hb 6 mmol/L 6,6 mmol/L Rijnoever gecorrigeerd" in text
    assert "Bericht 0-4112 Plaats OBX[4]-5 Vertaald door hix@3" in text
    assert "later ontvangen, 20-11 11:00" in text


def test_the_work_list_holds_only_clients_with_a_relation_and_a_yes(hub: Hub) -> None:
    hub.site.answers[subject_of("lotte"), "00700001"] = "no"
    listed = hub.client("marit").get("/zorg").text.split("Alleen in de demo")[0]
    assert "Noor Verhoeven" in listed
    assert "Lotte Brink" not in listed
    assert "U heeft nog geen cliënten" in hub.client("joke").get("/zorg").text


def test_a_refused_look_is_explained_and_stands_in_her_list(hub: Hub) -> None:
    refused = hub.client("joke").get(f"/zorg/plan/{NOOR}")
    assert refused.status_code == 403
    assert "Uw organisatie heeft geen behandelrelatie met deze zwangerschap." in refused.text
    assert "Deze poging is vastgelegd." in refused.text
    text = main_of(hub.client("noor").get("/mijn/wie-zag").text)
    assert "mocht niet kijken Joke Smit, kraamverzorgende Kraamzorg De Zon Wilde kijken naar" in text
    assert "Waarom niet: Deze organisatie zorgt niet voor u in deze zwangerschap." in text


def test_looks_in_a_row_by_one_person_are_taken_together(hub: Hub) -> None:
    marit = hub.client("marit")
    for _ in range(3):
        marit.get(f"/zorg/plan/{NOOR}")
    text = main_of(hub.client("noor").get("/mijn/wie-zag").text)
    assert text.count("Marit Jansen, verloskundige") == 1
    assert "Keek drie keer naar: wie u bent, wie voor u zorgt, uw zwangerschap" in text


def test_a_missing_number_in_her_list_is_said(hub: Hub) -> None:
    for _ in range(3):
        hub.client("marit").get(f"/zorg/plan/{NOOR}")
    del hub.site.lines[1]
    text = main_of(hub.client("noor").get("/mijn/wie-zag").text)
    assert "Er ontbreekt een regel. Nummer 2 staat niet in uw lijst." in text


def test_a_whole_list_says_that_nothing_is_missing(hub: Hub) -> None:
    hub.client("marit").get(f"/zorg/plan/{NOOR}")
    assert "De lijst is heel." in hub.client("noor").get("/mijn/wie-zag").text


def test_a_page_that_stayed_open_counts_with_the_look_before_it() -> None:
    from hub.web.mine import together

    look = TrailLine(1, "2026-11-24T08:31:00Z", "Marit", "midwife", "De Lepelaar", SECTIONS, "TREAT", True, "care-relation")
    assert [one.count for one in together([replace(look, seq=2, kind="open"), look])] == [1]
    assert [one.last.kind for one in together([replace(look, seq=2, kind="open")])] == ["open"]


def test_sharing_says_what_a_choice_means_and_keeps_it(hub: Hub) -> None:
    noor = hub.client("noor")
    assert "Zolang u niet kiest, zien zij niets." in noor.get("/mijn/delen").text
    answer = noor.post("/mijn/delen", data={"csrf": hub.csrf(noor), "organisatie": "00700004", "antwoord": "ja"})
    assert (answer.status_code, answer.headers["location"]) == (303, "/mijn/delen?bewaard=00700004")
    assert hub.site.answers[NOOR, "00700004"] == "yes"
    assert "Kraamzorg De Zon mag nu in uw plan kijken." in noor.get("/mijn/delen?bewaard=00700004").text


@pytest.mark.parametrize(("ura", "choice"), [("00700004", "misschien"), ("99999999", "ja"), ("x", "ja"), ("", "")])
def test_a_choice_that_is_none_changes_nothing(hub: Hub, ura: str, choice: str) -> None:
    noor = hub.client("noor")
    before = dict(hub.site.answers)
    assert noor.post("/mijn/delen", data={"csrf": hub.csrf(noor), "organisatie": ura, "antwoord": choice}).status_code == 404
    assert hub.site.answers == before


def test_the_auditor_finds_filters_and_exports(hub: Hub) -> None:
    hub.client("marit").get(f"/zorg/plan/{NOOR}")
    hub.client("joke").get(f"/zorg/plan/{NOOR}")
    tess = hub.client("tess")
    assert {"Marit Jansen", "Joke Smit"} <= set(re.findall(r"<b>([^<]+)</b>", tess.get("/auditor").text))
    wanted = {"soort": "geweigerd", "wie": "Joke", "van": "2026-11-24", "tot": "2026-11-24"}
    sent = tess.post("/auditor", data={"csrf": hub.csrf(tess), **wanted})
    found = tess.get(sent.headers["location"])
    assert "Joke Smit" in found.text
    assert "Marit Jansen" not in found.text
    assert hub.site.searches[-1].since == "2026-11-24"
    csv = tess.get(re.search(r"/auditor/uitvoer/csv\?z=[^\"]+", found.text)[0])  # type: ignore[index]  # the link is there, or the test fails
    assert csv.headers["content-type"].startswith("text/csv")
    assert "Joke Smit" in csv.text
    bundle = tess.get(re.search(r"/auditor/uitvoer/bundle\?z=[^\"]+", found.text)[0])  # type: ignore[index]  # as above
    assert bundle.json()["resourceType"] == "Bundle"


def test_a_search_puts_no_name_in_the_address(hub: Hub) -> None:
    tess = hub.client("tess")
    where = tess.post("/auditor", data={"csrf": hub.csrf(tess), "wie": "Marit Jansen"}).headers["location"]
    assert "Marit" not in where
    assert "Jansen" not in where


@pytest.mark.parametrize("wrong", [{"van": "gisteren"}, {"van": "2026-11-25", "tot": "2026-11-24"}, {"over": "999990019 or so"}])
def test_a_search_that_makes_no_sense_is_answered_in_words(hub: Hub, wrong: dict[str, str]) -> None:
    tess = hub.client("tess")
    answer = tess.post("/auditor", data={"csrf": hub.csrf(tess), **wrong})
    assert answer.status_code == 400
    assert "Deze vraag klopt niet" in answer.text


def test_more_entries_than_fit_are_paged(hub: Hub) -> None:
    marit = hub.client("marit")
    for _ in range(101):
        marit.get(f"/zorg/plan/{NOOR}")
    tess = hub.client("tess")
    first = tess.get("/auditor").text
    older = tess.get(re.search(r"/auditor\?z=[^\"]+(?=\">Oudere)", first)[0]).text  # type: ignore[index]  # the link is there, or the test fails
    assert first.count('<td class="num">') == 100
    assert older.count('<td class="num">') == 1


def test_the_sources_page_shows_state_balance_and_what_is_held(hub: Hub) -> None:
    text = main_of(hub.client("tess").get("/koppelingen").text)
    assert "1 bron zwijgt: Ziekenhuis Oostzoom sinds 20-11 16:10" in text
    assert "5 489 ontvangen = 5 000 opgenomen + 422 ongewijzigd + 62 overgeslagen door regel + 4 vastgehouden + 1 onderweg" in text
    assert "2 te kort" in text
    assert "Code staat niet in de lijst code-unknown 2 23-11 16:40 Ziekenhuis Rijnoever OBX[4]-3.1" in text


def test_an_engineer_sees_what_is_held_of_his_own_organisation_only(hub: Hub) -> None:
    text = main_of(hub.client("ravi").get("/koppelingen").text)
    assert "Eenheid past niet bij deze meting" in text
    assert "Datum ligt in de toekomst" not in text
    assert "Bij andere organisaties: 1." in text


def test_slowed_acknowledgements_are_said(hub: Hub) -> None:
    assert "Bevestigingen gaan nu langzamer" not in hub.client("ravi").get("/koppelingen").text
    hub.site.load_now = Load(21_345, slowed=True)
    assert "Bevestigingen gaan nu langzamer: 21 345 berichten wachten." in main_of(hub.client("ravi").get("/koppelingen").text)


def test_the_start_page_of_the_demo_says_what_happens_and_names_no_value(hub: Hub) -> None:
    text = main_of(hub.client().get("/").text)
    assert "14:02:11 Ziekenhuis Rijnoever stuurt een bericht (HL7 v2). Vier gegevens staan in het plan." in text
    assert "Lotte Brink, haar zwangerschap eindigde te vroeg" in text
    assert "mmol" not in text


def test_outside_the_demo_the_start_page_is_a_login(plain_hub: Hub) -> None:
    text = plain_hub.client().get("/").text
    assert "Log in bij de Ooievaar" in text
    assert "demo" not in text.lower()


def test_pages_that_are_not_there_answer_in_dutch(hub: Hub) -> None:
    for path in ("/nergens", "/zorg/plan/geen-pseudoniem", "/auditor/uitvoer/pdf", "/static/../app.py", "/static/geheim.css"):
        answer = hub.client("tess" if "auditor" in path else "marit").get(path)
        assert answer.status_code == 404
        assert "Deze pagina is er niet" in answer.text
    assert hub.client("noor").put("/mijn/plan").status_code == 405


def test_every_title_says_where_one_is_and_never_who(hub: Hub) -> None:
    pages = {("noor", "/mijn/plan"), ("noor", "/mijn/wie-zag"), ("marit", f"/zorg/plan/{NOOR}"), ("marit", f"/zorg/plan/{NOOR}/tijdlijn"),
             ("marit", "/zorg"), ("tess", "/auditor"), ("ravi", "/koppelingen"), ("joke", f"/zorg/plan/{NOOR}")}
    titles = [re.search(r"<title>([^<]+)</title>", hub.client(who).get(path).text)[1] for who, path in pages]  # type: ignore[index]  # each has one
    assert len(set(titles)) == len(titles)
    assert not any(name in title for title in titles for name in ("Noor", "Verhoeven", "99999"))


def test_a_date_is_turned_round_only_when_it_is_one() -> None:
    assert iso_of("21-01-2027") == "2027-01-21"
    assert iso_of("Rh D positief") == "Rh D positief"


def test_a_preliminary_result_is_called_so_on_every_page_that_shows_it(hub: Hub) -> None:
    known = hub.site.plans[NOOR]
    section = known.sections["measurements"]
    at = next(place for place, line in enumerate(section.lines) if line.concept == "haemoglobin")
    shown = section.lines[at].shown
    assert shown is not None
    early = replace(shown, status="preliminary", earlier=())
    lines = (*section.lines[:at], replace(section.lines[at], shown=early, history=(early,)), *section.lines[at + 1:])
    hub.site.plans[NOOR] = replace(known, sections={**known.sections, "measurements": replace(section, lines=lines)})
    assert re.search(r"6,6 mmol/L\s+voorlopig", main_of(hub.client("noor").get("/mijn/plan").text).replace("\u00a0", " "))
    overview = main_of(hub.client("marit").get(f"/zorg/plan/{NOOR}").text).replace("\u00a0", " ")
    assert re.search(r"6,6 mmol/L\s+voorlopig", overview) and "6,6 mmol/L (voorlopig)" in overview
    assert re.search(r"6,6 mmol/L .*? voorlopig", main_of(hub.client("marit").get(f"/zorg/plan/{NOOR}/tijdlijn").text).replace("\u00a0", " "))
