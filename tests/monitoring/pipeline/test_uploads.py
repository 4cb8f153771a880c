"""Predictions of models served elsewhere go the way of the prediction log: each row once, whatever the format."""

import io
from datetime import UTC, datetime

import pyarrow as pa
import pytest
from django.core.files.uploadedfile import SimpleUploadedFile
from pyarrow import csv, parquet

from mlportal.lib.errors import Conflict, Invalid
from monitoring import history
from monitoring.models import Bucket, IngestedSegment, Monitor, Prediction, PredictionUpload
from monitoring.pipeline import backfill, uploads
from monitoring.services import elsewhere, predictions
from projects.models import Event
from projects.permissions import Permission
from tests.factories.monitoring import NOON, make_monitor
from tests.factories.projects import make_project, make_token, make_user, system

pytestmark = pytest.mark.django_db
ROWS = 120
TABLE = pa.table(
    {
        "age": [20.0 + row % 50 for row in range(ROWS)],
        "plan": ["a", "b", "c"] * (ROWS // 3),
        "prediction": ["yes", "no"] * (ROWS // 2),
        "score": [0.8, 0.3] * (ROWS // 2),
        "id": [f"r{row}" for row in range(ROWS)],
        "at": pa.array([NOON.replace(minute=row % 60) for row in range(ROWS)], type=pa.timestamp("s", "UTC")),
    }
)


@pytest.fixture
def project():
    return make_project()


@pytest.fixture
def by(project):
    return system(project, Permission.MONITOR_EDIT, Permission.PREDICTION_LABEL, Permission.ALERT_HANDLE)


@pytest.fixture
def monitor(project, by):
    return elsewhere.create(
        by, project=project, endpoint="fraud", version="2026-11", task="classification", classes=["no", "yes"]
    )


def as_csv():
    sink = io.BytesIO()
    csv.write_csv(TABLE, sink)
    return sink.getvalue()


def as_parquet():
    sink = io.BytesIO()
    parquet.write_table(TABLE, sink)
    return sink.getvalue()


def as_lines():
    items = [row | {"at": row["at"].isoformat()} for row in TABLE.to_pylist()]
    return elsewhere.lines(items)


@pytest.mark.parametrize(("form", "content"), [("csv", as_csv), ("parquet", as_parquet), ("jsonl", as_lines)])
def test_rows_come_in_once_in_every_format(by, monitor, monkeypatch, form, content):
    monkeypatch.setattr(uploads, "BATCH_ROWS", 50)
    made = elsewhere.take(by, monitor=monitor, file=io.BytesIO(content()), format=form)
    assert elsewhere.take(by, monitor=monitor, file=io.BytesIO(content()), format=form) == made
    assert uploads.run_left() == ROWS
    assert (uploads.run_left(), uploads.run(made.pk)) == (0, 0)
    made.refresh_from_db()
    assert (made.state, made.rows) == ("succeeded", ROWS)
    assert IngestedSegment.objects.count() == 3
    last = Prediction.objects.get(external_id="r119")
    assert (last.value, last.score, last.at) == ("no", 0.3, datetime(2026, 11, 20, 12, 59, tzinfo=UTC))
    assert Event.objects.filter(verb="predictions.received").count() == 1
    truth = [{"inference_id": f"r{row}", "label": "yes"} for row in range(10)]
    assert predictions.record_truth(by, project=monitor.project, items=truth).matched == 10
    found = history.measured(monitor, NOON, NOON.replace(hour=13))
    assert found["performance.accuracy"].value == 0.5


def test_a_piece_that_was_stored_before_a_crash_is_not_stored_again(by, monitor, monkeypatch):
    monkeypatch.setattr(uploads, "BATCH_ROWS", 50)
    made = elsewhere.take(by, monitor=monitor, file=io.BytesIO(as_csv()), format="csv")
    uploads.run_left()
    PredictionUpload.objects.filter(pk=made.pk).update(state="queued")
    assert uploads.run_left() == 0
    assert Prediction.objects.count() == ROWS


def test_first_rows_become_the_reference(by, monitor, monkeypatch):
    monkeypatch.setattr(backfill, "FIRST_ROWS", 100)
    elsewhere.take(by, monitor=monitor, file=io.BytesIO(as_parquet()), format="parquet")
    uploads.run_left()
    assert backfill.make_references() == 1
    backfill.run_left()
    monitor.refresh_from_db()
    assert {name: grid["kind"] for name, grid in monitor.reference.items()} == {
        "age": "numeric", "plan": "categorical", "__prediction__": "categorical", "__score__": "categorical",
    }  # fmt: skip
    assert Bucket.objects.get(monitor=monitor, column="age").rows == ROWS


@pytest.mark.parametrize(
    ("content", "told"),
    [
        (b"age\n1\n", "The column prediction is missing."),
        (b"prediction,score\nyes,0.1\nno,high\n", "score must be a number"),
        (b"prediction,at\nyes,soon\n", "Row 1: at must be a moment"),
        (b"age,prediction\n1,2\n2\n", "CSV parse error"),
        (b"", "Empty CSV file"),
    ],
)
def test_a_file_that_cannot_be_read_says_why(by, monitor, content, told):
    made = elsewhere.take(by, monitor=monitor, file=io.BytesIO(content), format="csv")
    uploads.run_left()
    made.refresh_from_db()
    assert (made.state, told in made.failure) == ("failed", True)
    again = elsewhere.take(by, monitor=monitor, file=io.BytesIO(content), format="csv")
    assert (again.pk, again.state) == (made.pk, "queued")


def test_an_endpoint_of_the_portal_is_left_alone(project, by):
    ours = make_monitor(project)
    with pytest.raises(Conflict):
        elsewhere.create(by, project=project, endpoint=ours.endpoint, version="x", task="regression")
    with pytest.raises(Conflict):
        elsewhere.take(by, monitor=ours, file=io.BytesIO(b"prediction\n1\n"), format="csv")
    with pytest.raises(Invalid):
        elsewhere.create(by, project=project, endpoint="other", version="x", task="ranking")


def test_the_api_makes_a_monitor_and_takes_predictions(client, project):
    secret = make_token(make_user("rob", role="ops", project=project), project, ["read", "write", "alerts"])
    head = {"authorization": f"Bearer {secret}"}
    base = "/api/v1/projects/churn/monitors/"
    body = {"endpoint": "price", "version": "1", "task": "regression"}
    made = client.post(base, body, content_type="application/json", headers=head)
    assert made.status_code == 201
    assert client.post(base, body, content_type="application/json", headers=head).json()["id"] == made.json()["id"]
    where = f"{base}{made.json()['id']}/predictions/"
    items = {"items": [{"prediction": 3.5, "rooms": 4, "id": "h1"}]}
    assert client.post(where, items, content_type="application/json", headers=head).status_code == 202
    sent = client.post(where, "prediction,rooms\n1.5,2\n", content_type="text/csv", headers=head)
    assert (sent.status_code, sent.json()["format"]) == (202, "csv")
    assert uploads.run_left() == 2
    assert sorted(Prediction.objects.values_list("score", flat=True)) == [1.5, 3.5]
    assert [one["state"] for one in client.get(where, headers=head).json()["results"]] == ["succeeded", "succeeded"]
    assert client.post(where, {"rows": []}, content_type="application/json", headers=head).status_code == 400


def test_pages_make_a_monitor_and_send_a_file(client, project):
    client.force_login(make_user("olga", role="ops", project=project))
    assert client.get("/p/churn/monitoring/new/").status_code == 200
    form = {"endpoint": "fraud", "version": "1", "task": "classification", "classes": "no, yes"}
    done = client.post("/p/churn/monitoring/new/", form)
    monitor = Monitor.objects.get()
    assert (done.url, monitor.classes) == (f"/p/churn/monitoring/monitors/{monitor.pk}/predictions/", ["no", "yes"])
    client.post(done.url, {"file": SimpleUploadedFile("p.csv", b"prediction,age\nyes,4\n")})
    uploads.run_left()
    assert "taken in" in client.get(done.url).content.decode()
    row = Prediction.objects.get()
    where = f"/p/churn/monitoring/predictions/{row.pk}/"
    answer = client.post(where, {"label": "no"}, follow=True)
    assert "The label is recorded." in answer.content.decode()
    assert row.truths.get().label == "no"
    assert "The label is recorded." not in client.post(where, {"label": ""}, follow=True).content.decode()
    assert row.truths.get().label == "no"
