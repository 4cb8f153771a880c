"""Requests are divided between two versions and given back under load; nobody notices but by the version."""

import json

import pytest
from django.core.management import call_command

from deployments.models import Endpoint, EndpointRevision
from deployments.traffic import assignment
from monitoring.models import Prediction, PredictionChunk, VariantCount
from tests.factories.projects import make_token, make_user
from tests.serve.harness import RECORD, Load

pytestmark = [pytest.mark.slow, pytest.mark.django_db(transaction=True)]
SALT = "5f" * 16
TARGET = "X-Amzn-SageMaker-Target-Variant"


def divide(scene, base, *routes) -> EndpointRevision:
    """A step of traffic as a rollout makes it."""
    endpoint = scene.endpoint
    made = EndpointRevision.objects.create(
        endpoint=endpoint, number=endpoint.revisions.count() + 1, version=base.version, kind="rollout", reason="test",
        created_by=scene.user, base=base, routes=list(routes), salt=SALT if routes else "", score_edges=[0.5],
    )  # fmt: skip
    Endpoint.objects.filter(pk=endpoint.pk).update(current_revision=made)
    return made


def route(variant, version, weight, mode="live"):
    return {"variant": variant, "version_id": version.pk, "version": version.number, "weight": weight, "mode": mode}


def steered(serve, scene, token) -> None:
    """Who may deploy chooses the variant; nobody else does."""
    ops = make_token(make_user("olga", role="ops", project=scene.project), scene.project, ["predict", "deploy"])
    for name, version in (("canary", 2), ("champion", 1)):
        status, body, headers = serve.predict(ops, {"records": [RECORD]}, **{TARGET: name})
        assert (status, body["version"], headers["x-mlportal-variant"]) == (200, version, name)
    status, body, _ = serve.predict(ops, {"records": [RECORD]}, **{TARGET: "nobody"})
    assert (status, body["code"]) == (400, "variant_unknown")
    status, body, _ = serve.predict(token, {"records": [RECORD]}, **{TARGET: "champion"})
    assert (status, body["code"]) == (403, "variant_forbidden")


def test_traffic_is_divided_by_unit_and_given_back_without_a_failed_request(serve, scene, token, settings):
    base = scene.endpoint.revisions.get()
    second, third = scene.make_version(2), scene.make_version(3)
    with Load(serve, token, threads=2) as load:
        serve.wait_for(lambda: len(load.answers) > 10)
        divided = divide(scene, base, route("canary", second, 0.4), route("champion", scene.first, 0.6))
        serve.wait_for(lambda: {version for _, version in load.answers[-40:]} == {1, 2})
        for unit in (f"customer-{number}" for number in range(60)):
            wanted = 2 if assignment.place(unit.encode(), SALT.encode()) < 0.4 * assignment.SPACE else 1
            _, body, headers = serve.predict(token, {"records": [RECORD]}, **{"X-Mlportal-Unit": unit})
            assert (body["version"], headers["x-mlportal-variant"]) == (wanted, {1: "champion", 2: "canary"}[wanted])
        pinned = serve.predict(
            token, json.dumps({"inputs": {name: [value] for name, value in RECORD.items()}}).encode(),
            path="/p/churn/v2/models/churn-production/versions/9/infer",
        )  # fmt: skip
        assert pinned[0] == 404
        steered(serve, scene, token)
        loads = serve.get("/metrics")[1]
        divide(scene, base)
        mark = len(load.answers)
        serve.wait_for(lambda: len(load.answers) > mark + 40 and {v for _, v in load.answers[-20:]} == {1})
        assert serve.get("/metrics")[1].count(b"mlportal_load_failures 0") == loads.count(b"mlportal_load_failures 0")
        listening = divide(scene, base, route("shadow", third, 0.0, "shadow"), route("champion", scene.first, 1.0))
        serve.wait_for(lambda: any(b'"kind":"shadow"' in path.read_bytes() for path in serve.spool.glob("*-*")))
        assert {version for _, version in load.answers[-50:]} == {1}
    assert load.errors == []
    assert {status for status, _ in load.answers} == {200}
    serve.stop()
    settings.SPOOL_DIR = serve.spool
    call_command("ship_predictions")
    counts = {
        variant: VariantCount.objects.filter(source=divided.pk, variant=variant) for variant in ("canary", "champion")
    }
    kept = Prediction.objects.filter(chunk__source=divided.pk)
    assert sum(row.requests for row in counts["canary"]) == kept.filter(chunk__variant="canary").count() > 20
    assert sum(row.sticky for rows in counts.values() for row in rows) == 60
    assert counts["canary"].earliest("minute").loads == 1
    assert kept.filter(unit=None).count() == 2  # the two that ops asked for
    heard = VariantCount.objects.filter(source=listening.pk, variant="shadow")
    assert sum(row.requests + row.dropped for row in heard) > 0
    assert not PredictionChunk.objects.filter(variant="shadow").exists()
