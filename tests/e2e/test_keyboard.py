"""Shortcuts: what each key does on the pages, that it is silent inside inputs, and that focus is never covered."""

import re

import pytest
from playwright.sync_api import expect

pytestmark = [pytest.mark.e2e, pytest.mark.slow]
RUNS = "/p/lab/experiments/everything/"
SECTIONS = {
    "o": "", "d": "datasets/", "e": "experiments/", "j": "jobs/", "r": "models/", "p": "deployments/",
    "m": "monitoring/", "a": "alerts/",
}  # fmt: skip
FOCUS_IS_SEEN = """(() => {
  const at = document.activeElement.getBoundingClientRect();
  const top = document.elementFromPoint(at.left + at.width / 2, at.top + at.height / 2);
  return document.activeElement.contains(top) || top.contains(document.activeElement) && top.matches('td, th, tr');
})()"""


def box(person, number: int):
    """The checkbox of a row of the table, counted from one."""
    return person.page.locator(f"table.runs tbody tr:nth-of-type({number}) input[type=checkbox]")


def test_g_and_a_letter_goes_to_a_section(person):
    person.go("/p/lab/trash/")
    for key, path in SECTIONS.items():
        person.page.keyboard.press("g")
        person.page.keyboard.press(key)
        person.page.wait_for_url(f"{person.url}/p/lab/{path}")


def test_rows_are_walked_selected_compared_and_opened(person):
    person.go(RUNS)
    page = person.page
    page.keyboard.press("j")
    expect(box(person, 1)).to_be_focused()
    page.keyboard.press("x")
    expect(box(person, 1)).to_be_checked()
    page.keyboard.press("j")
    page.keyboard.press("j")
    page.keyboard.press("k")
    expect(box(person, 2)).to_be_focused()
    page.keyboard.press("x")
    expect(page.locator("#selbar [data-n]")).to_have_text("2")
    page.keyboard.press("Escape")
    expect(page.locator("#selbar")).not_to_be_visible()
    expect(box(person, 1)).not_to_be_checked()
    for number in (1, 2):
        box(person, number).focus()
        page.keyboard.press("x")
    page.keyboard.press("c")
    page.wait_for_url("**/compare/?runs=*")
    person.go(RUNS)
    page.keyboard.press("j")
    number = box(person, 1).input_value()
    page.keyboard.press("Enter")
    page.wait_for_url(f"**/runs/{number}/")


def test_focus_is_never_behind_what_sticks(person):
    person.go(RUNS)
    page = person.page
    for key, times in (("j", 40), ("k", 25)):
        for _ in range(times):
            page.keyboard.press(key)
    expect(box(person, 15)).to_be_focused()
    person.until(FOCUS_IS_SEEN)


def test_filter_list_of_keys_and_palette(person):
    person.go(RUNS)
    page = person.page
    page.keyboard.press("/")
    expect(page.locator("#q")).to_be_focused()
    page.keyboard.type("g?jxc/")
    expect(page.locator("#q")).to_have_value("g?jxc/")
    expect(page.locator("#keys")).not_to_be_visible()
    page.locator("#q").fill("")
    page.locator("#q").blur()
    page.keyboard.press("?")
    expect(page.get_by_role("dialog", name="Keyboard shortcuts")).to_be_visible()
    page.keyboard.press("g")
    page.keyboard.press("a")
    page.keyboard.press("Escape")
    expect(page.locator("#keys")).not_to_be_visible()
    assert page.url.startswith(person.url + RUNS)  # keys of the page sleep while a dialog is open
    page.keyboard.press("Control+k")
    palette = page.get_by_role("dialog", name="Search or jump to")
    expect(palette.get_by_role("combobox")).to_be_focused()
    page.keyboard.type("everything")
    expect(palette.get_by_role("option", name=re.compile("everything")).first).to_be_visible()
    page.keyboard.press("Enter")
    page.wait_for_url("**/experiments/everything/")


def test_the_palette_opens_from_inside_a_field(person):
    person.go(RUNS)
    person.page.locator("#q").focus()
    person.page.keyboard.press("Control+k")
    expect(person.page.get_by_role("dialog", name="Search or jump to")).to_be_visible()
    person.page.keyboard.press("Escape")
    expect(person.page.locator("#q")).to_be_focused()


def test_no_single_key_fires_inside_a_field(person):
    """Every kind of field: a text area, a choice, a number, and a search."""
    for path, label in (
        ("/p/lab/jobs/new/?dataset=table-0001@1", "Algorithm"), ("/p/lab/jobs/new/?dataset=table-0001@1", "Run name"),
        ("/p/churn/runs/1/", "Add a comment"), ("/p/lab/datasets/", "Filter datasets"),
    ):  # fmt: skip
        person.go(path)
        before = person.page.url
        person.page.get_by_label(label).and_(person.page.locator("input, select, textarea")).first.focus()
        for key in ("g", "a", "g", "e", "?", "j", "x", "c"):
            person.page.keyboard.press(key)
        assert person.page.url == before, label
        expect(person.page.locator("#keys")).not_to_be_visible()


def test_alerts_have_keys_of_their_own(person):
    person.go("/p/churn/alerts/")
    page = person.page
    page.keyboard.press("j")
    expect(page.locator(".list li > a").nth(1)).to_be_focused()
    page.keyboard.press("k")
    expect(page.locator(".list li > a").first).to_be_focused()
    page.keyboard.press("s")
    expect(page.get_by_role("group", name="Silence this alert")).to_be_visible()
    page.keyboard.press("Escape")
    page.keyboard.press("a")
    expect(page.get_by_text(re.compile("Acknowledged by everyone")).first).to_be_visible()


def test_single_keys_can_be_switched_off(person):
    person.go("/p/lab/experiments/")
    person.page.evaluate("document.documentElement.dataset.shortcuts = 'off'")
    person.page.keyboard.press("?")
    person.page.keyboard.press("Control+k")
    expect(person.page.get_by_role("dialog", name="Search or jump to")).to_be_visible()
    expect(person.page.locator("#keys")).not_to_be_visible()
