"""Certificates of reproduction: trained again, compared, signed, read by the gate; every door and every refusal."""

import dataclasses
import json
import subprocess
import sys
from datetime import timedelta
from pathlib import Path

import pytest
from django.db import DatabaseError, transaction
from django.utils import timezone

from deployments import gates, pipeline, tasks
from deployments.models import ModelVersion, Reproduction
from deployments.proof import certificate
from deployments.services import reproductions
from experiments.models import TrainingJob
from experiments.pipeline import execute_job
from experiments.services import jobs
from experiments.training.spec import validate_spec
from mlportal.lib import signing
from mlportal.lib.errors import Conflict, Forbidden, Invalid
from projects.models import Event, EventDelivery
from tests.deployments.services.test_registry import tamper
from tests.deployments.test_api import Api
from tests.deployments.test_pages import browser
from tests.deployments.test_pipeline import register, train
from tests.factories.deployments import Team, make_trained_run, make_version
from tests.factories.jobs import QUICK
from tests.factories.jobs import make_version as make_data


@pytest.mark.slow
def test_a_version_trained_again_with_the_same_seed_is_reproduced_bit_for_bit(team):
    version = register(team, train(team, "random_forest", hyper_parameters={"n_estimators": 10}))
    made = reproductions.ask(team.scientist, version=version)
    assert reproductions.ask(team.scientist, version=version).pk == made.pk
    assert pipeline.certify_reproduction(made.pk, worker="early") is False  # its training has not ended
    execute_job(made.job_id, worker="test")
    event = Event.objects.get(verb="job.succeeded", target_id=made.job_id)
    tasks.react(EventDelivery.objects.get(event=event, task="deployments.react").pk)
    tasks.certify_reproduction(made.pk)
    made.refresh_from_db()
    assert pipeline.certify_reproduction(made.pk, worker="late") is False
    assert (made.state, made.failure) == ("succeeded", "")
    found = made.document
    assert made.verdict == found["verdict"] == "reproduced"
    assert {row["path"]: row["same"] for row in found["files"]}["model/model.skops"] is True
    assert all(row["difference"] == 0 for row in found["metrics"])
    assert found["predictions"]["max_difference"] == 0
    assert found["predictions"]["rows"] == 30
    assert found["recipe"]["spec"] == version.run.job.spec
    assert found["recipe"]["dataset_sha256"] == version.provenance["dataset_sha256"]
    assert found["manifest_sha256"] == version.manifest_sha256
    assert gates.certified(made, version)
    assert gates.reproduced(version, before=timezone.now()) == made.ended_at
    verbs = Event.objects.filter(verb__startswith="version.reproduction").order_by("seq").values_list("verb", flat=True)
    assert list(verbs) == ["version.reproduction_asked", "version.reproduction_certified"]
    assert Event.objects.get(verb=verbs[1]).data["certificate"] == certificate.digest(found)


@pytest.mark.slow
def test_another_seed_and_other_packages_are_not_reproduced_and_each_difference_has_a_name(team):
    version = register(team, train(team, "random_forest", test_share=0.4))
    made = reproductions.ask(team.scientist, version=version, metric_tolerance=0, prediction_tolerance=0)
    # As if a library drew its random numbers differently since.
    TrainingJob.objects.filter(pk=made.job_id).update(
        spec=made.job.spec | {"hyper_parameters": {"n_estimators": 3, "max_depth": 1}}
    )
    execute_job(made.job_id, worker="test")
    ModelVersion.objects.filter(pk=version.pk).update(
        environment=version.environment | {"packages": version.environment["packages"] | {"numpy": "1.0", "old": "2"}}
    )
    tasks.certify_reproduction(made.pk)
    made.refresh_from_db()
    assert made.verdict == "not_reproduced"
    named = {row["part"]: (row["recorded"], row["again"]) for row in made.document["differences"]}
    assert set(named) == {"package numpy", "package old"}
    assert named["package old"] == ("2", None)
    assert made.document["predictions"]["max_difference"] > 0
    assert made.document["predictions"]["within"] is False
    assert gates.reproduced(version, before=timezone.now()) is None


@pytest.mark.slow
def test_failed_training_is_a_certificate_and_cancelled_or_damaged_is_none_and_data_must_be_there(team):
    version = register(team, train(team))
    made = reproductions.ask(team.scientist, version=version)
    TrainingJob.objects.filter(pk=made.job_id).update(state="failed", failure="Out of memory.", ended_at=timezone.now())
    tasks.certify_reproduction(made.pk)
    made.refresh_from_db()
    assert (made.verdict, made.document["failure"]) == ("not_reproduced", "The training failed: Out of memory.")
    second = reproductions.ask(team.scientist, version=version)
    assert second.pk != made.pk
    jobs.cancel(team.scientist, job=second.job)
    tasks.certify_reproduction(second.pk)
    second.refresh_from_db()
    assert (second.state, second.verdict, second.document) == ("cancelled", "", None)
    third = reproductions.ask(team.scientist, version=version)
    TrainingJob.objects.filter(pk=third.job_id).update(state="succeeded", ended_at=timezone.now())
    tamper(version.file("metrics.json"))
    reproductions.sweep()
    tasks.certify_reproduction(third.pk)
    third.refresh_from_db()
    assert (third.state, third.verdict) == ("failed", "")
    assert "metrics.json has changed on disk" in third.failure
    data = version.dataset_version
    type(data).objects.filter(pk=data.pk).update(sha256="a" * 64)
    with pytest.raises(Conflict, match="its sha256 is another than the signed one"):
        reproductions.ask(team.scientist, version=version)
    type(data).objects.filter(pk=data.pk).update(deleted_at=timezone.now())
    assert "was deleted" in reproductions.why_not(version)


def waiting(team: Team) -> Reproduction:
    """A reproduction whose job is not looked at."""
    version = make_version(team)
    return Reproduction.objects.create(
        version=version, asked_by=team.scientist.user, metric_tolerance=0.001, prediction_tolerance=0.001
    )


def certified(team: Team, **changes) -> Reproduction:
    made = waiting(team)
    held = reproductions.lease.claim(Reproduction.objects.all(), made.pk, worker="test")
    answers = {"rows": 10, "unit": "probability", "max_difference": 0.0, "differing": 0, "within": True}
    document = {
        "format": certificate.FORMAT, "model": "churn", "version": 1, "manifest_sha256": made.version.manifest_sha256,
        "failure": "", "files": [{"path": "metrics.json", "recorded": "a", "again": "a", "same": True}],
        "metrics": certificate.metrics({"auc": 0.8}, {"auc": 0.8}, 0.001), "predictions": answers,
        "differences": [certificate.difference("package numpy", "1.0", "2.0")],
        "tolerance": {"metrics": 0.001, "predictions": 0.001},
        "recipe": {"dataset": "customers v1", "dataset_sha256": "0" * 64, "spec": {}, "job": 7, "run": "f" * 32},
    }  # fmt: skip
    assert reproductions.end(held, document | changes)
    made.refresh_from_db()
    return made


def test_who_may_not_train_may_not_ask_and_a_tolerance_is_a_share(team):
    version = make_version(team)
    with pytest.raises(Forbidden):
        reproductions.ask(team.viewer, version=version)
    for name in ("metric_tolerance", "prediction_tolerance"):
        for wrong in (-0.1, 1.5, float("nan"), "much", True):
            with pytest.raises(Invalid) as fault:
                reproductions.ask(team.scientist, version=version, **{name: wrong})
            assert fault.value.field == name


def test_a_version_without_a_recipe_says_why(team):
    version = make_version(team)
    with pytest.raises(Conflict, match="was not trained by a job of the portal") as fault:
        reproductions.ask(team.scientist, version=version)
    assert fault.value.code == "no_recipe"
    ModelVersion.objects.filter(pk=version.pk).update(origin="mlflow")
    version.refresh_from_db()
    assert "registered by an MLflow client" in reproductions.why_not(version)


def test_the_gate_reads_only_certificates_that_verify(team):
    made = certified(team)
    version = made.version
    assert made.verdict == "reproduced"
    assert gates.reproduced(version, before=timezone.now()) == made.ended_at
    assert gates.reproduced(version, before=made.ended_at - timedelta(seconds=1)) is None
    version.manifest_sha256 = "0" * 64
    assert gates.reproduced(version, before=timezone.now()) is None


@pytest.mark.parametrize("changes", [{"document": {"verdict": "reproduced"}}, {"signature": "AAAA"}, {"verdict": ""}])
def test_a_signed_certificate_cannot_be_changed_in_the_database(team, changes):
    made = certified(team)
    with pytest.raises(DatabaseError), transaction.atomic():
        Reproduction.objects.filter(pk=made.pk).update(**changes)
    with pytest.raises(DatabaseError), transaction.atomic():
        made.delete()


def recipe(team: Team) -> ModelVersion:
    """A version whose run was trained by a job, without the training."""
    run = make_trained_run(team, dataset_version=make_data(team.project))
    spec = validate_spec(QUICK, run.dataset_version.schema).as_json()
    TrainingJob.objects.create(
        project=team.project, run=run, dataset_version=run.dataset_version, spec=spec, state="succeeded"
    )
    return make_version(team, run=run)


VERDICTS = [
    ({}, "reproduced"),
    ({"files": [{"path": "a", "recorded": "1", "again": "2", "same": False}]}, "within_tolerance"),
    ({"metrics": certificate.metrics({"auc": 0.8}, {"auc": 0.8004}, 0.001)}, "within_tolerance"),
    ({"metrics": certificate.metrics({"auc": 0.8}, {"auc": 0.801}, 0.001)}, "not_reproduced"),
    ({"metrics": certificate.metrics({"auc": 0.8}, {}, 0.001)}, "not_reproduced"),
    ({"metrics": []}, "not_reproduced"),
    ({"predictions": {"max_difference": 0.0005, "within": True}}, "within_tolerance"),
    ({"predictions": {"max_difference": 0.5, "within": False}}, "not_reproduced"),
    ({"predictions": None}, "not_reproduced"),
    ({"failure": "The training failed."}, "not_reproduced"),
]


@pytest.mark.parametrize(("changes", "verdict"), VERDICTS)
def test_the_verdict_follows_from_the_parts(changes, verdict):
    whole = {
        "failure": "", "files": [{"path": "a", "recorded": "1", "again": "1", "same": True}],
        "metrics": certificate.metrics({"auc": 0.8}, {"auc": 0.8}, 0.001),
        "predictions": {"max_difference": 0.0, "within": True},
    }  # fmt: skip
    assert certificate.judge(whole | changes) == verdict


def test_environments_are_compared_by_name_and_the_packages_say_what_the_libraries_say():
    packages = {"numpy": "1", "old": "2"}
    before = {"python": "3.11", "libraries": {"numpy": "1"}, "packages": packages, "hardware": {"cores": 2}}
    after = {"python": "3.12", "libraries": {"numpy": "2"}, "packages": {"numpy": "2"}, "hardware": {"cores": 4}}
    named = {row["part"]: (row["recorded"], row["again"]) for row in certificate.environments(before, after)}
    assert named == {
        "python": ("3.11", "3.12"), "package numpy": ("1", "2"), "package old": ("2", None),
        "hardware cores": ("2", "4"),
    }  # fmt: skip
    assert certificate.environments(before, before) == []


def test_a_certificate_verifies_without_the_portal_and_damage_is_named(team, tmp_path):
    made = certified(team)
    whole = reproductions.whole(team.viewer, row=Reproduction.objects.with_subject().get(pk=made.pk))
    path = tmp_path / "c.json"
    path.write_text(json.dumps(whole))
    assert certificate.verify(path).code == 0
    mine = signing.public_ring(whole["key"].encode())
    assert certificate.verify(path, ring=mine).code == 0
    other = dataclasses.replace(mine, publics={"f" * 16: next(iter(mine.publics.values()))})
    assert certificate.verify(path, ring=other).code == 3
    edited = {**whole, "certificate": {**whole["certificate"], "verdict": "within_tolerance"}}
    path.write_text(json.dumps(edited))
    verdict = certificate.verify(path)
    assert (verdict.code, verdict.path) == (1, "certificate")
    for text in ("{}", "[]", "no json", json.dumps({**whole, "certificate": {"format": "x"}})):
        path.write_text(text)
        assert certificate.verify(path).code == 4


def test_the_independent_check_agrees(team, tmp_path):
    made = certified(team)
    whole = reproductions.whole(team.viewer, row=Reproduction.objects.with_subject().get(pk=made.pk))
    path = tmp_path / "c.json"

    def check() -> int:
        script = Path(__file__).resolve().parents[2] / "docs" / "reference" / "certificate_verify.py"
        return subprocess.run([sys.executable, script, path], capture_output=True, check=False).returncode

    path.write_text(json.dumps(whole))
    assert check() == 0
    path.write_text(json.dumps({**whole, "certificate": {**whole["certificate"], "version": 2}}))
    assert check() == 1
    path.write_text("{}")
    assert check() == 4


def test_the_page_shows_the_certificate_and_gives_it_away(team):
    made = certified(team, metrics=certificate.metrics({"auc": 0.8}, {"auc": 0.7}, 0.001))
    page = browser(team, "viewer").get("/p/churn/models/churn/v/1/")
    text = page.content.decode()
    assert "Outside its tolerance: auc." in text
    assert "package numpy" in text
    assert "Cannot be reproduced here: churn v1 was not trained by a job" in text
    assert "Reproduce</button>" not in text
    answer = browser(team, "viewer").get(f"/p/churn/models/churn/v/1/reproductions/{made.pk}/")
    assert answer.headers["Content-Disposition"] == f'attachment; filename="v1-reproduction-{made.pk}.json"'
    assert answer.json()["certificate"] == made.document
    assert browser(team, "viewer").get(f"/p/churn/models/churn/v/1/reproductions/{made.pk + 1}/").status_code == 404
    assert browser(team, "viewer").get("/p/churn/models/churn/v/1/reproduce/").status_code == 200


def test_the_page_asks_and_says_what_is_wrong(team):
    version = recipe(team)
    page = browser(team, "scientist")
    assert "Reproduce</button>" in page.get("/p/churn/models/churn/v/1/").content.decode()
    refused = page.post("/p/churn/models/churn/v/1/reproduce/", {"metric_tolerance": "much"}, follow=True)
    assert "metric_tolerance must be a number." in refused.content.decode()
    asked = page.post("/p/churn/models/churn/v/1/reproduce/", follow=True).content.decode()
    made = Reproduction.objects.get(version=version)
    assert f"Job {made.job_id}</a> trains it again: queued" in asked
    assert browser(team, "viewer").post("/p/churn/models/churn/v/1/reproduce/").status_code == 403


def test_the_api_asks_lists_and_gives_the_certificate(team):
    version = recipe(team)
    api = Api(team, "scientist", "read", "train")
    place = "models/churn/versions/1/reproductions/"
    made = api.post(place, {"metric_tolerance": 0.01})
    assert (made.status_code, made.json()["state"], made.json()["training"]) == (202, "queued", "queued")
    assert made.json()["metric_tolerance"] == 0.01
    assert api.post(place, {"metric_tolerance": 3}).status_code == 400
    number = made.json()["id"]
    assert [row["id"] for row in api.get(place).json()["results"]] == [number]
    assert api.get(f"{place}{number}/").json()["job"] == made.json()["job"]
    assert api.get(f"{place}{number}/certificate/").status_code == 409
    assert Reproduction.objects.get().version == version


@pytest.mark.parametrize("count", [1, 3])
def test_the_list_of_reproductions_asks_as_much_for_one_as_for_three(team, django_assert_num_queries, count):
    version = make_version(team)
    for _ in range(count):
        Reproduction.objects.create(
            version=version,
            asked_by=team.scientist.user,
            metric_tolerance=0.1,
            prediction_tolerance=0.1,
            state="failed",
        )
    api = Api(team, "scientist", "read")
    place = "models/churn/versions/1/reproductions/"
    api.get(place)
    with django_assert_num_queries(3):
        assert len(api.get(place).json()["results"]) == count
