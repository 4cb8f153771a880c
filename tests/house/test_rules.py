"""Each rule of four eyes has a test of its name; ``make mutants`` proves that the test misses the rule."""

import re
from pathlib import Path

import pytest

from tests.house.rules import RULES

ROOT = Path(__file__).resolve().parent.parent.parent


def test_every_rule_is_listed():
    assert list(RULES) == [f"E{number}" for number in range(1, 15)]


@pytest.mark.parametrize("name", RULES)
def test_a_rule_has_a_line_and_a_test(name):
    rule = RULES[name]
    assert (ROOT / rule.file).read_text().count(rule.line) == 1, f"{rule.file} does not hold {rule.line!r} once"
    assert re.search(rf"def test_(?:\w+_)?{name.lower()}_", (ROOT / rule.tests).read_text()), f"no test of {name}"
