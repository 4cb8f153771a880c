"""Search of experiments: grammar, order, pages."""

import uuid

import pytest
from mlflow.entities import ViewType
from wire import INVALID, Refuses, refused


@pytest.fixture(scope="module")
def mark():
    return uuid.uuid4().hex[:8]


@pytest.fixture(scope="module")
def ids(client, mark):
    """Five experiments: their ids by the last letter of their names."""
    made = {}
    for letter in "aBcde":
        tags = {"mark": mark, "letter": letter} | ({"odd key": "x"} if letter == "c" else {})
        made[letter] = client.create_experiment(f"{mark}-{letter}", tags=tags)
    client.delete_experiment(made["e"])
    return made


def letters(found):
    return "".join(experiment.name[-1] for experiment in found)


@pytest.mark.parametrize(
    ("clause", "expected"),
    [
        ("name = '{m}-a'", "a"),
        ("attribute.name = '{m}-a'", "a"),
        ("name != '{m}-a'", "dcB"),
        ("name LIKE '{m}-%'", "dcBa"),
        ("name LIKE '{m}-b'", ""),
        ("name ILIKE '{m}-b'", "B"),
        ("name LIKE '{m}-_'", "dcBa"),
        ("tags.letter = 'c'", "c"),
        ("tag.letter = 'c'", "c"),
        ("tags.`odd key` = 'x'", "c"),
        ("tags.\"odd key\" = 'x'", "c"),
        ("tags.letter != 'c'", "dBa"),
        ("tags.letter LIKE 'B'", "B"),
        ("tags.letter ILIKE 'b'", "B"),
        ("tags.missing = 'c'", ""),
        ("tags.missing != 'c'", ""),
        ("tags.letter = 'c' AND name = '{m}-c'", "c"),
        ("tags.letter = 'c' and name = '{m}-d'", ""),
        ("creation_time > 0", "dcBa"),
        ("last_update_time >= 0", "dcBa"),
        ("creation_time < 5", ""),
    ],
)
def case_filter(client, ids, mark, clause, expected):
    full = clause.format(m=mark) + f" AND tags.mark = '{mark}'"
    assert letters(client.search_experiments(filter_string=full)) == expected


@pytest.mark.mlflow3
@pytest.mark.parametrize(
    ("clause", "expected"),
    [
        ("experiment_id = '{a}'", "a"),
        ("experiment_id IN ('{a}', '{B}')", "Ba"),
        ("experiment_id NOT IN ('{a}', '{B}')", "dc"),
        ("experiment_id != '{a}'", "dcB"),
        ("tags.`odd key` IS NULL", "dBa"),
        ("tags.`odd key` IS NOT NULL", "c"),
    ],
)
def case_filter_of_mlflow3(client, ids, mark, clause, expected):
    full = clause.format(**ids) + f" AND tags.mark = '{mark}'"
    assert letters(client.search_experiments(filter_string=full)) == expected


@pytest.mark.parametrize(
    "clause",
    [
        "name",
        "name = ",
        "name = unquoted",
        "name > 'a'",
        "colour = 'red'",
        "metrics.x > 1",
        "params.x = '1'",
        "name = 'a' OR name = 'b'",
        "NOT name = 'a'",
        "(name = 'a')",
        "creation_time = 'yesterday'",
        "creation_time LIKE '1%'",
        "name = 'a'; DROP TABLE runs",
        "  ",
        "= 'a'",
        "name = 'a",
    ],
)
def case_bad_filter(client, clause):
    with Refuses(INVALID):
        client.search_experiments(filter_string=clause)


@pytest.mark.parametrize(
    ("order", "expected"),
    [
        (["name"], "Bacd"),
        (["name ASC"], "Bacd"),
        (["name DESC"], "dcaB"),
        (["name desc"], "dcaB"),
        (["creation_time"], "aBcd"),
        (["creation_time DESC"], "dcBa"),
        (["experiment_id"], None),
        (["last_update_time ASC"], "aBcd"),
        (["attribute.name ASC"], "Bacd"),
    ],
)
def case_order(client, ids, mark, order, expected):
    found = letters(client.search_experiments(filter_string=f"tags.mark = '{mark}'", order_by=order))
    assert found == expected if expected else sorted(found) == sorted("aBcd")


@pytest.mark.parametrize("order", ["colour", "tags.letter", "name UP", "name, creation_time", "metrics.x", ""])
def case_bad_order(client, order):
    with Refuses(INVALID):
        client.search_experiments(order_by=[order])


def case_pages(client, ids, mark):
    seen, token = [], None
    while True:
        page = client.search_experiments(filter_string=f"tags.mark = '{mark}'", max_results=3, page_token=token)
        assert len(page) <= 3
        seen += page
        token = page.token
        if not token:
            break
    assert letters(seen) == "dcBa"


def case_all_views(client, ids, mark):
    found = client.search_experiments(view_type=ViewType.ALL, filter_string=f"tags.mark = '{mark}'")
    assert letters(found) == "edcBa"


@pytest.mark.parametrize("given", [0, -1, 50_001])
def case_max_results_out_of_range(wire, given):
    refused(wire.post("experiments/search", {"max_results": given}), 400, INVALID)


def case_max_results_missing_in_get(wire):
    refused(wire.get("experiments/search"), 400, INVALID)


def case_search_by_get(wire, ids, mark):
    answer = wire.get("experiments/search", max_results=10, filter=f"tags.mark = '{mark}'", order_by=["name DESC"])
    assert [one["name"][-1] for one in answer.json()["experiments"]] == list("dcaB")


def case_nothing_found_is_an_empty_object(wire, mark):
    answer = wire.post("experiments/search", {"max_results": 5, "filter": f"name = 'no-{mark}'"})
    assert (answer.status_code, answer.json()) == (200, {})


@pytest.mark.parametrize(
    "token",
    ["nonsense", "e30=", "bm9wZQ==", "%%%", pytest.param("eyJvZmZzZXQiOiAtMX0=", marks=pytest.mark.beyond_mlflow)],
)
def case_bad_page_token(wire, token):
    refused(wire.post("experiments/search", {"max_results": 5, "page_token": token}), 400, INVALID)


@pytest.mark.parametrize("view", ["SOME", "active_only", 17])
@pytest.mark.portal
def case_bad_view(wire, view):
    refused(wire.post("experiments/search", {"max_results": 5, "view_type": view}), 400, INVALID)
