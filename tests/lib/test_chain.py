"""Golden vectors of the audit log: whoever changes one of these breaks every log there is."""

import pytest

from mlportal.lib import chain

ENTRY = {
    "schema": 2, "seq": 7, "at": "2026-03-12T14:00:00.000000+00:00", "verb": "member.added", "result": "done",
    "reason": "für das Team", "project": 1,
    "actor": {"kind": "user", "id": 3, "on_behalf_of": None, "token": None},
    "who": "a" * 64, "whom": None, "request": "r-1", "target": {"type": "user", "id": 4, "label": ""},
    "before": "", "after": "b" * 64, "changes": {"role": [None, "viewer"]}, "data": {"share": "0.1"}, "prev": "0" * 64,
}  # fmt: skip


def test_the_canonical_text_has_sorted_keys_no_blanks_and_plain_utf8():
    assert chain.canonical({"b": [1, True, None], "a": "ä\u2028\n"}) == '{"a":"ä\u2028\\n","b":[1,true,null]}'.encode()


def test_the_hash_of_an_entry():
    assert chain.sha256(ENTRY) == "cee681a19f1cda9d09f176170e96eb9032a2d9f26f5eafec78c8048e9212679b"


def test_the_hash_of_a_person():
    assert chain.person("00ff", "ana", "10.0.0.7") == "0a3a87c861dc725fa1d6318bcacfae12d212f090b8f0ad4b40d6c26d0eb0c0c9"
    assert chain.person("00fe", "ana", "10.0.0.7") != chain.person("00ff", "ana", "10.0.0.7")


@pytest.mark.parametrize("name", list(ENTRY))
def test_each_field_counts(name):
    assert chain.sha256(ENTRY | {name: "other"}) != chain.sha256(ENTRY)


@pytest.mark.parametrize("value", [0.1, {"a": 1.0}, [1.5], {1: 2}, b"x", {"a": {2}}])
def test_what_has_no_one_text_is_refused(value):
    with pytest.raises(TypeError):
        chain.canonical(value)


@pytest.mark.parametrize(
    ("value", "plain"),
    [(0.1, "0.1"), (1e22, "1e+22"), ("a\x00b", "a\ufffdb"), ("\ud800", "\ufffd"), ({1: (2, 3.5)}, {"1": [2, "3.5"]}),
     (float("nan"), "nan"), (True, True), (10**30, 10**30)],
)  # fmt: skip
def test_facts_are_made_plain(value, plain):
    assert chain.exact(value) == plain
    chain.canonical(chain.exact(value))
