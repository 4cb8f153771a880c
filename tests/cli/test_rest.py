"""The command's REST client against a real socket that answers what the test says."""

import json
import threading
from http.server import BaseHTTPRequestHandler, ThreadingHTTPServer

import pytest

from mlportal.cli import main
from mlportal.cli.credentials import Credentials
from mlportal.cli.errors import FORBIDDEN, MISSING, REFUSED, TIMED_OUT, UNAVAILABLE, Failure
from mlportal.cli.rest import Portal


class Server(ThreadingHTTPServer):
    """Answers with the given (status, body) in turn; the last one again and again. Keeps what it was asked."""

    def __init__(self, *answers):
        super().__init__(("127.0.0.1", 0), Handler)
        self.answers = list(answers)
        self.asked = []


class Handler(BaseHTTPRequestHandler):
    def answer(self):
        size = int(self.headers.get("Content-Length") or 0)
        self.server.asked.append((self.command, self.path, dict(self.headers), self.rfile.read(size)))
        status, body = self.server.answers.pop(0) if len(self.server.answers) > 1 else self.server.answers[0]
        body = body if isinstance(body, bytes) else json.dumps(body).encode()
        self.send_response(status)
        self.send_header("Content-Length", str(len(body)))
        self.end_headers()
        self.wfile.write(body)

    do_GET = do_POST = do_PATCH = do_PUT = answer  # noqa: N815 names of http.server

    def log_message(self, *_arguments):
        """Keep the test's output clean."""


@pytest.fixture
def serve():
    started = []

    def start(*answers):
        server = Server(*answers)
        threading.Thread(target=server.serve_forever, kwargs={"poll_interval": 0.01}, daemon=True).start()
        started.append(server)
        url = f"http://127.0.0.1:{server.server_address[1]}"
        return server, Portal(Credentials(url, "mlp_secret", "churn"))

    yield start
    for server in started:
        server.shutdown()
        server.server_close()


@pytest.fixture(autouse=True)
def _no_pauses(monkeypatch):
    monkeypatch.setattr("mlportal.cli.rest.time.sleep", lambda _seconds: None)


def test_token_goes_as_bearer_and_names_are_quoted(serve):
    server, portal = serve((200, {"results": []}))
    assert portal.get(portal.path("datasets", "a/b ?"), limit=5, state="") == {"results": []}
    command, path, headers, _body = server.asked[0]
    assert (command, path) == ("GET", "/api/v1/projects/churn/datasets/a%2Fb%20%3F/?limit=5")
    assert headers["Authorization"] == "Bearer mlp_secret"


def test_repeated_post_keeps_its_idempotency_key(serve):
    server, portal = serve((503, {"message": "busy"}), (503, {"message": "busy"}), (201, {"id": 7}))
    assert portal.post("projects/churn/jobs", {"a": 1}) == {"id": 7}
    keys = {headers["Idempotency-Key"] for _command, _path, headers, _body in server.asked}
    assert (len(server.asked), len(keys)) == (3, 1)


def test_two_posts_have_two_idempotency_keys(serve):
    server, portal = serve((201, {"id": 7}))
    portal.post("projects/churn/jobs", {})
    portal.post("projects/churn/jobs", {})
    assert len({headers["Idempotency-Key"] for _command, _path, headers, _body in server.asked}) == 2


@pytest.mark.parametrize(
    ("status", "code"), [(400, REFUSED), (401, FORBIDDEN), (403, FORBIDDEN), (404, MISSING), (409, REFUSED),
                         (413, REFUSED), (422, REFUSED), (500, 1), (503, UNAVAILABLE)],
)  # fmt: skip
def test_status_becomes_exit_code_and_says_why(serve, status, code):
    _server, portal = serve((status, {"message": "The reason.", "request_id": "r-1"}))
    with pytest.raises(Failure) as caught:
        portal.get("projects/churn")
    assert caught.value.code == code
    assert str(caught.value) == "The reason." + (" (reference r-1)" if status >= 500 else "")


def test_every_wrong_field_is_named(serve):
    errors = [{"field": "spec.seed", "message": "too large"}, {"field": "spec.task", "message": "unknown"}]
    _server, portal = serve((400, {"message": "Two fields are wrong.", "errors": errors}))
    with pytest.raises(Failure, match=r"^Two fields are wrong\.\n  spec\.seed: too large\n  spec\.task: unknown$"):
        portal.get("projects/churn")


def test_answer_that_is_no_json_is_named(serve):
    _server, portal = serve((502, b"<html>bad gateway</html>"))
    with pytest.raises(Failure, match="the portal answered 502 for projects/churn/"):
        portal.get("projects/churn")


def test_nobody_listens():
    with pytest.raises(Failure) as caught:
        Portal(Credentials("http://127.0.0.1:9", "t", "churn")).get("projects")
    assert caught.value.code == UNAVAILABLE
    assert "http://127.0.0.1:9 does not answer" in str(caught.value)


def test_address_without_scheme_is_refused():
    with pytest.raises(Failure, match="is no address"):
        Portal(Credentials("ml.example.org", "t", "churn")).get("projects")


def test_pages_follow_the_cursor_up_to_the_limit(serve):
    server, portal = serve(
        (200, {"results": [1, 2], "next": "http://elsewhere.example/api/v1/projects/churn/runs/?cursor=abc"}),
        (200, {"results": [3, 4], "next": None}),
    )
    assert portal.pages("projects/churn/runs", 3) == [1, 2, 3]
    assert [path for _command, path, *_rest in server.asked] == [
        "/api/v1/projects/churn/runs/",
        "/api/v1/projects/churn/runs/?cursor=abc",
    ]


def test_waiting_ends_with_a_code_of_its_own(serve):
    _server, portal = serve((200, {"state": "running"}))
    with pytest.raises(Failure, match="still running after 0 s") as caught:
        portal.wait("projects/churn/jobs/1", over=lambda _row: False, timeout=0)
    assert caught.value.code == TIMED_OUT


def test_login_keeps_the_token_for_its_owner_only(serve, tmp_path, monkeypatch, capsys):
    server, _portal = serve((200, {"results": [{"slug": "churn"}], "next": None}))
    place = tmp_path / "deep" / "credentials.json"
    monkeypatch.setenv("MLPORTAL_CREDENTIALS", str(place))
    url = f"http://127.0.0.1:{server.server_address[1]}"
    assert main(["login", url + "/", "--token", "mlp_x"]) == 0
    assert json.loads(place.read_text()) == {"url": url, "token": "mlp_x", "project": "churn"}
    assert place.stat().st_mode & 0o777 == 0o600
    assert "mlp_x" not in capsys.readouterr().out


def test_login_to_a_project_the_token_does_not_see(serve, tmp_path, monkeypatch, capsys):
    server, _portal = serve((200, {"results": [{"slug": "churn"}], "next": None}))
    monkeypatch.setenv("MLPORTAL_CREDENTIALS", str(tmp_path / "c"))
    url = f"http://127.0.0.1:{server.server_address[1]}"
    assert main(["login", url, "--token", "mlp_x", "--project", "fraud"]) == REFUSED
    assert capsys.readouterr().err == "mlportal: this token sees no project 'fraud'; it sees: churn\n"
    assert not (tmp_path / "c").exists()


def test_command_without_sign_in_says_what_to_do(tmp_path, monkeypatch, capsys):
    monkeypatch.setenv("MLPORTAL_CREDENTIALS", str(tmp_path / "none"))
    assert main(["runs"]) == FORBIDDEN
    assert "run `mlportal login URL --token TOKEN`" in capsys.readouterr().err


def test_retraining_is_set_and_told(serve, monkeypatch, capsys):
    row = {"alert": 7, "state": "skipped", "guard": "cooldown", "reason": "within the cooldown of 24 h", "run": None,
           "promotion": None}  # fmt: skip
    server, portal = serve((200, {}), (200, {"results": [row], "next": None}))
    monkeypatch.setenv("MLPORTAL_URL", portal.credentials.url)
    monkeypatch.setenv("MLPORTAL_TOKEN", "mlp_secret")
    monkeypatch.setenv("MLPORTAL_PROJECT", "churn")
    assert main(["retraining", "set", "churn-production", "--labelled-rows", "ignored", "--monthly-runs", "0"]) == 0
    method, path, _headers, body = server.asked[0]
    assert (method, path) == ("PUT", "/api/v1/projects/churn/endpoints/churn-production/automations/")
    assert json.loads(body) == {
        "trigger": "drift", "enabled": True, "labelled_rows": "ignored", "monthly_runs": None,
    }  # fmt: skip
    assert main(["retraining", "list", "churn-production"]) == 0
    assert "within the cooldown of 24 h" in capsys.readouterr().out
