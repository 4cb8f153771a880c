"""Documents of texts as lists of keys and values."""

import json

import orjson
import pytest
from hypothesis import given
from hypothesis import strategies as st

from experiments.mlflow.search.page import pair_lists

KEY = st.text("ab_ :./-é", min_size=1, max_size=5)
VALUE = st.text('ab:,{}[]"\\\n\u2028 é', max_size=8)
DOCUMENT = st.dictionaries(KEY, VALUE, max_size=4)
SPACED, TIGHT, ODD = json.dumps, lambda d: orjson.dumps(d).decode(), lambda d: json.dumps(d, separators=(" , ", " : "))


def listed(lists):
    return [orjson.loads(orjson.dumps(one)) for one in lists]


@given(st.lists(st.tuples(DOCUMENT, st.sampled_from([SPACED, TIGHT])), max_size=6))
def test_they_are_what_parsing_gives(drawn):
    wanted = [[{"key": k, "value": v} for k, v in document.items()] or None for document, _ in drawn]
    assert listed(pair_lists([write(document) for document, write in drawn])) == wanted


@pytest.mark.parametrize("texts", [{"a": ":"}, {"a": ","}, {"a": "}", "b": "{"}, {"a": ""}])
def test_values_that_look_like_what_stands_between(texts):
    wanted = [{"key": key, "value": value} for key, value in texts.items()]
    assert listed(pair_lists([SPACED(texts), "{}", TIGHT(texts)])) == [wanted, None, wanted]


def test_documents_spaced_in_another_way_are_parsed():
    wanted = [{"key": "a", "value": "1"}, {"key": "b", "value": "2"}]
    assert listed(pair_lists([ODD({"a": "1", "b": "2"}), "{}"])) == [wanted, None]
