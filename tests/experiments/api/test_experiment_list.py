"""The list of experiments, on its page and over the API: folder, search, order, stars first."""

import pytest
from django.db import connection
from django.test import Client
from django.test.utils import CaptureQueriesContext

from experiments.services import folders
from projects.models import Star
from tests.factories.experiments import make_experiment, make_run, writer
from tests.factories.projects import make_project, make_token, make_user

pytestmark = pytest.mark.django_db


@pytest.fixture
def project():
    return make_project()


@pytest.fixture
def ana(project):
    return make_user("ana", role="scientist", project=project)


@pytest.fixture
def made(project):
    found = {name: make_experiment(project, name) for name in ("beta", "alpha", "gamma", "delta")}
    for _ in range(2):
        make_run(found["alpha"])
    make_run(found["gamma"])
    return found


@pytest.fixture
def api(project, ana):
    token = make_token(ana, project, ["read"])

    def call(query):
        answer = Client().get(
            f"/api/v1/projects/churn/experiments/{query}", headers={"Authorization": f"Bearer {token}"}
        )
        body = answer.json()
        return (answer.status_code, body.get("field")) if answer.status_code != 200 else body

    return call


def names(body):
    return [each["name"] for each in body["results"]]


def star(ana, project, experiment):
    Star.objects.create(user=ana, project=project, target_type="experiment", target_id=experiment.pk)


def test_orders_and_stars_before_all_others(api, ana, project, made):
    assert names(api("")) == ["delta", "gamma", "alpha", "beta"]
    assert names(api("?sort=name")) == ["alpha", "beta", "delta", "gamma"]
    assert names(api("?sort=-runs"))[:2] == ["alpha", "gamma"]
    star(ana, project, made["beta"])
    star(make_user("bo", role="scientist", project=project), project, made["delta"])
    body = api("?sort=-runs")
    assert names(body)[:3] == ["beta", "alpha", "gamma"]
    assert [each["starred"] for each in body["results"]] == [True, False, False, False]
    assert [each["run_count"] for each in body["results"]] == [0, 2, 1, 0]


@pytest.mark.parametrize("sort", ["name", "-name", "runs", "-activity", "created"])
def test_pages_follow_one_another_both_ways(api, ana, project, made, sort):
    star(ana, project, made["gamma"])
    star(ana, project, made["beta"])
    whole = names(api(f"?sort={sort}"))
    assert set(whole[:2]) == {"gamma", "beta"}
    seen, at, back = [], f"?sort={sort}&limit=1", []
    while at:
        body = api(at)
        seen += names(body)
        last, at = body, body["next"] and f"?{body['next'].partition('?')[2]}"
    while last["previous"]:
        last = api(f"?{last['previous'].partition('?')[2]}")
        back += names(last)
    assert (seen, back) == (whole, whole[-2::-1])


def test_folder_and_search(api, project, made):
    by = writer(project)
    top = folders.create(by, project=project, name="top")
    inner = folders.create(by, project=project, name="inner", parent=top)
    folders.place(by, experiment=made["alpha"], folder=top)
    folders.place(by, experiment=made["delta"], folder=inner)
    assert names(api(f"?folder={top.pk}")) == ["alpha"]
    assert sorted(names(api(f"?folder={top.pk}&q=a"))) == ["alpha", "delta"]
    assert sorted(names(api("?q=LTA"))) == ["delta"]
    assert api("?folder=999") == (404, "folder")
    assert api("?folder=x") == (400, "folder")
    assert api("?sort=size") == (400, "sort")
    assert api("?cursor=x") == (400, "cursor")


@pytest.mark.parametrize("count", [1, 3])
def test_the_list_costs_the_same_queries_for_any_number(api, project, count):
    for at in range(count):
        make_run(make_experiment(project, f"e{at}"))
    api("")
    with CaptureQueriesContext(connection) as seen:
        api("")
    assert len(seen) == 3


def test_the_page_shows_starred_ones_first(ana, project, made):
    star(ana, project, made["beta"])
    web = Client()
    web.force_login(ana)
    body = web.get("/p/churn/experiments/?sort=name").content.decode()
    order = [body.index(f'title="{name}"') for name in ("beta", "alpha", "delta", "gamma")]
    assert order == sorted(order)
    assert body.count("You starred this") == 1
