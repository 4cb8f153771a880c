"""Pages and API of the rules: edit, back-test, activate, confirm, history."""

import pytest
from django.db import connection
from django.test import Client
from django.test.utils import CaptureQueriesContext

from deployments.models import Backtest, Policy
from deployments.policy_form import PolicyForm
from deployments.proof.rules_catalogue import KINDS
from deployments.services import backtests, policies
from tests.deployments.test_api import Api
from tests.factories.deployments import environment, make_live, make_request, make_version
from tests.factories.projects import make_user

pytestmark = pytest.mark.django_db
PAGES = "/p/churn/settings/policies/"


def browser(team, role):
    client = Client()
    client.force_login(team.people[role])
    return client


def ticked(values):
    """Fields as they are sent: a box that is not ticked is not."""
    return {name: "on" if value is True else value for name, value in values.items() if value is not False}


def typed(policy, **changes):
    """What a browser sends for the form of a version."""
    form = PolicyForm.of(policy)
    sent = {"gate": [row.key for row in form.gates], "step": [row.key for row in form.steps]}
    for row in form.gates:
        own = {"kind": row.kind.key, "level": row.level, "name": row.name}
        sent |= {f"gate-{row.key}-{name}": value for name, value in own.items()}
        sent |= ticked({field.name: field.shown for field in row.fields})
    for row in form.steps:
        own = {"name": row.name, "roles": row.roles, "needed": row.needed}
        sent |= {f"step-{row.key}-{name}": value for name, value in own.items()}
    return {**sent, **ticked(form.simple), "card_sections": form.sections, **changes}


@pytest.fixture
def place(team):
    make_version(team)
    return environment(team)


def test_edit_backtest_activate(team, place):
    make_live(team)
    open_request = make_request(team)
    client = browser(team, "admin")
    assert b"Edit production" in client.get(PAGES).content
    form = typed(policies.current(place), **{"step-s0-needed": "2", "gate-g0-margin": "0.005", "do": "backtest"})
    made = client.post(f"{PAGES}production/edit/", form)
    draft = Policy.objects.get(state="draft")
    assert (made.status_code, made["Location"]) == (303, f"{PAGES}production/{draft.number}/")
    assert (draft.min_approvals, draft.gates[0]["margin"]) == (2, 0.005)
    page = client.get(made["Location"]).content.decode()
    assert "Waits for a worker" in page
    assert "1 open request becomes stale" in page
    assert "margin 0.005, was 0.01" in page
    backtests.work(Backtest.objects.get().pk, worker="test")
    part = client.get(f"{made['Location']}backtest/").content.decode()
    assert "No live model stops complying" in part
    assert f'/promotions/{open_request.pk}/"' in part
    assert client.post(f"{made['Location']}activate/").status_code == 303
    assert policies.current(place).number == draft.number
    page = client.get(f"{PAGES}production/1/").content.decode()
    assert f"Promotion {open_request.pk}" in page
    assert "replaced" in page


def test_a_second_admin_confirms_on_the_page(team, place):
    second = make_user("ada2", role="admin", project=team.project)
    client, other = browser(team, "admin"), Client()
    other.force_login(second)
    form = typed(policies.current(place), expiry_days="5", do="save")
    where = client.post(f"{PAGES}production/edit/", form)["Location"]
    assert client.post(f"{where}activate/").status_code == 303
    assert "Another admin has to confirm" in client.get(where).content.decode()
    assert client.post(f"{where}confirm/").status_code == 403
    assert b"proposes new rules for production" in other.get(PAGES).content
    assert b">Confirm<" in other.get(where).content
    assert other.post(f"{where}confirm/").status_code == 303
    assert policies.current(place).expiry_days == 5
    assert other.post(f"{where}drop/").status_code == 409


def test_rows_are_added_moved_and_removed_without_script_and_nothing_is_saved(team, place):
    client, address = browser(team, "admin"), f"{PAGES}production/edit/"
    form = typed(policies.current(place), **{"gate-g1-margin": "typed"})

    def kinds(answer):
        return [row.kind.key for row in answer.context["form"].gates]

    added = client.post(address, {**form, "do": "gate-add", "new_kind": "fairness_gap"})
    assert (added.status_code, kinds(added)[-1]) == (200, "fairness_gap")
    assert 'value="typed"' in added.content.decode()
    assert kinds(client.post(address, {**form, "do": "gate-up:g2"}))[1] == "run_succeeded"
    assert kinds(client.post(address, {**form, "do": "gate-down:g0"}))[1] == "metric_not_worse"
    assert kinds(client.post(address, {**form, "do": "gate-up:g0"})) == kinds(client.get(address))
    assert len(kinds(client.post(address, {**form, "do": "gate-remove:g2"}))) == len(form["gate"]) - 1
    assert len(client.post(address, {**form, "do": "step-add"}).context["form"].steps) == 2
    assert client.post(address, {**form, "do": "gate-add", "new_kind": "x"}).status_code == 422
    assert not Policy.objects.filter(state="draft").exists()


@pytest.mark.parametrize(
    ("changes", "words"),
    [
        ({"gate-g0-margin": "much"}, "Gate 1: margin must be a number"),
        ({"gate-g8-limit": "-5"}, "Gate 9: limit must be a number"),
        ({"step-s0-needed": "none"}, "Step 1: needed must be a whole number from 1 to 9"),
        ({"step-s0-roles": []}, "Step 1: roles must be one or more"),
        ({"expiry_days": "91"}, "expiry_days must be a whole number from 1 to 90"),
        ({"timeout_hours": "x"}, "timeout_hours must be a whole number"),
        ({"timeout_action": "shout"}, "timeout_action must be one of"),
        ({}, "These are the rules in force already."),
    ],
)
def test_bad_values_stay_on_the_page_with_the_reason(team, place, changes, words):
    answer = browser(team, "admin").post(f"{PAGES}production/edit/", typed(policies.current(place), **changes))
    assert answer.status_code == 422
    assert words in answer.content.decode()


def test_sizes_are_typed_in_megabytes(team, place):
    form = typed(policies.current(place))
    assert form["gate-g8-limit"] == "1000"
    browser(team, "admin").post(f"{PAGES}production/edit/", {**form, "gate-g8-limit": "1.5"})
    assert Policy.objects.get(state="draft").gates[8]["limit"] == 1_500_000


def test_every_kind_of_gate_can_be_added_and_saved(team, place):
    client, address = browser(team, "admin"), f"{PAGES}production/edit/"
    form = typed(policies.current(place), gate=[])
    for number, kind in enumerate(KINDS.values()):
        key = f"k{number}"
        form["gate"] = [*form["gate"], key]
        form |= {f"gate-{key}-kind": kind.key, f"gate-{key}-level": "advisory", f"gate-{key}-name": ""}
        form |= {f"gate-{key}-{item.name}": "region" for item in kind.values if item.name == "column"}
        form |= {f"gate-{key}-limit": "1" for item in kind.values if item.name == "limit"}
    assert client.post(address, {**form, "card_sections": ["risk"]}).status_code == 303
    draft = Policy.objects.get(state="draft")
    assert [row["kind"] for row in draft.gates] == list(KINDS)
    assert client.get(f"{PAGES}production/{draft.number}/").status_code == 200


def test_readers_see_the_rules_and_change_nothing(team, place):
    client = browser(team, "viewer")
    for page in ("", "production/", "production/1/", "production/1/backtest/"):
        content = client.get(f"{PAGES}{page}").content.decode()
        assert "Edit" not in content.split("<main")[-1]
    assert client.get(f"{PAGES}production/edit/").status_code == 403
    assert client.post(f"{PAGES}production/1/backtest/").status_code == 403
    assert client.get(f"{PAGES}moon/").status_code == 404
    assert client.get(f"{PAGES}production/9/").status_code == 404
    assert client.get(f"{PAGES}production/99999999999/").status_code == 404


def test_the_form_starts_from_an_older_version(team, place):
    policies.change(team.admin, environment=place, expiry_days=30)
    client = browser(team, "admin")
    assert (
        'name="expiry_days" inputmode="numeric" value="7"'
        in client.get(f"{PAGES}production/edit/?from=1").content.decode()
    )
    assert client.get(f"{PAGES}production/edit/?from=77").status_code == 404


@pytest.mark.parametrize("page", ["", "production/", "production/1/"])
def test_pages_take_the_same_queries_for_one_and_three(team, place, page):
    client, taken = browser(team, "viewer"), []
    for days in (3, 4, 5):
        make_request(team)
        policies.change(team.admin, environment=place, expiry_days=days)
        with CaptureQueriesContext(connection) as seen:
            assert client.get(f"{PAGES}{page}").status_code == 200
        taken.append(len(seen))
    assert taken[0] == taken[2]
    assert taken[0] < 25


def test_by_api(team, place):
    make_live(team)
    admin, reader = Api(team, "admin", "read", "admin"), Api(team, "viewer", "read")
    kinds = reader.get("gate-kinds/").json()
    assert [row["kind"] for row in kinds] == list(KINDS)
    where = "environments/production/policies/"
    bad = admin.post(where, {"gates": [{"kind": "size_at_most", "limit": -1}]}).json()
    assert (bad["field"], bad["got"], bad["limit"][0]) == ("gates.1.limit", "-1", 0)
    gates = [{"kind": "metric_at_least", "metric": "roc_auc", "limit": 0.95}]
    steps = [{"name": "Peer", "roles": ["scientist"], "needed": 1}, {"name": "Sign", "roles": ["manager"], "needed": 3}]
    made = admin.post(where, {"gates": gates, "steps": steps})
    assert (made.status_code, made.json()["state"], made.json()["based_on"]) == (201, "draft", 1)
    assert any("the project has 2" in text for text in made.json()["warnings"])
    assert {row["effect"] for row in made.json()["changes"]} >= {"weaker", "stronger"}
    one = f"{where}{made.json()['number']}/"
    assert reader.get(f"{one}backtest/").status_code == 404
    asked = admin.post(f"{one}backtest/", {"last": 10})
    assert (asked.status_code, asked.json()["state"]) == (202, "queued")
    backtests.work(asked.json()["id"], worker="test")
    found = reader.get(f"{one}backtest/").json()
    assert (found["state"], found["result"]["production"][0]["standing"]) == ("succeeded", "block")
    assert reader.post(f"{one}activate/").status_code == 403
    assert admin.post(f"{one}activate/").json()["state"] == "active"
    assert admin.post(f"{one}drop/").json()["code"] == "not_proposed"
    assert [row["number"] for row in reader.get(where).json()["results"]] == [2, 1]
    assert reader.get(f"{where}9/").status_code == 404
