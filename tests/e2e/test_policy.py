"""Journey M5: a policy is edited, back-tested and activated in three clicks, and the form works at the keyboard."""

import re

import pytest
from playwright.sync_api import expect

pytestmark = [pytest.mark.e2e, pytest.mark.slow]
PAGES = "/p/policy/settings/policies/"


@pytest.fixture(scope="module")
def ada(sign_in):
    """A signed-in admin of a project with one registered version, so with environments."""
    return sign_in("policy-admin")


@pytest.fixture(autouse=True)
def no_trouble(ada):
    yield
    trouble, ada.trouble = ada.trouble, []
    assert not trouble


def test_edit_backtest_activate_in_three_clicks(ada):
    page, clicks = ada.page, []

    def click(name, role="button"):
        clicks.append(name)
        page.get_by_role(role, name=name, exact=True).click()

    ada.go(PAGES)
    ada.look("policy-list")
    click("Edit production", "link")
    page.get_by_label("People needed").fill("2")
    click("Back-test")
    expect(page.get_by_text("No live model stops complying.")).to_be_visible(timeout=60_000)
    expect(page.get_by_text("2 manager; was 1 manager")).to_be_visible()
    ada.look("policy-draft")
    click("Activate")
    expect(page.get_by_text("The new rules are in force.")).to_be_visible()
    assert clicks == ["Edit production", "Back-test", "Activate"]
    ada.go(f"{PAGES}production/")
    expect(page.get_by_role("row", name=re.compile("Version 2.*in force"))).to_be_visible()
    ada.look("policy-history")


def test_gates_are_added_moved_and_removed_in_place(ada):
    page = ada.page
    ada.go(f"{PAGES}staging/edit/")
    gates = page.locator("fieldset.gaterow legend").filter(has_text="Gate ")
    before = gates.count()
    page.get_by_label("Another gate").select_option(label="Gap between groups")
    page.get_by_role("button", name="Add gate").click()
    expect(gates).to_have_count(before + 1)
    page.get_by_label("Column", exact=True).fill("region")
    page.get_by_role("button", name="Move Gap between groups up").press("Enter")
    expect(gates.nth(before - 1)).to_contain_text("Gap between groups")
    expect(page.get_by_role("button", name="Move Gap between groups up")).to_be_focused()
    expect(page.get_by_label("Column", exact=True)).to_have_value("region")
    ada.look("policy-edit")
    page.get_by_role("button", name="Remove Run finished").click()
    expect(gates).to_have_count(before)
    ada.expected.add(422)
    page.get_by_label("People needed").fill("many")
    page.get_by_role("button", name="Save draft", exact=True).last.click()
    expect(page.get_by_role("alert")).to_contain_text("Step 1: needed must be a whole number from 1 to 9")
