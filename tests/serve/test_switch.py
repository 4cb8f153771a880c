"""Versions change under load, break, and processes die: the old version answers throughout, nothing is lost."""

import concurrent.futures
import json
import signal
import time
from math import inf

import pytest
from django.core.management import call_command

from deployments.models import ModelVersion
from mlportal.lib import blobs, leftovers
from monitoring import spool
from monitoring.models import IngestedSegment, Prediction
from tests.serve.harness import RECORD, Load, Serve, write_artifacts

pytestmark = [pytest.mark.slow, pytest.mark.django_db(transaction=True)]
SWITCHES = 40


def ship(folder, settings) -> set[str]:
    settings.SPOOL_DIR = folder
    call_command("ship_predictions")
    assert spool.closed_segments(folder) == []
    return {str(pk) for pk in Prediction.objects.values_list("pk", flat=True)}


def test_forty_switches_under_load_fail_no_request_and_lose_no_row(serve, scene, token, settings):
    versions = [scene.first, scene.make_version(2), scene.make_version(3)]
    with Load(serve, token, threads=2) as load:
        serve.wait_for(lambda: len(load.answers) > 10)
        for number in range(1, SWITCHES + 1):
            wanted = versions[number % 3]
            scene.switch(wanted)
            serve.wait_for(lambda wanted=wanted: load.answers[-1][1] == wanted.number, seconds=20)
    assert load.errors == []
    assert {status for status, _ in load.answers} == {200}
    assert {version for _, version in load.answers} == {1, 2, 3}
    serve.stop(signal.SIGTERM)
    assert load.ids
    stored = ship(serve.spool, settings)
    assert stored >= set(load.ids)
    assert len(stored) == len(load.ids)
    assert IngestedSegment.objects.filter(damaged__gt=0).count() == 0


def broken_versions(scene, tmp_path):
    """Versions that must never answer, and why."""
    good = scene.make_version(10)
    yield "changed file", _copy(good, 11, manifest=[{**row, "sha256": "0" * 64} for row in good.manifest])
    junk = blobs.put_bytes(b"PK\x03\x04 this is no model")
    yield "no model", _copy(good, 12, manifest=[_swapped(row, "model.skops", junk) for row in good.manifest])
    other = write_artifacts(tmp_path / "other", seed=400)
    reference = blobs.put_file(other["model/reference.parquet"], limit_bytes=1 << 30)
    manifest = [_swapped(row, "reference.parquet", reference) for row in good.manifest]
    yield "answers otherwise", _copy(good, 13, manifest=manifest)
    inputs = [{**entry, "name": f"{entry['name']}x"} for entry in good.signature["inputs"]]
    yield "other columns", _copy(good, 14, signature={**good.signature, "inputs": inputs})
    yield "marked as damaged", _copy(good, 15, state="damaged")


def _swapped(row: dict, name: str, blob: blobs.Blob) -> dict:
    if not row["path"].endswith(name):
        return row
    return {**row, "sha256": blob.sha256, "size_bytes": blob.size_bytes}


def _copy(version: ModelVersion, number: int, **changes) -> ModelVersion:
    from tests.factories.experiments import make_run

    run = make_run(version.run.experiment, f"run-{number}")
    facts = {"manifest": version.manifest, "signature": version.signature, "state": "ready"} | changes
    return ModelVersion.objects.create(
        model=version.model, number=number, run=run, provenance={}, manifest_sha256="0" * 64,
        manifest_signature="x", signed_by="test", created_by=version.created_by, **facts,
    )  # fmt: skip


def test_bad_version_never_answers_and_the_old_one_stays(serve, scene, token, tmp_path):
    def failures() -> float:
        text = serve.get("/metrics")[1].decode()
        return float(text.split("\nmlportal_load_failures ")[1].split("\n")[0])

    with Load(serve, token, threads=1, pause=0.01) as load:
        for name, version in broken_versions(scene, tmp_path):
            before = failures()
            scene.switch(version)
            serve.wait_for(lambda before=before: failures() > before)
            assert serve.version(token) == 1, name
    assert (load.errors, set(load.answers)) == ([], {(200, 1)})
    assert serve.get("/readyz")[0] == 200
    assert "mlportal_endpoint_behind" in serve.get("/metrics")[1].decode()
    second = scene.make_version(2)
    scene.switch(second)
    serve.wait_for(lambda: serve.version(token) == 2)


def test_endpoint_whose_first_version_is_bad_says_so_and_others_start(scene, token, tmp_path):
    scene.first = scene.make_version(1)
    scene.switch(scene.first)
    bare = scene.make_endpoint("broken")
    scene.switch(_copy(scene.first, 9, manifest=[]), bare)
    with Serve(tmp_path / "spool") as serve:
        assert serve.version(token) == 1
        status, body, _ = serve.predict(token, {"records": [RECORD]}, path="/p/churn/endpoints/broken/predict")
        assert (status, body["code"]) == (503, "endpoint_deploying")


def test_rollback_to_the_version_before_loads_nothing(serve, scene, token):
    second = scene.make_version(2)
    scene.switch(second)
    serve.wait_for(lambda: serve.version(token) == 2)
    for entry in scene.first.manifest:
        if not any(entry["sha256"] == row["sha256"] for row in second.manifest):
            leftovers.remove(entry["sha256"], claimed_before=inf)
    scene.switch(scene.first)
    serve.wait_for(lambda: serve.version(token) == 1)


def test_ordered_stop_finishes_what_is_under_way(serve, token):
    link = serve.connect()
    link.putrequest("POST", "/p/churn/endpoints/churn-production/predict")
    body = json.dumps({"records": [RECORD]}).encode()
    link.putheader("Authorization", f"Bearer {token}")
    link.putheader("Content-Length", str(len(body)))
    link.endheaders()
    link.send(body[:20])
    time.sleep(0.2)
    assert serve.process
    serve.process.send_signal(signal.SIGTERM)
    time.sleep(0.3)
    link.send(body[20:])
    assert link.getresponse().status == 200
    link.close()
    assert serve.process.wait(timeout=20) == 0
    assert len(spool.closed_segments(serve.spool)) == 1


def test_slow_pipeline_is_batched_and_answers_right(scene, token, tmp_path, settings):
    """A step without a compiled form: the pipeline itself runs, many requests in one call."""
    from sklearn.compose import ColumnTransformer
    from sklearn.linear_model import LogisticRegression
    from sklearn.pipeline import Pipeline
    from sklearn.preprocessing import PolynomialFeatures

    from mlportal.lib import modelfile
    from tests.deployments.runtime import recipes

    train = recipes.rows(300)[["visits"]]
    prepare = ColumnTransformer([("squares", PolynomialFeatures(), ["visits"])])
    model = Pipeline([("prepare", prepare), ("model", LogisticRegression())])
    model.fit(train, recipes.labels(recipes.rows(300)))
    modelfile.dump(model, tmp_path / "model.skops")
    (tmp_path / "example.json").write_text('[{"visits": 3}, {"visits": 8}]')
    manifest = []
    for name in ("model.skops", "example.json"):
        blob = blobs.put_file(tmp_path / name, limit_bytes=1 << 30)
        manifest.append({"path": f"model/{name}", "sha256": blob.sha256, "size_bytes": blob.size_bytes})
    document = {**recipes.DOCUMENT, "inputs": [{"name": "visits", "kind": "integer", "nullable": False}]}
    scene.switch(_copy(scene.make_version(1), 2, manifest=manifest, signature=document))
    rows = recipes.pd.DataFrame({"visits": [float(visits) for visits in range(9)]})
    expected = dict(enumerate(model.predict_proba(rows)))
    with Serve(tmp_path / "spool") as serve:

        def ask(visits: int):
            return visits, serve.predict(token, {"records": [{"visits": visits}]})

        with concurrent.futures.ThreadPoolExecutor(6) as pool:
            for visits, (status, body, _) in pool.map(ask, [number % 9 for number in range(90)]):
                assert status == 200
                share = body["predictions"][0]["probability"]
                assert [share["no"], share["yes"]] == pytest.approx(expected[visits].tolist(), rel=1e-12)
        assert serve.predict(token, {"records": [{"visits": "x"}]})[0] == 422
        big = serve.predict(token, {"records": [{"visits": 1}] * 5000})
        assert (big[0], len(big[1]["predictions"])) == (200, 5000)
