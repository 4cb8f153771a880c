"""The whole line by API token alone: every step is one REST call, as an automation would make it."""

import json
import random
import re
import time
import urllib.error
import urllib.request

import pytest
from sklearn.datasets import load_wine

from tests.portal.running import running

pytestmark = pytest.mark.slow

SCOPES = {
    "sam": ("scientist", "read write train register predict"),
    "mona": ("manager", "read approve"),
    "otto": ("ops", "read alerts predict admin"),
}
PACE = {"bucket_seconds": 5, "step_seconds": 5, "window_seconds": 30, "min_samples": 40}


class Automation:
    """A script with one token."""

    def __init__(self, url: str, token: str) -> None:
        self.base, self.token = f"{url}/api/v1/projects/churn", token

    def call(self, method: str, path: str, body: object = None, **headers: str) -> tuple[int, dict]:
        raw = isinstance(body, bytes)
        data = body if raw else None if body is None else json.dumps(body).encode()
        kind = "application/octet-stream" if raw else "application/json"
        request = urllib.request.Request(
            f"{self.base}/{path}",
            data=data,
            method=method,
            headers={"Authorization": f"Bearer {self.token}", "Content-Type": kind} | headers,
        )
        try:
            with urllib.request.urlopen(request, timeout=60) as answer:
                return answer.status, json.loads(answer.read() or b"null")
        except urllib.error.HTTPError as error:
            with error:
                return error.code, json.loads(error.read())

    def get(self, path: str) -> dict:
        status, answer = self.call("GET", path)
        assert status == 200, answer
        return answer

    def post(self, path: str, body: object, **headers: str) -> dict:
        status, answer = self.call("POST", path, body, **headers)
        assert status in (200, 201, 202), answer
        return answer

    def until(self, path: str, over, *, seconds: float = 240) -> dict:
        end = time.monotonic() + seconds
        while not over(answer := self.get(path)):
            assert time.monotonic() < end, answer
            time.sleep(0.5)
        return answer


@pytest.fixture(scope="module")
def scripts(tmp_path_factory):
    """A running portal and one token a role."""
    with running(tmp_path_factory.mktemp("api") / "p") as portal:
        people = portal.people("root", **SCOPES)
        yield {name: Automation(portal.url, people[name].token) for name in SCOPES}


def wine() -> tuple[bytes, list[dict]]:
    bunch = load_wine(as_frame=True)
    frame = bunch.frame.rename(columns=lambda name: re.sub(r"\W", "_", name))
    rows = frame.drop(columns="target").to_dict("records")
    frame["grower"] = frame.pop("target").map({0: "north", 1: "hills", 2: "coast"})
    return frame.to_csv(index=False).encode(), rows


def test_line_by_token(scripts):
    sam, mona, otto = (scripts[name] for name in SCOPES)
    table, rows = wine()
    # data
    sam.post("datasets/wines/versions/?filename=wines.csv", table)
    version = sam.until("datasets/wines/versions/1/", lambda row: row["state"] in ("succeeded", "failed"))
    assert (version["state"], version["row_count"]) == ("succeeded", 178)
    # training: the same key twice is one job
    spec = {"task": "classification", "target": "grower", "algorithm": "logistic_regression", "seed": 1}
    wanted = {"dataset": "wines", "version": 1, "experiment": "wines", "spec": spec}
    job = sam.post("jobs/", wanted, **{"Idempotency-Key": "first"})
    assert sam.post("jobs/", wanted, **{"Idempotency-Key": "first"})["id"] == job["id"]
    job = sam.until(f"jobs/{job['id']}/", lambda row: row["state"] in ("succeeded", "failed", "timed_out"))
    assert job["state"] == "succeeded", job["failure"]
    run = sam.get(f"runs/{job['run']}/")
    assert run["state"] == "finished"
    # registry and promotion: whoever asked does not decide
    sam.post("models/wine/versions/", {"run": job["run"]})
    body = {"model": "wine", "version": 1, "environment": "production", "reason": "The first model for wines."}
    request = sam.post("promotions/", body)
    place = f"promotions/{request['id']}/"
    request = sam.until(place, lambda row: row["evaluated"])
    verdict = {
        "verdict": "approve",
        "comment": "Looks right.",
        "acknowledged": [
            gate["name"] for gate in request["gates"] if gate["level"] == "advisory" and not gate["passed"]
        ],
    }
    assert sam.call("POST", f"{place}decide/", verdict)[0] == 403
    assert mona.post(f"{place}decide/", verdict)["state"] == "approved"
    assert mona.call("POST", f"{place}decide/", verdict)[0] == 409
    # predictions
    answer = predict(sam, rows[:3])
    assert (len(answer["predictions"]), answer["version"]) == (3, 1)
    status, refused = sam.call("POST", "endpoints/wine-production/predict/", {"records": [rows[0] | {"alcohol": "x"}]})
    assert (status, refused["row"], refused["column"]) == (422, 0, "alcohol")
    # watching: ops lets drift retrain the model, then the traffic shifts
    retrain = {"trigger": "drift", "enabled": True, "cooldown_hours": 1}
    assert otto.call("PUT", "endpoints/wine-production/automations/", retrain)[0] == 200
    monitor = otto.get("monitors/")["results"][0]
    assert otto.call("PATCH", f"monitors/{monitor['id']}/", PACE)[0] == 200
    luck = random.Random(3)
    predict(sam, [{name: 3 * value for name, value in luck.choice(rows).items()} for _row in range(300)])
    alert = otto.until("alerts/", lambda page: page["results"])["results"][0]
    assert otto.post(f"alerts/{alert['id']}/acknowledge/", {"note": "Seen."})["acknowledged_by"] == "otto"
    # the retraining ends in a request, never in a switch
    second = sam.until("promotions/", lambda page: len(page["results"]) == 2)["results"][0]
    assert (second["version"], second["state"]) == (2, "pending")
    assert sam.get("endpoints/wine-production/")["version"] == 1


def predict(script: Automation, rows: list[dict]) -> dict:
    """Ask the endpoint; it answers as soon as the serving process has the version warm."""
    end = time.monotonic() + 60
    while True:
        status, answer = script.call("POST", "endpoints/wine-production/predict/", {"records": rows})
        if status == 200:
            return answer
        assert status in (404, 503), answer
        assert time.monotonic() < end, answer
        time.sleep(0.5)
