"""The whole line in a real browser, as four signed-in users: from a CSV to a second promotion request.

Every page on the way is looked at in both themes and both widths: no console error, no violation of the
content security policy, no axe finding, no sideways scrolling.
"""

import contextlib
import json
import random
import re
import time
import urllib.request

import pytest
from playwright.sync_api import Error, expect, sync_playwright
from sklearn.datasets import load_breast_cancer

from tests.e2e.browser import Person, launch
from tests.portal.running import running

pytestmark = [pytest.mark.e2e, pytest.mark.slow]

ROLES = {"sam": "scientist", "mona": "manager", "otto": "ops", "ada": "admin"}
SCOPES = {"sam": "read predict", "otto": "read alerts"}
# Shorter than the page offers, which starts at a minute: a test cannot wait for three windows of that.
PACE = {"bucket_seconds": 5, "step_seconds": 5, "window_seconds": 30, "min_samples": 100}
P = "/p/churn"


@pytest.fixture(scope="module")
def place(tmp_path_factory):
    """A running portal, its people with their passwords, and a table as a person would have it."""
    folder = tmp_path_factory.mktemp("line")
    with running(folder / "p") as portal:
        logins = portal.people("root", **{name: (role, SCOPES.get(name, "")) for name, role in ROLES.items()})
        bunch = load_breast_cancer(as_frame=True)
        frame = bunch.frame.rename(columns=lambda name: name.replace(" ", "_"))
        frame["diagnosis"] = frame.pop("target").map({0: "malignant", 1: "benign"})
        file = folder / "tumours.csv"
        frame.to_csv(file, index=False)
        yield portal, logins, file, frame


@pytest.fixture(scope="module")
def people(place):
    """A browser with one window a person, signed in when first used."""
    portal, logins, *_ = place
    with sync_playwright() as playwright:
        browser = launch(playwright)
        found: dict[str, Person] = {}

        def person(name: str) -> Person:
            if name not in found:
                found[name] = Person(browser, portal.url)
                found[name].sign_in(name, logins[name].password)
            return found[name]

        yield person
        browser.close()


def reload_until(person: Person, text: str, *, seconds: float = 180) -> None:
    """Wait for a word on a page that a worker changes."""
    end = time.monotonic() + seconds
    while not person.page.get_by_text(re.compile(text)).first.is_visible():
        assert time.monotonic() < end, f"{person.page.url} never said {text!r}:\n{person.page.inner_text('main')}"
        person.page.wait_for_timeout(1500)
        with contextlib.suppress(Error):  # the page may be loading itself anew at this moment
            person.page.reload()


def call(place, name: str, method: str, path: str, body: object = None) -> dict:
    """One REST call with a person's token."""
    portal, logins, *_ = place
    request = urllib.request.Request(
        f"{portal.url}/api/v1/projects/churn/{path}",
        data=json.dumps(body).encode() if body else None,
        method=method,
        headers={"Authorization": f"Bearer {logins[name].token}", "Content-Type": "application/json"},
    )
    with urllib.request.urlopen(request, timeout=60) as answer:
        return json.loads(answer.read())


def upload(person: Person, file) -> None:
    page = person.page
    person.go("/")
    person.look("home")
    person.go(f"{P}/")
    person.look("overview-empty")
    person.go(f"{P}/datasets/")
    person.look("datasets-empty")
    person.go(f"{P}/datasets/new/")
    person.look("dataset-new")
    page.get_by_label("Name").fill("tumours")
    page.locator("input[type=file]").set_input_files(file)
    page.get_by_role("button", name="Upload").click()
    page.wait_for_url("**/datasets/tumours/v/1/")
    reload_until(person, r"\b569\b")
    person.look("dataset-version")


def train(person: Person, algorithm: str) -> str:
    """Launch a training and wait for it; returns the address of its run."""
    page = person.page
    person.go(f"{P}/jobs/new/?dataset=tumours@1&algorithm={algorithm}&target=diagnosis")
    if page.get_by_label("Target", exact=True).input_value() != "diagnosis":
        page.get_by_label("Target", exact=True).select_option("diagnosis")
        page.get_by_role("button", name="Update the form").click()
    if page.get_by_label("Algorithm", exact=True).input_value() != algorithm:
        page.get_by_label("Algorithm", exact=True).select_option(algorithm)
        page.get_by_role("button", name="Update the form").click()
    page.get_by_label("Experiment").fill("tumours")
    page.get_by_label("Run name").fill(algorithm.replace("_", "-"))
    if algorithm == "dummy":
        person.look("job-new")
    page.get_by_role("button", name="Launch", exact=True).click()
    page.wait_for_url(re.compile(r"/jobs/\d+/$"))
    if algorithm == "dummy":
        person.look("job")
    reload_until(person, r"succeeded|finished")
    return page.locator(f"main a[href*='{P}/runs/']").first.get_attribute("href")


def compare(person: Person) -> None:
    page = person.page
    person.go(f"{P}/experiments/")
    person.look("experiments")
    person.go(f"{P}/experiments/tumours/")
    person.look("runs")
    for box in page.get_by_role("checkbox", name=re.compile(r"Select run \d+")).all():
        box.check()
    page.get_by_role("link", name="Compare").first.click()
    page.wait_for_url("**/compare/**")
    expect(page.locator(".js-plotly-plot").first).to_be_visible()
    person.look("compare")


def register_and_request(person: Person, run: str) -> str:
    """Register a run and ask for production; returns the address of the request."""
    page = person.page
    person.go(run)
    person.look("run")
    page.get_by_role("link", name="Register").first.click()
    person.look("model-register")
    page.get_by_label("Model", exact=True).fill("tumour")
    page.get_by_role("button", name="Register").click()
    page.wait_for_url("**/models/tumour/v/1/")
    person.look("model-version")
    page.get_by_label("Environment", exact=True).select_option(label="production")
    page.get_by_label("Why now").fill("The first model that sorts tumours; it beats the baseline on held-out patients.")
    page.get_by_role("button", name="Request promotion").click()
    page.wait_for_url(re.compile(r"/promotions/\d+/$"))
    expect(page.get_by_role("button", name="Approve")).to_have_count(0)
    return page.url.removeprefix(person.url)


def approve(person: Person, request: str) -> None:
    page = person.page
    person.go("/inbox/")
    person.look("inbox")
    person.go(request)
    reload_until(person, "seal [0-9a-f]{8}")
    person.look("promotion")
    for box in page.get_by_role("checkbox").all():
        box.check()
    page.get_by_role("button", name="Approve").first.click()
    expect(page.get_by_text(re.compile("[Aa]pproved")).first).to_be_visible()
    person.look("promotion-approved")


def try_endpoint(person: Person, row: dict) -> None:
    page = person.page
    person.go(f"{P}/deployments/")
    person.look("deployments")
    person.go(f"{P}/deployments/tumour-production/")
    page.get_by_label("Records").fill(json.dumps([row]))
    page.get_by_role("button", name="Predict").click()
    expect(page.get_by_text("Answered by tumour v1")).to_be_visible()
    person.look("deployment")
    person.go(f"{P}/models/")
    person.look("models")


def watch(person: Person, place) -> None:
    """Ops shortens the windows and lets a drift alert start a retraining."""
    page = person.page
    person.go(f"{P}/monitoring/rules/")
    person.look("rules")
    page.get_by_role("link", name="Change tumour-production").click()
    person.look("pace")
    page.get_by_label("Fewest requests").fill("100")
    page.get_by_role("button", name="Save").click()
    monitor = call(place, "otto", "GET", "monitors/")["results"][0]
    call(place, "otto", "PATCH", f"monitors/{monitor['id']}/", PACE)
    person.go(f"{P}/deployments/tumour-production/")
    page.get_by_label("Retrain when a drift alert fires").check()
    page.locator("section", has=page.get_by_role("heading", name="Retraining")).get_by_role(
        "button", name="Save"
    ).click()


def handle_alert(person: Person) -> None:
    page = person.page
    person.go(f"{P}/alerts/")
    reload_until(person, "drifted|PSI|[Dd]rift of", seconds=240)
    person.look("alerts")
    page.get_by_role("button", name=re.compile("Acknowledge")).first.click()
    expect(page.get_by_text(re.compile("[Aa]cknowledged")).first).to_be_visible()
    person.go(f"{P}/monitoring/")
    person.look("monitoring")


def test_line_from_a_csv_to_a_second_request(place, people):
    _portal, _logins, file, frame = place
    sam, mona, otto, ada = (people(name) for name in ROLES)
    upload(sam, file)
    train(sam, "dummy")
    train(sam, "random_forest")
    best = train(sam, "logistic_regression")
    compare(sam)
    request = register_and_request(sam, best)
    approve(mona, request)
    rows = frame.drop(columns="diagnosis").to_dict("records")
    try_endpoint(sam, rows[0])
    watch(otto, place)
    luck = random.Random(4)
    shifted = [{name: 3 * value for name, value in luck.choice(rows).items()} for _row in range(400)]
    answer = call(place, "sam", "POST", "endpoints/tumour-production/predict/", {"records": shifted})
    assert len(answer["predictions"]) == 400
    handle_alert(otto)
    sam.go(f"{P}/promotions/")
    reload_until(sam, r"v2", seconds=240)
    sam.look("promotions")
    ada.go(f"{P}/settings/audit/")
    expect(ada.page.get_by_text("promotion.approved").first).to_be_visible()
    for path in ("settings/", "settings/members/", "settings/policies/", "settings/audit/"):
        ada.go(f"{P}/{path}")
        ada.look(path.strip("/").replace("/", "-"))
    for path in ("", "jobs/"):
        sam.go(f"{P}/{path}")
        sam.look(path.strip("/") or "overview")
    trouble = [line for name in ROLES for line in people(name).trouble]
    assert trouble == [], "\n".join(trouble)
