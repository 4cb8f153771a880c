"""Files of runs: the tree, odd names, sizes, ranges, deletion."""

import hashlib
import os
from pathlib import Path
from urllib.parse import quote

import mlflow
import pytest
from wire import ABSENT, INVALID, Refuses, refused


def tree(client, run, path=None):
    return {file.path: None if file.is_dir else file.file_size for file in client.list_artifacts(run, path)}


def place(client, run):
    """The address of a run's folder below the proxy."""
    uri = client.get_run(run).info.artifact_uri
    return "/api/2.0/mlflow-artifacts/artifacts/" + uri.removeprefix("mlflow-artifacts:/")


def put(wire, client, run, path, data=b"data"):
    return wire.call("PUT", f"{place(client, run)}/{path}", data=data)


def case_text_up_and_down(client, run):
    client.log_text(run, "hello ünï", "notes/hello.txt")
    assert tree(client, run) == {"notes": None}
    assert tree(client, run, "notes") == {"notes/hello.txt": len("hello ünï".encode())}
    assert mlflow.artifacts.load_text(client.get_run(run).info.artifact_uri + "/notes/hello.txt") == "hello ünï"


def case_file(client, run, tmp_path):
    (tmp_path / "a.bin").write_bytes(bytes(range(256)))
    client.log_artifact(run, str(tmp_path / "a.bin"))
    client.log_artifact(run, str(tmp_path / "a.bin"), "deep/er")
    assert tree(client, run) == {"a.bin": 256, "deep": None}
    back = client.download_artifacts(run, "deep/er/a.bin", str(tmp_path / ".."))
    assert Path(back).read_bytes() == bytes(range(256))


def case_folder(client, run, tmp_path):
    source = tmp_path / "source"
    for path in ("one.txt", "b/two.txt", "b/c/three.txt", "d/four.txt"):
        (source / path).parent.mkdir(parents=True, exist_ok=True)
        (source / path).write_text(path)
    client.log_artifacts(run, str(source), "all")
    assert tree(client, run, "all") == {"all/one.txt": 7, "all/b": None, "all/d": None}
    assert tree(client, run, "all/b") == {"all/b/two.txt": 9, "all/b/c": None}
    target = tmp_path / "target"
    target.mkdir()
    client.download_artifacts(run, "all", str(target))
    got = {str(p.relative_to(target / "all")) for p in target.rglob("*") if p.is_file()}
    assert got == {"one.txt", "b/two.txt", "b/c/three.txt", "d/four.txt"}
    assert (target / "all/b/c/three.txt").read_text() == "b/c/three.txt"


def case_whole_run_at_once(client, run, tmp_path):
    client.log_text(run, "1", "a.txt")
    client.log_text(run, "2", "b/c.txt")
    client.download_artifacts(run, "", str(tmp_path))
    assert {p.name for p in tmp_path.rglob("*") if p.is_file()} == {"a.txt", "c.txt"}


def case_replaced(client, run):
    client.log_text(run, "long first text", "a.txt")
    client.log_text(run, "second", "a.txt")
    assert tree(client, run) == {"a.txt": 6}
    assert mlflow.artifacts.load_text(client.get_run(run).info.artifact_uri + "/a.txt") == "second"


@pytest.mark.parametrize(
    "odd",
    [
        "with blank.txt",
        "plus+plus.txt",
        "ünï.txt",
        "模型.bin",
        "🦊.txt",
        "a&b=c.txt",
        "a,b;c.txt",
        "(1) [2] {3}.txt",
        "'quoted'.txt",
        "100%.txt",
        "tilde~.txt",
        ".hidden",
        "no-extension",
        "UPPER.TXT",
        "x" * 200,
        "a=b",
        "at@sign!$*.txt",
        "two  blanks.txt",
    ],
)
def case_odd_names(client, run, tmp_path, odd):
    client.log_text(run, odd, f"folder é/{odd}")
    assert tree(client, run, "folder é") == {f"folder é/{odd}": len(odd.encode())}
    path = client.download_artifacts(run, f"folder é/{odd}", str(tmp_path))
    assert Path(path).read_text(encoding="utf-8") == odd


def case_names_differ_by_case(client, run):
    client.log_text(run, "1", "a.txt")
    client.log_text(run, "22", "A.txt")
    assert tree(client, run) == {"a.txt": 1, "A.txt": 2}


def case_empty_file(client, run, tmp_path):
    client.log_text(run, "", "empty.txt")
    assert list(tree(client, run)) == ["empty.txt"]
    path = client.download_artifacts(run, "empty.txt", str(tmp_path))
    assert Path(path).stat().st_size == 0


def case_nothing_there(client, run, wire):
    assert tree(client, run) == {}
    assert tree(client, run, "nothing") == {}
    answer = wire.get("artifacts/list", run_id=run).json()
    assert answer.get("files", []) == []
    assert answer["root_uri"] == client.get_run(run).info.artifact_uri


def case_listing_of_a_file(client, run):
    client.log_text(run, "1", "a.txt")
    assert tree(client, run, "a.txt") == {}


def case_many_files(client, run, wire):
    for i in range(120):
        assert put(wire, client, run, f"many/{i:03}.txt").status_code == 200
    assert list(tree(client, run, "many")) == [f"many/{i:03}.txt" for i in range(120)]


def case_deep_folders(client, run):
    path = "/".join("abcdefghijklmnopqrst") + "/x.txt"
    client.log_text(run, "deep", path)
    assert mlflow.artifacts.load_text(client.get_run(run).info.artifact_uri + "/" + path) == "deep"


def case_download_of_nothing(client, run, tmp_path):
    with pytest.raises(Exception, match=r"(?i)not found|no such|404|does not exist|fail"):
        client.download_artifacts(run, "nothing.txt", str(tmp_path))


def case_missing_file_is_404(client, wire, run):
    refused(wire.get(place(client, run) + "/nothing.txt"), 404, ABSENT)


@pytest.mark.beyond_mlflow
def case_folder_is_no_file(client, wire, run):
    client.log_text(run, "1", "folder/a.txt")
    answer = wire.get(place(client, run) + "/folder")
    assert answer.status_code in (400, 404)
    assert answer.json()["error_code"]


def case_headers(client, wire, run):
    client.log_text(run, "<script>alert(1)</script>", "page.html")
    answer = wire.get(place(client, run) + "/page.html")
    assert answer.status_code == 200
    assert answer.headers["Content-Disposition"].startswith("attachment")
    assert answer.headers["X-Content-Type-Options"] == "nosniff"
    assert answer.content == b"<script>alert(1)</script>"


def case_ranges(client, wire, run):
    put(wire, client, run, "a.bin", bytes(range(200)))
    url = place(client, run) + "/a.bin"
    for wanted, expected in (
        ("bytes=0-9", bytes(range(10))),
        ("bytes=190-", bytes(range(190, 200))),
        ("bytes=-5", bytes(range(195, 200))),
    ):
        answer = wire.call("GET", url, headers={"Range": wanted})
        assert (answer.status_code, answer.content) == (206, expected)
        assert answer.headers["Content-Range"].endswith("/200")
    assert wire.call("GET", url, headers={"Range": "bytes=500-600"}).status_code == 416


@pytest.mark.portal
@pytest.mark.parametrize(
    "wanted", ["bytes=0-9,20-29", "bytes=9-0", "lines=1-2", "bytes=a-b", "bytes=", "bytes=-", "bytes=-0"]
)
def case_odd_ranges(client, wire, run, wanted):
    put(wire, client, run, "a.bin", bytes(range(200)))
    answer = wire.call("GET", place(client, run) + "/a.bin", headers={"Range": wanted})
    assert answer.status_code in (200, 206, 400, 416)


def case_put_answers(client, wire, run):
    answer = put(wire, client, run, "a.txt")
    assert answer.status_code == 200
    assert answer.content in (b"", b"{}")


def case_put_without_a_length(client, wire, run):
    """A stream whose end nobody knows: chunked transfer."""
    answer = put(wire, client, run, "a.txt", iter([b"ab", b"cd" * 50_000, b"ef"]))
    assert answer.status_code == 200, answer.text
    assert tree(client, run) == {"a.txt": 100_004}


@pytest.mark.parametrize(
    "kind",
    ["text/plain", "application/x-www-form-urlencoded", "multipart/form-data; boundary=x", "application/json", ""],
)
def case_put_of_any_content_type(client, wire, run, kind):
    answer = wire.call("PUT", place(client, run) + "/a.bin", data=b"a=b&c=d", headers={"Content-Type": kind})
    assert answer.status_code == 200
    assert wire.get(place(client, run) + "/a.bin").content == b"a=b&c=d"


def case_delete(client, wire, run):
    client.log_text(run, "1", "a/b.txt")
    client.log_text(run, "2", "a/c/d.txt")
    client.log_text(run, "3", "e.txt")
    assert wire.call("DELETE", place(client, run) + "/a").status_code == 200
    assert tree(client, run) == {"e.txt": 1}
    assert wire.call("DELETE", place(client, run) + "/e.txt").status_code == 200
    assert wire.call("DELETE", place(client, run) + "/nothing").status_code == 200
    assert tree(client, run) == {}


def case_proxy_listing_has_base_names(client, wire, run):
    client.log_text(run, "1", "a/b.txt")
    client.log_text(run, "22", "a/c/d.txt")
    folder = place(client, run).split("/artifacts/", 1)[1]
    files = wire.get("/api/2.0/mlflow-artifacts/artifacts", path=f"{folder}/a").json()["files"]
    assert {file["path"]: file["is_dir"] for file in files} == {"b.txt": False, "c": True}
    assert wire.get("/api/2.0/mlflow-artifacts/artifacts", path=f"{folder}/none").json() == {}


BAD_PATHS = [
    "..",
    "../a",
    "a/../../b",
    "/etc/passwd",
    "%2e%2e/a",
    "%252e%252e/a",
    "a/%2e%2e/%2e%2e/b",
    "C:\\a",
    "..\\a",
    "file:///etc/passwd",
]


@pytest.mark.parametrize("path", BAD_PATHS)
def case_paths_that_climb_in_listings(wire, run, path):
    refused(wire.get("artifacts/list", run_id=run, path=path), 400, INVALID)


@pytest.mark.parametrize("path", ["..%2f..%2fa", "a%2f..%2f..%2fb", "%252e%252e%252fa", "%2e%2e%2fa"])
@pytest.mark.parametrize("method", ["PUT", "GET", "DELETE"])
def case_paths_that_climb_at_the_proxy(client, wire, run, method, path):
    answer = wire.call(method, f"{place(client, run)}/{path}", data=b"x" if method == "PUT" else None)
    assert answer.status_code in (400, 404), answer.text
    assert answer.json()["error_code"]


@pytest.mark.portal
@pytest.mark.parametrize("path", ["a%00b", "%ff%fe", "a//b", "a/./b", "", "x" * 5000, "a#b", "a%23b", "a?b", "a%3Fb"])
@pytest.mark.parametrize("method", ["PUT", "GET", "DELETE"])
def case_odd_paths_at_the_proxy(client, wire, run, method, path):
    answer = wire.call(method, f"{place(client, run)}/{path}", data=b"x" if method == "PUT" else None)
    assert answer.status_code < 500, answer.text


def case_unknown_run(wire, client, experiment):
    refused(wire.get("artifacts/list", run_id="0" * 32), 404, ABSENT)
    with Refuses(ABSENT):
        client.list_artifacts("0" * 32)


@pytest.mark.portal
@pytest.mark.parametrize(
    "folder",
    [
        "",
        "0",
        "nothing",
        "123456789012/" + "0" * 32 + "/artifacts",
        "{e}",
        "{e}/" + "0" * 32 + "/artifacts",
        "{e}/{r}",
        "{e}/models/m-" + "0" * 32 + "/artifacts",
    ],
)
def case_places_of_nobody(wire, experiment, run, folder):
    path = folder.format(e=experiment, r=run)
    answer = wire.call("PUT", f"/api/2.0/mlflow-artifacts/artifacts/{path}/a.txt".replace("//", "/"), data=b"x")
    assert answer.status_code in (400, 403, 404), answer.text


@pytest.mark.portal
def case_root_listing_shows_nobody_else(wire, run):
    answer = wire.get("/api/2.0/mlflow-artifacts/artifacts")
    assert answer.status_code in (200, 400, 403, 404)


@pytest.mark.once
def case_fifty_megabytes(client, run, tmp_path):
    block = os.urandom(2**20)
    digest = hashlib.sha256()
    with (tmp_path / "big.bin").open("wb") as file:
        for i in range(50):
            file.write(piece := block[i:] + block[:i])
            digest.update(piece)
    client.log_artifact(run, str(tmp_path / "big.bin"))
    assert tree(client, run) == {"big.bin": 50 * 2**20}
    target = tmp_path / "back"
    target.mkdir()
    path = client.download_artifacts(run, "big.bin", str(target))
    with Path(path).open("rb") as file:
        assert hashlib.file_digest(file, "sha256").digest() == digest.digest()


def case_multipart_is_not_supported(wire, client, run):
    folder = place(client, run).split("/artifacts/", 1)[1]
    answer = wire.post(f"/api/2.0/mlflow-artifacts/mpu/create/{folder}", {"path": "a.bin", "num_parts": 2})
    if answer.status_code != 200:
        message = refused(answer, 501, "NOT_IMPLEMENTED")
        assert message.startswith("Multipart upload is not supported for the current artifact repository")


def case_artifacts_of_a_deleted_run_stay(client, run):
    client.log_text(run, "1", "a.txt")
    client.delete_run(run)
    assert mlflow.artifacts.load_text(client.get_run(run).info.artifact_uri + "/a.txt") == "1"


def case_fluent_downloads(client, run, tmp_path):
    client.log_dict(run, {"a": [1, 2]}, "a.json")
    assert mlflow.artifacts.load_dict(f"runs:/{run}/a.json") == {"a": [1, 2]}
    path = mlflow.artifacts.download_artifacts(run_id=run, artifact_path="a.json", dst_path=str(tmp_path))
    assert Path(path).stat().st_size
    assert [f.path for f in mlflow.artifacts.list_artifacts(run_id=run)] == ["a.json"]


def case_quoted_address(client, wire, run):
    """`+` and `%2B` are both a plus in a path, and a blank is only `%20`."""
    assert put(wire, client, run, quote("a+b c.txt", safe="")).status_code == 200
    assert list(tree(client, run)) == ["a+b c.txt"]
    assert wire.get(place(client, run) + "/a+b%20c.txt").status_code == 200
