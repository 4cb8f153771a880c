"""One trash for runs, experiments and datasets: what is there, what needs it, restore, removal for good."""

from datetime import timedelta

import pytest
from django.test import Client

from experiments.models import Run
from mlportal.lib.errors import Conflict, Forbidden
from projects.models import Dataset, DatasetVersion, Event
from projects.services import dataset_removal, dataset_trash
from tests.factories.experiments import make_experiment, make_run
from tests.factories.projects import actor, make_project, make_token, make_user

pytestmark = pytest.mark.django_db
TRASH = "/p/churn/trash/"
API = "/api/v1/projects/churn/trash/"


@pytest.fixture
def project():
    return make_project()


@pytest.fixture
def admin(project):
    return make_user("adam", role="admin", project=project)


@pytest.fixture
def client(admin):
    signed_in = Client()
    signed_in.force_login(admin)
    return signed_in


def make(project, name: str, *, versions: int = 1) -> Dataset:
    dataset = Dataset.objects.create(project=project, name=name, name_key=name, created_by=project.created_by)
    for number in range(1, versions + 1):
        DatasetVersion.objects.create(
            dataset=dataset, number=number, filename="d.csv", state="succeeded", sha256=f"{name}{number}", row_count=1,
            parquet_sha256="x", created_by=project.created_by,
        )  # fmt: skip
    return dataset


def thrown(project, admin, name: str, **extra) -> Dataset:
    return dataset_removal.delete_dataset(actor(admin), dataset=make(project, name, **extra))


def use(project, version) -> Run:
    run = make_run(make_experiment(project, f"uses-{version.pk}"))
    Run.objects.filter(pk=run.pk).update(dataset_version=version)
    return run


def test_the_old_address_leads_to_the_one_trash(client, project, admin):
    gone = thrown(project, admin, "gone", versions=2)
    assert gone.deleted_at
    until = (gone.deleted_at + timedelta(days=project.trash_days)).strftime("%Y-%m-%dT%H:%M")
    answer = client.get(f"{TRASH}datasets/")
    assert (answer.status_code, answer["Location"]) == (301, f"{TRASH}?kind=datasets")
    for place in (TRASH, answer["Location"]):
        page = client.get(place).content.decode()
        assert until in page
        assert 'aria-label="Remove now: gone"' in page
    assert "None here" in client.get(f"{TRASH}?kind=runs").content.decode()
    assert "Nothing in the trash fits" in client.get(f"{TRASH}?q=other").content.decode()
    assert 'aria-label="Restore gone"' in client.get(f"{TRASH}?q=GO").content.decode()


def test_a_dataset_is_removed_for_good_after_a_second_look(client, project, admin):
    gone = thrown(project, admin, "gone", versions=2)
    place = f"{TRASH}datasets/{gone.pk}/remove/"
    assert "cannot be undone" in client.post(place).content.decode()
    assert Dataset.objects.filter(pk=gone.pk).exists()
    assert client.post(place, {"sure": "1"})["Location"] == f"{TRASH}?kind=datasets"
    assert not Dataset.objects.filter(pk=gone.pk).exists()
    verbs = Event.objects.filter(verb__endswith=".removed").order_by("seq").values_list("verb", flat=True)
    assert list(verbs) == ["version.removed", "version.removed", "dataset.removed"]
    assert client.post(place, {"sure": "1"}).status_code == 404


def test_what_something_needs_says_so_and_stays(client, project, admin):
    kept = thrown(project, admin, "kept", versions=3)
    use(project, kept.versions.get(number=2))
    page = client.get(TRASH).content.decode()
    assert "kept: 1 of 3 versions needed, the first needed by 1 run" in page
    assert 'aria-label="Remove kept now"' not in page
    refused = client.post(f"{TRASH}datasets/{kept.pk}/remove/", {"sure": "1"})
    assert refused.status_code == 409
    assert "kept cannot be removed: kept v2 is needed by 1 run." in refused.content.decode()
    assert dataset_trash.empty(actor(admin), project=project) == {"versions": 2, "datasets": 0}
    assert list(kept.versions.values_list("number", flat=True)) == [2]


def test_one_version_comes_back_or_goes(client, project, admin):
    dataset = make(project, "half", versions=3)
    for number in (1, 2):
        dataset_removal.delete_version(actor(admin), version=dataset.versions.get(number=number))
    first, second = dataset.versions.filter(number__lt=3).order_by("number")
    page = client.get(TRASH).content.decode()
    assert "half v1" in page
    assert client.post(f"{TRASH}datasets/versions/{first.pk}/restore/").status_code == 303
    assert client.post(f"{TRASH}datasets/versions/{second.pk}/remove/", {"sure": "1"}).status_code == 303
    assert list(dataset.versions.order_by("number").values_list("number", "deleted_at")) == [(1, None), (3, None)]


def test_emptying_takes_the_datasets_along(client, project, admin):
    gone, kept = thrown(project, admin, "gone"), thrown(project, admin, "kept")
    use(project, kept.versions.get())
    client.post(f"{TRASH}empty/", {"word": "empty"})
    assert list(Dataset.objects.values_list("name", flat=True)) == ["kept"]
    assert not DatasetVersion.objects.filter(dataset=gone.pk).exists()


def test_the_same_over_rest(project, admin):
    api = Client(headers={"authorization": f"Bearer {make_token(admin, project, ['read', 'admin'])}"})
    gone, kept = thrown(project, admin, "gone"), thrown(project, admin, "kept")
    use(project, kept.versions.get())
    half = make(project, "half", versions=2).versions.get(number=1)
    dataset_removal.delete_version(actor(admin), version=half)
    found = api.get(f"{API}datasets/").json()
    assert [(row["kind"], row["name"], row["number"], row["needed"]) for row in found["results"]] == [
        ("version", "half", 1, ""), ("dataset", "kept", None, "needed by 1 run"), ("dataset", "gone", None, ""),
    ]  # fmt: skip
    assert [row["removed_at"] is None for row in found["results"]] == [False, True, False]
    seen, place = [], f"{API}datasets/?limit=1"
    while place:
        page = api.get(place).json()
        seen += [row["id"] for row in page["results"]]
        place = page["next"]
    assert (len(seen), found["count"]) == (3, 3)
    refused = api.delete(f"{API}datasets/{kept.pk}/")
    assert (refused.status_code, refused.json()["code"]) == (409, "in_use")
    assert api.delete(f"{API}datasets/{gone.pk}/").status_code == 204
    assert api.delete(f"{API}dataset-versions/{half.pk}/").status_code == 204
    body = {"kind": "dataset", "id": kept.pk}
    assert api.post(f"{API}datasets/", body, content_type="application/json").status_code == 204
    assert api.get(f"{API}datasets/").json()["count"] == 0
    assert api.get(f"{API}datasets/?skip=x").json()["field"] == "skip"


def test_only_what_is_in_the_trash_and_only_by_who_may(project, admin):
    dataset = make(project, "alive")
    with pytest.raises(Conflict, match="alive is not in the trash"):
        dataset_trash.remove(actor(admin), dataset=dataset)
    eve = actor(make_user("eve", role="scientist", project=project))
    gone = thrown(project, admin, "gone")
    with pytest.raises(Forbidden):
        dataset_trash.remove(eve, dataset=gone)
    with pytest.raises(Forbidden):
        dataset_trash.empty(eve, project=project)


@pytest.mark.parametrize("count", [1, 3])
def test_the_trash_asks_as_often_for_one_dataset_as_for_many(client, project, admin, django_assert_num_queries, count):
    for number in range(count):
        thrown(project, admin, f"d{number}", versions=2)
        part = make(project, f"part{number}", versions=2)
        dataset_removal.delete_version(actor(admin), version=part.versions.get(number=1))
    client.get(f"{TRASH}?kind=datasets")
    with django_assert_num_queries(16):
        client.get(f"{TRASH}?kind=datasets")
