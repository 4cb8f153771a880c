"""REST routes of artifacts."""

import pytest

from experiments.models import Artifact
from experiments.services import artifacts, labels
from mlportal.lib.errors import Invalid, UnsupportedType
from tests.experiments.api.test_runs import api, experiment, project  # noqa: F401 - fixtures
from tests.factories.experiments import make_run, writer

pytestmark = pytest.mark.django_db
OCTETS = "application/octet-stream"


@pytest.fixture
def run(experiment):  # noqa: F811
    return make_run(experiment)


def put(api, run, path, content=b"hello", kind=OCTETS):  # noqa: F811
    return api.call("PUT", f"/runs/{run.pk}/artifacts/content/?path={path}", content, content_type=kind)


def test_a_file_goes_up_and_comes_down(api, run):  # noqa: F811
    stored = put(api, run, "model/metrics.json", b'{"a": 1}')
    assert (stored.status_code, stored.body["path"], stored.body["size_bytes"]) == (201, "model/metrics.json", 8)
    assert stored.body["media_type"] == "application/json"
    listed = api.get(f"/runs/{run.pk}/artifacts/").body["results"]
    assert [a["path"] for a in listed] == ["model/metrics.json"]
    got = api.client.get(
        f"/api/v1/projects/churn/runs/{run.pk}/artifacts/content/?path=model/metrics.json", headers=api.headers
    )
    assert b"".join(got.streaming_content) == b'{"a": 1}'
    assert got["Content-Disposition"] == "attachment; filename*=UTF-8''metrics.json"
    assert got["X-Content-Type-Options"] == "nosniff"
    assert got["Content-Security-Policy"].startswith("sandbox; default-src 'none'")


@pytest.mark.parametrize(
    ("asked", "expected"),
    [
        ("bytes=0-1", (206, b"he", "bytes 0-1/5")),
        ("bytes=3-", (206, b"lo", "bytes 3-4/5")),
        ("bytes=-2", (206, b"lo", "bytes 3-4/5")),
        ("bytes=0-99", (200, b"hello", None)),
        ("bytes=5-", (416, b"", "bytes */5")),
        ("bytes=-0", (416, b"", "bytes */5")),
        ("bytes=a-b", (200, b"hello", None)),
        ("bytes=-", (200, b"hello", None)),
    ],
)
def test_ranges(api, run, asked, expected):  # noqa: F811
    put(api, run, "a.txt")
    url = f"/api/v1/projects/churn/runs/{run.pk}/artifacts/content/?path=a.txt"
    got = api.client.get(url, headers={**api.headers, "Range": asked})
    assert (got.status_code, b"".join(got), got.get("Content-Range")) == expected


def test_the_same_path_replaces_and_a_file_can_be_removed(api, run):  # noqa: F811
    put(api, run, "a.txt", b"one")
    put(api, run, "a.txt", b"two!")
    assert list(Artifact.objects.values_list("path", "size_bytes")) == [("a.txt", 4)]
    assert api.call("DELETE", f"/runs/{run.pk}/artifacts/content/?path=a.txt").status_code == 204
    assert api.call("DELETE", f"/runs/{run.pk}/artifacts/content/?path=a.txt").status_code == 404


@pytest.mark.parametrize(
    "path",
    [
        "", "/etc/passwd", "../x", "a/../b", ".", "/", "a\\..\\b", "a\0b", "a\nb", "a#b", "C:/x", "a%2f..%252fb",
        "x" * 1001, "\N{PARTY POPPER}" * 501, "a\u202eb", "half\ud800", "file:///etc/passwd",
    ],
)  # fmt: skip
def test_a_path_is_a_label_or_refused(path):
    with pytest.raises(Invalid) as caught:
        labels.clean_path(path)
    assert caught.value.field == "path"


def test_paths_may_be_in_any_script():
    assert labels.clean_path("модель/результат (1)+é.json") == "модель/результат (1)+é.json"


@pytest.mark.parametrize(
    ("path", "given", "stored"),
    [
        ("a.json", "", "application/json"),
        ("a.json", "text/csv; charset=utf-8", "text/csv"),
        ("a.bin", "", OCTETS),
        ("a.HTML", OCTETS, "text/html"),
    ],
)
def test_media_types(path, given, stored):
    assert labels.media_type_of(path, given) == stored


def test_a_media_type_off_the_list_is_refused():
    with pytest.raises(UnsupportedType, match="The media type text/javascript is not allowed"):
        labels.media_type_of("a.js", "text/javascript")


def test_too_large_is_refused_and_nothing_stays(api, run, settings):  # noqa: F811
    settings.MAX_ARTIFACT_BYTES = 3
    answer = put(api, run, "a.txt")
    assert (answer.status_code, answer.body["limit"], Artifact.objects.count()) == (413, 3, 0)


def test_a_job_run_takes_files_of_its_job_only(api, experiment):  # noqa: F811
    run = make_run(experiment, source="job")
    assert put(api, run, "a.txt").body["code"] == "run_of_job"
    stored = artifacts.store(writer(experiment.project), owner=run, path="a.txt", stream=[b"x"], media_type="")
    assert (stored.size_bytes, artifacts.find(run, "a.txt")) == (1, stored)
