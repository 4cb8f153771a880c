"""kill -9 of the web process between commit and answer: a retry with the same key finds the one effect."""

import json
import time
import urllib.error
import urllib.request

import pytest

from tests.portal.running import Portal, running

pytestmark = [pytest.mark.slow, pytest.mark.faults]


def call(portal: Portal, token: str, method: str, path: str, *, body: object = None, key: str = "") -> tuple[int, dict]:
    """Status and answer; status 0 when the connection broke."""
    headers = {"Authorization": f"Bearer {token}", "Content-Type": "application/json"}
    if key:
        headers["Idempotency-Key"] = key
    data = json.dumps(body).encode() if body is not None else None
    request = urllib.request.Request(f"{portal.url}/api/v1/{path}", data=data, method=method, headers=headers)
    try:
        with urllib.request.urlopen(request, timeout=30) as answer:
            return answer.status, json.loads(answer.read())
    except urllib.error.HTTPError as error:
        with error:
            return error.code, json.loads(error.read() or b"{}")
    except OSError:
        return 0, {}


def test_retry_after_a_kill_between_commit_and_answer_has_one_effect(tmp_path):
    deadly = {"MLPORTAL_TESTING": "1", "MLPORTAL_FAILPOINT": "committed-not-answered"}
    with running(tmp_path / "p", **deadly) as portal:
        token = portal.people("root", root=("admin", "read write admin"))["root"].token
        place, body = "projects/churn/experiments/", {"name": "survivor"}
        before = portal.pids("granian")
        assert call(portal, token, "POST", place, body=body, key="once") == (0, {})
        end = time.monotonic() + 60
        while (found := call(portal, token, "POST", place, body=body, key="once"))[0] == 0:
            assert time.monotonic() < end, portal.output
            time.sleep(0.2)
        assert found[0] == 201, found
        assert set(before) - set(portal.pids("granian")), "the process that answered first was not killed"
        names = [row["name"] for row in call(portal, token, "GET", place)[1]["results"]]
        assert names == ["survivor"]
        events = call(portal, token, "GET", "projects/churn/events/?verb=experiment.created")[1]["results"]
        assert [event["target_label"] for event in events if event["verb"] == "experiment.created"] == ["survivor"]
