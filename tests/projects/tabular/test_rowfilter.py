"""The filter of rows: what it reads, and what it says of what it cannot read."""

import pytest

from mlportal.lib.errors import Forbidden, Invalid
from projects.tabular.rowfilter import Condition, parse, quoted

SCHEMA = [
    {"name": "age", "kind": "integer", "dtype": "int64"},
    {"name": "spend in eur", "kind": "numeric", "dtype": "double"},
    {"name": "plan", "kind": "categorical", "dtype": "string"},
    {"name": "churned", "kind": "boolean", "dtype": "bool"},
    {"name": "joined", "kind": "datetime", "dtype": "timestamp[us]"},
]


@pytest.mark.parametrize(
    ("text", "expected"),
    [
        ("", []),
        ("age>30", [Condition(("age",), ">", (30,))]),
        ("age >= 30.5", [Condition(("age",), ">=", (30.5,))]),
        ("age:-3", [Condition(("age",), "=", (-3,))]),
        ('"spend in eur"<1e3', [Condition(("spend in eur",), "<", (1000.0,))]),
        ("plan:basic|plus", [Condition(("plan",), "=", ("basic", "plus"))]),
        ("-plan:basic", [Condition(("plan",), "=", ("basic",), negate=True)]),
        ('plan~"a b"', [Condition(("plan",), "~", ("a b",))]),
        ("plan!=basic", [Condition(("plan",), "!=", ("basic",))]),
        ("age:null", [Condition(("age",), "null")]),
        ("-age:null", [Condition(("age",), "null", negate=True)]),
        ("age is null", [Condition(("age",), "null")]),
        ("age is not null", [Condition(("age",), "null", negate=True)]),
        ('plan:"null"', [Condition(("plan",), "=", ("null",))]),
        ("churned:true", [Condition(("churned",), "=", (True,))]),
        ("joined>=2026-10-01", [Condition(("joined",), ">=", ("2026-10-01T00:00:00",))]),
        ('"free text"', [Condition(("plan",), "~", ("free text",))]),
        ("age>1 and plan:a", [Condition(("age",), ">", (1,)), Condition(("plan",), "=", ("a",))]),
    ],
)
def test_parse_reads(text, expected):
    assert parse(text, SCHEMA) == expected


@pytest.mark.parametrize(
    ("text", "words"),
    [
        ("size>3", "There is no column 'size'. At character 1, near 'size>3'."),
        ("age>old", "age holds numbers. At character 5, near 'old'."),
        ("churned>true", "churned is true or false; write churned:true. At character 8, near '>true'."),
        ("churned:maybe", "churned is true or false. At character 9, near 'maybe'."),
        ("joined>soon", "joined is a time; write 2026-10-01 or 2026-10-01T14:00. At character 8, near 'soon'."),
        ("age>", "A value is missing after age>. At character 5."),
        ("age>1|2", "One value is expected after age>. At character 5, near '1|2'."),
        ("age>1 or age<0", "or is not read here; write plan:a|b for either value. At character 7, near 'or age<0'."),
        (">3", "A condition is expected. At character 1, near '>3'."),
        ('plan:"open', "A value is missing after plan:. At character 6, near '\"open'."),
        ("x" * 2001, "The filter has 2,001 characters; at most 2,000 are read."),
        ("age>1 " * 21, "The filter has 21 conditions; at most 20 are read."),
    ],
)
def test_parse_refuses_with_the_place(text, words):
    with pytest.raises(Invalid) as caught:
        parse(text, SCHEMA)
    assert (caught.value.message, caught.value.field) == (words, "q")


def test_parse_refuses_a_hidden_column_and_leaves_it_out_of_free_text():
    with pytest.raises(Forbidden, match="plan are marked"):
        parse("plan:basic", SCHEMA, hidden=frozenset({"plan"}))
    with pytest.raises(Invalid, match="no column holds text"):
        parse("basic", SCHEMA, hidden=frozenset({"plan"}))


@pytest.mark.parametrize("word", ["plain", "two words", 'with "quotes"', "back\\slash", "a|b", "-minus", "x:y"])
def test_quoted_is_read_back(word):
    assert parse(f"plan:{quoted(word)}", SCHEMA) == [Condition(("plan",), "=", (word,))]
