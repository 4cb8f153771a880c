"""A prediction asked through the portal is one trace over both processes, and callers' own traces go on."""

import json

import pytest
from django.test import Client

from mlportal.lib import spans
from tests.collector import collecting
from tests.serve.harness import RECORD, Serve

pytestmark = [pytest.mark.slow, pytest.mark.django_db(transaction=True)]


def test_predictions_are_parts_of_their_callers_traces(scene, token, tmp_path, settings, monkeypatch):
    scene.first = scene.make_version(1)
    scene.switch(scene.first)
    with collecting() as collector:
        monkeypatch.setenv("OTEL_EXPORTER_OTLP_ENDPOINT", collector.url)
        monkeypatch.setattr(spans._state, "provider", None)
        with Serve(tmp_path / "spool") as serve:
            caller = f"00-{'ab' * 16}-{'cd' * 8}-01"
            assert serve.predict(token, {"records": [RECORD]}, traceparent=caller)[0] == 200
            spans.configure({"OTEL_EXPORTER_OTLP_ENDPOINT": collector.url})
            settings.SERVE_URL = f"http://127.0.0.1:{serve.port}"
            answer = Client().post(
                "/api/v1/projects/churn/endpoints/churn-production/predict/", json.dumps({"records": [RECORD]}),
                content_type="application/json", headers={"Authorization": f"Bearer {token}"},
            )  # fmt: skip
            spans.configure({})
            assert serve.predict("nobody", {"records": [RECORD]})[0] == 401
            assert serve.stop() == 0
        spans._state.provider.shutdown()
    assert answer.status_code == 200
    direct, through, refused = [span for span in collector.spans if span.name == "predict"]
    (request,) = [span for span in collector.spans if span.service == "mlportal-web"]
    assert (direct.service, direct.trace, direct.parent) == ("mlportal-serve", "ab" * 16, "cd" * 8)
    assert (through.trace, through.parent) == (request.trace, request.own)
    assert [span.known["http.response.status_code"] for span in (direct, through, refused)] == [200, 200, 401]
    first, second = [span for span in collector.spans if span.name == "answer"]
    assert (first.parent, second.parent) == (direct.own, through.own)
    assert first.known == {
        "mlportal.endpoint": "churn-production", "mlportal.version": 1, "mlportal.backend": "exact", "mlportal.rows": 1,
    }  # fmt: skip
