"""A person is found in marked columns and in the prediction log, and the log forgets them."""

import json
import re

import pyarrow as pa
import pyarrow.parquet as pq
import pytest
from django.test import Client

from deployments.models import ModelVersion, PersonSearch
from deployments.pipeline import search_person
from deployments.services import persons
from mlportal.lib import blobs
from mlportal.lib.errors import Conflict, Forbidden
from monitoring.models import GroundTruth, Prediction, PredictionChunk
from monitoring.pipeline import ship
from monitoring.services import chunks, predictions
from projects.models import Dataset, Event
from projects.services import legal_holds
from tests.factories.deployments import make_dataset_version, make_version
from tests.factories.projects import make_token
from tests.monitoring.log import header, line, write

SHAPE = {"columns": ["customer", "age"], "kinds": ["categorical", "numeric"]}


def logged(team, folder, **changes) -> None:
    """Three rows of one segment, with labels; the second is of c-2."""
    row = line(3, refs=["a", "b", "c"]) | {"x": [["c-1", "c-2", "c-3"], [31.0, 45.0, 20.0]]}
    write(folder, [row], header(team.project, **SHAPE, **changes))
    ship.ship(folder)
    items = [{"inference_id": ref, "label": "yes"} for ref in "abc"]
    predictions.record_truth(team.scientist, project=team.project, items=items)


@pytest.fixture
def data(team):
    """A dataset whose customers are marked, and a version that learned from it."""
    sink = pa.BufferOutputStream()
    pq.write_table(pa.table({"customer": ["c-1", "c-2", "c-3"], "age": [31, 45, None]}), sink)
    stored = blobs.put_bytes(sink.getvalue().to_pybytes())
    version = make_dataset_version(team.project, "churn", parquet_sha256=stored.sha256)
    Dataset.objects.filter(pk=version.dataset_id).update(marks={"customer": "personal"})
    made = make_version(team)
    ModelVersion.objects.filter(pk=made.pk).update(dataset_version=version)
    return version


def search(team, person: str = "c-2", **asked) -> PersonSearch:
    made = persons.ask(team.admin, project=team.project, person=person, ticket="Letter 12", **asked)
    assert search_person(made.pk, worker="test")
    made.refresh_from_db()
    assert made.state == "succeeded", made.failure
    return made


def test_found_in_data_log_and_models(team, data, tmp_path):
    logged(team, tmp_path)
    found = search(team).result
    assert [(row["dataset"], row["columns"]) for row in found["datasets"]] == [("churn", {"customer": 1})]
    assert [(row["endpoint"], row["columns"]) for row in found["predictions"]] == [
        ("churn-production", {"customer": 1})
    ]
    assert (found["prediction_count"], found["labels"], len(found["models"])) == (1, 1, 1)
    assert found["erased"] is None
    assert found["unread"] == []
    nobody = search(team, "c-9").result
    assert (nobody["datasets"], nobody["prediction_count"], nobody["models"]) == ([], 0, [])
    assert Prediction.objects.count() == 3


def test_who_it_was_about_is_not_kept(team, data, tmp_path):
    logged(team, tmp_path)
    made = search(team)
    assert made.sealed == ""
    named = re.compile(r"\bc-2\b")  # digits of a random number may read so too
    assert not named.search(json.dumps(made.result))
    told = list(Event.objects.filter(target_type="personsearch").order_by("seq"))
    assert [event.verb for event in told] == ["person.search_asked", "person.searched"]
    assert not named.search(json.dumps([event.entry() for event in told]))
    assert told[1].data["predictions"] == 1


@pytest.mark.parametrize("log", [{}, {"masked": ["customer"]}], ids=["plain", "hashed"])
def test_the_log_forgets_them_and_nobody_else(team, data, tmp_path, log):
    logged(team, tmp_path, **log)
    found = search(team, erase=True).result
    assert found["erased"] == {"predictions": 1, "labels": 1, "files": 1}
    assert set(Prediction.objects.values_list("external_id", flat=True)) == {"a", "c"}
    assert GroundTruth.objects.count() == 2
    kept = chunks.read(PredictionChunk.objects.get())
    assert kept["age"] == [31.0, None, 20.0]
    assert [value is None for value in kept["customer"]] == [False, True, False]
    shown = predictions.stored(Prediction.objects.get(external_id="c"))
    assert shown.features["age"] == 20.0
    assert search(team).result["prediction_count"] == 0


def test_found_by_the_callers_own_id(team, data, tmp_path):
    logged(team, tmp_path)
    found = search(team, "c", erase=True).result
    assert found["predictions"][0]["columns"] == {"inference_id": 1}
    assert found["erased"] == {"predictions": 1, "labels": 1, "files": 1}
    assert chunks.read(PredictionChunk.objects.get())["age"] == [31.0, 45.0, None]


def test_a_legal_hold_keeps_them(team, data, tmp_path):
    logged(team, tmp_path)
    waiting = persons.ask(team.admin, project=team.project, person="c-2", ticket="Letter 12", erase=True)
    legal_holds.place(team.admin, project=team.project, reason="A letter of the court.")
    with pytest.raises(Conflict, match="legal hold"):
        persons.ask(team.admin, project=team.project, person="c-2", ticket="Letter 13", erase=True)
    assert search_person(waiting.pk, worker="test")
    waiting.refresh_from_db()
    assert (waiting.state, waiting.sealed) == ("failed", "")
    assert "legal hold" in waiting.failure
    assert Prediction.objects.count() == 3
    assert search(team).result["prediction_count"] == 1  # looking is allowed


def test_only_project_admins_look(team):
    for other in (team.scientist, team.manager, team.ops):
        with pytest.raises(Forbidden):
            persons.ask(other, project=team.project, person="c-2", ticket="Letter 12")


def test_by_page_and_by_rest(team, data, client):
    client.force_login(team.admin.user)
    slug = team.project.slug
    page = f"/p/{slug}/settings/persons/"
    assert client.post(page, {"person": "", "ticket": "Letter 12"}).status_code == 422
    sent = client.post(page, {"person": "c-2", "ticket": "Letter 12"})
    made = PersonSearch.objects.get()
    assert sent["Location"] == f"{page}{made.pk}/"
    assert client.post(f"{page}{made.pk}/report/").status_code == 409
    search_person(made.pk, worker="test")
    shown = client.get(sent["Location"]).content.decode()
    assert "customer 1" in shown
    assert not re.search(r"\bc-2\b", shown)
    taken = client.post(f"{page}{made.pk}/report/")
    assert taken.json()["found"]["datasets"][0]["dataset"] == "churn"
    caller = Client(headers={"Authorization": f"Bearer {make_token(team.admin.user, team.project, ['read', 'admin'])}"})
    api = f"/api/v1/projects/{slug}/persons/"
    asked = caller.post(api, {"person": "c-3", "ticket": "Letter 14"}, content_type="application/json")
    assert (asked.status_code, asked.json()["state"]) == (202, "queued")
    search_person(asked.json()["id"], worker="test")
    read = caller.get(f"{api}{asked.json()['id']}/").json()
    assert read["result"]["datasets"][0]["columns"] == {"customer": 1}
    assert [row["ticket"] for row in caller.get(api).json()["results"]] == ["Letter 14", "Letter 12"]
    assert Event.objects.filter(verb="person.report_exported").count() == 2
