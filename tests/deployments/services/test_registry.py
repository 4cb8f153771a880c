import pytest

from deployments import gates
from deployments.models import Alias, ModelVersion
from deployments.services import aliases, registered, registry
from experiments.models import Artifact
from experiments.services import runs
from mlportal.lib import blobs
from mlportal.lib.errors import Conflict, Forbidden, Invalid, Missing, Unprocessable
from projects.models import Event
from tests.factories.deployments import SIGNATURE, make_live, make_team, make_trained_run, make_version, model_files


def tamper(sha256: str) -> None:
    path = blobs.local_path(sha256)
    path.chmod(0o600)
    path.write_bytes(path.read_bytes() + b"!")


def test_register_makes_a_signed_version(team):
    run = make_trained_run(team)
    version = registry.register(team.scientist, run=run, model_name="churn")
    assert (version.number, version.model.name, version.state) == (1, "churn", "ready")
    assert [row["path"] for row in version.manifest] == sorted(model_files())
    assert version.provenance == {
        "run": run.uuid, "dataset_sha256": run.dataset_version.sha256, "algorithm": "logistic_regression",
        "environment": {"python": "3.11", "scikit-learn": "1.9.1"}, "attempt": None, "fence": None,
    }  # fmt: skip
    assert version.signature == SIGNATURE
    assert version.metrics == {"roc_auc": 0.88, "f1": 0.7}
    assert version.task == "classification"
    assert gates.damage(version) == ()
    event = Event.objects.get(verb="version.registered")
    assert event.data == {"model": "churn", "number": 1, "run": run.pk, "manifest": version.manifest_sha256}


def test_register_numbers_versions_of_one_model_and_tells_names_apart_by_case(team):
    first = make_version(team)
    second = registry.register(team.scientist, run=make_trained_run(team), model_name="churn")
    other = registry.register(team.scientist, run=make_trained_run(team), model_name="CHURN")
    assert (second.model, second.number) == (first.model, 2)
    assert (other.model.name, other.number) == ("CHURN", 1)


def test_register_the_same_run_twice_names_the_version(team):
    version = make_version(team)
    with pytest.raises(Conflict) as caught:
        registry.register(team.scientist, run=version.run, model_name="churn")
    assert (caught.value.code, caught.value.got) == ("already_registered", 1)


def test_register_refuses_a_run_that_has_not_finished(team):
    run = make_trained_run(team)
    for state in ("queued", "running", "failed", "cancelled"):
        type(run).objects.filter(pk=run.pk).update(state=state)
        run.refresh_from_db()
        with pytest.raises(Conflict) as caught:
            registry.register(team.scientist, run=run, model_name="churn")
        assert (caught.value.code, caught.value.got) == ("run_not_finished", state)


def test_register_refuses_a_deleted_run(team):
    run = make_trained_run(team)
    runs.delete(team.scientist, run=run)
    run.refresh_from_db()
    with pytest.raises(Conflict) as caught:
        registry.register(team.scientist, run=run, model_name="churn")
    assert caught.value.code == "run_deleted"


@pytest.mark.parametrize("lost", ["model/model.skops", "model/signature.json"])
def test_register_refuses_a_run_without_a_model(team, lost):
    files = {path: content for path, content in model_files().items() if path != lost}
    with pytest.raises(Unprocessable) as caught:
        registry.register(team.scientist, run=make_trained_run(team, files=files), model_name="churn")
    assert caught.value.code == "no_model"
    assert lost in caught.value.message


@pytest.mark.parametrize(
    "text", [b"{", b"[]", b"{}", b'{"inputs": [], "outputs": []}', b'{"inputs": [1], "outputs": [1]}']
)
def test_register_refuses_a_bad_signature(team, text):
    run = make_trained_run(team, files={**model_files(), "model/signature.json": text})
    with pytest.raises(Unprocessable) as caught:
        registry.register(team.scientist, run=run, model_name="churn")
    assert caught.value.code == "bad_signature"


def test_register_refuses_a_foreign_run(team):
    other = make_team("other")
    run = make_trained_run(other)
    with pytest.raises(Forbidden):
        registry.register(team.scientist, run=run, model_name="churn")


@pytest.mark.parametrize("role", ["viewer", "manager", "ops"])
def test_register_needs_the_right(team, role):
    run = make_trained_run(team)
    with pytest.raises(Forbidden):
        registry.register(getattr(team, role), run=run, model_name="churn")


@pytest.mark.parametrize("name", ["", "  ", "a/b", "a:b", "..", ".", "a\0", "x" * 257, 3])
def test_register_refuses_a_bad_name(team, name):
    with pytest.raises(Invalid):
        registry.register(team.scientist, run=make_trained_run(team), model_name=name)


def test_register_refuses_a_tampered_file(team):
    run = make_trained_run(team)
    tamper(Artifact.objects.get(run=run, path="model/model.skops").sha256)
    with pytest.raises(Conflict) as caught:
        registry.register(team.scientist, run=run, model_name="churn")
    assert caught.value.code == "artifact_damaged"
    assert not ModelVersion.objects.exists()


def test_verify_finds_each_kind_of_damage(team):
    version = make_version(team)
    assert registry.verify(team.viewer, version=version) == ()
    signature = version.manifest_signature
    version.manifest_signature = "A" * 86 + "=="
    assert gates.damage(version) == ("The signature over the manifest does not verify.",)
    version.manifest_signature = signature
    version.provenance = {**version.provenance, "run": "another"}
    assert gates.damage(version) == ("The manifest was changed after it was signed.",)
    version.refresh_from_db()
    tamper(version.file("model/model.skops"))
    assert registry.verify(team.viewer, version=version) == ("The file model/model.skops has changed on disk.",)
    version.refresh_from_db()
    assert version.state == "damaged"
    assert [event.data["damaged"] for event in Event.objects.filter(verb="version.verified").order_by("seq")] == [
        [],
        ["The file model/model.skops has changed on disk."],
    ]


def test_verify_finds_a_missing_file(team):
    version = make_version(team)
    path = blobs.local_path(version.file("importance.json"))
    path.unlink()
    assert gates.damage(version) == ("The file importance.json is missing.",)


def test_alias_keeps_its_history(team):
    one, two = make_version(team), make_version(team)
    aliases.point(team.scientist, version=one, name="champion")
    aliases.point(team.scientist, version=two, name="champion")
    rows = Alias.objects.order_by("pk")
    assert [(row.version, row.valid_to is None) for row in rows] == [(one, False), (two, True)]
    aliases.end(team.scientist, model=one.model, name="champion")
    assert not Alias.objects.filter(valid_to=None).exists()
    with pytest.raises(Missing):
        aliases.end(team.scientist, model=one.model, name="champion")


@pytest.mark.parametrize("name", ["production", "Staging", "PRODUCTION"])
def test_e11_an_alias_cannot_move_what_only_a_promotion_moves(team, name):
    endpoint = make_live(team)
    other = make_version(team)
    with pytest.raises(Forbidden) as caught:
        aliases.point(team.admin, version=other, name=name)
    assert caught.value.code == "governed_pointer"
    with pytest.raises(Forbidden):
        aliases.end(team.admin, model=other.model, name=name)
    endpoint.refresh_from_db()
    assert endpoint.current_revision.version_id != other.pk


def test_describe(team):
    version = make_version(team)
    registered.describe(team.scientist, model=version.model, description="Who leaves next month.")
    version.model.refresh_from_db()
    assert version.model.description == "Who leaves next month."
