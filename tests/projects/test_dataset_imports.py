"""Imports from an address: real servers, the real pipeline, their pages and API."""

import json
from contextlib import suppress

import pytest
from django.db import connection
from django.test import Client
from django.utils import timezone

from mlportal.lib.errors import Conflict, Invalid
from projects import pipeline
from projects.models import DatasetImport, DatasetVersion, Event
from projects.services import imports
from tests.factories.datasets import CHURN
from tests.factories.projects import make_token
from tests.lib.test_download import served
from tests.projects.importing import file_of, run, url_of

pytestmark = [pytest.mark.django_db, pytest.mark.slow]


def fetch_url(scientist, lab, url: str) -> DatasetImport:
    return run(
        imports.start(scientist, project=lab, name="churn", kind="url", spec={"url": url}, description="Who left")
    )


def test_an_address_becomes_a_version_that_knows_its_source(scientist, lab, allowed):
    with served(**{"churn.csv": file_of(CHURN)}) as server:
        url = url_of(server, "churn.csv")
        found = fetch_url(scientist, lab, url)
    version = found.version
    assert (found.state, found.outcome, found.fetched_bytes) == ("succeeded", "created", len(CHURN))
    assert (version.state, version.row_count, version.source_kind) == ("succeeded", 3, "url")
    assert version.source == {"url": url, "etag": '"one"', "modified": ""}
    assert (version.filename, version.dataset.description, version.created_by) == (
        "churn.csv",
        "Who left",
        scientist.user,
    )


def test_refresh_makes_a_version_only_when_the_source_changed(scientist, lab, allowed):
    with served(**{"churn.csv": file_of(CHURN)}) as server:
        first = fetch_url(scientist, lab, url_of(server, "churn.csv")).version
        same = run(imports.refresh(scientist, version=first))
        assert (same.outcome, same.version) == ("unchanged", first)
        assert server.asked[-1][1]["If-None-Match"] == '"one"'
        server.plans["/churn.csv"] = file_of(CHURN, '"two"')  # another name for the same bytes
        assert run(imports.refresh(scientist, version=first)).outcome == "unchanged"
        server.plans["/churn.csv"] = file_of(CHURN + b"c-4,plus,50,1,2024-04-01,true\n", '"three"')
        changed = run(imports.refresh(scientist, version=first))
    assert (changed.outcome, changed.version.number, changed.version.row_count) == ("created", 2, 4)
    assert DatasetVersion.objects.count() == 2


def test_a_signed_address_is_sealed(scientist, lab, allowed):
    with served(**{"churn.csv": file_of(CHURN)}) as server:
        found = fetch_url(scientist, lab, url_of(server, "churn.csv?X-Signature=open-sesame"))
        assert server.asked[0][0] == "/churn.csv?X-Signature=open-sesame"
        assert run(imports.refresh(scientist, version=found.version)).outcome == "unchanged"
    assert found.version.source["url"].endswith("/churn.csv?…")
    everything = json.dumps([list(Event.objects.values()), list(DatasetImport.objects.values())], default=str)
    assert "open-sesame" not in everything
    assert "open-sesame" not in json.dumps(list(DatasetVersion.objects.values()), default=str)


@pytest.mark.parametrize(
    "url",
    [
        "http://127.0.0.1:8080/x", "http://[::1]/x", "http://169.254.169.254/latest/", "file:///etc/passwd",
        "gopher://example.org/", "http://localhost/x", "http://example.org:25/", "https://u:p@example.org/",
    ],
)  # fmt: skip
def test_addresses_inside_are_refused_before_anything_starts(scientist, lab, url):
    with pytest.raises(Invalid) as caught:
        imports.start(scientist, project=lab, name="churn", kind="url", spec={"url": url})
    assert caught.value.field == "url"
    assert DatasetImport.objects.count() == 0


@pytest.mark.parametrize(
    ("plan", "words"),
    [
        (lambda h: h._answer(404, b""), "The server answered 404 Not Found."),
        (lambda h: h._answer(302, b"", {"Location": "http://10.0.0.1/"}), "url leads to an internal address"),
        (file_of(b"\x89PNG\r\n\x1a\n...."), "The file is a PNG image, whatever its name says."),
        (file_of(b""), "The file is empty"),
    ],
)
def test_what_is_no_table_fails_with_a_sentence_and_no_version(scientist, lab, allowed, plan, words):
    with served(file=plan) as server:
        found = fetch_url(scientist, lab, url_of(server, "file"))
    assert (found.state, found.version) == ("failed", None)
    assert words in found.failure
    assert DatasetVersion.objects.count() == 0


def test_cancel_ends_a_queued_import_and_refuses_an_ended_one(scientist, lab, allowed):
    found = imports.start(scientist, project=lab, name="a", kind="url", spec={"url": "https://example.org/a.csv"})
    assert imports.cancel(scientist, found=found).state == "cancelled"
    assert pipeline.import_dataset(found.pk, worker="test") == "not claimed"
    with pytest.raises(Conflict):
        imports.cancel(scientist, found=found)


@pytest.mark.django_db(transaction=True)
def test_cancel_stops_a_running_fetch(scientist, lab, allowed):
    def endless(handler) -> None:
        DatasetImport.objects.update(cancel_requested_at=timezone.now())
        connection.close()
        handler.send_response(200)
        handler.end_headers()
        with suppress(OSError):
            while handler.wfile.write(b"1,2\n" * 1000):
                pass

    with served(file=endless) as server:
        found = fetch_url(scientist, lab, url_of(server, "file"))
    assert (found.state, found.version, DatasetVersion.objects.count()) == ("cancelled", None, 0)


# ---------------------------------------------------------------- pages and API


def test_pages_of_an_import(scientist, lab, allowed):
    client = Client()
    client.force_login(scientist.user)
    assert b"No connection yet" in client.get("/p/churn/datasets/new/postgres/").content
    assert b"MLPORTAL_DATA_ROOTS" in client.get("/p/churn/datasets/new/folder/").content
    assert client.get("/p/churn/datasets/new/ftp/").status_code == 404
    form = {"name": "churn", "url": "http://169.254.169.254/"}
    refused = client.post("/p/churn/datasets/new/url/", form)
    assert refused.status_code == 422
    with served(**{"churn.csv": file_of(CHURN)}) as server:
        url = url_of(server, "churn.csv")
        answer = client.post("/p/churn/datasets/new/url/", form | {"url": url})
        found = DatasetImport.objects.get()
        assert (answer.status_code, answer["Location"]) == (303, f"/p/churn/datasets/imports/{found.pk}/")
        assert b"Waiting for a worker" in client.get(answer["Location"]).content
        run(found)
        page = client.get(answer["Location"]).content.decode()
        assert "churn v1" in page
        assert client.get(f"{answer['Location']}progress/")["HX-Refresh"] == "true"
        again = client.post("/p/churn/datasets/churn/v/1/refresh/")
        assert (again.status_code, DatasetImport.objects.count()) == (303, 2)
    assert url in client.get("/p/churn/datasets/churn/v/1/").content.decode()


def test_api_of_imports(scientist, lab, allowed):
    api = Client(headers={"authorization": f"Bearer {make_token(scientist.user, lab, ['read', 'write'])}"})
    place = "/api/v1/projects/churn/dataset-imports/"
    body = {"dataset": "churn", "kind": "url", "spec": {"url": "https://example.org/churn.csv"}}
    made = api.post(place, json.dumps(body), content_type="application/json").json()
    assert (made["state"], made["dataset"], made["version"]) == ("queued", "churn", None)
    stopped = api.post(f"{place}{made['id']}/cancel/").json()
    assert stopped["state"] == "cancelled"
    assert api.get(f"{place}{made['id']}/").json()["state"] == "cancelled"
    assert [row["id"] for row in api.get(place).json()["results"]] == [made["id"]]
    wrong = api.post(place, json.dumps(body | {"spec": {"path": "/etc"}}), content_type="application/json")
    assert (wrong.status_code, wrong.json()["field"]) == (400, "path")
    wrong = api.post(place, json.dumps(body | {"spec": {"url": "file:///etc"}}), content_type="application/json")
    assert (wrong.status_code, wrong.json()["field"]) == (400, "url")
