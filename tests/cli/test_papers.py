"""``mlportal technical-file`` and ``model-card`` against a socket that answers as the portal does."""

import json

import pytest

from mlportal.cli import main
from mlportal.cli.errors import FAILED, REFUSED
from tests.cli.test_rest import serve  # noqa: F401 a fixture

ROW = {
    "number": 4, "version": 3, "state": "succeeded", "phase": "", "failure": "", "filled": 30, "asked": 41,
}  # fmt: skip
ZIP = b"PK\x03\x04zip"


@pytest.fixture
def signed_in(serve, tmp_path, monkeypatch):  # noqa: F811
    """Start a portal with answers; commands run in an empty folder and find it by the environment."""

    def start(*answers):
        server, at = serve(*answers)
        monkeypatch.chdir(tmp_path)
        for name, value in (("URL", at.credentials.url), ("TOKEN", "mlp_secret"), ("PROJECT", "churn")):
            monkeypatch.setenv(f"MLPORTAL_{name}", value)
        return server

    return start


def test_a_technical_file_is_issued_waited_for_and_kept(signed_in, tmp_path, capsys):
    server = signed_in((202, ROW | {"state": "queued"}), (200, ROW | {"state": "running"}), (200, ROW), (200, ZIP))
    assert main(["technical-file", "export", "churn", "3", "--json"]) == 0
    assert (tmp_path / "churn-v3-technical-file-4.zip").read_bytes() == ZIP
    told = json.loads(capsys.readouterr().out)
    assert (told["number"], told["bytes"], told["file"]) == (4, len(ZIP), "churn-v3-technical-file-4.zip")
    base = "/api/v1/projects/churn/models/churn"
    assert [(row[0], row[1]) for row in server.asked] == [
        ("POST", f"{base}/versions/3/technical-file/issues/"), ("GET", f"{base}/technical-files/4/"),
        ("GET", f"{base}/technical-files/4/"), ("GET", f"{base}/technical-files/4/download/"),
    ]  # fmt: skip


def test_a_failed_issue_fails_the_command(signed_in, capsys):
    signed_in((200, ROW | {"state": "failed", "failure": "The PDF could not be drawn."}))
    assert main(["technical-file", "export", "churn", "3", "--issue", "4"]) == FAILED
    assert "issue 4 failed: The PDF could not be drawn." in capsys.readouterr().err


def test_a_pdf_of_a_card_is_waited_for(signed_in, tmp_path):
    server = signed_in((202, {"state": "queued", "progress": 0.0, "phase": ""}), (200, b"%PDF-1.3"))
    assert main(["model-card", "churn", "3"]) == 0
    assert (tmp_path / "churn-v3-card.pdf").read_bytes() == b"%PDF-1.3"
    assert [row[1] for row in server.asked] == ["/api/v1/projects/churn/models/churn/versions/3/card/files/pdf/"] * 2


def test_a_card_is_kept_and_never_written_over(signed_in, tmp_path, capsys):
    server = signed_in((200, b"<!doctype html>"))
    assert main(["model-card", "churn", "3", "--format", "html"]) == 0
    assert (tmp_path / "churn-v3-card.html").read_bytes() == b"<!doctype html>"
    assert server.asked[0][1] == "/api/v1/projects/churn/models/churn/versions/3/card/files/html/"
    assert main(["model-card", "churn", "3", "--format", "html"]) == REFUSED
    assert "never overwrites" in capsys.readouterr().err
