"""Searches of the registry: filters, orders, pages of models and versions."""

import uuid

import pytest
from wire import INVALID, Refuses, refused


@pytest.fixture(scope="module")
def mark():
    return uuid.uuid4().hex[:8]


@pytest.fixture(scope="module")
def shelf(client, mark):
    """Three models; the first has three versions."""
    experiment = client.create_experiment(f"shelf-{mark}")
    run = client.create_run(experiment).info
    for letter in "aBc":
        client.create_registered_model(f"{mark}-{letter}", tags={"mark": mark, "letter": letter})
    for at in range(3):
        client.create_model_version(
            f"{mark}-a", f"{run.artifact_uri}/m{at}", run.run_id, tags={"at": str(at), "mark": mark}
        )
    client.create_model_version(f"{mark}-B", "s3://b/m", tags={"mark": mark})
    return run.run_id


@pytest.mark.parametrize(
    ("text", "expected"),
    [
        ("name LIKE '{m}-%'", "Bac"),
        ("name = '{m}-a'", "a"),
        ("name != '{m}-a' AND tags.mark = '{m}'", "Bc"),
        ("name ILIKE '{m}-b'", "B"),
        ("tags.mark = '{m}' AND tags.letter = 'c'", "c"),
        ("tags.mark = '{m}' AND tags.letter != 'c'", "Ba"),
        ("tags.mark = '{m}' AND tags.letter ILIKE 'b'", "B"),
        ("name = 'none-{m}'", ""),
    ],
)
def case_search_models(client, shelf, mark, text, expected):
    found = client.search_registered_models(text.format(m=mark))
    assert "".join(one.name[-1] for one in found) == expected


@pytest.mark.parametrize(
    ("order", "expected"),
    [
        (["name"], "Bac"),
        (["name DESC"], "caB"),
        (["timestamp ASC"], None),
        (["last_updated_timestamp DESC"], None),
    ],
)
def case_order_models(client, shelf, mark, order, expected):
    found = client.search_registered_models(f"tags.mark = '{mark}'", order_by=order)
    letters = "".join(one.name[-1] for one in found)
    assert letters == expected if expected else sorted(letters) == sorted("aBc")


def case_pages_of_models(client, shelf, mark):
    seen, token = [], None
    for _ in range(4):
        page = client.search_registered_models(f"tags.mark = '{mark}'", max_results=2, page_token=token)
        seen += [one.name[-1] for one in page]
        token = page.token
        if not token:
            break
    assert seen == list("Bac")


@pytest.mark.parametrize(
    ("text", "expected"),
    [
        ("name = '{m}-a'", ["3", "2", "1"]),
        ("name = '{m}-a' AND version_number > 1", ["3", "2"]),
        ("name = '{m}-a' AND version_number = 1", ["1"]),
        ("name = '{m}-a' AND version_number > '1'", ["3", "2"]),
        ("name = '{m}-a' AND tags.at = '1'", ["2"]),
        ("run_id = '{r}' AND name LIKE '{m}%'", ["3", "2", "1"]),
        ("run_id IN ('{r}', 'none') AND name = '{m}-a'", ["3", "2", "1"]),
        ("name = '{m}-a' AND source_path LIKE '%/m1'", ["2"]),
        ("name = 'none'", []),
    ],
)
def case_search_versions(client, shelf, mark, text, expected):
    found = client.search_model_versions(text.format(m=mark, r=shelf))
    assert [str(one.version) for one in found] == expected


@pytest.mark.parametrize(
    ("order", "expected"),
    [
        (["version_number ASC"], "123"),
        (["version_number DESC"], "321"),
        (["name", "version_number"], "123"),
        (["creation_timestamp"], None),
    ],
)
def case_order_versions(client, shelf, mark, order, expected):
    found = client.search_model_versions(f"name = '{mark}-a'", order_by=order)
    numbers = "".join(str(one.version) for one in found)
    assert numbers == expected if expected else sorted(numbers) == list("123")


def case_pages_of_versions(client, shelf, mark):
    page = client.search_model_versions(f"name = '{mark}-a'", max_results=2)
    rest = client.search_model_versions(f"name = '{mark}-a'", max_results=2, page_token=page.token)
    assert [str(one.version) for one in [*page, *rest]] == ["3", "2", "1"]
    assert not rest.token


def case_long_list_of_runs(client, shelf, mark):
    ids = ", ".join(f"'{uuid.uuid4().hex}'" for _ in range(150))
    found = client.search_model_versions(f"run_id IN ({ids}, '{shelf}')")
    assert {one.name for one in found} == {f"{mark}-a"}


@pytest.mark.parametrize(
    "text",
    ["name", "colour = 'red'", "name > 'a'", "metrics.a > 1", "name = 'a' OR name = 'b'", "name = a", "tags.a > 'b'"],
)
def case_bad_searches(client, text):
    with Refuses(INVALID):
        client.search_registered_models(text)
    with Refuses(INVALID):
        client.search_model_versions(text)


@pytest.mark.parametrize("order", ["colour", "name UP", "tags.a"])
def case_bad_orders(client, order):
    with Refuses(INVALID):
        client.search_registered_models(order_by=[order])
    with Refuses(INVALID):
        client.search_model_versions(order_by=[order])


@pytest.mark.parametrize(("path", "most"), [("registered-models/search", 1000), ("model-versions/search", 200_000)])
def case_too_many_results(wire, path, most):
    refused(wire.get(path, max_results=most + 1), 400, INVALID)


@pytest.mark.parametrize("path", ["registered-models/search", "model-versions/search"])
@pytest.mark.parametrize(
    "more",
    [*(pytest.param({"max_results": n}, marks=pytest.mark.beyond_mlflow) for n in (0, -1)), {"page_token": "nonsense"}],
)
def case_bad_pages(wire, path, more):
    refused(wire.get(path, **more), 400, INVALID)
