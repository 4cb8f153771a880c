"""Predictions and labels over REST."""

import pytest
from django.db import connection
from django.test import Client
from django.test.utils import CaptureQueriesContext

from monitoring.models import GroundTruth, Prediction
from monitoring.pipeline import ship
from tests.factories.projects import make_project, make_token, make_user
from tests.monitoring import log

API = "/api/v1/projects/churn"


@pytest.fixture
def project(db):
    return make_project()


@pytest.fixture
def ask(project):
    user = make_user("ana", role="scientist", project=project)
    secret = make_token(user, project, ["read", "write"])
    client = Client(headers={"Authorization": f"Bearer {secret}"})

    def call(method, path, body=None):
        answer = getattr(client, method)(
            f"{API}{path}", *([body] if body is not None else []), content_type="application/json"
        )
        return answer.status_code, answer.json()

    return call


def predicted(project, folder, rows=3, **changes):
    sent = log.line(rows, **changes)
    log.write(folder, [sent], log.header(project))
    ship.ship(folder)
    return sent["ids"]


def test_list_is_newest_first_and_pages_by_cursor(project, ask, tmp_path):
    ids = predicted(project, tmp_path, 3, refs=["a", "b", "c"])
    newest = sorted(ids, reverse=True)
    status, page = ask("get", "/predictions/?limit=2")
    assert (status, [row["id"] for row in page["results"]]) == (200, newest[:2])
    status, rest = ask("get", page["next"].split(API)[1])
    assert [row["id"] for row in rest["results"]] == newest[2:]
    first = next(row for row in page["results"] + rest["results"] if row["id"] == ids[0])
    assert first == {
        "id": ids[0], "endpoint": "churn-production", "model": "churn", "version": 1, "revision": 4,
        "backend": "exact", "at": "2026-11-20T12:00:00Z", "latency_us": 900, "prediction": "yes", "score": 0.75,
        "inference_id": "a", "protocol": "",
    }  # fmt: skip
    assert [row["id"] for row in ask("get", "/predictions/?inference_id=b")[1]["results"]] == [ids[1]]
    assert ask("get", "/predictions/?endpoint=other")[1]["results"] == []


@pytest.mark.parametrize("rows", [1, 3])
def test_list_asks_the_database_the_same_whatever_its_length(project, ask, tmp_path, rows):
    predicted(project, tmp_path, rows)
    ask("get", "/predictions/")
    with CaptureQueriesContext(
        connection,
    ) as queries:
        assert len(ask("get", "/predictions/")[1]["results"]) == rows
    assert len(queries) == 2


def test_one_prediction_comes_with_features_and_labels(project, ask, tmp_path):
    ids = predicted(project, tmp_path, 2)
    ask("post", "/ground-truth/", {"items": [{"prediction_id": ids[1], "label": "no"}]})
    status, body = ask("get", f"/predictions/{ids[1]}/")
    assert status == 200
    assert (body["features"], body["probability"]) == (
        {"age": 41.0, "plan": "a", "on": True},
        {"no": 0.25, "yes": 0.75},
    )
    assert [truth["label"] for truth in body["truths"]] == ["no"]
    assert ask("get", "/predictions/nonsense/")[0] == 404
    assert ask("get", "/predictions/019a0000-0000-7000-8000-000000000000/")[0] == 404


def test_predictions_of_another_project_are_not_there(project, ask, tmp_path):
    other = make_project("other")
    ids = predicted(other, tmp_path)
    assert ask("get", f"/predictions/{ids[0]}/")[0] == 404
    assert ask("get", "/predictions/")[1]["results"] == []
    assert ask("post", "/ground-truth/", {"items": [{"prediction_id": ids[0], "label": "no"}]})[1] == {
        "matched": 0,
        "waiting": 1,
    }


def test_labels_are_recorded_once_and_corrected(project, ask, tmp_path):
    ids = predicted(project, tmp_path, 3, refs=["a", "b", "b"])
    items = [
        {"prediction_id": ids[0], "label": "no", "observed_at": "2026-11-20T13:00:00+01:00"},
        {"inference_id": "b", "label": True},
        {"inference_id": "later", "label": 3.5},
    ]
    for _ in range(2):
        assert ask("post", "/ground-truth/", {"items": items}) == (200, {"matched": 2, "waiting": 1})
    rows = GroundTruth.objects.order_by("id").values_list("prediction_id", "external_id", "label", "number")
    newest = str(Prediction.objects.filter(external_id="b").order_by("-id").first().pk)
    assert [(str(pk), *rest) for pk, *rest in rows] == [
        (ids[0], None, "no", None), (newest, "b", "true", 1.0), ("None", "later", "3.5", 3.5),
    ]  # fmt: skip
    assert ask("post", "/ground-truth/", {"items": [{"prediction_id": ids[0], "label": "yes"}]})[0] == 200
    assert GroundTruth.objects.get(prediction_key=ids[0]).label == "yes"
    assert GroundTruth.objects.count() == 3


@pytest.mark.parametrize(
    ("body", "field"),
    [
        ([], "items"),
        ({}, "items"),
        ({"items": {}}, "items"),
        ({"items": []}, "items"),
        ({"items": [1]}, "items[0]"),
        ({"items": [{"label": "x"}]}, "items[0]"),
        ({"items": [{"prediction_id": "x", "inference_id": "x", "label": "x"}]}, "items[0]"),
        ({"items": [{"prediction_id": "x", "label": "x"}]}, "items[0].prediction_id"),
        ({"items": [{"prediction_id": 7, "label": "x"}]}, "items[0].prediction_id"),
        ({"items": [{"inference_id": "", "label": "x"}]}, "items[0].inference_id"),
        ({"items": [{"inference_id": "x" * 201, "label": "x"}]}, "items[0].inference_id"),
        ({"items": [{"inference_id": "x"}]}, "items[0].label"),
        ({"items": [{"inference_id": "x", "label": []}]}, "items[0].label"),
        ({"items": [{"inference_id": "x", "label": 10**400}]}, "items[0].label"),
        ({"items": [{"inference_id": "x", "label": ""}]}, "items[0].label"),
        ({"items": [{"inference_id": "x", "label": "y", "at": 1}]}, "items[0]"),
        ({"items": [{"inference_id": "x", "label": "y", "observed_at": "soon"}]}, "items[0].observed_at"),
        ({"items": [{"inference_id": "x", "label": "y", "observed_at": 5}]}, "items[0].observed_at"),
    ],
)
def test_wrong_labels_name_the_item_and_field(ask, body, field):
    status, problem = ask("post", "/ground-truth/", body)
    assert (status, problem["field"]) == (400, field)
    assert GroundTruth.objects.count() == 0


def test_too_many_labels_at_once(ask):
    status, problem = ask("post", "/ground-truth/", {"items": [{}] * 10_001})
    assert (status, problem["limit"], problem["got"]) == (413, 10_000, 10_001)


def test_roles_and_scopes(project, tmp_path):
    predicted(project, tmp_path)
    viewer = make_user("vic", role="viewer", project=project)
    ana = make_user("ana", role="scientist", project=project)

    def status(user, scopes, method, path):
        secret = make_token(user, project, scopes)
        client = Client(headers={"Authorization": f"Bearer {secret}"})
        return getattr(client, method)(f"{API}{path}", content_type="application/json").status_code

    assert status(viewer, ["read"], "get", "/predictions/") == 403
    assert status(ana, ["predict"], "get", "/predictions/") == 403
    assert status(ana, ["read"], "post", "/ground-truth/") == 403
    assert status(ana, ["read"], "get", "/predictions/") == 200
