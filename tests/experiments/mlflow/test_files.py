"""Files through the door: the proxy a client sends to and fetches from, and the list of a run's files."""

import pytest

from experiments.models import Artifact, Run
from experiments.services import bulk
from projects.models import Event
from tests.experiments.mlflow.calls import scientist
from tests.experiments.mlflow.filing import PROXY, error, fetch, folder, make_model, put, root
from tests.factories.experiments import make_experiment, make_run, writer
from tests.factories.projects import make_project

pytestmark = pytest.mark.django_db


@pytest.fixture
def project():
    return make_project()


@pytest.fixture
def ana(project):
    return scientist(project)


@pytest.fixture
def run(project):
    return make_run(make_experiment(project), source=Run.Source.MLFLOW)


def test_a_file_goes_up_and_comes_down(ana, run):
    assert put(ana, run, "model/MLmodel", b"flavors: {}", content_type="text/x-anything").status_code == 200
    status, content, answer = fetch(ana, run, "model/MLmodel")
    assert (status, content) == (200, b"flavors: {}")
    assert answer["Content-Disposition"] == "attachment; filename*=UTF-8''MLmodel"
    assert answer["X-Content-Type-Options"] == "nosniff"
    event = Event.objects.get(verb="artifact.stored")
    assert (event.target_id, event.data["path"], event.data["size_bytes"]) == (run.pk, "model/MLmodel", 11)


def test_the_same_path_replaces_and_no_content_type_is_needed(ana, run):
    put(ana, run, "a.bin", b"one", content_type="")
    put(ana, run, "a.bin", b"", content_type="")
    assert fetch(ana, run, "a.bin")[:2] == (200, b"")
    assert Artifact.objects.count() == 1


@pytest.mark.parametrize(
    "name",
    [
        "a b.txt", " lead", "trail ", "+plus&more=1;x", "50%.txt", "a:b", "C:x", "q?.txt", "star*|<>\"'.txt",
        "back\\slash", "моделі/résumé.json", "日本/語.txt", "👩‍👩‍👧.png", "e\u0301.txt", "~tilde", "..hidden", "a..b",
        "x" * 1000, "/".join("d" * 100), "file:x", "con", ".mlflow", "mlflow-artifacts:x",
    ],
)  # fmt: skip
def test_any_name_is_kept_as_it_is(ana, run, name):
    assert put(ana, run, name).status_code == 200
    assert Artifact.objects.get().path == name
    assert fetch(ana, run, name)[:2] == (200, b"hello")
    status, listed = ana.get("artifacts/list", run_id=run.uuid, path=name.rpartition("/")[0])
    assert (status, [f["path"] for f in listed["files"]]) == (200, [name])


@pytest.mark.parametrize(
    ("sent", "kept"),
    [
        ("a//b", "a/b"),
        ("./a", "a"),
        ("a/./b", "a/b"),
        ("a%2520b", "a b"),
        ("dog%25step%2517", "dog%step%17"),
        ("nul%2500", "nul%00"),
        ("line%250Abreak", "line%0abreak"),
    ],
)
def test_spellings_of_one_path_are_one_file(ana, run, sent, kept):
    assert ana.send("PUT", f"{PROXY}/{root(run)}/{sent}", b"x").status_code == 200
    assert Artifact.objects.get().path == kept
    answer = ana.send("GET", f"{PROXY}/{root(run)}/{sent}")
    assert b"".join(answer) == b"x"


TRICKS = [
    "../up", "a/../../b", "a/..", "%2e%2e/up", "%252e%252e/up", "..%2fup", "..%252f..%252fetc", "a\\..\\b",
    "a%2523b", "right%E2%80%AEleft", "x" * 1001,
    "%F0%9F%8E%89" * 501, "%" + "25" * 20 + "2e",
]  # fmt: skip


@pytest.mark.parametrize("path", TRICKS)
def test_tricks_are_refused_and_nothing_is_kept(ana, run, path):
    answer = ana.send("PUT", f"{PROXY}/{root(run)}/{path}", b"x")
    assert error(answer) == (400, "INVALID_PARAMETER_VALUE")
    assert Artifact.objects.count() == 0
    if len(path) < 1000:
        assert error(ana.send("GET", f"{PROXY}/{root(run)}/{path}")) == (400, "INVALID_PARAMETER_VALUE")
        assert error(ana.send("DELETE", f"{PROXY}/{root(run)}/{path}")) == (400, "INVALID_PARAMETER_VALUE")


@pytest.mark.parametrize(
    "path", ["/etc/passwd", "C:/x", "C:\\x", "\\\\host\\share", "file:/etc/passwd", "%2Fetc", "..", "a#b"]
)
def test_a_list_of_a_wrong_path_is_refused(ana, run, path):
    status, answer = ana.get("artifacts/list", run_id=run.uuid, path=path)
    assert (status, answer["error_code"]) == (400, "INVALID_PARAMETER_VALUE")


@pytest.mark.parametrize("end", ["", "/", "a/"])
def test_a_file_needs_a_name(ana, run, end):
    assert error(ana.send("PUT", f"{PROXY}/{root(run)}/{end}", b"x"))[0] == 400
    assert Artifact.objects.count() == 0


def test_a_path_is_a_file_or_a_folder(ana, run):
    put(ana, run, "a/b")
    assert error(put(ana, run, "a")) == (400, "INVALID_PARAMETER_VALUE")
    assert error(put(ana, run, "a/b/c")) == (400, "INVALID_PARAMETER_VALUE")
    assert put(ana, run, "a0").status_code == put(ana, run, "a-").status_code == 200
    assert error(fetch(ana, run, "a")[2]) == (400, "INVALID_PARAMETER_VALUE")
    assert fetch(ana, run, "none")[0] == 404


def test_folders_are_listed_by_name(ana, run):
    for path in ("z.txt", "a/1", "a/2/x", "a0", "a-", "a/é", "b/c/d"):
        put(ana, run, path, path.encode())
    status, top = ana.get("artifacts/list", run_id=run.uuid)
    assert (status, top["root_uri"]) == (200, f"mlflow-artifacts:/{root(run)}")
    assert [(f["path"], f["is_dir"], f.get("file_size")) for f in top["files"]] == [
        ("a", True, None), ("a-", False, 2), ("a0", False, 2), ("b", True, None), ("z.txt", False, 5),
    ]  # fmt: skip
    listed = ana.get("artifacts/list", run_uuid=run.uuid, path="a/")[1]["files"]
    assert [f["path"] for f in listed] == ["a/1", "a/2", "a/é"]
    assert [f["path"] for f in folder(ana, f"{root(run)}/a")[1]["files"]] == ["1", "2", "é"]
    assert len(folder(ana, root(run))[1]["files"]) == 5


def test_a_missing_folder_or_a_file_holds_nothing(ana, run):
    put(ana, run, "a/b")
    uri = f"mlflow-artifacts:/{root(run)}"
    for path in ("none", "a/b", "a/b/c"):
        assert ana.get("artifacts/list", run_id=run.uuid, path=path) == (200, {"root_uri": uri})
        assert folder(ana, f"{root(run)}/{path}") == (200, {})


def test_above_a_run_nothing_is_listed(ana, run):
    put(ana, run, "a")
    for path in (
        "",
        ".",
        str(run.experiment_id),
        f"{run.experiment_id}/{run.uuid}",
        f"{run.experiment_id}/models",
    ):
        assert folder(ana, path) == (200, {})
    assert error(ana.send("DELETE", f"{PROXY}/{run.experiment_id}")) == (404, "RESOURCE_DOES_NOT_EXIST")
    assert error(ana.send("DELETE", f"{PROXY}/{run.experiment_id}/{run.uuid}")) == (404, "RESOURCE_DOES_NOT_EXIST")
    assert Artifact.objects.count() == 1


def test_a_folder_is_removed_with_all_in_it(ana, run):
    for path in ("a/1", "a/2/x", "a0", "a-/y", "b"):
        put(ana, run, path)
    assert ana.send("DELETE", f"{PROXY}/{root(run)}/a").status_code == 200
    assert set(Artifact.objects.values_list("path", flat=True)) == {"a0", "a-/y", "b"}
    assert Event.objects.get(verb="artifact.removed").data == {"path": "a", "files": 2}
    assert ana.send("DELETE", f"{PROXY}/{root(run)}/a").status_code == 200
    assert Event.objects.filter(verb="artifact.removed").count() == 1
    assert ana.send("DELETE", f"{PROXY}/{root(run)}/").status_code == 200
    assert Artifact.objects.count() == 0


@pytest.mark.parametrize(
    ("asked", "expected"),
    [
        ("bytes=1-3", (206, b"ell", "bytes 1-3/5")),
        ("bytes=2-", (206, b"llo", "bytes 2-4/5")),
        ("bytes=-1", (206, b"o", "bytes 4-4/5")),
        ("bytes=9-", (416, b"", "bytes */5")),
        ("bytes=3-1", (200, b"hello", None)),
        ("lines=1-2", (200, b"hello", None)),
    ],
)
def test_ranges(ana, run, asked, expected):
    put(ana, run, "a.txt")
    status, content, answer = fetch(ana, run, "a.txt", Range=asked)
    assert (status, content, answer.get("Content-Range")) == expected


def test_a_logged_model_has_files_of_its_own(ana, run):
    model = make_model(run.experiment)
    assert put(ana, model, "model.pkl", b"cargo").status_code == 200
    assert fetch(ana, model, "model.pkl")[:2] == (200, b"cargo")
    assert [f["path"] for f in folder(ana, root(model))[1]["files"]] == ["model.pkl"]
    assert fetch(ana, run, "model.pkl")[0] == 404
    assert Artifact.objects.get().logged_model == model


def test_the_address_must_be_that_of_the_owner(ana, project, run):
    other = make_experiment(project, "other")
    for path in (f"{other.pk}/{run.uuid}/artifacts/a", f"x/{root(run)}/a", f"{run.uuid}/artifacts/a"):
        assert error(ana.send("PUT", f"{PROXY}/{path}", b"x")) == (404, "RESOURCE_DOES_NOT_EXIST")
    assert Artifact.objects.count() == 0


def test_a_client_goes_on_with_the_address_from_before_its_run_moved(ana, project, run):
    before = root(run)
    target = make_experiment(project, "target")
    bulk.run(
        writer(project),
        project=project,
        kind="move",
        chosen=bulk.Chosen(run_ids=[run.pk]),
        given={"experiment": "target"},
    )
    assert ana.send("PUT", f"{PROXY}/{before}/a.txt", b"x").status_code == 200
    assert ana.get("artifacts/list", run_id=run.uuid)[1]["root_uri"].startswith(f"mlflow-artifacts:/{target.pk}/")


def test_an_experiment_may_name_another_place_in_the_proxy(ana, project):
    experiment = make_experiment(project, "placed")
    experiment.artifact_location = "mlflow-artifacts:/team/space"
    experiment.save()
    run = make_run(experiment, source=Run.Source.MLFLOW)
    path = f"team/space/{run.uuid}/artifacts/a.txt"
    assert ana.send("PUT", f"{PROXY}/{path}", b"x").status_code == 200
    assert ana.get("artifacts/list", run_id=run.uuid)[1]["root_uri"] == f"mlflow-artifacts:/{path[:-6]}"
    assert error(put(ana, run, "b.txt")) == (404, "RESOURCE_DOES_NOT_EXIST")


def test_files_kept_elsewhere_are_not_proxied(ana, project):
    experiment = make_experiment(project, "away")
    experiment.artifact_location = "s3://bucket/place"
    experiment.save()
    run = make_run(experiment, source=Run.Source.MLFLOW)
    assert ana.get("artifacts/list", run_id=run.uuid)[1] == {"root_uri": f"s3://bucket/place/{run.uuid}/artifacts"}
    assert error(put(ana, run, "b.txt")) == (404, "RESOURCE_DOES_NOT_EXIST")


def test_files_of_the_default_experiment_are_below_zero(ana, project):
    experiment = make_experiment(project, "Default")
    experiment.is_default = True
    experiment.save()
    run = make_run(experiment, source=Run.Source.MLFLOW)
    assert ana.send("PUT", f"{PROXY}/0/{run.uuid}/artifacts/a", b"x").status_code == 200
    assert error(put(ana, run, "b")) == (404, "RESOURCE_DOES_NOT_EXIST")


def test_another_project_has_no_such_files(ana, run):
    put(ana, run, "secret")
    model = make_model(run.experiment)
    put(ana, model, "secret")
    eve = scientist(make_project("elsewhere"), "eve")
    for owner in (run, model):
        assert error(put(eve, owner, "x")) == (404, "RESOURCE_DOES_NOT_EXIST")
        assert fetch(eve, owner, "secret")[0] == 404
        assert error(eve.send("DELETE", f"{PROXY}/{root(owner)}/secret")) == (404, "RESOURCE_DOES_NOT_EXIST")
        assert folder(eve, root(owner)) == (200, {})
    assert eve.get("artifacts/list", run_id=run.uuid)[0] == 404
    assert Artifact.objects.count() == 2
