"""Viewers of artifacts, with real files: what a person sees, and what a file cannot do."""

import pytest
from playwright.sync_api import expect

pytestmark = [pytest.mark.e2e, pytest.mark.slow]


@pytest.fixture
def show(person, stage):
    """Open a file of the run that has one for each viewer."""

    def opened(path: str):
        person.go(f"/p/churn/runs/{stage.values['rich']}/artifacts/{path}")
        return person.page

    opened.person = person
    return opened


def test_an_image_is_drawn(show):
    show("plots/lift.png")
    show.person.until("document.querySelector('img.look').naturalWidth === 40")


def test_json_is_a_tree_that_opens(show):
    page = show("settings.json")
    tree = page.get_by_role("group", name="Content of settings.json, scrollable")
    expect(tree).to_contain_text("depth")


def test_html_is_shown_in_a_frame_that_runs_nothing(show):
    page = show("report.html")
    frame = page.frame_locator("iframe.look")
    expect(frame.get_by_role("heading", name="Lift by decile")).to_be_visible()
    assert page.locator("iframe.look").get_attribute("sandbox") == ""
    inside = next(each for each in page.frames if "as=frame" in each.url)
    assert inside.title() == "report"  # its script would have written "ran"
    assert all("Blocked script execution" in line for line in show.person.trouble)  # the browser says that it did not
    show.person.trouble.clear()


def test_a_pdf_is_handed_to_the_browsers_own_viewer(show):
    page = show("plots/lift.png")
    with page.expect_response(lambda response: "as=pdf" in response.url) as asked:
        show("report.pdf")
    expect(page.locator("iframe.look")).to_be_visible()
    assert (asked.value.status, asked.value.headers["content-type"]) == (200, "application/pdf")


@pytest.mark.parametrize(("path", "text"), [("table.csv", "2"), ("table.parquet", "2.75")])
def test_tables_are_tables(show, path, text):
    expect(show(path).get_by_role("cell", name=text, exact=True).first).to_be_visible()


def test_markdown_and_text_are_read(show):
    expect(show("README.md").get_by_role("heading", name="Lift")).to_be_visible()
    expect(show("notes.txt").get_by_text("one line")).to_be_visible()
