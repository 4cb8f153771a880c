"""Figures as tables in a real browser, without a portal: every number of a chart can be read."""

import json
from pathlib import Path

import pytest
from playwright.sync_api import expect

from experiments.views import standalone

pytestmark = [pytest.mark.e2e, pytest.mark.slow]
SCRIPTS = Path(__file__).parents[2] / "static" / "js"
PAGE = "<!doctype html><html lang=en><title>t</title><body><p id=live aria-live=polite></p></body></html>"
SHOW = """async (count) => {
  const { tableBox } = await import('/js/charts/figure-table.js');
  document.querySelector('.figuretable')?.remove();
  const rows = Array.from({ length: count }, (_, at) => ['auc', at, at / 2]);
  document.body.append(tableBox([['Series', 'Step', 'Value'], rows], 'AUC by step'));
}"""


@pytest.fixture
def page(chrome):
    made = chrome.new_page()
    made.route("**/js/**", lambda route: route.fulfill(path=SCRIPTS / route.request.url.partition("/js/")[2]))
    made.route("http://figures.invalid/", lambda route: route.fulfill(body=PAGE, content_type="text/html"))
    made.goto("http://figures.invalid/")
    yield made
    made.close()


def test_a_table_turns_to_the_last_point_of_its_chart(page):
    page.evaluate(SHOW, 1201)
    rows, words = page.locator("tbody tr"), page.locator(".figurepages span")
    back, on = page.get_by_role("button", name="Previous"), page.get_by_role("button", name="Next")
    expect(words).to_have_text("Points 1 to 500 of 1,201")
    for name, shown, count, last in (
        ("on", "Points 501 to 1,000 of 1,201", 500, "999"), ("on", "Points 1,001 to 1,201 of 1,201", 201, "1200"),
        ("on", "Points 1,001 to 1,201 of 1,201", 201, "1200"), ("back", "Points 501 to 1,000 of 1,201", 500, "999"),
    ):  # fmt: skip
        (on if name == "on" else back).click(force=True)
        expect(words).to_have_text(shown)
        expect(rows).to_have_count(count)
        expect(rows.last.locator("td").nth(1)).to_have_text(last)


def test_a_short_table_has_nothing_to_turn(page):
    page.evaluate(SHOW, 500)
    expect(page.locator("tbody tr")).to_have_count(500)
    expect(page.get_by_role("button")).to_have_count(0)


POINTS = {"x": [0, 1, 2], "y": [0.1, 0.2, 0.4], "total": 3}
CURVE = {
    "axis": "step", "metric": "auc", "labels": {"auc": "auc of 1 run"},
    "runs": [{"id": 1, "name": "1 first", "k": 3, "dash": 0, "metrics": {"auc": POINTS}}],
}  # fmt: skip


def test_a_file_of_charts_runs_without_a_portal_and_draws_what_nobody_scrolled_to(page):
    trouble = []
    page.on("pageerror", lambda error: trouble.append(error.message))
    above = {"kind": "text", "id": "b0", "text": "Hello\n\n" * 300}
    chart = {"kind": "chart", "id": "b1", "title": "Curves", "draws": "bundle", "chart": "curves", "data": CURVE}
    missing = {**chart, "id": "b2", "data": None, "problem": "Nothing here."}
    colours = [{"k": 3, "name": "1 first"}]
    page.set_content(
        standalone.page("Comparison", [above, {**chart, "colours": colours}, {**missing, "colours": colours}])
    )
    expect(page.get_by_role("heading", name="Comparison")).to_be_visible()
    expect(page.locator(".plot .scatterlayer path.js-line")).to_have_count(1)
    expect(page.locator(".legend")).to_have_count(1)  # none below a block that has no chart
    assert (page.evaluate("scrollY"), trouble) == (0, [])


TICKS = "each => [...each.querySelectorAll('.ytick text')].map((tick) => tick.textContent)"


@pytest.mark.parametrize(
    ("values", "straight", "log"),
    [
        ([1e-5, 2e-5, 4e-5], "0.00002", "0.00002"),
        ([2e-9, 4e-9, 8e-9], "4e\u22129", "5e\u22129"),
        ([0.99912, 0.99931, 0.99958], "0.9993", "0.9993"),
        ([21_000, 40_000, 62_000], "40,000", "50000"),
    ],
)
def test_ticks_of_values_of_any_size_are_told_apart(page, values, straight, log):
    runs = [{**CURVE["runs"][0], "metrics": {"auc": {**POINTS, "y": values}}}]
    block = {
        "kind": "chart",
        "chart": "curves",
        "id": "c1",
        "title": "C",
        "draws": "bundle",
        "data": {**CURVE, "runs": runs},
    }
    for scale, wanted in (("lin", straight), ("log", log)):
        page.set_content(standalone.page("Comparison", [{**block, "look": [("y", scale)]}]))
        expect(page.locator(".plot .scatterlayer path.js-line")).to_have_count(1)
        ticks = page.locator(".plot").evaluate(TICKS)
        assert len(set(ticks)) == len(ticks), ticks
        assert wanted in ticks, ticks


def test_curves_name_the_metric_that_the_server_chose(page):
    block = {"kind": "chart", "chart": "curves", "id": "c1", "title": "Metric curves", "draws": "bundle", "data": CURVE}
    page.set_content(standalone.page("Comparison", [block]))
    expect(page.get_by_role("heading", name="Metric curves auc")).to_be_visible()
    expect(page.locator(".plot .scatterlayer path.js-line")).to_have_count(1)


def test_a_report_draws_what_nobody_scrolled_to_and_names_its_runs(page):
    source = json.dumps({"data": CURVE, "colours": CURVE["runs"]})
    page.route("**/plotly.js", lambda route: route.fulfill(path=SCRIPTS.parent / "vendor" / "plotly-cartesian.min.js"))
    page.evaluate(
        """async (source) => {
          document.head.insertAdjacentHTML('beforeend', '<meta name="plotly-source" content="/plotly.js">');
          document.body.insertAdjacentHTML('beforeend', `<div style="height: 5000px"></div><figure><h2>Curves</h2>
            <div class="plot" style="height: 300px" data-chart="bundle" data-src="#d" data-part="data"></div></figure>
            <script type="application/json" id="d">${source}</script><p data-legend="#d"></p>
            <template id="marks"><svg class="mk k3"></svg></template>`);
          await import('/js/charts/report.js');
        }""",
        source,
    )
    expect(page.locator("[data-legend]")).to_have_text("1 first")
    expect(page.locator("[data-legend] svg.k3")).to_have_count(1)
    expect(page.locator(".plot .scatterlayer path.js-line")).to_have_count(1)
    assert page.evaluate("scrollY") == 0
