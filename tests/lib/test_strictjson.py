import pytest

from mlportal.lib import strictjson
from mlportal.lib.errors import Invalid


def test_loads_plain_value():
    assert strictjson.loads(b'{"a": [1, 2.5, "x", null, true]}') == {"a": [1, 2.5, "x", None, True]}


def test_loads_accepts_the_deepest_allowed_and_refuses_one_more():
    assert strictjson.loads(b"[" * 32 + b"]" * 32) is not None
    with pytest.raises(Invalid, match="deeper than 32") as caught:
        strictjson.loads(b"[" * 33 + b"]" * 33)
    assert caught.value.limit == 32


def test_loads_refuses_a_depth_bomb_without_recursion():
    with pytest.raises(Invalid, match="deeper than 32"):
        strictjson.loads(b"[" * 100_000)


def test_brackets_inside_strings_do_not_count():
    assert strictjson.loads(b'{"a": "' + b"[" * 100 + b'\\""}') == {"a": "[" * 100 + '"'}


@pytest.mark.parametrize(
    ("body", "words"),
    [
        (b'{"a": 1, "a": 2}', "'a' stands twice"),
        (b'{"a": NaN}', "NaN is not allowed"),
        (b'{"a": -Infinity}', "-Infinity is not allowed"),
        (b'{"a": "\\u0000"}', "a holds a NUL"),
        (b'{"a": {"b": ["\\ud800"]}}', r"a\.b\[0\] holds a NUL or half"),
        (b'{"a": ' + b"9" * 5000 + b"}", "too many digits"),
        (b"\xff\xfe", "not UTF-8: byte 0"),
        (b'{"a": }', "line 1, column 7"),
        (b"", "not JSON"),
    ],
)
def test_loads_refuses_with_the_place(body, words):
    with pytest.raises(Invalid, match=words):
        strictjson.loads(body)


def test_the_depth_check_is_linear_on_an_unclosed_string():
    """With a backtracking scan these four megabytes would take hours."""
    for tail in (b"", b"\\"):
        strictjson.check_depth(b'{"a": "' + b'\\"' * 2_000_000 + tail)
