"""REST routes of datasets."""

import io

import pytest
from django.test import Client

from projects import pipeline
from projects.models import DatasetVersion, Event
from tests.factories.datasets import CHURN, profiled, upload
from tests.factories.projects import make_project, make_token, make_user

pytestmark = [pytest.mark.django_db, pytest.mark.slow]
ROOT = "/api/v1/projects/churn/datasets/"


@pytest.fixture
def project():
    return make_project()


@pytest.fixture
def api(project):
    return caller(project, "read", "write")


def caller(project, *scopes: str) -> Client:
    ana = make_user("ana", role="scientist", project=project)
    return Client(headers={"authorization": f"Bearer {make_token(ana, project, list(scopes))}"})


def send(api: Client, content: bytes = CHURN, query: str = "?filename=churn.csv", name: str = "churn"):
    return api.post(f"{ROOT}{name}/versions/{query}", content, content_type="application/octet-stream")


def test_upload_then_profile_then_read(api):
    answer = send(api)
    body = answer.json()
    assert (answer.status_code, body["dataset"], body["number"], body["state"], body["created"]) == (
        201, "churn", 1, "queued", True,
    )  # fmt: skip
    assert api.get(f"{ROOT}churn/versions/1/profile/").status_code == 409
    pipeline.profile_version(DatasetVersion.objects.get().pk, worker="test")
    assert api.get(f"{ROOT}churn/versions/1/").json()["row_count"] == 3
    profile = api.get(f"{ROOT}churn/versions/1/profile/").json()
    assert profile["columns"]["spend"]["max"] == 20.25
    assert [field["kind"] for field in profile["schema"]][3] == "numeric"
    rows = api.get(f"{ROOT}churn/versions/1/preview/?offset=1&limit=1").json()
    assert rows == {
        "columns": ["customer", "plan", "age", "spend", "joined", "churned"],
        "rows": [["c-2", "plus", 45, 20.25, "2024-02-11T00:00:00", False]],
        "numbers": [1],
        "offset": 1,
        "total": 3,
        "masked": [],
        "next_after": 1,
    }


def test_same_bytes_again_give_the_same_version(api):
    send(api)
    again = send(api)
    assert (again.status_code, again.json()["number"], again.json()["created"]) == (200, 1, False)
    assert (DatasetVersion.objects.count(), Event.objects.filter(verb="dataset.registered").count()) == (1, 1)


def test_other_bytes_are_the_next_version(api):
    send(api)
    assert send(api, CHURN + b"c-9,basic,1,1,2024-01-01,true\n").json()["number"] == 2


def test_multipart_upload_is_taken_too(api):
    answer = api.post(f"{ROOT}churn/versions/", {"file": io.BytesIO(CHURN)})
    assert (answer.status_code, answer.json()["size_bytes"]) == (201, len(CHURN))


def test_multipart_without_the_file_says_so(api):
    answer = api.post(f"{ROOT}churn/versions/", {"data": "x"})
    assert (answer.status_code, answer.json()["message"]) == (400, "The form has no part called file.")


@pytest.mark.parametrize(
    ("content", "query", "status", "code"),
    [
        (b"", "", 400, "no_data_rows"),
        (b"\x7fELF....", "", 415, "unsupported_type"),
        (b"x," * 6000 + b"\n1", "", 400, "too_many_columns"),
        (b"y" * (11 * 2**20), "", 413, "line_too_long"),
        ("a,b\n1,2\n".encode("utf-16-le") * 20, "", 422, "encoding_unclear"),
        (CHURN, "?encoding=klingon", 400, "invalid"),
        (CHURN, "?delimiter=x", 400, "invalid"),
        (CHURN, "?filename=%00", 400, "invalid"),
    ],
)
def test_hopeless_upload_is_refused_at_once(api, content, query, status, code):
    answer = send(api, content, query)
    assert (answer.status_code, answer.json()["code"]) == (status, code)
    assert DatasetVersion.objects.count() == 0


def test_name_with_markup_is_refused(api):
    answer = send(api, name="%3Cb%3Ex")
    assert (answer.status_code, answer.json()["field"]) == (400, "name")


def test_sample_is_registered_once_by_its_key(api):
    send_once = {"content_type": "application/json", "headers": {"Idempotency-Key": "one"}}
    first = api.post(ROOT, {"sample": "wine"}, **send_once)
    second = api.post(ROOT, {"sample": "wine"}, **send_once)
    assert (first.status_code, second.status_code, first.json()["number"], second.json()["number"]) == (201, 201, 1, 1)
    assert DatasetVersion.objects.count() == 1


@pytest.mark.parametrize("body", [{}, {"sample": "mnist"}, {"sample": 3}, {"sample": "iris", "name": "a/b"}, []])
def test_wrong_sample_is_a_400(api, body):
    assert api.post(ROOT, body, content_type="application/json").status_code == 400


@pytest.mark.parametrize("query", ["offset=-1", "offset=x", "limit=0", "limit=1001", "limit=1e9"])
def test_wrong_page_of_rows_is_a_400(api, project, query):
    profiled(project)
    assert api.get(f"{ROOT}churn/versions/1/preview/?{query}").status_code == 400


def test_token_without_the_scope_cannot_upload(project):
    assert send(caller(project, "read")).status_code == 403


def test_outsider_gets_404(project):
    profiled(project)
    eve = make_user("eve", role="scientist", project=make_project("other"))
    api = Client(headers={"authorization": f"Bearer {make_token(eve, None, ['read', 'write'])}"})
    paths = ("", "churn/", "churn/versions/", "churn/versions/1/", "churn/versions/1/profile/",
             "churn/versions/1/preview/", "churn/versions/1/download/")  # fmt: skip
    assert [api.get(f"{ROOT}{path}").status_code for path in paths] == [404] * 7
    assert send(api).status_code == 404


def test_no_token_is_a_401(project):
    upload(project)
    assert Client().get(ROOT).status_code == 401


@pytest.mark.parametrize("count", [1, 3])
def test_list_costs_the_same_queries(api, project, django_assert_num_queries, count):
    for number in range(count):
        upload(project, CHURN + b"c,plus,%d,1,2024-01-01,true\n" % number, name=f"table-{number}")
    with django_assert_num_queries(4):
        found = api.get(ROOT).json()["results"]
    assert [row["latest"]["number"] for row in found] == [1] * count


def test_lists_page_by_cursor(api, project):
    for number in range(3):
        upload(project, CHURN + b"c,plus,%d,1,2024-01-01,true\n" % number)
    first = api.get(f"{ROOT}churn/versions/?limit=2").json()
    rest = api.get(first["next"]).json()
    assert [row["number"] for row in first["results"] + rest["results"]] == [3, 2, 1]
    assert rest["next"] is None
