"""What the first view of a page costs the network, and whether it stands still (no times: see tests/benchmarks)."""

import pytest
from playwright.sync_api import expect

from tests.e2e.browser import SIZES, until

pytestmark = [pytest.mark.e2e, pytest.mark.slow]
PLAIN, CHARTED = (12, 140_000), (14, 620_000)
SHIFT = 0.02
PAGES = {
    "home": ("/", PLAIN), "overview": ("/p/lab/", PLAIN), "runs": ("/p/lab/experiments/everything/", PLAIN),
    "run": ("/p/churn/runs/{rich}/", CHARTED),
    "compare": ("/p/churn/experiments/curves/compare/?runs={curves}", CHARTED),
    "datasets": ("/p/lab/datasets/", PLAIN), "dataset": ("/p/lab/datasets/table-0001/v/1/", PLAIN),
    "promotion": ("/p/churn/promotions/{promotions}/", CHARTED), "alerts": ("/p/churn/alerts/", CHARTED),
    "deployment": ("/p/churn/deployments/churn-production/", PLAIN),
}  # fmt: skip
WATCH_SHIFTS = """
window.shifted = 0;
new PerformanceObserver((list) => {
  for (const each of list.getEntries()) if (!each.hadRecentInput) window.shifted += each.value;
}).observe({ type: 'layout-shift', buffered: true });
"""
DRAWN = """[...document.querySelectorAll('[data-chart], .pc')].every((each) =>
  each.ariaBusy !== 'true' || each.getBoundingClientRect().top >= innerHeight)"""
FONTS = "document.fonts.status === 'loaded'"
SHELL = "performance.getEntriesByType('resource').some((each) => each.name.includes('/shell/'))"


@pytest.fixture
def cold(chrome, person):
    """A window with the session and an empty cache, and what it fetched."""
    context = chrome.new_context(viewport=SIZES["desk"], storage_state=person.context.storage_state())
    context.add_init_script(WATCH_SHIFTS)
    page = context.new_page()
    wire = context.new_cdp_session(page)
    wire.send("Network.enable")
    names: dict[str, str] = {}
    sizes: dict[str, int] = {}  # by address: the mark of the product is its icon as well, and fetched once

    def begun(sent: dict) -> None:
        url = sent["request"]["url"]
        if not url.startswith("data:"):
            names[sent["requestId"]] = url
            sizes.setdefault(url, 0)

    def ended(got: dict) -> None:
        if got["requestId"] in names:
            sizes[names[got["requestId"]]] += int(got["encodedDataLength"])

    wire.on("Network.requestWillBeSent", begun)
    wire.on("Network.loadingFinished", ended)
    yield page, sizes
    context.close()


@pytest.mark.parametrize("name", PAGES)
def test_first_view(cold, person, stage, name):
    page, sizes = cold
    path, (most_requests, most_bytes) = PAGES[name]
    answer = page.goto(person.url + path.format_map(stage.values), wait_until="load")
    assert answer.ok, answer.status
    expect(page.get_by_role("heading", level=1)).to_be_visible()
    for truth in (DRAWN, FONTS, SHELL):
        until(page, truth)
    listed = "\n".join(f"{size:8} {url}" for url, size in sizes.items())
    assert len(sizes) <= most_requests, listed
    assert sum(sizes.values()) <= most_bytes, listed
    assert page.evaluate("shifted") <= SHIFT
