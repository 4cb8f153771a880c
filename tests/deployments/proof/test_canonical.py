import math

import pytest

from deployments.proof import canonical
from mlportal.lib.errors import Invalid


def test_encode_golden_vector():
    value = {"b": [1, 2.0, 0.1, None, True], "a": "é", "c": {"x": -3}}
    expected = (
        '{"a":"é","b":[{"number":"1"},{"number":"2"},{"number":"0.1"},null,true],"c":{"x":{"number":"-3"}}}'
    ).encode()
    assert canonical.encode(value) == expected


def test_digest_golden_vector():
    assert canonical.digest({}) == "44136fa355b3678a1146ad16f7e8649e94fb4fc21fe77e8310c060f61caaff8a"


def test_encode_numbers_survive_a_database_that_changes_their_type():
    assert canonical.encode(1e22) == canonical.encode(10000000000000000000000)
    assert canonical.encode(1.0) == canonical.encode(1)
    assert canonical.encode(1) != canonical.encode("1")


@pytest.mark.parametrize("value", [math.nan, math.inf, -math.inf])
def test_encode_refuses_numbers_without_a_value(value):
    with pytest.raises(Invalid) as caught:
        canonical.encode({"x": value})
    assert caught.value.code == "not_finite"


@pytest.mark.parametrize("value", [{1: "x"}, {"x": object()}, {"x": b"bytes"}])
def test_encode_refuses_what_is_not_plain(value):
    with pytest.raises(Invalid) as caught:
        canonical.encode(value)
    assert caught.value.code == "not_plain_data"
