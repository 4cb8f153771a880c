"""Rules as they are read and measured: each kind holds and fails, each wrong word is named."""

from datetime import UTC, datetime, timedelta

import pytest

from mlportal.lib.errors import Invalid
from projects.tabular.checks import measure, rules, sandbox, suggest
from projects.tabular.profile import profile_file

pytestmark = pytest.mark.slow
NOW = datetime(2026, 3, 1, tzinfo=UTC)
ROWS = [
    "key,plan,age,spend,at,left",
    *(f"k-{n},{'basic' if n % 3 else 'plus'},{20 + n},{n / 4},2026-02-{1 + n % 28:02},{n % 4 == 0}" for n in range(40)),
]


@pytest.fixture(scope="module")
def profiled(tmp_path_factory):
    folder = tmp_path_factory.mktemp("checks")
    (folder / "t.csv").write_text("\n".join([*ROWS, "k-40,basic,,99,2026-02-28,true"]))
    return folder / "t.parquet", profile_file(folder / "t.csv", folder / "t.parquet")


@pytest.fixture(scope="module")
def table(profiled, tmp_path_factory):
    path, report = profiled
    with sandbox.opened(path, memory_mb=200, spill=tmp_path_factory.mktemp("spill")) as connection:
        kinds = {entry["name"]: entry["kind"] for entry in report.schema}
        yield measure.Table(connection, kinds, report.row_count, 50, NOW - timedelta(hours=5), NOW)


@pytest.mark.parametrize(
    ("rule", "outcome", "measured", "failing"),
    [
        ({"kind": "type", "columns": ["age"], "is": "integer"}, "passed", None, None),
        ({"kind": "type", "columns": ["age"], "is": "text"}, "failed", None, None),
        ({"kind": "range", "columns": ["age"], "min": 20, "max": 59}, "passed", 0, 0),
        ({"kind": "range", "columns": ["age"], "max": 57}, "failed", 2, 2),
        ({"kind": "range", "columns": ["at"], "min": "2026-02-02"}, "failed", 2, 2),
        ({"kind": "range", "columns": ["plan"], "min": 0}, "failed", None, None),
        ({"kind": "nulls", "columns": ["age"], "max_share": 0.05}, "passed", 1 / 41, 1),
        ({"kind": "nulls", "columns": ["age"], "max_share": 0}, "failed", 1 / 41, 1),
        ({"kind": "unique", "columns": ["key"]}, "passed", 0, 0),
        ({"kind": "unique", "columns": ["plan", "left"]}, "failed", 4, 41),
        ({"kind": "values", "columns": ["plan"], "allowed": ["basic", "plus"]}, "passed", 0, 0),
        ({"kind": "values", "columns": ["plan"], "allowed": ["plus"]}, "failed", 27, 27),
        ({"kind": "values", "columns": ["spend"], "allowed": ["99", "0"]}, "failed", 39, 39),
        ({"kind": "values", "columns": ["left"], "allowed": [True, False]}, "passed", 0, 0),
        ({"kind": "pattern", "columns": ["key"], "regex": "k-[0-9]+"}, "passed", 0, 0),
        ({"kind": "pattern", "columns": ["key"], "regex": "k-[0-9]"}, "failed", 31, 31),
        ({"kind": "length", "columns": ["key"], "min": 3, "max": 4}, "passed", 0, 0),
        ({"kind": "length", "columns": ["key"], "max": 3}, "failed", 31, 31),
        ({"kind": "share", "columns": ["left"], "value": "true", "min": 0.2, "max": 0.3}, "passed", 11 / 41, None),
        ({"kind": "share", "columns": ["left"], "value": "true", "max": 0.2}, "failed", 11 / 41, None),
        ({"kind": "freshness", "columns": ["at"], "max_age_hours": 24}, "passed", 24, None),
        ({"kind": "freshness", "columns": ["at"], "max_age_hours": 23}, "failed", 24, None),
        ({"kind": "freshness", "max_age_hours": 5}, "passed", 5, None),
        ({"kind": "freshness", "columns": ["age"], "max_age_hours": 5}, "failed", None, None),
        ({"kind": "rows", "min": 41, "max": 41}, "passed", 41, None),
        ({"kind": "rows", "min": 42}, "failed", 41, None),
        ({"kind": "rows", "change": 0.18}, "passed", 41, None),
        ({"kind": "rows", "change": 0.17}, "failed", 41, None),
        ({"kind": "columns", "names": ["key", "age"]}, "passed", 0, None),
        ({"kind": "columns", "names": ["key", "age"], "exact": True}, "failed", 4, None),
        ({"kind": "columns", "names": ["key", "gone"]}, "failed", 1, None),
        ({"kind": "unique", "columns": ["no such"]}, "failed", None, None),
    ],
)  # fmt: skip
def test_each_kind_holds_and_fails(table, rule, outcome, measured, failing):
    found = measure.measure(rules.read(rule), table)
    assert (found.outcome, found.failing) == (outcome, failing), found
    assert found.measured == (None if measured is None else pytest.approx(measured))


def test_rows_at_fault_are_shown_with_their_place(table):
    found = measure.measure(rules.read({"kind": "range", "columns": ["age"], "max": 57}), table)
    assert found.sample["columns"][:3] == ["row", "age", "key"]
    assert [row[:3] for row in found.sample["rows"]] == [[39, 58, "k-38"], [40, 59, "k-39"]]
    assert found.shown == "20 to 59, 2 rows at fault"


def test_at_most_twenty_rows_are_shown(table):
    found = measure.measure(rules.read({"kind": "values", "columns": ["plan"], "allowed": ["x"]}), table)
    assert (found.failing, len(found.sample["rows"])) == (41, 20)


def test_names_of_columns_are_no_sql(tmp_path):
    name = 'a"; DROP TABLE data; --'
    (tmp_path / "t.csv").write_text('"a""; DROP TABLE data; --",b\n1,2\n1,3\n')
    report = profile_file(tmp_path / "t.csv", tmp_path / "t.parquet")
    with sandbox.opened(tmp_path / "t.parquet", memory_mb=100, spill=tmp_path / "s") as connection:
        table = measure.Table(connection, {f["name"]: f["kind"] for f in report.schema}, 2, None, NOW, NOW)
        assert measure.measure(rules.read({"kind": "unique", "columns": [name]}), table).outcome == "failed"
        assert measure.measure(rules.read({"kind": "range", "columns": [name], "min": 0}), table).outcome == "passed"


def test_what_is_suggested_holds_on_the_same_data(profiled, table):
    _, report = profiled
    found = suggest.suggestions(report.schema, report.columns, report.row_count)
    assert {measure.measure(one, table).outcome for one in found} == {"passed"}
    words = [one.sentence for one in found]
    assert "key is unique" in words
    assert "plan is one of basic, plus" in words
    assert "age is between 16 and 63" in words
    assert "age: at most 12% missing" in words
    assert len({one.key for one in found}) == len(found)


@pytest.mark.parametrize(
    ("rule", "field"),
    [
        ("text", "rules"),
        ({}, "kind"),
        ({"kind": "magic"}, "kind"),
        ({"kind": ["range"]}, "kind"),
        ({"kind": "unique", "columns": "a"}, "columns"),
        ({"kind": "unique", "columns": []}, "columns"),
        ({"kind": "range", "columns": ["a", "b"], "min": 1}, "columns"),
        ({"kind": "range", "columns": ["a"]}, "min"),
        ({"kind": "range", "columns": ["a"], "min": 2, "max": 1}, "max"),
        ({"kind": "range", "columns": ["a"], "min": 2, "max": "2026-01-01"}, "max"),
        ({"kind": "range", "columns": ["a"], "min": "soon"}, "min"),
        ({"kind": "range", "columns": ["a"], "min": float("nan")}, "min"),
        ({"kind": "range", "columns": ["a"], "min": True}, "min"),
        ({"kind": "range", "columns": ["a"], "min": 1, "wrong": 2}, "wrong"),
        ({"kind": "range", "columns": ["a"], "min": "2026-01-01T00:00:00+02:00"}, "min"),
        ({"kind": "nulls", "columns": ["a"]}, "max_share"),
        ({"kind": "nulls", "columns": ["a"], "max_share": 5}, "max_share"),
        ({"kind": "values", "columns": ["a"], "allowed": []}, "allowed"),
        ({"kind": "values", "columns": ["a"], "allowed": "x"}, "allowed"),
        ({"kind": "pattern", "columns": ["a"], "regex": "("}, "regex"),
        ({"kind": "pattern", "columns": ["a"], "regex": "(?=x)"}, "regex"),
        ({"kind": "length", "columns": ["a"], "min": -1}, "min"),
        ({"kind": "length", "columns": ["a"], "min": 1.5}, "min"),
        ({"kind": "freshness", "max_age_hours": 0}, "max_age_hours"),
        ({"kind": "columns", "names": ["a"], "exact": "yes"}, "exact"),
        ({"kind": "type", "columns": ["a"], "is": "float"}, "is"),
        ({"kind": "sql", "name": "x"}, "query"),
        ({"kind": "sql", "name": "x", "query": "COPY data TO '/tmp/x'"}, "query"),
        ({"kind": "sql", "name": "x", "query": "/* SELECT */ install httpfs"}, "query"),
        ({"kind": "sql", "name": "x", "query": "-- SELECT 1"}, "query"),
        ({"kind": "sql", "query": "select 1"}, "name"),
        ({"kind": "sql", "name": "x", "query": "select 1" + " " * 10_000}, "query"),
        ({"kind": "sql", "name": "x", "query": "select '\x00'"}, "query"),
        ({"kind": "unique", "columns": ["a"], "severity": "fatal"}, "severity"),
        ({"kind": "unique", "columns": ["a"], "key": "A b"}, "key"),
    ],
)  # fmt: skip
def test_wrong_rules_are_named(rule, field):
    with pytest.raises(Invalid) as raised:
        rules.read(rule)
    assert raised.value.field == field


def test_a_fault_in_a_set_names_its_place():
    fine = {"kind": "unique", "columns": ["a"]}
    with pytest.raises(Invalid, match=r"rules\[1\]\.min") as raised:
        rules.read_all([fine, {"kind": "range", "columns": ["a"]}])
    assert raised.value.field == "rules[1].min"
    with pytest.raises(Invalid, match="as another check has"):
        rules.read_all([fine, fine])
    with pytest.raises(Invalid, match="at most 500"):
        rules.read_all([fine] * 501)


def test_a_rule_survives_json():
    for one in ({"kind": "rows", "min": 1}, {"kind": "share", "columns": ["a"], "value": "x", "min": 0.5}):
        read = rules.read(one)
        assert rules.read(read.as_json()) == read
