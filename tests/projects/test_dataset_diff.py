"""The page and the REST route of what changed between two versions."""

import pytest
from django.test import Client

from mlportal.lib import blobs
from projects.models import DatasetVersion
from tests.factories.datasets import CHURN, profiled, upload
from tests.factories.projects import make_project, make_token, make_user

pytestmark = [pytest.mark.django_db, pytest.mark.slow]
ROOT = "/p/churn/datasets/churn/"
API = "/api/v1/projects/churn/datasets/churn/diff/"


@pytest.fixture
def project():
    return make_project()


@pytest.fixture
def versions(project):
    profiled(project)
    return profiled(project, CHURN + b"c-4,gold,40,12,2024-05-01,true\n")


@pytest.fixture
def ana(project):
    client = Client()
    client.force_login(make_user("ana", role="viewer", project=project))
    return client


@pytest.fixture
def api(project):
    bea = make_user("bea", role="scientist", project=project)
    return Client(headers={"authorization": f"Bearer {make_token(bea, project, ['read'])}"})


def test_page_says_in_words_what_changed(ana, versions):
    page = ana.get(f"{ROOT}diff/?a=1&b=2").content.decode()
    assert "1 more row" in page
    assert "plan has a new value “gold”" in page
    assert 'class="ref"' in page
    assert "+ gold" in page
    assert "different 2 → 3" in page
    assert ">as before</span>" in page  # the column of true and false


def test_tab_compares_with_the_version_before(ana, versions):
    page = ana.get(f"{ROOT}v/2/changes/").content.decode()
    assert "plan has a new value “gold”" in page
    assert 'aria-current="page">Changes' in page
    assert "Nothing to compare with" in ana.get(f"{ROOT}v/1/changes/").content.decode()


def test_no_file_is_opened(ana, api, versions, monkeypatch):
    def refuse(*_args, **_kwargs):
        raise AssertionError("a blob was opened")

    for name in ("open_blob", "local_path", "read_bytes"):
        monkeypatch.setattr(blobs, name, refuse)
    assert ana.get(f"{ROOT}diff/?a=1&b=2").status_code == 200
    assert ana.get(f"{ROOT}v/2/changes/").status_code == 200
    assert ana.get(f"{ROOT}v/2/").status_code == 200
    assert api.get(f"{API}?a=1&b=2").status_code == 200


def test_api_gives_the_numbers(api, versions):
    body = api.get(API).json()
    assert (body["a"], body["b"], body["rows_before"], body["rows_after"]) == (1, 2, 3, 4)
    plan = next(column for column in body["columns"] if column["name"] == "plan")
    assert (plan["status"], plan["new_values"]) == ("changed", ["gold"])
    assert plan["psi"] > 0.2
    assert {part["label"]: part["after"] for part in plan["bins"]}["gold"] == 0.25


def test_versions_can_be_compared_backwards(api, versions):
    body = api.get(f"{API}?a=2&b=1").json()
    plan = next(column for column in body["columns"] if column["name"] == "plan")
    assert (body["rows_before"], body["rows_after"], plan["gone_values"]) == (4, 3, ["gold"])


@pytest.mark.parametrize(
    ("query", "fault", "words"),
    [
        ("?a=x&b=2", (400, "a"), "a was 'x'. It is the number of a version"),
        ("?a=99999999999999", (400, "a"), "It is the number of a version"),
        ("?a=2&b=2", (400, "b"), "a and b are both version 2"),
        ("?a=2", (400, "b"), "a is the newest version, 2"),
        ("?a=1&b=7", (404, "b"), "Dataset churn has no version 7."),
        ("?b=1", (409, "a"), "churn v1 has no earlier version"),
    ],
)
@pytest.mark.usefixtures("versions")
def test_wrong_input_is_named(api, ana, query, fault, words):
    answer = api.get(f"{API}{query}")
    body = answer.json()
    assert (answer.status_code, body["field"]) == fault
    assert words in body["message"]
    assert ana.get(f"{ROOT}diff/{query}").status_code == fault[0]


def test_a_version_that_is_not_profiled_is_a_conflict(api, project, versions):
    upload(project, CHURN + b"c-9,x,1,1,2024-01-01,true\n")
    assert api.get(f"{API}?a=1&b=3").status_code == 409
    assert api.get(API).json()["b"] == 2


def test_markup_in_a_value_is_shown_as_text(ana, project):
    profiled(project, b"t,n\n<b>x</b>,1\nz,2\n")
    profiled(project, b"t,n\n<script>alert(1)</script>,1\nz,2\n<b>x</b>,3\n")
    page = ana.get(f"{ROOT}diff/?a=1&b=2").content.decode()
    assert "<script>alert" not in page


def test_outsiders_get_404(versions):
    client = Client()
    client.force_login(make_user("mallory", role="scientist", project=make_project("other")))
    assert client.get(f"{ROOT}diff/?a=1&b=2").status_code == 404


@pytest.mark.parametrize("count", [2, 4])
def test_page_costs_the_same_queries(ana, project, django_assert_num_queries, count):
    for number in range(count):
        profiled(project, CHURN + b"c,plus,%d,1,2024-01-01,true\n" % number)
    ana.get(f"{ROOT}diff/?a=1&b=2")
    with django_assert_num_queries(9):
        ana.get(f"{ROOT}diff/?a=1&b=2")
    assert DatasetVersion.objects.count() == count
