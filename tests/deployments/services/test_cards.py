"""The model card: written in versions, filled from the records, judged by its gate, kept with the request."""

import pytest
from django.db import DatabaseError, transaction

from deployments.cards import card_gaps
from deployments.models import KeptCard, PaperVersion
from deployments.proof import papers
from deployments.services import cards, policies, promotions, writings
from mlportal.lib.errors import Conflict, Forbidden, Invalid, Missing
from projects.models import Event
from tests.factories.deployments import environment, evaluate, make_request, make_version

LIMITS = "Not tried on customers under 18; weaker in the first month of a contract."


def field(document, name):
    return next(item for part in document["sections"] for item in part["fields"] if item["key"] == name)


def test_a_saved_text_is_a_new_card_with_its_writer(team):
    version = make_version(team)
    first = cards.write(team.scientist, version=version, texts={"limitations": LIMITS})
    second = cards.write(
        team.scientist2, version=version, texts={"caveats": "Ask a person when the score is near 0.5."}
    )
    assert (first.number, second.number, second.changed) == (1, 2, ["caveats"])
    read = cards.read(team.viewer, version=version)
    assert read["about"] == {"project": "churn", "model": "churn", "version": 1, "card": 2}
    said = field(read, "limitations")
    assert (said["value"], said["hand_written"], said["by"]) == (
        LIMITS, True, {"person": team.people["scientist"].pk}
    )  # fmt: skip
    assert writings.named(said)["by"] == "churn-scientist"
    assert field(cards.read(team.viewer, version=version, number=1), "caveats")["gap"]
    assert [(row.verb, row.data["number"]) for row in Event.objects.filter(verb="card.written").order_by("seq")] == [
        ("card.written", 1), ("card.written", 2),
    ]  # fmt: skip


def test_nothing_new_is_no_new_card(team):
    version = make_version(team)
    cards.write(team.scientist, version=version, texts={"limitations": LIMITS})
    assert cards.write(team.scientist, version=version, texts={"limitations": LIMITS}) is None
    assert PaperVersion.objects.count() == 1
    assert Event.objects.filter(verb="card.written").count() == 1


def test_the_words_of_a_version_stand_over_those_of_its_model(team):
    one, two = make_version(team), make_version(team)
    cards.write(team.scientist, version=one, texts={"limitations": LIMITS})
    cards.write(team.scientist, version=two, texts={"limitations": "Better there than v1."}, level="version")
    assert field(cards.read(team.viewer, version=one), "limitations")["value"] == LIMITS
    assert field(cards.read(team.viewer, version=two), "limitations")["value"] == "Better there than v1."
    cards.write(team.scientist, version=two, texts={"limitations": ""}, level="version")
    assert field(cards.read(team.viewer, version=two), "limitations")["value"] == LIMITS


def test_purpose_is_one_text_on_card_and_model(team):
    version = make_version(team)
    model = version.model
    cards.write(team.scientist, version=version, texts={"intended_purpose": "Rank customers who may leave."})
    model.refresh_from_db()
    assert model.intended_purpose == "Rank customers who may leave."
    model.intended_purpose = "Written on the page of the model."
    model.save()
    said = field(cards.read(team.viewer, version=version), "intended_purpose")
    assert (said["value"], said["by"], said["source"]["label"]) == (model.intended_purpose, None, "Page of model churn")
    made = cards.write(team.scientist, version=version, texts={"intended_purpose": ""})
    model.refresh_from_db()
    assert (made.changed, model.intended_purpose) == (["intended_purpose"], "")


def test_a_gap_goes_as_soon_as_it_is_filled(team):
    version = make_version(team)
    wanted = ["limitations", "risk", "owner", "intended_purpose"]
    assert card_gaps(version, wanted) == wanted
    cards.write(team.scientist, version=version, texts={"limitations": LIMITS, "intended_purpose": LIMITS})
    version.model.refresh_from_db()
    version.model.owner, version.model.risk_class = team.people["scientist"], "high"
    assert card_gaps(version, wanted) == []
    assert card_gaps(version, ["caveats"]) == ["caveats"]


def test_the_gate_follows_the_card(team):
    policies.change(team.admin, environment=environment(team), card_sections=["limitations"])
    request = make_request(team)
    assert request.gate_results.get(name="card_complete").found == "missing: limitations"
    cards.write(team.scientist, version=request.version, texts={"limitations": LIMITS})
    promotions.withdraw(team.scientist2, request=request)
    again = make_request(team, version=request.version)
    assert again.gate_results.get(name="card_complete").passed
    assert promotions.decide(team.manager, request=again, verdict="approve").state == "approved"


def test_the_card_that_was_approved_is_kept_and_a_later_one_makes_the_request_stale(team):
    version = make_version(team)
    cards.write(team.scientist, version=version, texts={"limitations": LIMITS})
    request = make_request(team, version=version)
    kept = cards.kept(team.viewer, request=request)
    assert (kept.number, field(kept.document, "limitations")["value"]) == (1, LIMITS)
    assert kept.sha256 == papers.digest(kept.document)
    told = Event.objects.get(verb="promotion.evaluated").data
    assert (told["card"], told["card_sha256"]) == (1, kept.sha256)
    cards.write(team.scientist, version=version, texts={"limitations": "None."})
    with pytest.raises(Conflict) as caught:
        promotions.decide(team.manager, request=request, verdict="approve")
    assert caught.value.code == "request_stale"
    assert "the model card" in caught.value.message
    assert field(cards.kept(team.viewer, request=request).document, "limitations")["value"] == LIMITS


def test_two_writers_do_not_overwrite_each_other(team):
    version = make_version(team)
    cards.write(team.scientist, version=version, texts={"limitations": LIMITS}, seen=0)
    with pytest.raises(Conflict) as caught:
        cards.write(team.scientist2, version=version, texts={"limitations": "Mine."}, seen=0)
    assert caught.value.code == "stale_edit"
    assert "churn-scientist saved 1" in caught.value.message


@pytest.mark.parametrize(
    ("texts", "level", "field_"),
    [
        ({"poem": "x"}, "model", "texts"), ({}, "model", "texts"), (["limitations"], "model", "texts"),
        ({"limitations": 4}, "model", "limitations"), ({"limitations": "x" * 20_001}, "model", "limitations"),
        ({"limitations": "a\x00b"}, "model", "limitations"), ({"limitations": "a\u202eb"}, "model", "limitations"),
        ({"limitations": LIMITS}, "planet", "level"),
    ],
)  # fmt: skip
def test_wrong_input_is_named(team, texts, level, field_):
    with pytest.raises(Invalid) as caught:
        cards.write(team.scientist, version=make_version(team), texts=texts, level=level)
    assert caught.value.field == field_


@pytest.mark.parametrize("who", ["viewer", "manager", "ops"])
def test_readers_do_not_write(team, who):
    with pytest.raises(Forbidden):
        cards.write(getattr(team, who), version=make_version(team), texts={"limitations": LIMITS})


def test_unknown_numbers_and_unkept_cards_are_missing(team):
    version = make_version(team)
    with pytest.raises(Missing):
        cards.read(team.viewer, version=version, number=3)
    request = make_request(team, version=version, evaluated=False)
    with pytest.raises(Missing):
        cards.kept(team.viewer, request=request)
    evaluate(request)
    assert KeptCard.objects.get(request=request).number == 0


@pytest.mark.parametrize("kind", [PaperVersion, KeptCard])
def test_the_database_refuses_to_change_what_was_written(team, kind):
    version = make_version(team)
    cards.write(team.scientist, version=version, texts={"limitations": LIMITS})
    make_request(team, version=version)
    with pytest.raises(DatabaseError), transaction.atomic():
        kind.objects.update(number=7)
