"""Records against the signature: every fault names its row and column."""

import json

import orjson
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from deployments.runtime import signature as signatures
from deployments.runtime.signature import RecordInvalid, parse, read_records, unseen
from mlportal.lib.errors import Invalid
from tests.deployments.runtime.recipes import DOCUMENT, SIGNATURE

GOOD = {"age": 41.5, "visits": 3, "member": True, "city": "rome", "plan": "plan-1"}


def refused(records, **options):
    with pytest.raises(RecordInvalid) as caught:
        read_records(records, SIGNATURE, **options)
    return caught.value.code, caught.value.row, caught.value.column


def test_good_records_become_columns_in_signature_order():
    other = {"plan": "plan-2", "city": None, "member": None, "visits": 4.0, "age": None}
    assert read_records([GOOD, other], SIGNATURE) == [
        [41.5, None],
        [3, 4],
        [True, None],
        ["rome", None],
        ["plan-1", "plan-2"],
    ]


@pytest.mark.parametrize(
    ("column", "value", "code"),
    [
        ("age", "41", "value_invalid"),
        ("age", True, "value_invalid"),
        ("age", [1], "value_invalid"),
        ("age", {}, "value_invalid"),
        ("age", 10**400, "value_invalid"),
        ("visits", -(10**400), "value_invalid"),
        ("age", float("nan"), "value_invalid"),
        ("age", float("inf"), "value_invalid"),
        ("visits", None, "null_not_allowed"),
        ("visits", 2.5, "value_invalid"),
        ("visits", "2", "value_invalid"),
        ("member", 1, "value_invalid"),
        ("member", "true", "value_invalid"),
        ("city", 7, "value_invalid"),
        ("city", "ro\0me", "value_invalid"),
        ("city", "x" * 10_001, "value_invalid"),
        ("plan", None, "null_not_allowed"),
        ("plan", [], "value_invalid"),
    ],
)
def test_wrong_value_names_row_and_column(column, value, code):
    assert refused([GOOD, GOOD, {**GOOD, column: value}]) == (code, 2, column)


def test_missing_and_extra_columns_name_row_and_column():
    short = {key: value for key, value in GOOD.items() if key != "city"}
    assert refused([GOOD, short]) == ("column_missing", 1, "city")
    assert refused([GOOD, {**GOOD, "wage": 1}]) == ("column_unknown", 1, "wage")
    assert refused([{**short, "wage": 1}]) == ("column_missing", 0, "city")


@pytest.mark.parametrize("records", [{}, "x", 3, None, GOOD])
def test_records_must_be_a_list(records):
    assert refused(records) == ("records_not_a_list", None, None)


def test_rows_are_counted():
    assert refused([]) == ("no_rows", None, None)
    assert refused([GOOD] * 4, max_rows=3) == ("too_many_rows", None, None)
    assert len(read_records([GOOD] * 3, SIGNATURE, max_rows=3)[0]) == 3
    with pytest.raises(RecordInvalid) as caught:
        read_records([GOOD] * 10_001, SIGNATURE)
    assert (caught.value.limit, caught.value.got) == (10_000, 10_001)


@pytest.mark.parametrize("row", [1, None, "x", [], [GOOD]])
def test_a_record_must_be_an_object(row):
    assert refused([GOOD, row]) == ("record_not_an_object", 1, None)


def test_message_tells_what_is_allowed_and_does_not_echo_the_value():
    with pytest.raises(RecordInvalid) as caught:
        read_records([{**GOOD, "age": "<script>"}], SIGNATURE)
    assert caught.value.message == "Row 0, column 'age': expected a number, got text."


def test_unseen_categories_are_accepted_and_reported_unless_refused():
    columns = read_records([GOOD, {**GOOD, "city": "lima"}], SIGNATURE)
    assert unseen(columns, SIGNATURE) == [(1, "city")]
    strict = parse({**DOCUMENT, "unknown_category": "refuse"})
    with pytest.raises(RecordInvalid) as caught:
        read_records([GOOD, {**GOOD, "city": "lima"}], strict)
    assert (caught.value.code, caught.value.row, caught.value.column) == ("category_unknown", 1, "city")
    assert read_records([{**GOOD, "city": None}], strict)[3] == [None]


def test_categories_may_be_numbers_and_dates_iso():
    inputs = [
        {"name": "shop", "kind": "categorical", "nullable": True, "categories": [1.0, 2.0]},
        {"name": "day", "kind": "datetime", "nullable": True},
    ]
    signature = parse({"task": "regression", "target": "y", "inputs": inputs, "outputs": []})
    sent = [{"shop": 1, "day": "2026-05-31"}, {"shop": None, "day": "2026-05-31T08:00:00Z"}]
    assert read_records(sent, signature) == [[1, None], ["2026-05-31", "2026-05-31T08:00:00Z"]]
    for wrong in ("31 May", "", "2026-02-30", "0001-01-01T00:00:00+05:00"):
        with pytest.raises(RecordInvalid) as caught:
            read_records([{"shop": 1, "day": wrong}], signature)
        assert (caught.value.code, caught.value.column) == ("value_invalid", "day")


@pytest.mark.parametrize(
    "document",
    [
        {},
        {"task": "classification", "inputs": []},
        {"task": "classification", "inputs": [{"name": "a", "kind": "tensor"}]},
        {"task": "classification", "inputs": [{"name": "a", "kind": "numeric"}] * 2},
        {"task": "classification", "inputs": "abc"},
    ],
)
def test_a_broken_signature_is_refused(document):
    with pytest.raises(Invalid) as caught:
        parse(document)
    assert caught.value.code == "signature_invalid"


JSON = st.recursive(
    st.none() | st.booleans() | st.integers() | st.floats(allow_nan=True) | st.text(max_size=5),
    lambda inner: st.lists(inner, max_size=3) | st.dictionaries(st.sampled_from([*GOOD, "x"]), inner, max_size=6),
    max_leaves=20,
)


FAULTS = [
    "records_not_a_list", "no_rows", "record_not_an_object", "column_missing", "column_unknown", "null_not_allowed",
    "value_invalid",
]  # fmt: skip


@settings(max_examples=150, deadline=None)
@given(JSON)
def test_any_json_is_either_read_or_refused_with_a_reason(value):
    try:
        outcome = [len(values) for values in read_records(value, SIGNATURE)]
    except RecordInvalid as error:
        outcome = error.code
    assert outcome in FAULTS or outcome == [len(value)] * 5


@settings(max_examples=50, deadline=None)
@given(st.lists(st.fixed_dictionaries({name: st.just(value) for name, value in GOOD.items()}), min_size=1, max_size=5))
def test_reading_survives_json(records):
    assert read_records(orjson.loads(json.dumps(records)), SIGNATURE) == read_records(records, SIGNATURE)


def test_class_names_come_from_the_outputs():
    assert (SIGNATURE.classes, SIGNATURE.names) == (("no", "yes"), ("age", "visits", "member", "city", "plan"))
    assert signatures.parse({**DOCUMENT, "outputs": []}).classes == ()
