"""The filter language: both spellings, and errors that know their place."""

import pytest
from hypothesis import given
from hypothesis import strategies as st

from experiments.metricstore.language import FilterError, parse
from experiments.metricstore.meaning import Age


def brief(text):
    return [(c.kind, c.key, c.op, c.values, c.negated) for c in parse(text)]


def test_the_page_spelling():
    line = (
        "auc>0.87 max_depth>=6 algorithm:random_forest|extra_trees "
        'state:failed started:<7d user:me -tag:old "free text"'
    )
    assert brief(line) == [
        ("bare", "auc", ">", (0.87,), False),
        ("bare", "max_depth", ">=", (6.0,), False),
        ("bare", "algorithm", "=", ("random_forest", "extra_trees"), False),
        ("state", "", "=", ("failed",), False),
        ("started", "", ">", (Age(604800.0),), False),
        ("user", "", "=", ("me",), False),
        ("tagged", "", "=", ("old",), True),
        ("text", "", "ilike", ("free text",), False),
    ]


def test_the_mlflow_spelling():
    line = (
        'metrics.auc > 0.87 and params.max_depth = "8" AND '
        "tags.mlflow.source != 'a b' and attributes.status IN ('RUNNING', 'FAILED')"
    )
    assert brief(line) == [
        ("metric", "auc", ">", (0.87,), False),
        ("param", "max_depth", "=", ("8",), False),
        ("tag", "mlflow.source", "!=", ("a b",), False),
        ("state", "", "=", ("running", "failed"), False),
    ]


@pytest.mark.parametrize(
    ("text", "expected"),
    [
        ("", []),
        ("   ", []),
        ("metrics.`val auc`<=1e-3", [("metric", "val auc", "<=", (0.001,), False)]),
        ('metrics."a/b-c" = -.5', [("metric", "a/b-c", "=", (-0.5,), False)]),
        ("tags.team IS NOT NULL", [("tag", "team", "known", (), False)]),
        ("params.x ILIKE 'A%'", [("param", "x", "ilike", ("A%",), False)]),
        ("cv/auc>0.5", [("bare", "cv/auc", ">", (0.5,), False)]),
        ('"val loss"<1', [("bare", "val loss", "<", (1.0,), False)]),
        ("forest", [("text", "", "ilike", ("forest",), False)]),
        ("-forest", [("text", "", "ilike", ("forest",), True)]),
        ("took>10m", [("took", "", ">", (600.0,), False)]),
        ("data:telco@v3", [("data", "", "=", ("telco@v3",), False)]),
        ("start_time > 1700000000000", [("started", "", ">", (1.7e12,), False)]),
        ("started:2026-10-01", [("started", "", "day", (1790812800000.0, 1790899200000.0), False)]),
        ("started>2026-10-01", [("started", "", ">=", (1790899200000.0,), False)]),
        ("run:17|18", [("number", "", "=", (17, 18), False)]),
    ],
)
def test_a_clause(text, expected):
    assert brief(text) == expected


@pytest.mark.parametrize(
    ("text", "message", "span"),
    [
        ("auc>", "A value is missing.", (3, 4)),
        ("auc>high", "'high' is no number.", (0, 8)),
        ("metrics.auc > nan", "'nan' is no number.", (0, 17)),
        ("auc>0.8 and", "A condition is missing after 'and'.", (8, 11)),
        (
            "auc>0.8 state:gone",
            "There is no state 'gone'. Known: queued, running, finished, failed, cancelled.",
            (8, 18),
        ),
        ('name:"open', "A quote is not closed.", (5, 10)),
        ("=3", "'=' cannot start a condition.", (0, 1)),
        (
            "attributes.colour = 'x'",
            "A run has no attribute 'colour'. Known: data, ended, name, number, source, started, "
            "state, tag, took, user, uuid.",
            (0, 23),
        ),
        ("metrics.auc LIKE 'x'", "metric auc does not know LIKE. Allowed: :, =, !=, >, <, >=, <=.", (0, 20)),
        ("metrics.auc", "An operator is missing after 'auc'.", (0, 11)),
        ("started:=7d", "'=7d' is no time. Write 7d, 2026-10-01, 2026-10-01T14:30 or milliseconds.", (0, 11)),
        ("started:7d", "Write started:<7d for the last 7d, or started:>7d for before.", (0, 10)),
        ("run:9223372036854775808", "'9223372036854775808' is no whole number.", (0, 23)),
        ("params.a IN ('x'", "The list is not closed; a comma or ')' is missing.", (12, 16)),
        ("a:'x'b:y", "Put a space between two conditions.", (5, 6)),
        ("a\0", "The filter contains a NUL character.", (1, 2)),
    ],
)
def test_an_error_names_its_place(text, message, span):
    with pytest.raises(FilterError) as caught:
        parse(text)
    assert (caught.value.message, (caught.value.start, caught.value.stop)) == (message, span)


@given(st.text(alphabet=st.sampled_from(list("ab.:<>=!|-()\"'`, 1mtags\\%\n\u00e9")), max_size=60))
def test_any_text_parses_or_fails_cleanly(text):
    try:
        spans = [c.span for c in parse(text)]
    except FilterError as fault:
        spans = [(fault.start, min(fault.stop, len(text) + 1))]
    assert all(0 <= start < stop <= len(text) + 1 for start, stop in spans)
