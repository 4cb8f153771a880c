"""The list of datasets: state of checks, stars first, every order, filters, and all rows exactly once."""

import re

import pytest
from django.test import Client

from projects.models import Dataset, DatasetVersion, Star
from tests.factories.projects import make_project, make_token, make_user

pytestmark = pytest.mark.django_db
PAGE = "/p/churn/datasets/"
API = "/api/v1/projects/churn/datasets/"


@pytest.fixture
def project():
    return make_project()


@pytest.fixture
def ana(project):
    return make_user("ana", role="scientist", project=project)


@pytest.fixture
def client(ana):
    signed_in = Client()
    signed_in.force_login(ana)
    return signed_in


def make(project, name: str, *, numbers=(1,), **facts) -> Dataset:
    """A dataset whose newest version has these facts; its earlier ones passed their checks."""
    dataset = Dataset.objects.create(project=project, name=name, name_key=name, created_by=project.created_by)
    for number in numbers:
        newest = facts if number == max(numbers) else {"check_state": "passed"}
        DatasetVersion.objects.create(
            dataset=dataset, number=number, filename=f"{name}.csv", state="succeeded", sha256=f"{name}{number}",
            parquet_sha256="x", created_by=project.created_by, **{"row_count": 1, "size_bytes": 1, **newest},
        )  # fmt: skip
    return dataset


def names(page) -> list[str]:
    return re.findall(r'datasets/([a-z0-9-]+)/">[a-z0-9-]+</a></span>', page.content.decode())


@pytest.fixture
def three(project, ana):
    make(project, "alpha", row_count=5, size_bytes=10, check_state="failed", numbers=(1, 2, 3))
    make(project, "beta", row_count=50, size_bytes=1, check_state="passed")
    gamma = make(project, "gamma", row_count=20, size_bytes=100, numbers=(1, 2))
    Star.objects.create(user=ana, project=project, target_type="dataset", target_id=gamma.pk)
    return gamma


@pytest.mark.parametrize(
    ("sort", "expected"),
    [
        ("name", ["gamma", "alpha", "beta"]), ("-name", ["gamma", "beta", "alpha"]),
        ("-rows", ["gamma", "beta", "alpha"]), ("size", ["gamma", "beta", "alpha"]),
        ("-versions", ["gamma", "alpha", "beta"]), ("checks", ["gamma", "alpha", "beta"]),
        ("-updated", ["gamma", "beta", "alpha"]), ("nonsense", ["gamma", "alpha", "beta"]),
    ],
)  # fmt: skip
def test_starred_first_in_any_order(client, three, sort, expected):
    assert names(client.get(PAGE, {"sort": sort})) == expected


@pytest.mark.parametrize(
    ("query", "expected"),
    [
        ("checks:failed", ["alpha"]), ("checks:passed", ["beta"]), ("checks:none", ["gamma"]),
        ("is:starred", ["gamma"]), ("checks:failed is:starred", []), ("checks:nonsense", []),
    ],
)  # fmt: skip
def test_filters_look_at_the_newest_version(client, three, query, expected):
    assert names(client.get(PAGE, {"q": query})) == expected


def test_the_list_says_what_the_checks_found(client, three):
    page = client.get(PAGE).content.decode()
    assert "/p/churn/datasets/alpha/v/3/checks/" in page
    assert "/p/churn/datasets/gamma/v/2/checks/" not in page
    assert 'aria-sort="ascending"' in page
    assert 'aria-pressed="true"' in page.partition("gamma")[0]


def test_stars_of_others_move_nothing(project, three):
    vic = Client()
    vic.force_login(make_user("vic", role="viewer", project=project))
    assert names(vic.get(PAGE)) == ["alpha", "beta", "gamma"]


@pytest.mark.parametrize("sort", ["name", "-rows", "checks"])
def test_each_of_1100_datasets_is_shown_exactly_once(client, project, ana, sort):
    Dataset.objects.bulk_create(
        Dataset(project=project, name=f"d{n:04}", name_key=f"d{n:04}", created_by=ana) for n in range(1100)
    )
    made = list(Dataset.objects.order_by("pk"))
    DatasetVersion.objects.bulk_create(
        DatasetVersion(
            dataset=dataset, number=1, filename="d.csv", state="succeeded", parquet_sha256="x", created_by=ana,
            row_count=1 + at % 7, check_state=("none", "passed", "failed")[at % 3],
        )
        for at, dataset in enumerate(made) if at % 10
    )  # fmt: skip
    Star.objects.bulk_create(
        Star(user=ana, project=project, target_type="dataset", target_id=made[at].pk) for at in range(0, 1100, 9)
    )
    seen: list[str] = []
    place: dict[str, str] = {"sort": sort}
    while place:
        page = client.get(PAGE, place)
        seen += names(page)
        onward = re.search(r'after=(\d+)"? rel="next"|href="[^"]*after=(\d+)[^"]*" rel="next"', page.content.decode())
        place = {"sort": sort, "after": next(filter(None, onward.groups()))} if onward else {}
    assert len(seen) == 1100
    assert sorted(seen) == [f"d{n:04}" for n in range(1100)]
    starred = {made[at].name for at in range(0, 1100, 9)}
    assert set(seen[: len(starred)]) == starred


def test_rest_filters_sorts_and_pages_alike(project, ana, three):
    api = Client(headers={"authorization": f"Bearer {make_token(ana, project, ['read'])}"})
    first = api.get(API, {"sort": "-rows", "limit": 2}).json()
    assert [(row["name"], row["latest"]["check_state"]) for row in first["results"]] == [
        ("gamma", "none"), ("beta", "passed"),
    ]  # fmt: skip
    second = api.get(first["next"]).json()
    assert ([row["name"] for row in second["results"]], second["next"]) == (["alpha"], None)
    assert [row["name"] for row in api.get(API, {"q": "checks:failed"}).json()["results"]] == ["alpha"]
    wrong = api.get(API, {"sort": "colour"})
    assert (wrong.status_code, wrong.json()["field"]) == (400, "sort")


def test_a_page_whose_last_row_is_gone_begins_anew(client, three):
    assert names(client.get(PAGE, {"after": "999999"})) == ["gamma", "alpha", "beta"]
    assert names(client.get(PAGE, {"after": "nonsense"})) == ["gamma", "alpha", "beta"]
