"""``mlportal removal`` and ``mlportal person`` against a socket that answers as the portal does."""

import io
import json

from mlportal.cli import main
from mlportal.cli.errors import FAILED, REFUSED
from tests.cli.test_papers import signed_in  # noqa: F401 a fixture
from tests.cli.test_rest import serve  # noqa: F401 a fixture

API = "/api/v1/removals/"
PERSONS = "/api/v1/projects/churn/persons/"
REMOVAL = {"id": 4, "project": "old", "state": "waiting", "due_at": "2026-12-23T08:00:00Z", "waits_for": ""}
SEARCH = {"id": 7, "ticket": "L-12", "erase": True, "state": "succeeded", "phase": "", "failure": "", "result": None}


def test_a_project_is_looked_at_removed_called_off_and_kept(signed_in, tmp_path, capsys):  # noqa: F811
    free = {"project": "old", "kept_back": "", "rows": {"runs": 12, "jobs": 0}}
    held = free | {"kept_back": "A legal hold stands."}
    page = {"results": [REMOVAL], "next": None}
    server = signed_in((200, free), (200, held), (201, REMOVAL), (200, page), (200, REMOVAL), (200, b"PK"))
    assert [main(["removal", "preview", "old"]) for _ in range(2)] == [0, 1]
    assert main(["removal", "ask", "old", "--confirm", "old", "--reason", "Nobody uses it."]) == 0
    assert main(["removal", "list"]) == 0
    assert main(["removal", "call-off", "4"]) == 0
    assert main(["removal", "record", "4"]) == 0
    assert (tmp_path / "removal-4-record.zip").read_bytes() == b"PK"
    said = capsys.readouterr().out
    assert "runs" in said
    assert "jobs" not in said
    assert "kept back: A legal hold stands." in said
    assert "removal 4: old goes on 2026-12-23T08:00:00Z unless it is called off" in said
    assert [(row[0], row[1]) for row in server.asked] == [
        ("GET", f"{API}preview/?project=old"), ("GET", f"{API}preview/?project=old"), ("POST", API), ("GET", API),
        ("POST", f"{API}4/call-off/"), ("GET", f"{API}4/record/"),
    ]  # fmt: skip


def test_a_person_is_read_from_standard_input_and_waited_for(signed_in, monkeypatch, capsys):  # noqa: F811
    found = SEARCH | {"result": {"predictions": 3}}
    server = signed_in((202, SEARCH | {"state": "queued"}), (200, SEARCH | {"state": "running"}), (200, found))
    monkeypatch.setattr("sys.stdin", io.StringIO("ana@example.org\n"))
    assert main(["person", "search", "--ticket", "L-12", "--erase"]) == 0
    assert json.loads(capsys.readouterr().out) == found
    assert [(row[0], row[1]) for row in server.asked] == [
        ("POST", PERSONS), ("GET", f"{PERSONS}7/"), ("GET", f"{PERSONS}7/"),
    ]  # fmt: skip


def test_nobody_is_looked_for_and_a_search_that_failed(signed_in, monkeypatch, capsys):  # noqa: F811
    server = signed_in((200, SEARCH | {"state": "failed", "failure": "A file is missing."}))
    monkeypatch.setattr("sys.stdin", io.StringIO("\n"))
    assert main(["person", "search", "--ticket", "L-12"]) == REFUSED
    assert server.asked == []
    assert main(["person", "report", "7"]) == FAILED
    assert "search 7 failed: A file is missing." in capsys.readouterr().err
