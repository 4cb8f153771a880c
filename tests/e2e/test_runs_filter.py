"""The filter of the runs table at the keyboard: suggestions, chips, cells, saved views, comments."""

import re

import pytest
from playwright.sync_api import expect

pytestmark = [pytest.mark.e2e, pytest.mark.slow]
PAGE = "/p/filter/experiments/sweep/"


@pytest.fixture(scope="module")
def sam(sign_in):
    """A signed-in window in a project with four runs."""
    return sign_in("sam")


@pytest.fixture(autouse=True)
def no_trouble(sam):
    yield
    trouble, sam.trouble = sam.trouble, []
    assert not trouble


def shown(page):
    """Names of the runs in the table."""
    return page.locator("table.runs tbody th .trunc")


def test_a_filter_is_written_with_suggestions_alone(sam):
    sam.go(PAGE)
    page = sam.page
    expect(shown(page)).to_have_count(4)
    page.keyboard.press("/")
    field = page.locator("#q")
    expect(field).to_be_focused()
    expect(field).to_have_role("combobox")
    page.keyboard.type("solv")
    expect(page.get_by_role("option", name="solver")).to_be_visible()
    expect(field).to_have_attribute("aria-expanded", "true")
    page.keyboard.press("ArrowDown")
    expect(field).to_have_attribute("aria-activedescendant", "fc-0")
    page.keyboard.press("Enter")
    expect(page.get_by_role("option").first).to_contain_text("solver:")
    page.keyboard.type(":s")
    expect(page.get_by_role("option", name="saga")).to_be_visible()
    sam.look("filter-suggestions")
    field.focus()
    page.keyboard.press("ArrowDown")
    page.keyboard.press("Tab")
    expect(field).to_have_value(re.compile("solver:saga"))
    page.keyboard.press("Enter")
    expect(page.locator(".chip")).to_have_count(1)
    expect(shown(page)).to_have_count(2)


def test_a_choice_stays_when_later_suggestions_come(sam):
    sam.go(PAGE)
    page = sam.page
    field, held = page.locator("#q"), []

    def hold(route):
        held.append(route)

    field.focus()
    page.keyboard.type("sol")
    expect(page.get_by_role("option", name="solver")).to_be_visible()
    page.route("**/complete/**", hold)
    with page.expect_request("**/complete/**"):
        page.keyboard.type("v")
    page.keyboard.press("ArrowDown")
    expect(field).to_have_attribute("aria-activedescendant", "fc-0")
    page.locator("#fc-0").evaluate("item => item.classList.add('earlier')")
    held[0].continue_()
    page.unroute("**/complete/**")
    expect(page.locator("#fc-0:not(.earlier)")).to_be_visible()
    expect(field).to_have_attribute("aria-activedescendant", "fc-0")
    page.keyboard.press("Enter")
    expect(field).to_have_value("solver")


def test_chips_are_taken_back_and_put_where_they_were(sam):
    sam.go(f"{PAGE}?q=depth%3E0+solver:saga")
    page = sam.page
    field = page.locator("#q")
    field.focus()
    expect(field).to_have_role("combobox")
    expect(page.locator("td[tabindex='0']")).to_have_count(1)
    page.keyboard.press("Backspace")
    expect(field).to_have_value("solver:saga")
    expect(page.locator(".chip")).to_have_count(1)
    page.keyboard.press("Escape")
    expect(page.locator(".chip")).to_have_count(2)
    page.get_by_role("link", name="Edit filter depth>0").click()
    expect(field).to_have_value("depth>0")
    field.fill("depth>1")
    page.keyboard.press("Enter")
    expect(page.locator(".chip")).to_have_count(2)
    expect(shown(page)).to_have_count(1)


def test_a_wrong_word_is_marked_and_selected(sam):
    sam.go(f"{PAGE}?q=solver:saga")
    page = sam.page
    page.locator("#q").fill("state:gone")
    page.keyboard.press("Enter")
    expect(page.locator("#q-help mark")).to_have_text("gone")
    expect(shown(page)).to_have_count(2)
    sam.until("document.activeElement.selectionStart === 6 && document.activeElement.selectionEnd === 10")
    sam.look("filter-wrong")


def test_a_cell_filters_by_keyboard_alone(sam):
    sam.go(f"{PAGE}?cols=p~solver,p~depth")
    page = sam.page
    cell = page.locator("td[data-filter-text]", has_text="saga").first
    page.locator("#q").focus()
    page.locator("td[tabindex='0']").focus()
    page.keyboard.press("End")
    page.keyboard.press("Home")
    while cell.evaluate("each => each !== document.activeElement"):
        page.keyboard.press("ArrowDown")
    page.keyboard.press("Enter")
    expect(page.locator("#cellmenu")).to_be_visible()
    sam.look("cell-filter")
    expect(page.locator("#cellmenu a").first).to_be_focused()
    page.keyboard.press("ArrowDown")
    page.keyboard.press("Enter")
    expect(page.locator(".chip")).to_have_text(re.compile("-params.solver:saga"))
    expect(shown(page)).to_have_count(2)


def wide(page, key):
    """Pixels of a column."""
    return page.locator(f"th[data-c='{key}']").evaluate("head => head.offsetWidth")


def edge(page, key):
    """Where a head is dragged."""
    box = page.locator(f"th[data-c='{key}']").bounding_box()
    return box["x"] + box["width"] - 3, box["y"] + 10


def test_a_column_is_dragged_wider_and_kept_in_the_address(sam):
    sam.go(f"{PAGE}?cols=p~solver,p~depth,c~user")
    page = sam.page
    own, (x, y) = wide(page, "p~solver"), edge(page, "p~solver")
    page.mouse.move(x, y)
    page.mouse.down()
    page.mouse.move(x + 40, y)
    page.mouse.move(x + 150, y, steps=4)
    assert wide(page, "p~solver") == own + 150  # while it is dragged
    page.mouse.up()
    page.wait_for_url(re.compile(rf"cols={own + 150}p(~|%7E)solver"))
    assert wide(page, "p~solver") == own + 150
    sam.look("column-dragged")
    page.locator("th[data-c='p~solver'] .colbtn").press("Enter")
    for width in (own + 110, own + 70):
        page.get_by_role("button", name="Narrower").press("Enter")
        page.wait_for_url(re.compile(rf"cols={width}p"))
        sam.until(f"document.querySelector('th[data-c=\"p~solver\"]').offsetWidth === {width}")
    crowd = ",".join(f"300p~none-{at}" for at in range(9))  # more than there is room for
    sam.go(f"{PAGE}?cols=60p~solver,p~depth,200c~user,{crowd}")
    assert [wide(page, key) for key in ("p~solver", "c~user", "p~none-8")] == [60, 200, 300]
    sam.look("column-narrow")
    page.mouse.dblclick(*edge(page, "p~solver"))
    page.wait_for_url(re.compile(r"cols=p(~|%7E)solver"))


def test_columns_stay_with_a_selection_and_a_filter_that_follows(sam):
    sam.go(f"{PAGE}?cols=p~solver")
    page = sam.page
    page.get_by_label("Select run", exact=False).nth(1).check()
    page.locator("#colbtn").click()
    page.locator("#collist label", has_text="depth").click()
    expect(page.locator("th[data-c='p~depth']")).to_be_visible()
    expect(page.locator("#colpick")).to_be_visible()
    expect(page.locator("#selbar [data-n]")).to_have_text("1")
    expect(page.locator("td[tabindex='0']")).to_have_count(1)
    page.keyboard.press("Escape")
    page.locator("#q").fill("solver:saga")
    page.keyboard.press("Enter")
    expect(page.locator(".chip")).to_have_count(1)
    expect(page.locator("th[data-c='p~depth']")).to_be_visible()
    page.locator("th[data-c='p~depth'] .colbtn").press("Enter")
    page.get_by_role("button", name="Hide").press("Enter")
    expect(page.locator("th[data-c='p~depth']")).to_have_count(0)
    page.locator("#colbtn").click()
    expect(page.locator(".colshown li")).to_have_count(1)
    page.keyboard.press("Escape")
    page.go_back()
    expect(page.locator("th[data-c='p~depth']")).to_be_visible()


def test_a_view_is_saved_and_opened(sam):
    sam.go(f"{PAGE}?q=solver:saga")
    page = sam.page
    page.get_by_role("button", name="Save view").click()
    page.locator("#view-name").fill("Saga only")
    page.locator("#view-name").press("Enter")
    expect(page.get_by_role("link", name="Saga only")).to_have_attribute("aria-current", "page")
    page.get_by_role("button", name="This view").click()
    sam.look("view-menu")
    sam.go(f"{PAGE}?view=1")
    expect(shown(page)).to_have_count(2)


def test_a_comment_calls_a_member(sam):
    sam.go(PAGE)
    page = sam.page
    page.get_by_role("button", name="Star", exact=True).click()
    expect(page.get_by_role("button", name="Star", exact=True)).to_have_attribute("aria-pressed", "true")
    field = page.get_by_label("Add a comment")
    field.fill("")
    field.press_sequentially("hello @s")
    expect(page.get_by_role("option", name="sam")).to_be_visible()
    field.press("Enter")
    expect(field).to_have_value("hello @sam ")
    page.get_by_role("button", name="Comment", exact=True).click()
    expect(page.locator(".commentlist li")).to_have_count(1)
    sam.look("comments")
    sam.go("/")
    expect(page.get_by_role("link", name="sweep", exact=True)).to_be_visible()
