"""Papers as plain data: what counts as filled, what differs, and whose names are where."""

import pytest

from deployments.proof import modification, papers
from deployments.proof.papers import Source

SOURCE = Source("Run 4", "/p/churn/runs/4/", "2026-11-21T10:00:00+00:00")
FACTS = {
    "purpose": "Rank customers.", "dataset": "customers v1", "dataset_sha256": "a", "algorithm": "ridge",
    "metrics": {"auc": {"value": 0.88, "low": 0.86, "high": 0.9}, "f1": {"value": 0.7, "low": None, "high": None}},
}  # fmt: skip


def paper(**texts):
    fields = [papers.text(name, name.title(), value, SOURCE) for name, value in texts.items()]
    return {"title": "T", "about": {}, "sections": [papers.section("one", "1", "One", *fields)]}


def test_a_field_keeps_its_source_and_an_empty_one_its_gap():
    assert papers.pairs("size", "Size", [("Rows", 4), ("Note", ""), ("Share", 0.0)], SOURCE, who="Ana") == {
        "key": "size", "label": "Size", "kind": "pairs", "value": [["Rows", 4], ["Share", 0.0]], "hand_written": False,
        "by": None, "changed_at": SOURCE.at, "source": {"label": "Run 4", "href": SOURCE.href}, "gap": "", "who": "",
    }  # fmt: skip
    empty = papers.table("t", "T", ("A",), [], SOURCE, gap="None yet.", who="Ana")
    assert (empty["value"], empty["gap"], empty["who"]) == (None, "None yet.", "Ana")


def test_completeness_counts_fields_and_gaps_name_them():
    made = paper(purpose="x", limits="")
    assert papers.completeness(made) == (1, 2)
    assert [(row["section"], row["part"], row["key"]) for row in papers.gaps(made)] == [("1", "one", "limits")]


def test_difference_names_added_changed_and_removed_fields():
    found = papers.difference(paper(a="same", b="old", c="gone"), paper(a="same", b="new", c="", d="more"))
    assert [(row["key"], row["change"], row["before"], row["after"]) for row in found] == [
        ("b", "changed", "old", "new"), ("c", "removed", "gone", ""), ("d", "added", None, "more"),
    ]  # fmt: skip


def test_people_are_named_when_read():
    made = {"rows": [[{"person": 4}, "x"], [None, {"person": 9}]], "by": {"person": 4}}
    assert papers.people(made) == {4, 9}
    assert papers.named(made, lambda account: f"p{account}") == {"rows": [["p4", "x"], [None, "p9"]], "by": "p4"}


def test_the_digest_does_not_depend_on_order_or_on_how_numbers_came_back():
    assert papers.digest({"a": 1.0, "b": "x"}) == papers.digest({"b": "x", "a": 1})


@pytest.mark.parametrize(
    ("value", "words"),
    [
        (None, "–"),
        (True, "yes"),
        (12345, "12,345"),
        ("2026-11-22T04:05:06.7+00:00", "2026-11-22 04:05 UTC"),
        (-0.12346, "−0.1235"),
        ("a", "a"),
        ("", "–"),
    ],
)
def test_cells(value, words):
    assert papers.cell(value) == words


@pytest.mark.parametrize(
    ("change", "words"),
    [
        ({"purpose": "Rank staff."}, "The intended purpose has changed."),
        ({"dataset_sha256": "b", "dataset": "customers v2"}, "It learned from other data: customers v1 before"),
        ({"algorithm": "forest"}, "The algorithm has changed: ridge before, forest now."),
        ({"metrics": {"auc": {"value": 0.85, "low": 0.8, "high": 0.9}}}, "auc went from 0.88 (0.86 to 0.9) to 0.85."),
        ({"metrics": {"f1": {"value": 0.71, "low": None, "high": None}}}, "f1 went from 0.7 (no interval known)"),
    ],
)  # fmt: skip
def test_a_substantial_change_is_said(change, words):
    [found] = modification.reasons(FACTS, {**FACTS, **change})
    assert found.startswith(words)


def test_within_the_interval_nothing_is_said():
    inside = {"auc": {"value": 0.89, "low": 0.87, "high": 0.91}, "f1": {"value": 0.7, "low": None, "high": None}}
    assert modification.reasons(FACTS, {**FACTS, "metrics": inside}) == []
