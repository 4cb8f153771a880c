"""Where a filter is being written, and how names and values are spelled so that they read back."""

import pytest
from hypothesis import given
from hypothesis import strategies as st

from experiments.metricstore import clauses, parse, spelling
from experiments.metricstore.completion import spot


@pytest.mark.parametrize(
    ("text", "kind", "entity", "key", "part", "start"),
    [
        ("", "name", "bare", "", "", 0),
        ("au", "name", "bare", "", "au", 0),
        ("auc>0.5 -al", "name", "bare", "", "al", 9),
        ("(a>1 or al", "name", "bare", "", "al", 8),
        ("metrics.au", "name", "metric", "", "au", 0),
        ('params."le', "name", "param", "", "le", 0),
        ("state:", "value", "state", "", "", 6),
        ("state:fin", "value", "state", "", "fin", 6),
        ("state:failed|fin", "value", "state", "", "fin", 13),
        ("auc >= 0.", "value", "bare", "auc", "0.", 7),
        ('params."a b" = "x y', "value", "param", "a b", "x y", 15),
        ("tags.team IN ('a', b", "value", "tag", "team", "b", 19),
        ("tag:ol", "value", "tagged", "tag", "ol", 4),
        ("started:<7", "value", "started", "", "7", 9),
        ("depth:4 solver:sa", "value", "bare", "solver", "sa", 15),
        ("auc>0.5 ", "name", "bare", "", "", 8),
    ],
)
def test_what_is_being_written(text, kind, entity, key, part, start):  # noqa: PLR0917 - one row
    found = spot(text, len(text))
    assert found is not None
    keys = {"state", "started"}
    assert (found.kind, found.entity, found.text, found.start) == (kind, entity, part, start)
    assert found.key == (key or (found.key if entity in keys else ""))


def test_the_cursor_may_stand_before_the_end():
    assert spot("stat auc>1", 4).text == "stat"


@given(st.text(min_size=1, max_size=30).filter(lambda text: "\0" not in text))
def test_what_is_spelled_reads_back(text):
    for kind in ("metric", "param", "tag"):
        (found,) = clauses(parse(f"{spelling.name(kind, text)} IS NULL"))
        assert (found.kind, found.key) == (kind, text)
    (found,) = clauses(parse(f"params.x:{spelling.value(text)}"))
    assert found.values == (text,)
    if plain := spelling.bare(text):
        (found,) = clauses(parse(f"{plain}:1"))
        assert (found.kind, found.key) == ("bare", text)


@pytest.mark.parametrize("word", ["state", "State", "tag", "and", "metrics.x", "-x", "a b"])
def test_a_name_that_means_something_else_is_not_written_bare(word):
    assert spelling.bare(word) is None


@given(st.text(alphabet=st.sampled_from(list("ab.:<>=!|-()\"'`, IN1")), max_size=40), st.integers(0, 40))
def test_any_place_of_any_text_is_answered(text, at):
    found = spot(text, min(at, len(text)))
    assert found is None or 0 <= found.start <= len(text)
