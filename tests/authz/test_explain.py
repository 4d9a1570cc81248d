"""Why (not), in words, and what would change it."""

from __future__ import annotations

from authz.ask import Known
from authz.decide import decide
from authz.engine import load_policies
from authz.explain import explain
from tests.authz.cast import ask, joke, marit, noor, ravi

POLICIES = load_policies()


def told(question: object, known: Known) -> str:
    return "\n".join(explain(question, known, decide(question, known, POLICIES), POLICIES))  # type: ignore[arg-type]


def test_a_no_names_the_rule_and_the_fewest_things_that_would_open() -> None:
    words = told(ask(marit), Known("dossier", "unknown"))

    assert "86-consent-unknown.cedar" in words and "(consent-unknown)" in words
    assert "Wat dit zou veranderen: een ja van de cliënt opent voorblad" in words
    assert "een behandelrelatie" not in words


def test_two_missing_facts_are_both_named() -> None:
    words = told(ask(joke), Known("none", "no"))

    assert "een behandelrelatie en een ja van de cliënt opent voorblad, wie zorgt voor mij, zwangerschap in het kort" in words


def test_what_no_fact_can_open_is_said_so() -> None:
    assert "geen enkele regel opent dit" in told(ask(ravi), Known("none", "unknown"))
    assert "geen enkele regel opent dit" in told(ask(joke, sections=("history",)), Known("dossier", "yes"))


def test_a_yes_is_explained_and_nothing_is_said_to_be_missing() -> None:
    words = told(ask(noor), Known("none", "unknown"))

    assert "Open: voorblad. Dit is uw eigen plan. (own-plan)" in words and "10-client-reads-her-own-plan.cedar" in words
    assert "veranderen" not in words


def test_no_pseudonym_and_no_name_is_said() -> None:
    words = told(ask(marit), Known(None, None))

    assert "niet na te gaan" in words and "Marit" not in words and "a" * 32 not in words
