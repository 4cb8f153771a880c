"""The list of experiments with its folders, the page that edits one, and the trash."""

import re
from datetime import timedelta

import pytest
from django.db import connection
from django.test import Client
from django.test.utils import CaptureQueriesContext
from django.utils import timezone

from experiments.models import BulkAction, Experiment, Folder, Run
from experiments.services import experiments, folders, runs
from tests.factories.experiments import log, make_experiment, make_run, writer
from tests.factories.projects import make_project, make_user

pytestmark = pytest.mark.django_db
LIST = "/p/churn/experiments/"


@pytest.fixture
def project():
    return make_project()


@pytest.fixture
def by(project):
    return writer(project)


def client(project, name="ana", role="scientist"):
    made = Client()
    made.force_login(make_user(name, role=role, project=project))
    return made


@pytest.fixture
def web(project):
    return client(project)


@pytest.fixture
def admin(project):
    return client(project, "adi", "admin")


def text(answer):
    return re.sub(r"\s+", " ", re.sub(r"<[^>]+>", " ", answer.content.decode()))


def names(answer):
    return re.findall(r'experiments/([\w-]+)/" title', answer.content.decode())


def following(answer, rel="next"):
    found = re.search(rf'rel="{rel}" href="([^"]*)"', answer.content.decode())
    return found[1].replace("&amp;", "&") if found else ""


def test_ten_thousand_experiments_page_and_sort(web, project):
    now = timezone.now()
    Experiment.objects.bulk_create(
        Experiment(project=project, name=f"e{n:05}", created_at=now, updated_at=now) for n in range(10_000)
    )
    make_run(Experiment.objects.get(name="e00007"))
    first = web.get(LIST)
    assert (names(first)[:2], len(names(first))) == (["e00007", "e09999"], 50)
    second = web.get(LIST + following(first))
    assert names(second)[0] == "e09950"
    assert names(web.get(LIST + following(second, "prev"))) == names(first)
    by_name = web.get(f"{LIST}?sort=name")
    assert names(web.get(LIST + following(by_name)))[:2] == ["e00050", "e00051"]
    assert names(web.get(f"{LIST}?q=e0999&sort=name")) == [f"e{n:05}" for n in range(9990, 10_000)]


def test_a_line_shows_runs_and_the_best_of_the_primary_metric(web, project):
    place = make_experiment(project)
    for value in (0.5, 0.75, 0.625):
        log(make_run(place), "roc_auc", [value])
    runs.delete(writer(project), run=make_run(place))
    said = web.get(LIST)
    assert "churn-gbm 3 ROC AUC ↑ 0.7500" in text(said)
    assert "<polyline" in said.content.decode() or "<path" in said.content.decode()


@pytest.mark.parametrize("count", [1, 3])
def test_the_list_costs_the_same_queries_for_any_number(web, project, by, count):
    for n in range(count):
        place = make_experiment(project, f"e{n}")
        log(make_run(place), "roc_auc", [0.5])
        folders.create(by, project=project, name=f"f{n}")
    web.get(LIST)
    with CaptureQueriesContext(connection) as seen:
        web.get(LIST)
    assert len(seen) == 16


def test_folders_hold_their_experiments_and_a_search_looks_below(web, project, by):
    top = folders.create(by, project=project, name="2026")
    inner = folders.create(by, project=project, name="deep", parent=top)
    folders.place(by, experiment=make_experiment(project, "inside"), folder=inner)
    make_experiment(project, "outside")
    said = web.get(LIST)
    assert (names(said), "2026 1 experiment, 1 folder" in text(said)) == (["outside"], True)
    assert names(web.get(f"{LIST}?folder={inner.pk}")) == ["inside"]
    found = web.get(f"{LIST}?folder={top.pk}&q=side")
    assert (names(found), "2026 / deep" in text(found)) == (["inside"], True)
    assert names(web.get(f"{LIST}?q=side&sort=name")) == ["inside", "outside"]
    assert web.get(f"{LIST}?folder=999").status_code == 404


def test_crumbs_of_experiment_and_run_name_the_folders(web, project, by):
    folder = folders.create(by, project=project, name="2026")
    place = folders.place(by, experiment=make_experiment(project), folder=folder)
    run = make_run(place)
    for page in (f"{LIST}churn-gbm/", f"/p/churn/runs/{run.pk}/"):
        assert f'<a href="/p/churn/experiments/?folder={folder.pk}">2026</a>' in web.get(page).content.decode()


def test_folders_are_made_changed_and_deleted_by_pages(web, project):
    made = web.post("/p/churn/folders/new/", {"name": "a", "parent": ""})
    top = Folder.objects.get()
    assert made["Location"] == f"{LIST}?folder={top.pk}"
    web.post("/p/churn/folders/new/", {"name": "b", "parent": top.pk})
    wrong = web.post("/p/churn/folders/new/", {"name": "a/b", "parent": top.pk})
    assert (wrong.status_code, 'value="a/b"' in wrong.content.decode()) == (400, True)
    inner = Folder.objects.get(name="b")
    circle = web.post(f"/p/churn/folders/{top.pk}/", {"name": "a", "parent": inner.pk})
    assert (circle.status_code, "cannot lie in itself" in text(circle)) == (400, True)
    web.post(f"/p/churn/folders/{inner.pk}/", {"name": "c", "parent": ""})
    web.post(f"/p/churn/folders/{top.pk}/delete/", {"content": "up"})
    assert list(Folder.objects.values_list("name", "parent")) == [("c", None)]


def test_an_experiment_is_edited_as_a_whole_or_not_at_all(web, project, by):
    make_experiment(project), make_experiment(project, "taken")
    folder = folders.create(by, project=project, name="2026")
    new = {"name": "better", "description": "**Why**", "primary_metric": "roc_auc", "folder": folder.pk}
    refused = web.post(f"{LIST}churn-gbm/edit/", {**new, "name": "taken"})
    assert (refused.status_code, Experiment.objects.filter(description="").count()) == (409, 2)
    assert web.post(f"{LIST}churn-gbm/edit/", new)["Location"] == f"{LIST}better/"
    found = Experiment.objects.get(name="better")
    assert (found.description, found.primary_metric, found.folder) == ("**Why**", "roc_auc", folder)
    assert 'value="better"' in web.get(f"{LIST}better/edit/").content.decode()


def test_an_experiment_goes_to_the_trash_and_comes_back(web, project):
    place = make_experiment(project)
    make_run(place)
    web.post(f"{LIST}churn-gbm/archive/")
    assert names(web.get(LIST)) == []
    said = text(web.get("/p/churn/trash/"))
    assert "churn-gbm 1 " in said
    assert "ana" in said
    web.post(f"/p/churn/trash/experiments/{place.pk}/restore/")
    assert (names(web.get(LIST)), Run.objects.active().count()) == (["churn-gbm"], 1)


def test_a_run_of_the_trash_says_when_it_is_removed_and_comes_back(web, project, by):
    place = make_experiment(project)
    run = runs.delete(by, run=make_run(place, "gone"))
    page = web.get("/p/churn/trash/").content.decode()
    assert (run.deleted_at + timedelta(days=30)).strftime("%Y-%m-%dT%H:%M") in page
    assert "Remove now" not in page  # a scientist removes nothing for good
    experiments.delete(by, experiment=place)
    early = web.post(f"/p/churn/trash/runs/{run.pk}/restore/")
    assert (early.status_code, "restore that first" in text(early)) == (409, True)
    experiments.restore(by, experiment=place)
    web.post(f"/p/churn/trash/runs/{run.pk}/restore/")
    assert Run.objects.active().count() == 1


def test_one_run_is_removed_after_a_question(admin, web, project, by):
    run = runs.delete(by, run=make_run(make_experiment(project)))
    url = f"/p/churn/trash/runs/{run.pk}/remove/"
    assert web.post(url).status_code == 403
    assert "Remove 1 run for good" in text(admin.post(url))
    done = admin.post(f"/p/churn/bulk/{BulkAction.objects.get().pk}/confirm/")
    assert "1 run removed for good." in text(admin.get(done["Location"]))
    assert Run.objects.count() == 0


def test_an_experiment_is_removed_after_a_tick(admin, project, by):
    place = make_experiment(project)
    make_run(place)
    experiments.delete(by, experiment=place)
    url = f"/p/churn/trash/experiments/{place.pk}/remove/"
    assert "cannot be undone" in text(admin.post(url))
    assert Experiment.objects.count() == 1
    admin.post(url, {"sure": "1"})
    assert (Experiment.objects.count(), Run.objects.count()) == (0, 0)


def test_the_trash_is_emptied_by_who_types_the_word(admin, project, by):
    runs.delete(by, run=make_run(make_experiment(project)))
    refused = admin.post("/p/churn/trash/empty/", {"word": "yes"})
    assert (refused.status_code, Run.objects.count()) == (400, 1)
    admin.post("/p/churn/trash/empty/", {"word": "empty"})
    assert Run.objects.count() == 0


@pytest.mark.parametrize("days", ["0", "3651", "x", "", "-1"])
def test_a_wrong_time_of_keeping_is_refused(admin, project, days):
    assert admin.post("/p/churn/trash/keep/", {"days": days}).status_code == 400


def test_the_time_of_keeping_is_saved(admin, project):
    admin.post("/p/churn/trash/keep/", {"days": "7"})
    project.refresh_from_db()
    assert project.trash_days == 7


@pytest.mark.parametrize("count", [1, 3])
def test_the_trash_costs_the_same_queries_for_any_number(web, project, by, count):
    place = make_experiment(project)
    for n in range(count):
        runs.delete(by, run=make_run(place))
        experiments.delete(by, experiment=make_experiment(project, f"e{n}"))
    web.get("/p/churn/trash/")
    with CaptureQueriesContext(connection) as seen:
        web.get("/p/churn/trash/")
    assert len(seen) == 16
