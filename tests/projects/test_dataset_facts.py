"""What is said of a dataset, its lineage, its deletion and the trash."""

import json
from datetime import timedelta

import pytest
from django.test import Client
from django.utils import timezone

from experiments.models import Run
from mlportal.lib.errors import Conflict, Forbidden, Invalid
from projects.models import Dataset, DatasetVersion, Event
from projects.services import dataset_facts, dataset_removal, dataset_trash, lineage, marks
from tests.factories.datasets import CHURN, profiled, upload
from tests.factories.experiments import make_experiment, make_run
from tests.factories.jobs import make_job
from tests.factories.projects import actor, make_project, make_token, make_user

pytestmark = [pytest.mark.django_db, pytest.mark.slow]
DATASET = "/p/churn/datasets/churn/"


@pytest.fixture
def project():
    return make_project()


@pytest.fixture
def version(project):
    return profiled(project)


@pytest.fixture
def ana(project):
    return actor(make_user("ana", role="scientist", project=project))


@pytest.fixture
def adam(project):
    return actor(make_user("adam", role="admin", project=project))


def page_of(by) -> Client:
    client = Client()
    client.force_login(by.user)
    return client


def test_an_edit_keeps_what_changed_in_the_history(version, ana):
    saved = dataset_facts.edit(
        ana, dataset=version.dataset, description="Who *left*", owner="ana", licence="CC-BY-4.0",
        tags=["monthly", " eu ", "eu"], marked={"customer": "personal", "plan": "none"}, revision=1,
    )  # fmt: skip
    assert (saved.owner, saved.licence, saved.tags, saved.marks) == (
        ana.user, "CC-BY-4.0", ["eu", "monthly"], {"customer": "personal"},
    )  # fmt: skip
    event = Event.objects.get(verb="dataset.edited")
    assert event.data["changes"]["owner"] == {"from": None, "to": "ana"}
    assert event.data["changes"]["marks"] == {"from": {}, "to": {"customer": "personal"}}
    assert dataset_facts.edit(ana, dataset=saved, licence="CC-BY-4.0").revision == 2
    assert Event.objects.filter(verb="dataset.edited").count() == 1


def test_an_edit_of_somebody_else_is_not_overwritten(version, ana, adam):
    dataset_facts.edit(adam, dataset=version.dataset, licence="MIT", revision=1)
    with pytest.raises(Conflict, match="adam changed churn since you opened it"):
        dataset_facts.edit(ana, dataset=version.dataset, licence="mine", revision=1)


@pytest.mark.parametrize(
    ("given", "field"),
    [
        ({"owner": "nobody"}, "owner"),
        ({"licence": "x" * 101}, "licence"),
        ({"tags": ["a,b"]}, "tags"),
        ({"tags": ["t"] * 51}, "tags"),
        ({"marked": {"nope": "personal"}}, "marks"),
        ({"marked": {"plan": "hidden"}}, "marks"),
    ],
)
def test_a_wrong_edit_names_its_field(version, ana, given, field):
    with pytest.raises(Invalid) as caught:
        dataset_facts.edit(ana, dataset=version.dataset, **given)
    assert caught.value.field == field


def test_only_who_may_edit_does_and_sees_marked_values(version, ana, project):
    vera = actor(make_user("vera", role="viewer", project=project))
    with pytest.raises(Forbidden):
        dataset_facts.edit(vera, dataset=version.dataset, licence="MIT")
    dataset = dataset_facts.edit(ana, dataset=version.dataset, marked={"age": "sensitive"})
    assert marks.hidden(vera, dataset=dataset) == {"age"}
    assert marks.hidden(ana, dataset=dataset) == frozenset()
    hidden = marks.profile(version, frozenset({"age"}))
    assert (hidden["age"]["min"], hidden["age"]["nulls"], hidden["plan"]) == (None, 1, version.profile["plan"])


def test_pages_show_and_change_the_facts(version, ana):
    client = page_of(ana)
    form = {
        "description": "Who left", "owner": "ana", "licence": "ODbL-1.0", "tags": "eu, monthly", "revision": "1",
        "mark-customer": "personal",
    }  # fmt: skip
    assert client.post(f"{DATASET}edit/", form).status_code == 303
    page = client.get(DATASET).content.decode()
    for words in ("ODbL-1.0", "monthly", "Who left", "owner ana"):
        assert words in page
    edit = client.get(f"{DATASET}edit/").content.decode()
    assert '<option value="personal" selected>' in edit
    stale = client.post(f"{DATASET}edit/", form | {"licence": "MIT"})
    assert (stale.status_code, "since you opened it" in stale.content.decode()) == (422, True)


def test_api_edits_and_shows_the_facts(version, ana, project):
    api = Client(headers={"authorization": f"Bearer {make_token(ana.user, project, ['read', 'write'])}"})
    place = "/api/v1/projects/churn/datasets/churn/"
    body = json.dumps({"tags": ["b", "a"], "marks": {"plan": "secret"}, "licence": "MIT", "owner": "ana"})
    found = api.patch(place, body, content_type="application/json").json()
    assert [found[key] for key in ("tags", "marks", "licence", "owner", "revision")] == [
        ["a", "b"], {"plan": "secret"}, "MIT", "ana", 2,
    ]  # fmt: skip
    wrong = api.patch(place, json.dumps({"marks": {"nope": "secret"}}), content_type="application/json")
    assert (wrong.status_code, wrong.json()["field"], wrong.json()["got"]) == (400, "marks", "nope")


# --- lineage ---------------------------------------------------------------------------------------


def test_lineage_names_source_runs_and_derived_versions(version, ana, project):
    derived = upload(project, CHURN + b"c-4,plus,50,1,2024-04-01,true\n", name="small")
    DatasetVersion.objects.filter(pk=derived.pk).update(derived_from=version)
    experiment = make_experiment(project, "first")
    runs = [make_run(experiment) for _ in range(3)]
    Run.objects.update(dataset_version=version)
    graph = lineage.of_version(ana, version=version)
    assert graph.counts["run"] == 3
    assert set(graph.nodes) == {
        "source:0",
        f"version:{version.pk}",
        f"version:{derived.pk}",
        *(f"run:{run.pk}" for run in runs),
    }
    assert ("source:0", f"version:{version.pk}") in graph.edges
    assert (f"version:{version.pk}", f"version:{derived.pk}") in graph.edges
    page = page_of(ana).get(f"{DATASET}v/1/lineage/").content.decode()
    assert page.count(f"/p/churn/runs/{runs[0].pk}/") == 2
    api = Client(headers={"authorization": f"Bearer {make_token(ana.user, project, ['read'])}"})
    answer = api.get("/api/v1/projects/churn/datasets/churn/versions/1/lineage/").json()
    assert (len(answer["nodes"]), answer["counts"]["run"]) == (6, 3)


def test_lineage_asks_as_often_for_one_run_as_for_many(version, ana, project, django_assert_num_queries):
    experiment = make_experiment(project, "first")
    for count in (1, 3):
        while Run.objects.count() < count:
            make_run(experiment)
        Run.objects.update(dataset_version=version)
        ana.permissions_in(project)
        rows = DatasetVersion.objects.select_related("dataset__project")
        found = rows.get(pk=version.pk)
        with django_assert_num_queries(7):
            lineage.of_version(ana, version=found)


# --- deletion --------------------------------------------------------------------------------------


def test_before_it_goes_it_is_told_how_many_use_it(version, adam, project):
    experiment = make_experiment(project)
    for _ in range(22):
        make_run(experiment)
    Run.objects.update(dataset_version=version)
    page = page_of(adam).get(f"{DATASET}v/1/delete/").content.decode()
    assert "0 models, 22 runs" in page
    assert page.count('class="tag line"') == 20
    assert "and 2 more" in page


def test_a_version_goes_to_the_trash_and_comes_back(version, adam, project):
    client = page_of(adam)
    assert b"No run and no model has used it" in client.get(f"{DATASET}v/1/delete/").content
    assert client.post(f"{DATASET}v/1/delete/").status_code == 303
    assert client.get(f"{DATASET}v/1/").status_code == 404
    trash = client.get("/p/churn/trash/?kind=datasets").content.decode()
    assert "churn v1" in trash
    assert client.post(f"/p/churn/trash/datasets/versions/{version.pk}/restore/").status_code == 303
    assert client.get(f"{DATASET}v/1/").status_code == 200
    assert list(Event.objects.filter(verb__startswith="version.").order_by("pk").values_list("verb", flat=True)) == [
        "version.trashed", "version.restored",
    ]  # fmt: skip


def test_deletion_is_refused_while_a_job_uses_it(version, adam, project):
    job = make_job(project, dataset_version=version, spec={"target": "churned", "features": ["age"]})
    client = page_of(adam)
    answer = client.post(f"{DATASET}delete/")
    assert answer.status_code == 409
    assert f"churn v1 is used by job {job.pk}" in answer.content.decode()
    api = Client(headers={"authorization": f"Bearer {make_token(adam.user, project, ['read', 'admin'])}"})
    for place in ("datasets/churn/", "datasets/churn/versions/1/"):
        refused = api.delete(f"/api/v1/projects/churn/{place}")
        assert (refused.status_code, refused.json()["code"]) == (409, "in_use")
        assert refused.json()["got"] == [f"churn v1 is used by job {job.pk}"]
    assert DatasetVersion.objects.kept().count() == 1


def test_deletion_is_refused_while_an_environment_serves_what_it_taught(adam):
    from tests.factories.deployments import make_live, make_team

    team = make_team("live")
    endpoint = make_live(team)
    used = endpoint.current_revision.version.dataset_version
    admin = actor(team.people["admin"])
    DatasetVersion.objects.filter(pk=used.pk).update(state="succeeded")
    with pytest.raises(Conflict, match=f"which {endpoint.name} serves in"):
        dataset_removal.delete_version(admin, version=used)


def test_a_name_is_free_once_its_dataset_is_in_the_trash_and_restore_asks(version, adam, project):
    old = version.dataset
    dataset_removal.delete_dataset(adam, dataset=old)
    again = upload(project)
    assert (again.dataset.pk != old.pk, again.number) == (True, 1)
    with pytest.raises(Conflict, match="another dataset churn"):
        dataset_trash.restore(adam, dataset=old)
    again.dataset.delete()
    assert dataset_trash.restore(adam, dataset=old).deleted_at is None


def test_the_trash_is_emptied_after_its_days_but_not_of_what_is_named(version, adam, project):
    kept = profiled(project, CHURN.replace(b"c-1", b"c-9"), name="kept")
    run = make_run(make_experiment(project, "first"))
    Run.objects.filter(pk=run.pk).update(dataset_version=kept)
    for each in (version, kept):
        dataset_removal.delete_dataset(adam, dataset=each.dataset)
    assert dataset_trash.expire() == {"versions": 0, "datasets": 0}
    later = timezone.now() + timedelta(days=project.trash_days + 1)
    assert dataset_trash.expire(now=later) == {"versions": 1, "datasets": 1}
    assert list(Dataset.objects.values_list("name", flat=True)) == ["kept"]
    assert Event.objects.get(verb="version.removed").data["name"] == "churn v1"


def test_who_may_not_delete_is_refused(version, ana):
    with pytest.raises(Forbidden):
        dataset_removal.delete_version(ana, version=version)
    assert page_of(ana).get(f"{DATASET}delete/").status_code == 403
