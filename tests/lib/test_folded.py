"""Long values side by side."""

import pytest

from mlportal.lib.folded import MOST, folded, part_of

SAME = "column," * 100


def test_a_short_value_stands_as_it_is_and_is_escaped_by_the_template():
    assert folded("gbdt", ["gbdt", "dart"]) == "gbdt"
    assert folded(None) == "–"


@pytest.mark.parametrize(
    ("value", "beside", "part"),
    [
        (SAME + "alpha", SAME + "beta", "n,alpha"),
        (SAME, SAME + "extra", "column,"),
        ("start" + SAME, "other" + SAME, "startcolumn"),
    ],
)
def test_a_long_value_shows_where_it_begins_to_differ(value, beside, part):
    shown = part_of(value, [value, beside])
    assert part in shown.strip("…")
    assert shown != part_of(beside, [value, beside])
    assert len(shown) <= MOST + 2


def test_it_opens_to_the_whole_value_as_text():
    html = folded("<b>" + SAME, {"cells": [{"value": None}, {"value": "<b>" + SAME}]})
    assert f">&lt;b&gt;{SAME}</div></details>" in html
    assert "<summary>&lt;b&gt;column," in html
