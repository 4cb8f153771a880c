"""Viewers of artifacts and charts of runs, with real files: what a person sees, and what a file cannot do."""

import re

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


DRAWN = "document.querySelector({0!r})?.ariaBusy !== 'true' && document.querySelector({0!r} + ' svg') !== null"
FIRST = ".plot[data-zoom]"


@pytest.fixture
def compared(person, stage):
    """Three runs side by side, with the first chart drawn."""
    person.go(f"/p/churn/experiments/curves/compare/?runs={stage.values['curves']}")
    person.until(DRAWN.format(FIRST))
    return person.page


def test_a_chart_is_kept_as_a_picture(compared):
    figure = compared.locator("figure", has=compared.locator(FIRST)).first
    for act, begins in (("png", b"\x89PNG"), ("svg", b"<svg")):
        with compared.expect_download() as kept:
            figure.locator(f"[data-figure-act='{act}']").dispatch_event("click")
        assert kept.value.path().read_bytes().startswith(begins)


def test_the_axis_is_logarithmic_the_curve_smooth_and_a_zoom_asks_the_server(compared, person):
    controls = compared.get_by_role("form", name="Chart controls")
    controls.get_by_text("Log", exact=True).click()
    person.until(f"document.querySelector('{FIRST}').layout.yaxis.type === 'log'")
    before = compared.evaluate(f"document.querySelector('{FIRST}').data.length")
    controls.get_by_label("Smoothing").fill("50")
    person.until(f"document.querySelector('{FIRST}').data.length > {before}")  # what was logged stays, pale
    with compared.expect_response(lambda answer: "from=" in answer.url) as asked:
        compared.locator("figure", has=compared.locator(FIRST)).first.locator("[data-figure-act='in']").dispatch_event(
            "click"
        )
    steps = asked.value.json()["runs"][0]["metrics"]["auc"]["x"]
    assert 0 < len(steps) < 40


def test_what_says_how_good_a_classifier_is_is_drawn(compared, person):
    for name in ("ROC", "Precision and recall", "Calibration"):
        plot = compared.locator("figure, section").filter(has=compared.get_by_role("heading", name=name)).last
        plot.scroll_into_view_if_needed()
        expect(plot.locator(".plot").first.locator("svg").first).to_be_visible()
    expect(compared.get_by_role("table").filter(has_text="yes").first).to_be_visible()


def test_a_range_on_an_axis_keeps_runs_and_becomes_the_filter(person):
    person.go("/p/lab/experiments/everything/compare/?q=metrics.auc+%3E%3D+0")
    page = person.page
    axis = page.locator(".pc svg rect[cursor='ns-resize']").first
    axis.scroll_into_view_if_needed()
    box = axis.bounding_box()
    across = box["x"] + box["width"] / 2
    page.mouse.move(across, box["y"] + 8)
    page.mouse.down()
    page.mouse.move(across, box["y"] + box["height"] / 2, steps=4)
    page.mouse.up()
    kept = page.locator("#pc-n")
    expect(kept).to_have_text(re.compile(r"^\d+ of \d+ runs$"))
    some, every = (int(word) for word in re.findall(r"\d+", kept.inner_text()))
    assert some < every
    page.get_by_role("button", name="Compare what is kept").click()
    page.wait_for_url(re.compile(r"[?&]q=.+params"))
    expect(page.locator("#pc-n")).to_have_text(f"{some} runs")


def test_all_runs_of_a_filter_are_selected_over_the_pages(person):
    person.go("/p/lab/experiments/everything/?q=depth%3E%3D5")
    page = person.page
    page.get_by_role("checkbox", name="Select all runs on this page").check()
    chosen = page.get_by_role("region", name="Actions for selected runs")
    expect(chosen.locator("[data-n]")).to_have_text(str(page.locator("tbody input[type=checkbox]:checked").count()))
    every = chosen.get_by_role("link", name=re.compile(r"^Select all \d+$"))
    total = every.inner_text().split()[-1]
    every.click()
    expect(chosen.locator("[data-n]")).to_have_text(total)
    chosen.get_by_role("link", name="Compare").click()
    expect(page.locator("#pc-n")).to_have_text(f"{total} runs")
