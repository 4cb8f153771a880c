"""The filter language: both spellings, and errors that know their place."""

import pytest
from hypothesis import given
from hypothesis import strategies as st

from experiments.metricstore.language import FilterError, clauses, parse, pieces
from experiments.metricstore.meaning import Age, Group


def brief(text):
    return [(c.kind, c.key, c.op, c.values, c.negated) for c in clauses(parse(text))]


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
        ("params.x~A%|b", [("param", "x", "contains", ("A%", "b"), False)]),
        ("-name ~ sweep", [("name", "", "contains", ("sweep",), True)]),
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
        ("run:17..", [("number", "", "range", (17, None), False)]),
        ("auc:0.8..0.9", [("bare", "auc", "range", (0.8, 0.9), False)]),
        ("-metrics.auc:..0.9", [("metric", "auc", "range", (None, 0.9), True)]),
        ("auc in (0.8, 0.9)", [("bare", "auc", "=", ("0.8", "0.9"), False)]),
        ("metrics.auc NOT IN (0.8)", [("metric", "auc", "!=", (0.8,), False)]),
        ("metrics.auc is null", [("metric", "auc", "null", (), False)]),
        ("data is null", [("data", "", "null", (), False)]),
        ("took:1m..1h", [("took", "", "range", (60.0, 3600.0), False)]),
        ("started:14d..7d", [("started", "", "range", (Age(1209600.0), Age(604800.0)), False)]),
        (
            "started:2026-10-01..2026-10-02",
            [("started", "", "range", (1790812800000.0, 1790985599999.0), False)],
        ),
        ("path:../data", [("bare", "path", "=", ("../data",), False)]),
        ("span:'1..2'", [("bare", "span", "=", ("1..2",), False)]),
        ("tags.version:1..2", [("tag", "version", "=", ("1..2",), False)]),
        ("name:'it''s'", [("name", "", "ilike", ("it's",), False)]),
        ('params."a""b" = "c""d"', [("param", 'a"b', "=", ('c"d',), False)]),
        ("not tag:old", [("tagged", "", "=", ("old",), True)]),
        ("NOT not -tag:old", [("tagged", "", "=", ("old",), True)]),
        ("and>1 or>2 not>3", [("bare", w, ">", (float(n),), False) for n, w in enumerate(("and", "or", "not"), 1)]),
        ('"or" "and"', [("text", "", "ilike", ("or",), False), ("text", "", "ilike", ("and",), False)]),
    ],
)
def test_a_clause(text, expected):
    assert brief(text) == expected


def shape(node):
    """A tree as text: what is joined, by what, and where a not stands."""
    if isinstance(node, Group):
        inside = f" {node.op} ".join(shape(part) for part in node.parts)
        return f"{'-' if node.negated else ''}({inside})"
    return f"{'-' if node.negated else ''}{node.key}{node.op}{'|'.join(str(v) for v in node.values)}"


@pytest.mark.parametrize(
    ("text", "expected"),
    [
        ("a>1 b>2 or c>3", ["((a>1.0 and b>2.0) or c>3.0)"]),
        ("a>1 and (b>2 OR c>3)", ["a>1.0", "(b>2.0 or c>3.0)"]),
        ("a>1(b>2)c>3", None),
        ("a>1 (b>2)c>3", ["a>1.0", "(b>2.0)", "c>3.0"]),
        ("not (a>1 or -b>2)", ["-(a>1.0 or -b>2.0)"]),
        ("-(a>1 b>2) c>3", ["-(a>1.0 and b>2.0)", "c>3.0"]),
        ("((a>1) or ((b>2)))", ["((a>1.0) or ((b>2.0)))"]),
        ("metrics.a > 1 AND NOT (params.b = '2' or tags.c IS NULL)", ["a>1.0", "-(b=2 or cnull)"]),
        ("-a:1..2|3..4|7", ["-(arange1.0|2.0 or arange3.0|4.0 or a=7)"]),
    ],
)
def test_a_tree(text, expected):
    if expected is None:
        with pytest.raises(FilterError, match="Put a space between two conditions"):
            parse(text)
    else:
        assert [shape(node) for node in parse(text)] == expected


@pytest.mark.parametrize(
    ("text", "expected"),
    [
        ("", []),
        (" a>1  -b:x ", ["a>1", "-b:x"]),
        ("a>1 or b>2", ["(a>1 or b>2)"]),
        ("c>1 and not (a>1 or b>2) tags.t is null  x", ["c>1", "not (a>1 or b>2)", "tags.t is null", "x"]),
    ],
)
def test_pieces_mean_the_same_side_by_side(text, expected):
    assert pieces(text) == expected
    assert pieces(" ".join(pieces(text))) == expected


@pytest.mark.parametrize(
    ("text", "message", "span"),
    [
        ("auc>", "A value is missing.", (3, 4)),
        ("auc>high", "'high' is no number.", (4, 8)),
        ("metrics.auc > nan", "'nan' is no number.", (14, 17)),
        ("metrics.auc:0.1|0.2..high", "'high' is no number.", (21, 25)),
        ("metrics.auc:0.9..0.8", "The range 0.9..0.8 is empty: 0.9 is above 0.8.", (12, 20)),
        ("auc!=0.8..0.9", "A range goes with : only; write -auc:0.8..0.9 for what lies outside.", (5, 13)),
        ("started:2026-11-07..2026-11-01", "The range is empty: the earlier end comes first, as in 14d..7d.", (8, 30)),
        ("started:7d..14d", "The range is empty: the earlier end comes first, as in 14d..7d.", (8, 15)),
        ("auc>0.1|0.2", "> takes one value.", (8, 11)),
        ("state IS NULL", "Every run has state.", (6, 13)),
        ("or auc>1", "A condition is missing before 'or'.", (0, 2)),
        ("auc>1 or", "A condition is missing after 'or'.", (6, 8)),
        ("(auc>1 or )", "A condition is missing after 'or'.", (7, 9)),
        ("auc>1 and or b>1", "A condition is missing before 'or'.", (10, 12)),
        ("not", "A condition is missing after 'not'.", (0, 3)),
        ("auc>1 ()", "There is nothing between these parentheses.", (6, 8)),
        ("(auc>1", "This parenthesis is not closed.", (0, 1)),
        ("auc>1 (", "This parenthesis is not closed.", (6, 7)),
        ("auc>1)", "This parenthesis was never opened.", (5, 6)),
        ("auc>1 | b>1", "| joins values of one condition. Write or between conditions.", (6, 7)),
        ("(" * 21, "At most 20 parentheses may be open.", (20, 21)),
        ("a " * 41, "At most 40 conditions are allowed.", (80, 81)),
        ("auc>0.8 and", "A condition is missing after 'and'.", (8, 11)),
        (
            "auc>0.8 state:gone",
            "There is no state 'gone'. Known: queued, running, finished, failed, cancelled.",
            (14, 18),
        ),
        ('name:"open', "A quote is not closed.", (5, 10)),
        ("=3", "'=' cannot start a condition.", (0, 1)),
        (
            "attributes.colour = 'x'",
            "A run has no attribute 'colour'. Known: data, ended, experiment, name, number, source, started, "
            "state, tag, took, user, uuid.",
            (0, 17),
        ),
        (
            "metrics.auc LIKE 'x'",
            "metric auc does not know LIKE. Allowed: :, =, !=, >, <, >=, <=, IN, NOT IN.",
            (12, 16),
        ),
        ("metrics.auc", "An operator is missing after 'auc'.", (0, 11)),
        ("started:=7d", "'=7d' is no time. Write 7d, 2026-10-01, 2026-10-01T14:30 or milliseconds.", (8, 11)),
        ("started:7d", "Write started:<7d for the last 7d, or started:>7d for before.", (8, 10)),
        ("run:9223372036854775808", "'9223372036854775808' is no whole number.", (4, 23)),
        ("params.a IN ('x'", "The list is not closed; a comma or ')' is missing.", (12, 16)),
        ("a:'x'b:y", "Put a space between two conditions.", (5, 6)),
        ("a\0", "The filter contains a NUL character.", (1, 2)),
    ],
)
def test_an_error_names_its_place(text, message, span):
    with pytest.raises(FilterError) as caught:
        parse(text)
    assert (caught.value.message, (caught.value.start, caught.value.stop)) == (message, span)


@given(st.text(alphabet=st.sampled_from(list("ab.:<>=!|-()\"'`, 1mtagsor\\%\n\u00e9")), max_size=60))
def test_any_text_parses_or_fails_cleanly(text):
    try:
        spans = [c.span for c in clauses(parse(text))]
        pieces(" ".join(pieces(text)))
    except FilterError as fault:
        spans = [(fault.start, min(fault.stop, len(text) + 1))]
    assert all(0 <= start < stop <= len(text) + 1 for start, stop in spans)
