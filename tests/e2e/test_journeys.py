"""The journeys of a data scientist and of ops, counted: with the mouse, every click, and by keyboard alone.

The limits are the product's promise; typing is free. The journey "tune and register" waits for tuning to exist.
"""

import re
import secrets

import pytest
from playwright.sync_api import FilePayload, Locator, Page, expect

from tests.e2e.browser import Person
from tests.factories.projects import PASSWORD
from tests.portal.running import wait_until
from tests.serve.harness import RECORD

pytestmark = [pytest.mark.e2e, pytest.mark.slow]
ROWS = [f"{at % 7},{at % 5 * 1.5},{'yes' if at % 7 + at % 5 > 5 else 'no'}" for at in range(120)]
TABLE = "\n".join(["visits,spend,churned", *ROWS]).encode()
MOST_TABS = 150


class Mouse:
    """Clicks, and counts them."""

    def __init__(self, page: Page, limit: int) -> None:
        self.page, self.limit, self.clicks = page, limit, 0

    def press(self, what: Locator) -> None:
        """One click."""
        self.clicks += 1
        assert self.clicks <= self.limit, f"click {self.clicks} of {self.limit} on {what}"
        what.click()

    def write(self, where: Locator, text: str) -> None:
        """Typing is free."""
        where.fill(text)

    def attach(self, where: Locator, file: FilePayload) -> None:
        """Drop a file on its field."""
        where.set_input_files(file)


class Keyboard:
    """Goes through the page with the Tab key and never touches the mouse."""

    def __init__(self, page: Page, _limit: int) -> None:
        self.page = page
        # From here on windows of files are caught: asked for as late as the key, Enter may open one that nobody sees.
        page.on("filechooser", lambda _chooser: None)

    def reach(self, what: Locator) -> None:
        """Press Tab until it has the focus."""
        expect(what).to_be_visible()
        for _ in range(MOST_TABS):
            if what.evaluate("each => each === document.activeElement"):
                return
            self.page.keyboard.press("Tab")
        raise AssertionError(f"{MOST_TABS} times Tab do not reach {what}")

    def press(self, what: Locator) -> None:
        """Reach it and press Enter."""
        self.reach(what)
        self.page.keyboard.press("Enter")

    def write(self, where: Locator, text: str) -> None:
        """Reach it and type."""
        self.reach(where)
        self.page.keyboard.press("Control+a")
        self.page.keyboard.type(text)

    def attach(self, where: Locator, file: FilePayload) -> None:
        """Reach the field and choose the file in the window that Enter opens."""
        self.reach(where)
        with self.page.expect_file_chooser() as chooser:
            self.page.keyboard.press("Enter")
        chooser.value.set_files(file)


@pytest.fixture(params=[Mouse, Keyboard], ids=["mouse", "keyboard"])
def hands(request):
    return request.param


def test_from_data_to_a_compared_model_in_six_clicks(person, hands):
    page, name = person.page, f"visits-{secrets.token_hex(4)}"
    person.go("/")
    by = hands(page, 6)
    by.press(page.locator("main").get_by_role("link", name="Lab", exact=True))
    by.press(page.get_by_role("link", name="Add data"))
    by.write(page.get_by_label("Name"), name)
    by.attach(page.get_by_label("File", exact=True), {"name": "v.csv", "mimeType": "text/csv", "buffer": TABLE})
    by.press(page.get_by_role("button", name="Upload"))
    page.wait_for_url(f"**/datasets/{name}/v/1/")
    expect(page.get_by_role("link", name="Train on this")).to_be_visible(timeout=120_000)
    by.press(page.get_by_role("link", name="Train on this"))
    expect(page.get_by_label("Target", exact=True)).to_have_value("churned")  # nobody had to choose it
    by.press(page.get_by_role("button", name="Launch", exact=True))
    page.wait_for_url(re.compile(r"/jobs/\d+/$"))
    compare = page.get_by_role("link", name=re.compile(r"Compare with \d+"))
    expect(compare).to_be_visible(timeout=180_000)  # the page renews itself
    by.press(compare)
    page.wait_for_url("**/compare/**")
    expect(page.get_by_role("region", name="Runs in this comparison").get_by_role("listitem")).to_have_count(2)


def test_a_run_is_cloned_with_a_change_in_two_clicks(person, stage, hands):
    page, run = person.page, stage.values["trained"]
    person.go(f"/p/churn/runs/{run}/")
    by = hands(page, 2)
    by.press(page.get_by_role("link", name="Clone"))
    page.wait_for_url(f"**/jobs/new/?from=run:{run}")
    by.write(page.get_by_label("Seed"), "11")
    page.keyboard.press("Tab")
    changed = page.get_by_role("complementary", name="Summary").locator(".diffl")
    expect(changed).to_contain_text("11")  # what differs is shown before it starts
    by.press(page.get_by_role("button", name="Launch", exact=True))
    page.wait_for_url(re.compile(r"/jobs/\d+/$"))
    expect(page.get_by_role("region", name=f"Changed from run {run}")).to_contain_text("11")
    token = {"Authorization": f"Bearer {stage.values['token']}"}
    job = f"{person.url}/api/v1/projects/churn/jobs/{page.url.split('/')[-2]}/"
    person.go(f"/p/churn/runs/{person.context.request.get(job, headers=token).json()['run']}/")
    region = page.get_by_role("region", name=f"Changed from {run}", exact=True)
    expect(region.get_by_role("row").filter(has_text="seed").get_by_role("cell").last).to_have_text("11")


def test_200_runs_are_compared_and_shared_in_six_clicks(person, chrome, hands):
    page, name = person.page, f"good ones {secrets.token_hex(4)}"
    person.go("/")
    by = hands(page, 6)
    by.press(page.locator("main").get_by_role("link", name="Lab", exact=True))
    by.press(page.get_by_role("link", name="Runs", exact=True))
    by.press(page.get_by_role("link", name="everything", exact=True))
    page.wait_for_url("**/experiments/everything/")
    page.keyboard.press("/")
    page.keyboard.type("depth>=5")
    page.keyboard.press("Enter")
    expect(page.locator(".chip")).to_have_count(1)
    by.press(page.get_by_role("link", name="Charts"))
    page.wait_for_url("**/compare/?q=*")
    expect(page.locator("#pc-n")).to_have_text(re.compile(r"2\d\d runs"))
    by.press(page.get_by_role("button", name="Save view"))
    by.write(page.get_by_label("Name", exact=True), name)
    by.press(page.get_by_role("dialog", name="Save view").get_by_role("button", name="Save"))
    expect(page.get_by_role("link", name=name)).to_have_attribute("aria-current", "page")
    other = Person(chrome, person.url)
    other.sign_in("site", PASSWORD)
    other.page.goto(page.url, timeout=60_000)  # the address is all that is shared
    expect(other.page.locator("#pc-n")).to_have_text(page.locator("#pc-n").inner_text())
    assert other.trouble == []
    other.close()


def test_from_an_alert_to_the_version_before_in_four_clicks(person, stage):
    page, base = person.page, "/p/ward"
    call = person.context.request
    asked = {"data": {"records": [RECORD]}, "headers": {"Authorization": f"Bearer {stage.values['token']}"}}

    def version() -> int | None:
        address = f"{person.url}/api/v1/projects/ward/endpoints/churn-production/predict/"
        return call.post(address, **asked).json().get("version")

    wait_until(lambda: version() == 2, what="the second version answers")
    person.go(f"{base}/")
    by = Mouse(page, 4)
    by.press(page.get_by_role("navigation").get_by_role("link", name=re.compile("^Alerts")).first)
    by.press(page.locator("main").get_by_role("link", name=re.compile("Half of the requests fail")))
    page.wait_for_url(f"**/alerts/{stage.values['failing']}/")
    person.look("alert-to-roll-back")
    by.press(page.get_by_role("button", name="Roll back to v1"))
    asking = page.get_by_role("dialog", name="Roll back?")
    expect(asking.get_by_label("Reason")).to_have_value(
        f"Alert {stage.values['failing']}: Half of the requests fail"
    )  # nobody had to type it
    by.press(asking.get_by_role("button", name="Roll back"))
    page.wait_for_url("**/deployments/churn-production/")
    wait_until(lambda: version() == 1, what="the version before answers")
    assert by.clicks == 4
