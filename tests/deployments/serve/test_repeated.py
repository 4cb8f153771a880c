"""Bodies that repeat another's text around their values: read the short way, with what the usual way says of each."""

import json
from dataclasses import replace

import pytest

from deployments.serve.live import Live
from deployments.serve.protocols import repeated
from mlportal.lib.errors import DomainError
from tests.deployments.serve.test_parts import ROW
from tests.deployments.serve.test_protocols import FRAME, V2, ask, fault, live, tensors_of  # noqa: F401 - a fixture

ONE = tensors_of(FRAME.head(1))
TEXTS = [json.dumps, lambda body: json.dumps(body, separators=(",", ":")), lambda body: json.dumps(body, indent=2)]


@pytest.fixture
def fresh(live):  # noqa: F811
    def make(**settings) -> Live:
        return Live(ROW, live.runtime, replace(live._configuration, **settings))

    return make


def filled(values, inputs=ONE):
    """The body with other values in its tensors."""
    return {"inputs": [{**tensor, "data": [value]} for tensor, value in zip(inputs, values, strict=True)]}


def outcome(live, body):  # noqa: F811
    """What comes of a body, error texts included."""
    try:
        columns, content, _ = ask(live, V2, body, {})
        return columns, content
    except DomainError as error:
        return error.status, error.code, error.message, vars(error)


VALUES = [
    [1.5, 3, True, "rome", "plan-1"],
    [-2, 4.0, 0, "never seen", "plan-2"],
    [None, None, None, None, None],
    [1e308, 0, 1, "a,b", 'ü\t"quoted\\'],
    [0.0, -1, False, "with ] and [", ""],
]
WRONG = [
    ["1.5", 3, True, "rome", "plan-1"],
    [1.5, 3.5, True, "rome", "plan-1"],
    [1.5, 3, 2, "rome", "plan-1"],
    [1.5, 3, True, 4, "plan-1"],
    [[1.5], 3, True, "rome", "plan-1"],
    [{}, 3, True, "rome", {"a": [1]}],
    [1.5, 3, True, "\0", "plan-1"],
    [1.5, 3, True, "x" * 10_001, "plan-1"],
    [10**400, 3, True, "rome", "plan-1"],
]


@pytest.mark.parametrize("text", TEXTS)
@pytest.mark.parametrize("turned", [False, True])
def test_the_same_text_with_other_values_is_read_as_the_usual_way_reads_it(fresh, text, turned):
    inputs = ONE[::-1] if turned else ONE
    known = fresh()
    outcome(known, text({"inputs": inputs}).encode())
    (frame,) = known.frames
    for values in VALUES + WRONG:
        body = text(filled(values[::-1] if turned else values, inputs)).encode()
        assert outcome(known, body) == outcome(fresh(), body), values
    shorter = [frame.columns(text(filled(values, ONE)).encode()) is not None for values in VALUES]
    assert shorter == ([False] * 5 if turned else [True] * 4 + [False]), "a bracket in a text goes the usual way"
    assert len(known.frames) == 1


def test_rows_outputs_and_flat_shapes_are_part_of_the_text(fresh):
    known = fresh()
    shares = [{"name": "predict_proba"}]
    bodies = [
        {"inputs": tensors_of(FRAME)},
        {"inputs": [{**tensor, "shape": [4]} for tensor in tensors_of(FRAME)]},
        {"inputs": ONE, "outputs": shares},
        {"inputs": ONE, "outputs": shares, "parameters": {"binary_data_output": True}},
    ]
    for _ in range(2):
        for body in bodies:
            assert outcome(known, body) == outcome(fresh(), body)
    assert len(known.frames) == 4
    few = fresh(max_rows=3)
    for _ in range(2):
        assert fault(few, V2, bodies[0], {})[:2] == (422, "too_many_rows")
    assert few.frames == []


def _text(*values):
    """A body as text, whose values need not be JSON."""
    tensors = [
        json.dumps({**tensor, "data": ["@"]}).replace('"@"', value) for tensor, value in zip(ONE, values, strict=True)
    ]
    return f'{{"inputs": [{", ".join(tensors)}]}}'.encode()


TRICKS = [
    _text("1", "2", "true", '"a', 'b"'),
    _text("1, 2", "", "true", '"a"', '"b"'),
    _text("1],[2", "2", "true", '"a', 'b"'),
    _text("1] , [2", "2", "true", '"a', 'b"'),
    _text("1", "2", "true", '"a"', '"b"]'),
    _text("1", "2", "true", '"a"', "["),
    _text("1", "2", "NaN", '"a"', '"b"'),
    _text("1", "2", "true", '"a"', '"b"') + b" ",
    _text("1", "2", "true", '"a"', '"b"')[:-1],
    _text("1", "2", "true", '"a"', '"b"').replace(b"FP64", b"FP23"),
    _text("1", "2", "true", '"a"', '"b"').replace(b"[1, 1]", b"[1, 2]", 1),
    _text("1", "2", "true", '"a"', '"\xff"').replace("\xff".encode(), b"\xff"),
    _text("1", "2", "true", '"a"', '"b"').replace(b'"age"', b'"other"'),
    _text("1", "2", "true", '"a"', '"b"').replace(b'"data": [2]', b'"data": [2], "data": [3]'),
    _text("1", "2", "true", '"a"', '"b"').replace(b'"data": [2]', b'"data": [2], "d\\u0061ta": [3]'),
    _text("1", "2", "true", '"a"', '"b"').replace(b'"data": [2]', b'"data":  [2], "x\\"data": [2]'),
    _text("1", "2", "true", '"a"', '"b"').replace(b'"data": [2]', b'"d\\u0061ta": [2]')[:-1] + b', "o": {"data": [2]}}',
]

_head, _first, *_rest = _text("1", "2", "true", '"a"', '"b"').split(b'"data": [')
TRICKS.append(b'"data": ['.join([_head, b"1", *_rest]))  # nothing ends the first tensor


@pytest.mark.parametrize("trick", TRICKS)
def test_what_only_looks_alike_is_no_repetition(fresh, trick):
    """Neither when the frame is known, nor is one learned from it that would read others wrongly."""
    usual = outcome(fresh(), trick)
    known = fresh()
    outcome(known, _text("1", "2", "true", '"a"', '"b"'))
    assert outcome(known, trick) == usual
    learned = fresh()
    assert outcome(learned, trick) == outcome(learned, trick) == usual
    other = trick.replace(b"[2]", b"[7]")
    assert outcome(learned, other) == outcome(fresh(), other)


def test_few_and_small_bodies_are_remembered(fresh):
    known = fresh()
    outcome(known, {"inputs": ONE, "id": "1"})
    outcome(known, {"inputs": [{**ONE[0], "data": [[1.5]]}, *ONE[1:]]})
    outcome(known, json.dumps({"inputs": ONE}).encode() + b" " * repeated.LONGEST_BODY)
    assert known.frames == []
    for number in range(repeated.MOST_FRAMES + 2):
        body = {"inputs": ONE, "parameters": {"caller": number}}
        assert outcome(known, body) == outcome(fresh(), body)
    assert len(known.frames) == repeated.MOST_FRAMES
