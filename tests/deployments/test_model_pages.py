"""Pages and API of what people say of models."""

import pytest
from django.db import connection
from django.test import Client
from django.test.utils import CaptureQueriesContext
from django.utils import timezone

from deployments.models import RegisteredModel
from deployments.services import model_facts
from tests.deployments.test_api import Api
from tests.factories.deployments import make_trained_run, make_version

pytestmark = pytest.mark.django_db
PAGE = "/p/churn/models/churn/"


def browser(team, role="scientist"):
    client = Client()
    client.force_login(team.people[role])
    return client


def test_edit_by_the_form(team):
    make_version(team)
    client = browser(team)
    assert b"Intended purpose" in client.get(f"{PAGE}edit/").content
    sent = {
        "revision": 0, "owner": "churn-manager", "risk_class": "high", "intended_purpose": "Retention.",
        "out_of_scope_use": "Loans.", "description": "Of **churn**.",
    }  # fmt: skip
    assert client.post(f"{PAGE}edit/", sent).status_code == 303
    page = client.get(PAGE).content.decode()
    for word in ("churn-manager", "high", "Retention.", "Loans."):
        assert word in page
    assert "risk class high" in client.get(f"{PAGE}v/1/").content.decode()
    again = client.post(f"{PAGE}edit/", sent | {"risk_class": "minimal"})
    assert again.status_code == 422
    assert "churn-scientist changed churn since you opened it" in again.content.decode()
    assert "Risk class: –" in again.content.decode(), "the edits beside the form tell before and after"


def test_wrong_input_stays_in_the_form(team):
    make_version(team)
    sent = {"revision": 0, "risk_class": "odd", "intended_purpose": "Kept words."}
    answer = browser(team).post(f"{PAGE}edit/", sent)
    assert answer.status_code == 422
    assert "Kept words." in answer.content.decode()
    assert RegisteredModel.objects.get().intended_purpose == ""


def test_tags_by_the_form(team):
    make_version(team)
    client = browser(team)
    client.post(f"{PAGE}tags/", {"key": "team", "value": "retention"})
    assert "retention" in client.get(PAGE).content.decode()
    client.post(f"{PAGE}tags/", {"key": "team", "do": "remove"})
    assert not RegisteredModel.objects.get().tag_rows.exists()
    told = client.post(f"{PAGE}tags/", {"key": "", "value": "x"}, follow=True)
    assert "Nothing was changed." in told.content.decode()


def test_who_may_only_look_has_no_form(team):
    make_version(team)
    client = browser(team, "viewer")
    page = client.get(PAGE).content.decode()
    assert ("Edit</a>" in page, 'name="key"' in page) == (False, False)
    assert client.get(f"{PAGE}edit/").status_code == 403
    assert client.post(f"{PAGE}tags/", {"key": "a"}).status_code == 403


def test_the_same_by_api(team):
    make_version(team)
    api = Api(team, "scientist", "read", "register")
    made = api.send("patch", "models/churn/", {"risk_class": "high", "owner": "churn-admin", "tags": {"a": "1"}})
    assert made.status_code == 200
    told = made.json()
    assert (told["risk_class"], told["owner"], told["tags"], told["revision"]) == ("high", "churn-admin", {"a": "1"}, 1)
    stale = api.send("patch", "models/churn/", {"revision": 0, "risk_class": "minimal"})
    assert (stale.status_code, stale.json()["code"]) == (409, "stale_edit")
    assert api.send("patch", "models/churn/", {"risk_class": "odd"}).status_code == 400
    assert [row["name"] for row in api.get("models/", risk="high").json()["results"]] == ["churn"]
    assert api.get("models/", risk="minimal").json()["results"] == []
    assert api.get("models/", risk="odd").status_code == 400


def test_the_list_keeps_its_choices(team):
    make_version(team)
    client = browser(team)
    page = client.get("/p/churn/models/", {"risk": "high", "sort": "-rank"}).content.decode()
    assert "No model like this" in page
    assert '<option value="high" selected>' in page
    assert client.get("/p/churn/models/", {"environment": "moon"}).status_code == 422


@pytest.mark.parametrize("path", ["/p/churn/models/", "models/", "past"])
def test_as_many_queries_for_one_and_three(team, path):
    client, api = browser(team), Api(team, "viewer", "read")
    reads = {
        "/p/churn/models/": lambda: client.get("/p/churn/models/"),
        "models/": lambda: api.get("models/"),
        "past": lambda: api.get("models/", as_of=timezone.now().isoformat()),
    }
    taken = []
    for more in (("a",), ("b", "c")):
        for name in more:
            model = make_version(team, model=name, run=make_trained_run(team)).model
            model_facts.edit(team.scientist, model=model, risk_class="high", owner="churn-admin", tags={"a": name})
        reads[path]()
        with CaptureQueriesContext(connection) as seen:
            assert reads[path]().status_code == 200
        taken.append(len(seen))
    assert taken[0] == taken[1]
