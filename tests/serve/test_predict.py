"""Asking a real serving process."""

import json
import signal
from datetime import timedelta

import pytest
from django.utils import timezone

from deployments.models import Endpoint
from deployments.runtime import passes
from mlportal.lib import blobs, modelfile
from monitoring import spool
from projects.models import ApiToken, Membership
from tests.deployments.runtime import recipes
from tests.factories.projects import make_project, make_token, make_user
from tests.serve.harness import RECORD, Serve

pytestmark = [pytest.mark.slow, pytest.mark.django_db(transaction=True)]


def lines(folder):
    records = []
    for path in spool.closed_segments(folder):
        records += spool.read(path).records
    return records


def test_answer_is_the_models_and_is_logged_before_it_is_given(serve, scene, token):
    records = recipes.records(recipes.rows(5, seed=77))
    body = {"records": records, "inference_ids": [f"order-{row}" for row in range(5)]}
    status, answer, headers = serve.predict(token, body, **{"X-Request-Id": "abc-12345"})
    model = modelfile.load(blobs.local_path(scene.first.file("model/model.skops")))
    probabilities = model.predict_proba(recipes.rows(5, seed=77))
    assert status == 200
    assert (answer["model"], answer["version"], answer["revision"]) == ("churn", 1, 1)
    assert [entry["probability"] for entry in answer["predictions"]] == [
        {"no": no, "yes": yes} for no, yes in probabilities.tolist()
    ]
    labels = model.classes_[probabilities.argmax(axis=1)].tolist()
    assert [entry["prediction"] for entry in answer["predictions"]] == labels
    assert headers["x-request-id"] == "abc-12345"
    serve.stop(signal.SIGKILL)
    (line,) = lines(serve.spool)
    assert line["ids"] == [entry["prediction_id"] for entry in answer["predictions"]]
    assert (line["y"], line["ref"], line["via"]) == (labels, body["inference_ids"], "predict")
    assert line["x"] == recipes.columns(recipes.rows(5, seed=77))


def test_faults_name_row_and_column(serve, token):
    def fault(body, **headers):
        status, answer, _ = serve.predict(token, body, **headers)
        return status, answer["code"], answer.get("row"), answer.get("column")

    assert fault({"records": [RECORD, {**RECORD, "age": "x"}]}) == (422, "value_invalid", 1, "age")
    assert fault({"records": [{**RECORD, "wage": 1}]}) == (422, "column_unknown", 0, "wage")
    assert fault({"records": [{**RECORD, "plan": None}]}) == (422, "null_not_allowed", 0, "plan")
    assert fault({"records": []}) == (422, "no_rows", None, None)
    assert fault({"records": [RECORD] * 10_001}) == (422, "too_many_rows", None, None)
    assert fault({"rows": [RECORD]}) == (400, "records_missing", None, None)
    assert fault({"records": [RECORD], "x": 1}) == (400, "field_unknown", None, None)
    assert fault({"records": [RECORD], "inference_ids": []}) == (400, "invalid", None, None)
    assert fault({"records": [RECORD], "inference_ids": [3]}) == (400, "invalid", None, None)
    assert fault(b"[" * 100_000 + b"]" * 100_000) == (400, "too_deep", None, None)
    assert fault(b'{"records": [{"age": NaN}]}') == (400, "bad_json", None, None)
    assert fault(b'{"records": [{"age": 1e999}]}') == (400, "bad_json", None, None)
    assert fault(b"\xff\xfe") == (400, "bad_json", None, None)
    assert fault(b"") == (400, "bad_json", None, None)
    assert fault({"records": [RECORD]}, **{"Content-Type": "text/csv"}) == (415, "unsupported_type", None, None)


def test_hundred_megabytes_are_refused_unread(serve, token):
    link = serve.connect()
    link.putrequest("POST", "/p/churn/endpoints/churn-production/predict")
    link.putheader("Authorization", f"Bearer {token}")
    link.putheader("Content-Length", str(100 << 20))
    link.endheaders()
    answer = link.getresponse()
    body = json.loads(answer.read())
    assert (answer.status, body["code"], body["limit"], body["got"]) == (413, "too_large", 16 << 20, 100 << 20)
    link.close()

    def endless():
        for _ in range(100):
            yield b"x" * (1 << 20)

    link = serve.connect()
    status = 0
    try:
        link.request(
            "POST", "/p/churn/endpoints/churn-production/predict", endless(),
            {"Authorization": f"Bearer {token}", "Transfer-Encoding": "chunked"}, encode_chunked=True,
        )  # fmt: skip
        status = link.getresponse().status
    except (BrokenPipeError, ConnectionResetError):
        status = 413  # closed while we were still sending
    link.close()
    assert status == 413
    assert serve.version(token) == 1


def test_who_may_ask(serve, scene, token):
    def status(secret, path="/p/churn/endpoints/churn-production/predict"):
        code, body, headers = serve.predict(secret, {"records": [RECORD]}, path=path)
        return code, body["code"], headers.get("www-authenticate")

    outsider = make_user("eve")
    elsewhere = make_project("other", owner=outsider)
    Membership.objects.create(project=elsewhere, user=outsider, role="scientist")
    viewer = make_user("vic", role="viewer", project=scene.project)
    inactive = make_user("ina", role="scientist", project=scene.project, is_active=False)
    anywhere = make_token(scene.user, None, ["predict"])
    expired = make_token(scene.user, scene.project, ["predict"], days=-1)
    revoked = make_token(scene.user, scene.project, ["predict"])
    ApiToken.objects.filter(hint=revoked[:8]).update(revoked_at=timezone.now())
    assert serve.predict(anywhere, {"records": [RECORD]})[0] == 200
    assert status(expired) == (401, "unauthenticated", "Bearer")
    assert status(revoked) == (401, "unauthenticated", "Bearer")
    assert status("mlp_" + "x" * 43) == (401, "unauthenticated", "Bearer")
    assert status("") == (401, "unauthenticated", "Bearer")
    assert status("x" * 600) == (401, "unauthenticated", "Bearer")
    assert status(make_token(inactive, scene.project, ["predict"])) == (401, "unauthenticated", "Bearer")
    assert status(make_token(scene.user, scene.project, ["read", "write"])) == (403, "forbidden", None)
    assert status(make_token(viewer, scene.project, ["predict"])) == (403, "forbidden", None)
    assert status(make_token(outsider, elsewhere, ["predict"])) == (404, "not_found", None)
    assert status(make_token(outsider, None, ["predict"])) == (404, "not_found", None)
    assert status(token, "/p/churn/endpoints/none/predict") == (404, "endpoint_missing", None)
    assert status(token, "/p/nowhere/endpoints/churn-production/predict") == (404, "not_found", None)


def test_passes_of_the_web_process(serve, scene, settings):
    key = passes.derive(settings.SECRET_KEY)
    now = timezone.now().timestamp()

    def status(**changes):
        claims = {"project_id": scene.project.pk, "endpoint_id": scene.endpoint.pk, "token_id": 0, "now": now}
        return serve.predict(passes.issue(changes.pop("key", key), **(claims | changes)), {"records": [RECORD]})[0]

    assert status() == 200
    assert status(endpoint_id=scene.endpoint.pk + 1) == 404
    assert status(project_id=scene.project.pk + 1) == 404
    assert status(now=now - 31) == 401
    assert status(key=passes.derive("another secret")) == 401


def test_endpoint_that_is_deploying_stopped_or_deleted(serve, scene, token):
    path = "/p/churn/endpoints/new-one/predict"
    bare = scene.make_endpoint("new-one")

    def outcome():
        code, body, headers = serve.predict(token, {"records": [RECORD]}, path=path)
        return code, body.get("code"), headers.get("retry-after")

    serve.wait_for(lambda: outcome()[0] != 404)
    assert outcome() == (503, "endpoint_deploying", "2")
    scene.switch(scene.first, bare)
    serve.wait_for(lambda: outcome()[0] == 200)
    Endpoint.objects.filter(pk=bare.pk).update(enabled=False)
    serve.wait_for(lambda: outcome()[0] != 200)
    assert outcome() == (503, "endpoint_stopped", "30")
    Endpoint.objects.filter(pk=bare.pk).update(enabled=True, current_revision=None)
    serve.wait_for(lambda: outcome()[1] == "endpoint_deploying")
    bare.name, bare.name_key = "renamed", "renamed"
    bare.save()
    serve.wait_for(lambda: outcome()[0] == 404)
    assert outcome() == (404, "endpoint_missing", None)


def test_unseen_category_is_answered_with_a_warning(serve, token):
    status, body, _ = serve.predict(token, {"records": [RECORD, {**RECORD, "city": "lima"}]})
    assert status == 200
    assert body["warnings"] == [{"code": "category_unseen", "row": 1, "column": "city"}]


def test_other_addresses(serve, token):
    assert serve.get("/healthz") == (200, b'{"status":"ok"}')
    assert serve.get("/readyz") == (200, b'{"status":"ok","parts":{"database":"up","models":"up"}}')
    assert serve.get("/p/churn/endpoints/churn-production/predict")[0] == 405
    assert serve.get("/p/../../etc/passwd")[0] == 404
    serve.predict(token, {"records": [RECORD] * 3})
    serve.predict(token, {"records": []})
    text = serve.get("/metrics")[1].decode()
    assert 'mlportal_predict_requests_total{endpoint="churn-production",project="churn",status="200"} 1.0' in text
    assert 'mlportal_predict_rows_total{endpoint="churn-production",project="churn"} 3.0' in text
    assert 'mlportal_predict_errors_total{code="no_rows"} 1.0' in text
    assert 'mlportal_endpoint_version{endpoint="churn-production",project="churn"} 1.0' in text


def test_log_that_cannot_be_written_follows_the_endpoints_policy(scene, token, tmp_path):
    scene.first = scene.make_version(1)
    scene.switch(scene.first)
    strict = scene.make_endpoint("strict", on_log_failure="refuse")
    scene.switch(scene.first, strict)
    blocked = tmp_path / "spool"
    blocked.write_text("a file in the place of the folder")
    with Serve(blocked) as serve:
        assert serve.predict(token, {"records": [RECORD]})[0] == 200
        code, body, _headers = serve.predict(token, {"records": [RECORD]}, path="/p/churn/endpoints/strict/predict")
        assert (code, body["code"]) == (503, "log_unavailable")
        text = serve.get("/metrics")[1].decode()
        assert 'mlportal_predict_log_dropped_total{endpoint="churn-production",project="churn"} 1.0' in text
        assert 'mlportal_predict_log_dropped_total{endpoint="strict",project="churn"} 1.0' in text
        blocked.unlink()
        assert serve.predict(token, {"records": [RECORD]}, path="/p/churn/endpoints/strict/predict")[0] == 200
        serve.stop()
        gaps = [entry["rows"] for entry in lines(blocked) if entry["kind"] == "gap"]
        assert gaps == [1], "the endpoint that answered tells its gap, the one that refused has none"
    with Serve(tmp_path / "small", MLPORTAL_SPOOL_QUOTA_BYTES="10") as serve:
        assert serve.predict(token, {"records": [RECORD]})[0] == 200
        assert serve.predict(token, {"records": [RECORD]}, path="/p/churn/endpoints/strict/predict")[0] == 503


def test_rights_taken_away_end_within_half_a_minute(scene, token):
    """The memory of tokens is 30 s: shown on the door itself with a clock of ours."""
    import asyncio

    from deployments.serve import database, tables
    from deployments.serve.credentials import Door
    from mlportal.lib.errors import DomainError, Unauthenticated
    from tests.serve.harness import connection

    now = [0.0]
    source = database.connect({**connection.settings_dict})

    class Answering:
        routes: dict = {}
        slugs = {scene.project.pk: "churn"}
        project_ids = {"churn": scene.project.pk}

        def ask(self, question):
            from concurrent.futures import Future

            future = Future()
            future.set_result(question(source))
            return future

    door = Door(Answering(), b"key", clock=lambda: now[0])

    def enter():
        try:
            asyncio.run(door.enter(f"Bearer {token}", "churn", "none"))
        except DomainError as error:
            return type(error).__name__

    assert enter() == "Missing"
    ApiToken.objects.update(revoked_at=timezone.now() - timedelta(seconds=1))
    now[0] = 29.9
    assert enter() == "Missing"
    now[0] = 30.0
    assert enter() == Unauthenticated.__name__
    assert tables.grant(source, "0" * 64) is None
    source.close()
