"""Threshold and cost matrix on the review: weighed from stored counts, kept with the evidence, by page and REST."""

import numpy as np
import pytest
from django.db import DatabaseError, transaction

from deployments.models import ThresholdChoice
from deployments.proof import threshold as engine
from deployments.services import promotions, technical_files, thresholds
from deployments.services.thresholds import Asked
from mlportal.lib.errors import Conflict, Forbidden, Invalid
from projects.models import Event
from tests.deployments.test_api import Api
from tests.deployments.test_pages import browser
from tests.factories.deployments import Team, make_live, make_request, result, set_policy


def counted(team: Team, *, gates=None, **found):
    """A request whose evaluation counted by threshold: 60 negatives at 0.2, 40 positives, half at 0.4 and at 0.8."""
    truth = np.array([False] * 60 + [True] * 40)
    ours = np.array([0.2] * 60 + [0.4] * 20 + [0.8] * 20)
    theirs = np.array([0.6] * 60 + [0.8] * 40)
    live = make_live(team)
    if gates:
        set_policy(team, gates=gates)
    kept = {"positive": "yes", "cells": engine.cells(truth, ours, theirs), "compared": True}
    return make_request(team, found=result(production=0.87, threshold=kept, **found)), live


def test_costs_follow_from_the_counts_and_the_choice_is_kept_with_who_and_why(team):
    request, _ = counted(team)
    weighed = thresholds.weigh(request.evaluation.result, Asked(0.5, 1.0, 10.0))
    assert weighed["at"]["candidate"]["value"] == 20 * 10 / 100  # half of the positives are missed
    assert weighed["at"]["baseline"]["value"] == 60 * 1 / 100  # every negative is called positive
    assert (weighed["best"], weighed["best_cost"], weighed["positive"], weighed["rows"]) == (0.4, 0.0, "yes", 100)
    made = thresholds.choose(team.manager, request=request, asked=Asked(0.401, 1.0, 10.0))
    assert (made.threshold, made.found["candidate"]["value"]) == (0.4, 0.0)
    said = Event.objects.get(verb="promotion.threshold_chosen")
    assert (said.target_id, said.actor_id) == (request.pk, team.people["manager"].pk)
    assert thresholds.usual(request) == Asked(0.4, 1.0, 10.0)
    with pytest.raises(DatabaseError), transaction.atomic():
        ThresholdChoice.objects.update(threshold=0.9)


def test_the_next_request_of_the_model_begins_with_its_costs_and_the_usual_threshold(team):
    request, _ = counted(team)
    assert thresholds.usual(request) == Asked()
    thresholds.choose(team.manager, request=request, asked=Asked(0.4, 2.0, 7.0))
    promotions.withdraw(team.scientist2, request=request)
    following = make_request(team, version=request.version)
    assert thresholds.usual(following) == Asked(0.5, 2.0, 7.0)


@pytest.mark.parametrize(
    ("asked", "field"),
    [
        (Asked(1.1), "threshold"), (Asked(-0.1), "threshold"), (Asked("half"), "threshold"), (Asked(True), "threshold"),
        (Asked(0.5, -1.0), "false_positive"), (Asked(0.5, 1.0, float("inf")), "false_negative"),
        (Asked(0.5, 0.0, 0.0), "false_positive"),
    ],
)  # fmt: skip
def test_what_is_no_threshold_or_no_cost_is_named(asked, field):
    with pytest.raises(Invalid) as fault:
        thresholds.checked(asked)
    assert fault.value.field == field


def test_who_may_not_sign_may_not_choose_and_a_closed_or_uncounted_request_says_so(team):
    request, _ = counted(team)
    with pytest.raises(Forbidden):
        thresholds.choose(team.viewer, request=request, asked=Asked())
    promotions.decide(team.manager, request=request, verdict="reject", comment="Not on these numbers.")
    with pytest.raises(Conflict):
        thresholds.choose(team.manager, request=request, asked=Asked())
    with pytest.raises(Conflict, match="no counts by threshold"):
        thresholds.choose(team.manager, request=make_request(team), asked=Asked())


def test_rules_that_state_costs_judge_by_them_and_a_threshold_is_kept_by_no_others(team):
    ruled = {"kind": "expected_cost", "false_negative": 10, "threshold": 0.4, "interval": True}
    request, _ = counted(team, gates=[ruled])
    verdict = request.gate_results.get()
    assert (verdict.passed, verdict.found) == (True, "0 a row, −0.5")  # the near end of the interval
    assert thresholds.usual(request) == Asked(0.4, 1.0, 10.0)
    with pytest.raises(Conflict, match="say what mistakes cost: 1 a false positive, 10 a false negative"):
        thresholds.choose(team.manager, request=request, asked=Asked(0.3, 1.0, 2.0))
    page, place = browser(team, "manager"), f"/p/churn/promotions/{request.pk}/"
    text = page.get(place).content.decode()
    assert "The rules say what mistakes cost: 1.0 a false positive, 10.0 a false negative, judged at 0.4." in text
    assert "Keep 0.4 with the evidence" in text
    assert "with the evidence</button>" not in page.get(place, {"false_negative": "2"}).content.decode()
    made = thresholds.choose(team.manager, request=request, asked=Asked(0.3, 1.0, 10.0))
    fields = {
        field["key"]: field
        for part in technical_files.read(team.viewer, version=request.version)["sections"]
        for field in part["fields"]
    }
    said = dict(fields["threshold"]["value"])
    assert (said["Threshold"], said["Cost of a false negative"], said["False negatives"]) == (0.3, 10.0, 0)
    assert fields["threshold"]["source"]["href"] == f"{place}#cost"
    assert said["Chosen by"] == {"person": made.chosen_by_id}


def test_the_page_weighs_by_its_address_and_keeps(team):
    request, _ = counted(team)
    page, place = browser(team, "manager"), f"/p/churn/promotions/{request.pk}/"
    text = page.get(place, {"threshold": "0.4", "false_negative": "10"}).content.decode()
    assert "At 0.4 a row costs 0; least at 0.4 with 0." in text
    assert "Against production at the same threshold: −0.6" in text
    assert "cheaper" in text
    assert "Keep 0.4 with the evidence" in text
    assert "threshold must lie between 0 and 1." in page.get(place, {"threshold": "7"}).content.decode()
    kept = page.post(f"{place}threshold/", {"threshold": "0.4", "false_positive": "1", "false_negative": "10"})
    assert (kept.status_code, kept.headers["Location"]) == (303, f"{place}#cost")
    assert "Kept: 0.4, mistakes at 1.0 and 10.0" in page.get(place).content.decode()
    assert page.post(f"{place}threshold/", {"threshold": "much"}).status_code == 422
    assert browser(team, "viewer").post(f"{place}threshold/").status_code == 403
    assert 'id="cost"' not in page.get(f"/p/churn/promotions/{make_request(team).pk}/").content.decode()


def test_the_api_weighs_and_keeps(team):
    request, _ = counted(team)
    api, place = Api(team, "manager", "read", "approve"), f"promotions/{request.pk}/threshold/"
    weighed = api.get(place, threshold="0.5", false_negative="10").json()
    assert (weighed["at"]["candidate"]["value"], weighed["best"], weighed["chosen"]) == (2.0, 0.4, None)
    made = api.post(place, {"threshold": 0.4, "false_negative": 10})
    assert (made.status_code, made.json()["threshold"], made.json()["chosen_by"]) == (201, 0.4, "churn-manager")
    assert api.get(place).json()["chosen"]["threshold"] == 0.4
    assert api.post(place, {"threshold": 2}).status_code == 400
    assert Api(team, "manager", "read").post(place, {"threshold": 0.4}).status_code == 403
    assert api.get(f"promotions/{make_request(team).pk}/threshold/").status_code == 409
