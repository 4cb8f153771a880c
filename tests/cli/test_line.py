"""The whole line by command alone: data, training, registry, promotion, prediction, drift alert.

One portal with its own workers; each person has a token, and every step is one command with ``--json``.
"""

import json
import random
import time
import urllib.request

import pytest

from tests.portal.running import running

pytestmark = pytest.mark.slow

SCOPES = {
    "sam": ("scientist", "read write train register predict"),
    "mona": ("manager", "read approve"),
    "otto": ("ops", "read alerts predict"),
}


class Person:
    """A user at a terminal, signed in by token in the environment."""

    def __init__(self, portal, token):
        self.portal = portal
        self.environment = {"MLPORTAL_URL": portal.url, "MLPORTAL_TOKEN": token, "MLPORTAL_PROJECT": "churn"}

    def tries(self, *words):
        return self.portal.command(*words, **self.environment)

    def does(self, *words):
        """Run a command that must succeed; return the portal's answer."""
        done = self.tries(*words, "--json")
        assert done.returncode == 0, f"{words}: {done.stdout}{done.stderr}"
        return json.loads(done.stdout)


def customers(rows, *, seed):
    """Customers who leave when they are new and pay much."""
    luck = random.Random(seed)
    yield "months,fee,contract,left\n"
    for _row in range(rows):
        months, fee = luck.randint(1, 72), round(luck.uniform(20, 120), 2)
        contract = luck.choice(["monthly", "yearly"])
        score = fee / 40 - months / 24 + (1.0 if contract == "monthly" else -0.5) + luck.gauss(0, 0.7)
        yield f"{months},{fee},{contract},{'yes' if score > 0.8 else 'no'}\n"


@pytest.fixture(scope="module")
def line(tmp_path_factory):
    """Everything up to a live endpoint, with what each command answered."""
    folder = tmp_path_factory.mktemp("line")
    with running(folder / "p") as portal:
        logins = portal.people("root", **SCOPES)
        people = {name: Person(portal, logins[name].token) for name in SCOPES}
        file = folder / "customers.csv"
        file.write_text("".join(customers(1500, seed=1)))
        sam, mona = people["sam"], people["mona"]
        said = {"dataset": sam.does("dataset", "add", str(file), "--wait")}
        train = ["train", "--dataset", "customers", "--target", "left", "--experiment", "churn", "--wait"]
        said["dummy"] = sam.does(*train, "--algorithm", "dummy")
        said["job"] = sam.does(*train, "--algorithm", "logistic_regression", "--set", "C=0.5", "--name", "first")
        said["version"] = sam.does("register", str(said["job"]["run"]), "--model", "churn")
        asked = sam.tries(
            "promote", "churn", "--to", "production", "--reason", "Better than guessing.", "--wait", "--json"
        )
        said["request"] = json.loads(asked.stdout)
        said["own"] = sam.tries("decide", str(said["request"]["id"]), "approve")
        unread = [g["name"] for g in said["request"]["gates"] if g["level"] == "advisory" and not g["passed"]]
        ticks = [word for name in unread for word in ("--read", name)]
        said["approved"] = mona.does("decide", str(said["request"]["id"]), "approve", *ticks)
        yield portal, people, said


def test_dataset_is_profiled(line):
    version = line[2]["dataset"]
    assert (version["number"], version["state"], version["row_count"]) == (1, "succeeded", 1500)


def test_jobs_succeed_and_their_runs_are_listed(line):
    _portal, people, said = line
    assert (said["dummy"]["state"], said["job"]["state"]) == ("succeeded", "succeeded")
    runs = people["sam"].does("runs", "--experiment", "churn")
    assert [run["id"] for run in runs] == [said["job"]["run"], said["dummy"]["run"]]
    assert {run["state"] for run in runs} == {"finished"}
    best = people["sam"].does("runs", "--experiment", "churn", "--filter", "roc_auc>0.7")
    assert [run["id"] for run in best] == [said["job"]["run"]]


def test_requester_cannot_decide(line):
    assert line[2]["own"].returncode == 4


def test_approval_switches_the_endpoint(line):
    said = line[2]
    assert said["version"]["number"] == 1
    assert (said["approved"]["state"], said["approved"]["decided_by"]) == ("approved", "mona")


def predict_until_up(person, records, folder):
    file = folder / "rows.json"
    file.write_text(json.dumps(records))
    deadline = time.monotonic() + 120
    while (done := person.tries("predict", "churn-production", "--records", str(file), "--json")).returncode:
        assert done.returncode in (5, 7), done.stderr
        assert time.monotonic() < deadline, done.stderr
        time.sleep(0.5)
    return json.loads(done.stdout)


def test_endpoint_answers_and_names_its_version(line, tmp_path):
    people = line[1]
    rows = [
        {"months": 1, "fee": 119.0, "contract": "monthly"},
        {"months": 70, "fee": 21.0, "contract": "yearly"},
    ]
    answer = predict_until_up(people["sam"], rows, tmp_path)
    assert [row["prediction"] for row in answer["predictions"]] == ["yes", "no"]
    assert (answer["model"], answer["version"]) == ("churn", 1)


def test_wrong_record_is_refused_with_row_and_column(line, tmp_path):
    file = tmp_path / "wrong.json"
    file.write_text(json.dumps([{"months": "many", "fee": 1.0, "contract": "monthly"}]))
    done = line[1]["sam"].tries("predict", "churn-production", "--records", str(file))
    assert done.returncode == 6
    assert "months" in done.stderr


def test_shifted_traffic_raises_an_alert_that_ops_acknowledges(line, tmp_path):
    portal, people, _said = line
    pace = {"bucket_seconds": 5, "step_seconds": 5, "window_seconds": 30, "min_samples": 100}
    monitor = api(portal, people["otto"], "monitors/")["results"][0]
    api(portal, people["otto"], f"monitors/{monitor['id']}/", "PATCH", pace)
    luck = random.Random(2)
    rows = [{"months": luck.randint(60, 90), "fee": 180.0, "contract": "monthly"} for _row in range(300)]
    predict_until_up(people["sam"], rows, tmp_path)
    deadline = time.monotonic() + 120
    while not (found := people["otto"].does("alerts")):
        assert time.monotonic() < deadline
        time.sleep(1)
    assert people["otto"].tries("alerts", "--fail-on-open").returncode == 1
    alert = people["otto"].does("acknowledge", str(found[0]["id"]), "--comment", "Looking at it.")
    assert alert["acknowledged_by"] == "otto"
    assert people["sam"].tries("acknowledge", str(found[0]["id"])).returncode == 4


def api(portal, person, path, method="GET", body=None):
    request = urllib.request.Request(
        f"{portal.url}/api/v1/projects/churn/{path}",
        method=method,
        data=json.dumps(body).encode() if body else None,
        headers={
            "Authorization": f"Bearer {person.environment['MLPORTAL_TOKEN']}",
            "Content-Type": "application/json",
        },
    )
    with urllib.request.urlopen(request, timeout=30) as answer:
        return json.loads(answer.read())


@pytest.mark.parametrize(
    ("words", "code"),
    [
        (("dataset", "add", "/no/such/file.csv"), 6),
        (("train", "--dataset", "nothing", "--target", "left", "--algorithm", "dummy"), 5),
        (("train", "--dataset", "customers", "--target", "nobody", "--algorithm", "dummy"), 6),
        (("register", "999999", "--model", "churn"), 5),
        (("promote", "churn@99", "--reason", "A good reason."), 5),
        (("predict", "nothing", "--records", "/dev/null"), 6),
        (("runs", "--project", "elsewhere"), 5),
    ],
)
def test_exit_code_says_what_was_wrong(line, words, code):
    done = line[1]["sam"].tries(*words)
    assert (done.returncode, done.stdout) == (code, ""), done.stderr
    assert done.stderr.startswith("mlportal: ")


def test_unreadable_data_fails_the_waiting_command(line, tmp_path):
    file = tmp_path / "ragged.csv"
    file.write_text("a,b\n1,2\n3,4,5,6\n")
    done = line[1]["sam"].tries("dataset", "add", str(file), "--wait")
    assert done.returncode in (1, 6)
    assert "ragged" in done.stderr or "line" in done.stderr or "row" in done.stderr


def test_without_a_token_nothing_is_shown(line):
    portal = line[0]
    done = portal.command("runs", MLPORTAL_URL=portal.url, MLPORTAL_TOKEN="mlp_wrong", MLPORTAL_PROJECT="churn")
    assert (done.returncode, done.stdout) == (4, "")
