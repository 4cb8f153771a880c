"""Who is on duty sees all of it at once."""

import pytest

pytestmark = [pytest.mark.e2e, pytest.mark.slow]


def test_the_morning_page_is_one_screen(person):
    person.page.set_viewport_size({"width": 1440, "height": 900})
    person.go("/ops/")
    full = person.page.evaluate(
        "Math.max(...[...document.querySelectorAll('#ops .box ul')].map((u) => u.children.length))"
    )
    assert full == 5  # as many lines as a box shows
    assert person.page.evaluate("document.documentElement.scrollHeight") <= 900
