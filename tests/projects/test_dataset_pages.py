"""Pages of datasets: who sees what, upload by form, states, rows, downloads, counts of queries."""

import io

import pytest
from django.core.files.uploadedfile import SimpleUploadedFile
from django.test import Client

from mlportal.lib import blobs
from projects.models import Dataset, DatasetVersion
from tests.factories.datasets import CHURN, profiled, upload
from tests.factories.projects import make_project, make_user

pytestmark = [pytest.mark.django_db, pytest.mark.slow]


@pytest.fixture
def project():
    return make_project()


def client_of(project, role: str) -> Client:
    client = Client()
    client.force_login(make_user(role, role=role, project=project))
    return client


@pytest.fixture
def ana(project):
    return client_of(project, "scientist")


def send(client: Client, content: bytes = CHURN, *, name: str = "churn", filename: str = "churn.csv", **extra: str):
    file = SimpleUploadedFile(filename, content)
    return client.post("/p/churn/datasets/new/", {"name": name, **extra, "file": file})


def test_upload_stores_the_bytes_and_shows_the_version(ana):
    answer = send(ana, description="Who left")
    version = DatasetVersion.objects.select_related("dataset").get()
    assert (answer.status_code, answer["Location"]) == (303, "/p/churn/datasets/churn/v/1/")
    assert blobs.read_bytes(version.sha256) == CHURN
    assert (version.filename, version.format, version.size_bytes) == ("churn.csv", "csv", len(CHURN))
    assert (version.dataset.description, version.state) == ("Who left", "queued")


def test_upload_by_script_answers_the_address(ana):
    file = SimpleUploadedFile("churn.csv", CHURN)
    answer = ana.post("/p/churn/datasets/new/", {"name": "churn", "file": file}, headers={"accept": "application/json"})
    assert (answer.status_code, answer.json()) == (201, {"location": "/p/churn/datasets/churn/v/1/"})


def test_upload_needs_the_csrf_token(project):
    client = Client(enforce_csrf_checks=True)
    client.force_login(make_user("ana", role="scientist", project=project))
    assert send(client).status_code == 403
    urlencoded = {"data": "a=b", "content_type": "application/x-www-form-urlencoded"}
    # A form that brings no file was read already when the view begins.
    assert client.post("/p/churn/datasets/new/", **urlencoded).status_code == 403
    client = client_of(project, "scientist")
    assert client.post("/p/churn/datasets/new/", **urlencoded).status_code == 422
    assert DatasetVersion.objects.count() == 0


@pytest.mark.parametrize(
    ("content", "words"),
    [
        (b"", "The file is empty: it has no data rows."),
        (b"\n\n", "The file is empty: it has no data rows."),
        (b"\x89PNG\r\n\x1a\n....", "The file is a PNG image, whatever its name says."),
        (b"a" * (11 * 2**20), "A line is longer than 10 MB."),
    ],
)
def test_upload_refuses_with_a_sentence_and_keeps_the_words(ana, content, words):
    answer = send(ana, content, name="kept-name")
    assert answer.status_code == 422
    page = answer.content.decode()
    assert words in page
    assert 'value="kept-name"' in page
    assert DatasetVersion.objects.count() == 0


def test_upload_over_the_limit_is_refused(ana, settings):
    settings.MAX_UPLOAD_BYTES = 100
    answer = send(ana)
    assert answer.status_code == 422
    assert "file is over the limit of 100 bytes." in answer.content.decode()


def test_same_bytes_again_say_so(ana):
    send(ana)
    answer = send(ana)
    assert answer.status_code == 422
    assert "These bytes are already churn v1; nothing was added." in answer.content.decode()


def test_name_that_differs_in_case_is_refused(ana):
    send(ana)
    answer = send(ana, CHURN + b"c-4,basic,1,1,2024-01-01,true\n", name="Churn")
    assert answer.status_code == 422
    assert "differs only in case from the dataset churn" in answer.content.decode()


def test_sample_becomes_a_dataset(ana):
    answer = ana.post("/p/churn/datasets/new/", {"sample": "iris"})
    assert answer["Location"] == "/p/churn/datasets/iris/v/1/"
    assert DatasetVersion.objects.get().sample == "iris"


def test_version_page_shows_the_profile(ana, project):
    profiled(project)
    page = ana.get("/p/churn/datasets/churn/v/1/").content.decode()
    assert page.count(f"{len(CHURN)} B") == 2  # of the file and among the facts: one unit for one size
    assert "33.3%" in page
    assert page.count('<svg class="hist"') == 6
    assert "The table has 3 rows; results will vary by chance." in page
    assert "No run and no model has used this version." in page


def test_second_version_says_what_changed(ana, project):
    profiled(project)
    profiled(project, CHURN + b"c-4,gold,40,12,2024-05-01,true\n")
    page = ana.get("/p/churn/datasets/churn/v/2/").content.decode()
    assert "Changes since v1" in page
    assert "1 more row" in page
    assert "plan has a new value “gold”" in page


def test_queued_version_polls_and_reloads_when_done(ana, project):
    version = upload(project)
    assert f'data-live-topic="dataset:{version.pk}"' in ana.get("/p/churn/datasets/churn/v/1/").content.decode()
    assert b"data-live-done" not in ana.get("/p/churn/datasets/churn/v/1/progress/").content
    DatasetVersion.objects.filter(pk=version.pk).update(state="failed", failure="line 3 is short")
    assert b'data-live-done="reload"' in ana.get("/p/churn/datasets/churn/v/1/progress/").content
    assert "line 3 is short" in ana.get("/p/churn/datasets/churn/v/1/").content.decode()


def test_markup_in_a_table_is_shown_as_text(ana, project):
    profiled(project, b"<b>x</b>,y\n<script>alert(1)</script>,1\nz,2\n")
    for part in ("", "rows/"):
        page = ana.get(f"/p/churn/datasets/churn/v/1/{part}").content.decode()
        assert "<script>alert" not in page
        assert "&lt;b&gt;x&lt;/b&gt;" in page


def test_rows_come_page_by_page(ana, project):
    lines = b"".join(b"%d,word %d\n" % (row, row) for row in range(120))
    profiled(project, b"n,w\n" + lines)
    page = ana.get("/p/churn/datasets/churn/v/1/rows/?from=101").content.decode()
    assert "Rows 101 to 120" in page
    assert "word 119" in page
    assert "word 99<" not in page
    assert 'rel="prev" href="?from=1"' in page


def test_downloads_are_attachments(ana, project):
    profiled(project, b"name,n\n=1+1,-2\nplain,3\n")
    answers = {
        form: ana.get(f"/p/churn/datasets/churn/v/1/download/?format={form}") for form in ("original", "parquet", "csv")
    }
    assert [answer["Content-Disposition"] for answer in answers.values()] == [
        'attachment; filename="churn.csv"',
        'attachment; filename="churn-v1.parquet"',
        'attachment; filename="churn-v1.csv"',
    ]
    contents = {form: b"".join(answer.streaming_content) for form, answer in answers.items()}
    assert contents["original"] == b"name,n\n=1+1,-2\nplain,3\n"
    assert contents["csv"] == b"name,n\n'=1+1,-2\nplain,3\n"
    assert contents["parquet"][:4] == b"PAR1"


def test_unknown_download_format_is_refused(ana, project):
    profiled(project)
    assert ana.get("/p/churn/datasets/churn/v/1/download/?format=pickle").status_code == 400


PAGES = ("", "new/", "churn/", "churn/v/1/", "churn/v/1/progress/", "churn/v/1/rows/", "churn/v/1/download/")


def status(client: Client, page: str) -> int:
    answer = client.get(f"/p/churn/datasets/{page}")
    if answer.streaming:
        b"".join(answer.streaming_content)  # reading to the end closes the file
    return answer.status_code


@pytest.mark.parametrize(
    ("role", "statuses"),
    [
        ("viewer", [200, 403, 200, 200, 200, 200, 200]),
        ("scientist", [200] * 7),
        ("manager", [200, 403, 200, 200, 200, 200, 200]),
        ("ops", [200, 403, 200, 200, 200, 200, 200]),
        ("admin", [200] * 7),
    ],
)
def test_each_role_reaches_its_pages(project, role, statuses):
    profiled(project)
    client = client_of(project, role)
    assert [status(client, page) for page in PAGES] == statuses


def test_outsiders_get_404_everywhere(project):
    profiled(project)
    client = Client()
    client.force_login(make_user("mallory", role="scientist", project=make_project("other")))
    assert [status(client, page) for page in PAGES] == [404] * 7
    assert send(client).status_code == 404
    assert DatasetVersion.objects.count() == 1


def test_viewer_cannot_upload(project):
    assert send(client_of(project, "viewer")).status_code == 403
    assert Dataset.objects.count() == 0


def test_empty_list_offers_the_first_step(ana):
    assert "No dataset yet" in ana.get("/p/churn/datasets/").content.decode()


def test_filter_without_a_match_offers_the_way_back(ana, project):
    upload(project)
    page = ana.get("/p/churn/datasets/?q=zebra").content.decode()
    assert "No dataset matches" in page
    assert "Show all 1" in page


@pytest.mark.parametrize("count", [1, 3])
def test_list_costs_the_same_queries(ana, project, django_assert_num_queries, count):
    for number in range(count):
        upload(project, CHURN + b"c,plus,%d,1,2024-01-01,true\n" % number, name=f"table-{number}")
    ana.get("/p/churn/datasets/")
    with django_assert_num_queries(10):
        page = ana.get("/p/churn/datasets/")
    assert page.content.decode().count('<th scope="row">') == count


@pytest.mark.parametrize("count", [1, 3])
def test_dataset_page_costs_the_same_queries(ana, project, django_assert_num_queries, count):
    for number in range(count):
        upload(project, CHURN + b"c,plus,%d,1,2024-01-01,true\n" % number)
    ana.get("/p/churn/datasets/churn/")
    with django_assert_num_queries(13):
        page = ana.get("/p/churn/datasets/churn/")
    assert page.content.decode().count('<th scope="row">') == count


def test_gzip_and_parquet_are_told_by_their_content(ana, project):
    import gzip

    import pyarrow as pa
    import pyarrow.parquet as pq

    table = io.BytesIO()
    pq.write_table(pa.table({"a": [1, 2]}), table)
    send(ana, gzip.compress(b"a,b\n1,2\n"), name="packed", filename="x.bin")
    send(ana, table.getvalue(), name="columns", filename="x.csv")
    found = dict(DatasetVersion.objects.values_list("dataset__name", "format"))
    assert found == {"packed": "csv", "columns": "parquet"}
