"""Page and API of environments and moves."""

from urllib.parse import urlencode

import pytest
from django.db import connection
from django.test import Client
from django.test.utils import CaptureQueriesContext

from deployments.models import Environment
from deployments.services import environments, policies, ways
from projects.services.session_store import AUTHENTICATED
from tests.deployments.test_api import Api
from tests.factories.deployments import make_live, make_team, make_version
from tests.factories.projects import PASSWORD

pytestmark = pytest.mark.django_db
PAGE = "/p/churn/settings/environments/"


def browser(team, role="admin"):
    client = Client()
    client.force_login(team.people[role])
    return client


@pytest.fixture
def places(team):
    policies.ensure(team.project)
    return team


def test_add_rename_order_archive_restore_by_forms(places):
    client = browser(places)
    assert client.post(PAGE, {"name": "canary", "start": "staging"}).status_code == 303
    assert client.post(f"{PAGE}canary/rename/", {"name": "shadow"}).status_code == 303
    assert client.post(f"{PAGE}shadow/shift/", {"way": "down"}).status_code == 303
    order = Environment.objects.order_by("position").values_list("name", flat=True)
    assert list(order) == ["staging", "shadow", "production"]
    assert client.post(f"{PAGE}shadow/archive/").status_code == 303
    page = client.get(PAGE).content.decode()
    assert "Restore shadow" in page
    assert client.post(f"{PAGE}shadow/restore/").status_code == 303
    assert not Environment.objects.exclude(archived_at=None).exists()


def test_moves_by_the_table_and_drawn_in_words(places):
    client = browser(places)
    seen = ways.of(places.project).mark
    sent = {"move": ["nothing>staging", "staging>production"], "seen": seen}
    assert client.post(f"{PAGE}moves/", sent).status_code == 303
    page = client.get(PAGE).content.decode()
    assert 'aria-label="nothing to staging, staging to production"' in page
    assert 'value="staging&gt;production" checked' in page
    assert "reached from staging" in page
    again = client.post(f"{PAGE}moves/", sent)
    assert again.status_code == 409
    assert "Somebody else changed the moves" in again.content.decode()


def test_wrong_input_is_said_on_the_page(places):
    client = browser(places)
    taken = client.post(PAGE, {"name": "staging"})
    assert (taken.status_code, "is the name of an environment" in taken.content.decode()) == (409, True)
    bad = client.post(PAGE, {"name": "a b"})
    assert (bad.status_code, 'value="a b"' in bad.content.decode()) == (422, True)
    make_live(places)
    used = client.post(f"{PAGE}production/rename/", {"name": "prod"})
    assert (used.status_code, "keeps its name" in used.content.decode()) == (409, True)


def test_who_may_only_look_sees_words_and_no_form(places):
    client = browser(places, "viewer")
    page = client.get(PAGE).content.decode()
    assert ("allowed" in page, "Set the moves" in page, "Archive staging" in page) == (True, False, False)
    for address in (PAGE, f"{PAGE}moves/", f"{PAGE}staging/archive/"):
        assert client.post(address, {"name": "x"}).status_code == 403


def test_the_page_as_it_was(places):
    from django.utils import timezone

    moment = timezone.now().isoformat()
    environments.rename(places.admin, environment=Environment.objects.get(name="staging"), name="shadow")
    page = browser(places).get(PAGE, {"as_of": moment}).content.decode()
    assert ("staging" in page, "shadow" in page, "from anywhere" in page) == (True, False, True)


def test_another_project_is_absent(places):
    make_team("other")
    assert browser(places).get("/p/other/settings/environments/").status_code == 404


def test_the_rules_page_leaves_archived_ones_out(places):
    environments.archive(places.admin, environment=Environment.objects.get(name="staging"))
    page = browser(places).get("/p/churn/settings/policies/").content.decode()
    assert ("Edit production" in page, "Edit staging" in page) == (True, False)


def test_a_version_is_offered_where_a_move_leads(places):
    environments.set_moves(
        places.admin, project=places.project, moves=[("nothing", "staging"), ("staging", "production")]
    )
    make_version(places)
    client = browser(places, "scientist")
    page = client.get("/p/churn/models/churn/v/1/").content.decode()
    assert ">staging</option>" in page
    assert ">production</option>" not in page
    goal = Environment.objects.get(name="production")
    asked = client.post("/p/churn/models/churn/v/1/request/", {"environment": goal.pk, "reason": "Better on churn."})
    assert asked.status_code == 422
    assert "The allowed way: staging, then production." in asked.content.decode()


def test_the_same_by_api(places):
    admin, viewer = Api(places, "admin", "read", "admin"), Api(places, "viewer", "read")
    made = admin.post("environments/", {"name": "canary"})
    assert (made.status_code, made.json()["name"], made.json()["archived_at"]) == (201, "canary", None)
    renamed = admin.send("patch", "environments/canary/", {"name": "shadow"})
    assert (renamed.status_code, renamed.json()["name"]) == (200, "shadow")
    order = admin.send("put", "environment-order/", {"order": ["staging", "shadow", "production"]})
    assert [row["name"] for row in order.json()] == ["staging", "shadow", "production"]
    moves = viewer.get("environment-moves/").json()
    moves["moves"] = [{"start": "nothing", "to": "staging"}, {"start": "staging", "to": "production"}]
    done = admin.send("put", "environment-moves/", moves)
    assert (done.status_code, done.json()["moves"]) == (200, moves["moves"])
    stale = admin.send("put", "environment-moves/", moves | {"moves": []})
    assert (stale.status_code, stale.json()["code"]) == (409, "stale_edit")
    assert admin.post("environments/shadow/archive/").json()["archived_at"]
    assert admin.post("environments/shadow/restore/").json()["archived_at"] is None
    assert viewer.post("environments/", {"name": "x"}).status_code == 403
    assert viewer.get("environments/shadow/").json()["name"] == "shadow"


def test_the_api_names_the_allowed_way(places):
    environments.set_moves(
        places.admin, project=places.project, moves=[("nothing", "staging"), ("staging", "production")]
    )
    make_version(places)
    api = Api(places, "scientist", "read", "register")
    body = {"model": "churn", "version": 1, "environment": "production", "reason": "Better on recent customers."}
    told = api.post("promotions/", body)
    assert (told.status_code, told.json()["code"], told.json()["field"]) == (409, "move_not_allowed", "environment")
    assert told.json()["limit"] == [["staging", "production"]]


@pytest.mark.parametrize("path", [PAGE, "api"])
def test_as_many_queries_for_one_and_three(places, path):
    environments.archive(places.admin, environment=Environment.objects.get(name="staging"))
    client, api = browser(places), Api(places, "viewer", "read")
    taken = []
    for more in ((), ("canary", "shadow")):
        for name in more:
            environments.create(places.admin, project=places.project, name=name)
        read = (lambda: client.get(path)) if path == PAGE else (lambda: api.get("environments/"))
        read()
        with CaptureQueriesContext(connection) as seen:
            assert read().status_code == 200
        taken.append(len(seen))
    assert taken[0] == taken[1]


def test_moves_ask_who_it_is_and_go_on_with_what_was_ticked(places):
    client = browser(places)
    session = client.session
    session[AUTHENTICATED] = 0
    session.save()
    sent = {"move": ["nothing>staging", "staging>production"]}

    def send(**more):
        body = urlencode({**sent, **more}, doseq=True)
        return client.post(f"{PAGE}moves/", body, content_type="application/x-www-form-urlencoded")

    asked = send().content.decode()
    assert 'name="move" value="staging&gt;production"' in asked
    assert ways.of(places.project).pairs() == [("anywhere", "staging"), ("anywhere", "production")]
    assert send(step_up_proof=PASSWORD).status_code == 303
    assert ways.of(places.project).pairs() == [("nothing", "staging"), ("staging", "production")]
