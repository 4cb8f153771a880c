"""A real store, made by the real client, imported into a live portal and read back by the real client."""

import json
import os
import random
import signal
import sqlite3
import sys
import threading
from http.server import BaseHTTPRequestHandler, ThreadingHTTPServer
from itertools import groupby

import pytest

from tests.cli.imports import dump, script, target, with_mlflow
from tests.portal.running import wait_until

pytestmark = pytest.mark.slow


def python():
    return ("--python", with_mlflow())


def alone():
    """The same with one process that reads instead of two: each takes seconds of processor to import MLflow."""
    return (*python(), "--jobs", "1")


@pytest.fixture(scope="module")
def source(tmp_path_factory):
    """A database with one of everything, and what a client sees in it."""
    folder = tmp_path_factory.mktemp("source")
    uri = f"sqlite:///{folder}/mlflow.db"
    script("seed_mlflow.py", uri, str(folder), cwd=folder)
    return uri, dump(uri)


@pytest.fixture(scope="module")
def other(import_portal):
    """A project for tests that look at a part of it only."""
    return target(import_portal, "other")


def without_deleted(dumped):
    """What an import without --deleted should bring."""
    kept = {name: one for name, one in dumped["experiments"].items() if not one["deleted"]}
    for name, one in kept.items():
        kept[name] = one | {"runs": {key: run for key, run in one["runs"].items() if not run["deleted"]}}
    return dumped | {"experiments": kept}


def test_everything_comes_and_a_second_import_changes_nothing(import_portal, source):
    uri, expected = source
    here = target(import_portal, "whole")
    said = here.agrees("mlflow", uri, *python())
    assert said["differences"] == []
    counts = {one["name"]: one["source"] for one in said["experiments"]}
    assert (counts["forest"]["runs"], counts["forest"]["points"], counts["forest"]["models"]) == (4, 2507, 1)
    assert said["registry"]["target"] == {"models": 3, "versions": 4}
    found = here.dump()
    assert found == without_deleted(expected)
    again = here.agrees("mlflow", uri, *python())
    assert again["copied"] == {"points": 1, "bytes": 0}  # the run that still goes on is read again
    assert here.dump() == found


def test_deleted_things_come_when_asked_for_and_stay_deleted(import_portal, source):
    uri, expected = source
    here = target(import_portal, "deleted")
    here.agrees("mlflow", uri, *python(), "--deleted")
    assert here.dump() == expected
    here.agrees("mlflow", uri, *alone(), "--deleted")
    assert here.dump() == expected


def test_one_experiment_alone_and_a_dry_run(other, source):
    uri, _expected = source
    here = other
    counted = here.agrees("mlflow", uri, *alone(), "--dry-run")
    assert {one["name"]: one["source"]["points"] for one in counted["experiments"]} == {"Default": 1, "forest": 2507}
    assert here.runs("Default") == []
    said = here.agrees("mlflow", uri, *alone(), "--experiment", "Default")
    assert [one["name"] for one in said["experiments"]] == ["Default"]
    assert [run["info"]["run_name"] for run in here.runs("Default")] == ["still going"]
    assert here.imports("mlflow", uri, *alone(), "--experiment", "nothing").returncode == 5


def once(dumped):
    """The same with each point once."""
    for run in (run for one in dumped["experiments"].values() for run in one["runs"].values()):
        run["points"] = {key: [at for at, _ in groupby(points)] for key, points in run["points"].items()}
    return dumped


def test_folder_of_files_with_a_link_out_of_it(import_portal, tmp_path):
    """Identical lines of a file store count once; a link may not carry foreign files into the portal."""
    store = tmp_path / "mlruns"
    script("seed_mlflow.py", str(store), str(tmp_path), cwd=tmp_path)
    here = target(import_portal, "folder")
    here.agrees("mlflow", str(store), *python())
    assert here.dump() == once(without_deleted(dump(str(store))))
    secret = tmp_path / "secret"
    secret.write_text("not yours")
    run = next(store.glob("*/*/artifacts/a.txt")).parent
    (run / "link").symlink_to(secret)
    done = here.imports("mlflow", str(store), *alone(), "--verify")
    assert done.returncode == 1
    assert "the file 'link' leads out of its folder" in done.stdout


def test_changes_come_with_the_next_import(import_portal, tmp_path):
    uri = f"sqlite:///{tmp_path}/mlflow.db"
    script("seed_mlflow.py", uri, str(tmp_path), "2", "10", cwd=tmp_path)
    here = target(import_portal, "changes")
    here.agrees("mlflow", uri, *alone())
    with sqlite3.connect(tmp_path / "mlflow.db") as base:
        base.execute("UPDATE params SET value = 'changed' WHERE key = 'p3'")
        base.execute("INSERT INTO tags (key, value, run_uuid) SELECT 'new', 'tag', run_uuid FROM runs")
    done = here.imports("mlflow", uri, *alone())
    # A parameter is written once: that it is another one now is told, and everything else comes.
    assert done.returncode == 1
    assert sum("parameter p3: " in line for line in done.stdout.splitlines()) == 2, done.stdout
    assert all({"key": "new", "value": "tag"} in run["data"]["tags"] for run in here.runs("big"))
    with sqlite3.connect(tmp_path / "mlflow.db") as base:
        base.execute("UPDATE params SET value = '3' WHERE key = 'p3'")
    here.agrees("mlflow", uri, *alone())
    assert here.dump() == dump(uri)


@pytest.mark.faults
def test_killed_again_and_again_it_ends_complete(import_portal, tmp_path):
    uri = f"sqlite:///{tmp_path}/mlflow.db"
    script("seed_mlflow.py", uri, str(tmp_path), "10", "3000", cwd=tmp_path)
    here = target(import_portal, "killed")
    luck = random.Random(3)
    kills = 0
    while kills < 4:
        before = progress(here)
        child = here.begins("mlflow", uri, *python(), "--jobs", "2")
        wanted = before + luck.randint(1, 2)
        try:
            wait_until(lambda: progress(here) >= wanted or child.poll() is not None, 120, what=f"{wanted} runs")  # noqa: B023
        finally:
            if child.poll() is None:
                kills += 1
                os.killpg(child.pid, signal.SIGKILL)
            child.wait()
        if progress(here) >= 20:
            break
    assert kills >= 3
    here.agrees("mlflow", uri, *python())
    assert here.dump() == dump(uri)


def progress(here):
    """Shells count once, complete runs twice."""
    try:
        runs = here.runs("big")
    except OSError:
        return 0
    marks = [tag["key"] for run in runs for tag in run["data"].get("tags", [])]
    return len(runs) + marks.count("mlportal.import.complete")


class Evil(BaseHTTPRequestHandler):
    """A server that names a folder of the reader's machine as the place of its files."""

    def answer(self):
        size = int(self.headers.get("Content-Length") or 0)
        self.rfile.read(size)
        run = {
            "info": {"run_id": "a" * 32, "experiment_id": "1", "status": "FINISHED", "artifact_uri": "/etc",
                     "start_time": 1, "end_time": 2, "lifecycle_stage": "active", "run_name": "evil"},
            "data": {},
        }  # fmt: skip
        experiment = {"experiment_id": "1", "name": "evil", "artifact_location": "/etc", "lifecycle_stage": "active"}
        answers = {"experiments/search": {"experiments": [experiment]}, "runs/search": {"runs": [run]},
                   "runs/get": {"run": run}}  # fmt: skip
        found = next((body for end, body in answers.items() if self.path.split("?")[0].endswith(end)), None)
        self.send_response(404 if found is None else 200)
        body = json.dumps(found or {"error_code": "ENDPOINT_NOT_FOUND", "message": "no"}).encode()
        self.send_header("Content-Length", str(len(body)))
        self.send_header("Content-Type", "application/json")
        self.end_headers()
        self.wfile.write(body)

    do_GET = do_POST = answer  # noqa: N815 names of http.server

    def log_message(self, *_arguments):
        """Keep the test's output clean."""


def test_server_cannot_make_the_import_read_local_files(other):
    here = other
    with ThreadingHTTPServer(("127.0.0.1", 0), Evil) as server:
        threading.Thread(target=server.serve_forever, kwargs={"poll_interval": 0.01}, daemon=True).start()
        uri = f"http://127.0.0.1:{server.server_address[1]}"
        done = here.imports("mlflow", uri, *python(), "--no-registry")
        server.shutdown()
    assert done.returncode == 1, done.stdout + done.stderr
    assert "the server names the local folder /etc; --local-files allows to read such" in done.stdout
    assert here.files(here.runs("evil")[0]) == {}


def test_without_mlflow_it_says_what_to_install(other, source):
    done = other.imports("mlflow", source[0], "--python", sys.executable)
    assert done.returncode == 3
    assert "pip install mlflow" in done.stderr


@pytest.mark.parametrize(
    ("words", "code", "text"),
    [
        (("mlflow", "sqlite:////no/such.db"), 5, "there is no file /no/such.db"),
        (("mlflow", "/no/such/folder"), 5, "there is no folder /no/such/folder"),
        (("mlflow", "http://127.0.0.1:9"), 7, "http://127.0.0.1:9 cannot be read"),
        (("mlflow", "sqlite:///x", "--jobs", "0"), 6, "--jobs 0: give 1 to 16"),
        (("wandb", "/no/such/folder"), 5, "there are no .wandb files in /no/such/folder"),
        (("neptune", "/no/such/folder"), 5, "there are no files like RUN_part_0.parquet"),
    ],
)
def test_what_is_not_there_is_named(other, words, code, text):
    extra = python() if words[0] == "mlflow" else ()
    done = other.imports(*words, *extra, MLFLOW_HTTP_REQUEST_MAX_RETRIES="0")
    assert done.returncode == code, done.stdout + done.stderr
    assert text in done.stderr
