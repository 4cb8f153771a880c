"""Saved views: service, tabs, default, rights, API."""

import json
import re

import pytest
from django.db import connection
from django.test import Client
from django.test.utils import CaptureQueriesContext

from experiments.models import SavedView
from experiments.services import saved_views
from mlportal.lib.errors import Conflict, Forbidden, Invalid
from projects.models import Event
from tests.factories.experiments import make_experiment, make_run
from tests.factories.projects import actor, make_project, make_token, make_user

pytestmark = pytest.mark.django_db
PAGE = "/p/churn/experiments/churn-gbm/"


@pytest.fixture
def project():
    return make_project()


@pytest.fixture
def experiment(project):
    return make_experiment(project)


@pytest.fixture
def ana(project):
    return make_user("ana", role="scientist", project=project)


@pytest.fixture
def tom(project):
    return make_user("tom", role="viewer", project=project)


def browser(user):
    client = Client()
    client.force_login(user)
    return client


def keep(user, experiment, name="Mine", query="q=depth>4&sort=-auc", **more):
    return saved_views.save(
        actor(user), project=experiment.project, experiment=experiment, name=name, query=query, **more
    )


def tabs(answer):
    shown = re.search(r'aria-label="Views">(.*?)</nav>', answer.content.decode(), re.DOTALL).group(1)
    return re.findall(r'<a href="([^"]*)"( aria-current="page")? title="[^"]*">(?:<svg.*?</svg>)?([^<]+)', shown)


def test_an_address_is_kept_without_what_belongs_to_a_visit(experiment, ana):
    view = keep(ana, experiment, query="?q=depth>4&cursor=abc&limit=50&col=m~a&col=p~b&open=1&sort=&add=x")
    assert (view.number, view.query) == (1, "q=depth%3E4&limit=50&cols=m~a%2Cp~b")
    assert Event.objects.get(verb="view.saved").data == {"view": 1, "shared": False}


@pytest.mark.parametrize(
    ("facts", "message"),
    [
        ({"name": " "}, "name is empty"),
        ({"name": "all"}, "cannot be called"),
        ({"name": "x" * 101}, "101 characters"),
        ({"query": "q=auc>"}, "A value is missing"),
        ({"query": "x" * 8001}, "8001 characters"),
        ({"page": "moon"}, "page must be one of: runs, compare"),
    ],
)
def test_what_cannot_be_a_view(experiment, ana, facts, message):
    with pytest.raises(Invalid, match=message):
        keep(ana, experiment, **facts)


def test_names_are_ones_own_and_numbers_the_projects(experiment, ana, tom):
    keep(ana, experiment)
    with pytest.raises(Conflict, match="You have a view called Mine there"):
        keep(ana, experiment)
    assert keep(tom, experiment).number == 2
    assert keep(ana, experiment, page="compare").number == 3


def test_a_view_has_a_limit(experiment, ana, monkeypatch):
    monkeypatch.setattr(saved_views, "MOST", 1)
    keep(ana, experiment)
    with pytest.raises(Conflict, match="You keep 1 views here"):
        keep(ana, experiment, name="second")


def test_sharing_and_defaults_need_the_right_to_edit(experiment, ana, tom):
    mine = keep(tom, experiment)
    for refused in (
        lambda: keep(tom, experiment, name="two", shared=True),
        lambda: saved_views.share(actor(tom), view=mine),
        lambda: saved_views.make_default(actor(tom), view=mine),
    ):
        with pytest.raises(Forbidden, match=r"run\.edit"):
            refused()
    shared = keep(ana, experiment, shared=True)
    for refused in (
        lambda: saved_views.rename(actor(tom), view=shared, name="x"),
        lambda: saved_views.delete(actor(tom), view=shared),
    ):
        with pytest.raises(Forbidden, match=r"run\.edit"):
            refused()
    with pytest.raises(Forbidden, match="somebody else"):
        saved_views.rename(actor(ana), view=mine, name="x")


def test_there_is_one_default_and_it_is_shared(experiment, ana):
    one, two = keep(ana, experiment, "one"), keep(ana, experiment, "two")
    assert saved_views.make_default(actor(ana), view=one).shared
    saved_views.make_default(actor(ana), view=two)
    assert list(SavedView.objects.filter(is_default=True)) == [two]
    assert not saved_views.share(actor(ana), view=two, shared=False).is_default
    everywhere = saved_views.save(actor(ana), project=experiment.project, name="all of them")
    with pytest.raises(Invalid, match="Only a view of one experiment"):
        saved_views.make_default(actor(ana), view=everywhere)


def test_a_view_is_a_tab_and_opens_whole(experiment, ana, tom):
    make_run(experiment, params={"depth": "5"})
    view = keep(ana, experiment, query="q=depth>4&limit=50", shared=True)
    keep(ana, experiment, name="secret")
    web = browser(tom)
    assert [name for _, _, name in tabs(web.get(PAGE))] == ["Mine"]
    short = web.get(f"{PAGE}?view={view.number}")
    assert (short.status_code, short["Location"]) == (302, f"{PAGE}?q=depth%3E4&limit=50&tab=1")
    over = web.get(f"{PAGE}?view={view.number}&q=depth>5&sort=-depth")
    assert over["Location"] == f"{PAGE}?q=depth%3E5&limit=50&sort=-depth&tab=1"
    assert [current for _, current, _ in tabs(web.get(short["Location"]))] == [' aria-current="page"']
    assert 'Mine<span class="dim">changed</span>' in web.get(over["Location"]).content.decode()
    assert web.get(f"{PAGE}?view=99").status_code == 404
    assert web.get(f"{PAGE}?view=moon").status_code == 404
    assert web.get(f"/p/churn/views/{view.number}/")["Location"] == short["Location"]
    assert web.get("/p/churn/views/2/").status_code == 404


def test_the_default_opens_a_bare_address(experiment, ana, tom):
    make_run(experiment, params={"depth": "5"})
    saved_views.make_default(actor(ana), view=keep(ana, experiment))
    web = browser(tom)
    assert web.get(PAGE)["Location"] == f"{PAGE}?q=depth%3E4&sort=-auc&tab=1"
    assert web.get(f"{PAGE}?tab=all").status_code == 200
    assert web.get(f"{PAGE}?q=").status_code == 200


def test_views_are_made_and_changed_on_the_page(experiment, ana):
    make_run(experiment, params={"depth": "5"})
    web = browser(ana)
    made = web.post(f"{PAGE}views/", {"name": "Deep", "query": "q=depth>4", "shared": "1"})
    assert made["Location"] == f"{PAGE}?q=depth%3E4&tab=1"
    assert web.post(f"{PAGE}views/", {"name": "", "query": "q=depth>4"})["Location"] == f"{PAGE}?q=depth%3E4"
    change = "/p/churn/views/1/change/"
    for action, more in (
        ("rename", {"name": "Deeper"}), ("update", {"query": "q=depth>5"}), ("unshare", {}), ("default", {}),
    ):  # fmt: skip
        assert web.post(change, {"action": action, **more}).status_code == 302
    view = SavedView.objects.get()
    assert (view.name, view.query, view.shared, view.is_default) == ("Deeper", "q=depth%3E5", True, True)
    assert web.post(change, {"action": "rename", "name": ""})["Location"].endswith("tab=1")
    assert web.post(change, {"action": "burn"}).status_code == 400
    assert web.post(change, {"action": "delete"})["Location"] == f"{PAGE}?tab=all"
    assert not SavedView.objects.exists()


def test_the_page_asks_as_often_for_three_views_as_for_one(experiment, ana):
    make_run(experiment)
    web = browser(ana)
    keep(ana, experiment)
    web.get(f"{PAGE}?tab=all")
    with CaptureQueriesContext(connection) as one:
        web.get(f"{PAGE}?tab=all")
    for name in ("b", "c"):
        keep(ana, experiment, name=name)
    with CaptureQueriesContext(connection) as three:
        web.get(f"{PAGE}?tab=all")
    assert len(three) == len(one)


def test_the_api_does_what_the_page_does(experiment, ana, tom):
    base, client = "/api/v1/projects/churn/views/", Client()

    def call(user, method, path="", body=None, scopes=("read", "write")):
        headers = {"Authorization": f"Bearer {make_token(user, experiment.project, list(scopes))}"}
        given = {"data": json.dumps(body), "content_type": "application/json"} if body is not None else {}
        return getattr(client, method)(base + path, headers=headers, **given)

    made = call(ana, "post", "", {"name": "Deep", "query": "q=depth>4", "experiment": "churn-gbm"})
    assert (made.status_code, made.json()["number"], made.json()["experiment"]) == (201, 1, "churn-gbm")
    assert call(tom, "get", "1/").status_code == 404
    assert call(ana, "patch", "1/", {"is_default": True}).json()["shared"] is True
    assert call(tom, "get", "1/").json()["is_default"] is True
    assert [v["name"] for v in call(tom, "get", "?experiment=churn-gbm&page=runs").json()["results"]] == ["Deep"]
    assert call(tom, "get", "?page=compare").json()["results"] == []
    assert call(tom, "delete", "1/").status_code == 403
    assert call(tom, "post", "", {"name": "x"}, scopes=("read",)).status_code == 403
    assert call(ana, "post", "", {"name": "x", "colour": 1}).status_code == 400
    assert call(ana, "post", "", {"name": "x", "experiment": "moon"}).status_code == 404
    assert call(ana, "delete", "1/").status_code == 204
