"""The portal's own predict address and the form, in front of a real serving process."""

import json

import pytest
from django.test import Client

from monitoring import spool
from projects.models import ApiToken
from tests.factories.projects import make_token, make_user
from tests.serve.harness import RECORD

pytestmark = [pytest.mark.slow, pytest.mark.django_db(transaction=True)]
API = "/api/v1/projects/churn/endpoints/churn-production/predict/"
PAGE = "/p/churn/endpoints/churn-production/try/"


def test_predict_through_the_portal(serve, scene, token, settings):
    settings.SERVE_URL = f"http://127.0.0.1:{serve.port}"
    client = Client(headers={"Authorization": f"Bearer {token}"})
    answer = client.post(API, {"records": [RECORD]}, content_type="application/json")
    direct = serve.predict(token, {"records": [RECORD]})[1]["predictions"][0]
    assert answer.status_code == 200
    body = answer.json()
    assert (body["model"], body["version"]) == ("churn", 1)
    assert body["predictions"][0]["probability"] == direct["probability"]
    problem = client.post(API, {"records": [RECORD, {**RECORD, "age": "x"}]}, content_type="application/json")
    assert problem.status_code == 422
    assert problem["Content-Type"] == "application/problem+json"
    fault = problem.json()
    assert (fault["code"], fault["row"], fault["column"]) == ("value_invalid", 1, "age")
    assert client.post(API, b"{", content_type="application/json").json()["code"] == "bad_json"
    assert client.post(API, b"a,b", content_type="text/csv").status_code == 415
    assert client.post(API.replace("churn-production", "none"), {}, content_type="application/json").status_code == 404
    scoped = make_token(scene.user, scene.project, ["read"])
    refused = Client(headers={"Authorization": f"Bearer {scoped}"})
    assert refused.post(API, {"records": [RECORD]}, content_type="application/json").status_code == 403
    serve.stop()
    lines = [entry for path in spool.closed_segments(serve.spool) for entry in spool.read(path).records]
    known = ApiToken.objects.get(scopes=["predict"]).pk
    assert {entry["token"] for entry in lines if entry["kind"] == "prediction"} == {known}
    away = client.post(API, {"records": [RECORD]}, content_type="application/json")
    assert (away.status_code, away["Retry-After"]) == (503, "2")


def test_try_it_form(serve, scene, settings):
    settings.SERVE_URL = f"http://127.0.0.1:{serve.port}"
    client = Client()
    client.force_login(scene.user)
    page = client.get(PAGE)
    sample = json.loads(page.context["records_text"])
    assert (page.status_code, set(sample[0])) == (200, set(RECORD))
    answered = client.post(PAGE, {"records": json.dumps([RECORD, RECORD])})
    assert (answered.status_code, len(answered.context["answer"]["predictions"])) == (200, 2)
    assert "Answered by churn v1, revision 1." in answered.content.decode()
    wrong = client.post(PAGE, {"records": json.dumps([{**RECORD, "plan": None}])}, headers={"HX-Request": "true"})
    assert wrong.status_code == 422
    text = wrong.content.decode()
    assert text.count("<html") == 0
    assert "null is not allowed here" in text
    assert client.post(PAGE, {"records": '<script>alert("x")</script>'}).status_code == 422
    viewer = Client()
    viewer.force_login(make_user("vic", role="viewer", project=scene.project))
    assert viewer.get(PAGE).status_code == 403
