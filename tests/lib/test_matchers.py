"""Label matchers: read, refused, and never slow."""

import time

import pytest

from mlportal.lib import matchers
from mlportal.lib.errors import Invalid

LABELS = {"endpoint": "churn-production", "severity": "critical", "kind": "drift"}


@pytest.mark.parametrize(
    ("line", "holds"),
    [
        ("", True),
        ("endpoint=churn-production", True),
        ('{endpoint="churn-production", severity="critical"}', True),
        ("endpoint=other", False),
        ("severity!=low", True),
        ("team!=ops", True),
        ("team=", True),
        ("endpoint=~churn-.*", True),
        ("endpoint=~.*-staging|.*-production", True),
        ("endpoint=~churn", False),
        ("endpoint!~churn.*", False),
        ("kind=~drift|quality, severity=critical", True),
        ("endpoint=~a.*a", False),
    ],
)
def test_line_holds_for_labels(line, holds):
    assert matchers.hold(matchers.line(line), LABELS) is holds


@pytest.mark.parametrize(
    "line", ["endpoint", "=x", "a b=c", "kind=~(a+)+", "kind=~[a]", "a=b," * 21, "x=" + "y" * 600, 7]
)
def test_line_that_cannot_be_read_is_refused(line):
    with pytest.raises(Invalid):
        matchers.line(line)


def test_pattern_full_of_wildcards_is_fast():
    began = time.process_time()
    assert not matchers.fits(".*a" * 150 + "b", "a" * 100_000)
    assert time.process_time() - began < 1
