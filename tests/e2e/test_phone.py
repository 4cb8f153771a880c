"""A phone with fingers: targets of 44 px, nothing to the side, and the main action within reach."""

import pytest
from playwright.sync_api import expect

from tests.e2e.browser import SIZES, Person

pytestmark = [pytest.mark.e2e, pytest.mark.slow]
PAGES = {
    "home": "/", "inbox": "/inbox/", "overview": "/p/lab/", "run": "/p/churn/runs/{rich}/",
    "runs": "/p/lab/experiments/everything/?q=depth%3E2", "alerts": "/p/churn/alerts/",
    "alert": "/p/churn/alerts/{drifted}/", "promotion": "/p/churn/promotions/{promotions}/",
    "datasets": "/p/lab/datasets/", "dataset": "/p/churn/datasets/people/v/1/", "job": "/p/churn/jobs/{jobs}/",
    "trained": "/p/churn/runs/{trained}/", "compare": "/p/churn/experiments/curves/compare/?runs={curves}",
}  # fmt: skip
SMALL = """() => [...document.querySelectorAll(
  "button, .btn, .iconbtn, select, .tabs a, .seg label, .menu a, input:not([type=checkbox],[type=radio],[type=range])")]
  .filter((each) => each.checkVisibility({ opacityProperty: true, visibilityProperty: true }))
  .map((each) => [each, each.getBoundingClientRect()])
  .filter(([each, box]) => box.width > 2 && box.height < 43.5)
  .map(([each, box]) => `${Math.round(box.height)} px: ${each.outerHTML.slice(0, 120)}`)"""


@pytest.fixture(scope="module")
def finger(chrome, everyone):
    """A phone with the session of everyone."""
    phone = Person(chrome, everyone.url)
    phone.context.close()
    phone.context = chrome.new_context(
        viewport=SIZES["phone"], has_touch=True, is_mobile=True, reduced_motion="reduce",
        storage_state=everyone.context.storage_state(),
    )  # fmt: skip
    phone.page = phone.context.new_page()
    yield phone
    phone.close()


@pytest.mark.parametrize("name", PAGES)
def test_what_is_pressed_is_44_px_high_and_nothing_scrolls_sideways(finger, stage, name):
    finger.trouble.clear()
    finger.go(PAGES[name].format_map(stage.values))
    expect(finger.page.locator("h1")).to_be_visible()
    finger._no_sideways(name)
    assert finger.trouble == []
    assert finger.page.evaluate(SMALL) == []


@pytest.mark.parametrize(
    ("name", "bar"), [("trained", ".runactions"), ("alert", ".actionbar"), ("promotion", ".actionbar")]
)
def test_the_main_action_is_in_a_bar_at_the_bottom(finger, stage, name, bar):
    finger.go(PAGES[name].format_map(stage.values))
    shown = finger.page.locator(bar)
    expect(shown).to_be_visible()
    for share in (0, 0.5, 1):
        finger.page.evaluate(f"scrollTo(0, {share} * document.documentElement.scrollHeight)")
        box = shown.bounding_box()
        assert box["y"] + box["height"] == pytest.approx(SIZES["phone"]["height"], abs=1)


def test_the_tab_of_the_page_is_in_sight(finger):
    """Ten tabs of settings do not fit beside each other."""
    finger.go("/p/churn/settings/environments/")
    tab = finger.page.locator(".tabs [aria-current='page']")
    expect(tab).to_have_text("Environments")
    expect(tab).to_be_in_viewport(ratio=0.9)  # the line below the tabs covers a pixel


def test_the_newest_end_of_the_drift_map_is_in_sight(finger):
    finger.go("/p/churn/monitoring/?endpoint=a-drifted&range=30d")
    expect(finger.page.locator(".heat")).to_be_visible()
    whole, seen, left = finger.page.evaluate(
        "(map => [map.scrollWidth, map.clientWidth, map.scrollLeft])(document.querySelector('.heat').parentElement)"
    )
    assert whole > seen
    assert left + seen == pytest.approx(whole, abs=1)


def test_nothing_moves_for_who_wants_no_motion(finger):
    """No colour fades: thousands of cells that each fade for a hundredth of a millisecond hold a page for seconds."""
    finger.go("/")
    dark = "document.documentElement.dataset.theme = 'dark'"
    before = finger.page.evaluate("getComputedStyle(document.body).color")
    moving, after = finger.page.evaluate(
        f"({dark}, [document.getAnimations().length, getComputedStyle(document.body).color])"
    )
    assert (moving, after != before) == (0, True)
