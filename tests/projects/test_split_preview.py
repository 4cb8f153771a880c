"""Sizes before a split is saved: what the cut gives, without a row being read."""

import pytest
from django.test import Client

from mlportal.lib.errors import Forbidden, Invalid
from projects.models import SplitRecipe
from projects.pipeline import split_rows
from projects.services import split_preview, splits
from tests.factories.datasets import profiled
from tests.factories.projects import actor, make_project, make_token, make_user

pytestmark = [pytest.mark.django_db(transaction=True), pytest.mark.slow]
ROOT = "/p/churn/datasets/churn/v/1/"
LINES = [
    "key,plan,shop,at,age,left",
    *(
        f"k-{n},{'ab'[n % 2]},s{n % 7},2026-01-{1 + n // 4:02},{20 + (n * 7) % 40},{'yes' if n % 4 == 0 else 'no'}"
        for n in range(101)
    ),
]


@pytest.fixture
def project():
    return make_project()


@pytest.fixture
def version(project):
    return profiled(project, "\n".join(LINES).encode())


@pytest.fixture
def ana(project):
    return make_user("ana", role="scientist", project=project)


@pytest.mark.parametrize(
    "recipe",
    [
        {"kind": "random", "test_share": 0.2},
        {"kind": "random", "test_share": 0.07, "validation_share": 0.07},
        {"kind": "stratified", "column": "left", "test_share": 0.333, "validation_share": 0.1},
        {"kind": "time", "test_share": 0.15, "validation_share": 0.2},
    ],
)
def test_exact_sizes_are_those_of_the_cut(version, ana, recipe):
    shown = split_preview.preview(actor(ana), version=version, recipe=recipe)
    split = splits.save(actor(ana), version=version, name="cut", recipe=recipe)
    assert split_rows.cut_split(split.pk, worker="test") == "succeeded"
    split.refresh_from_db()
    assert shown.exact
    assert {part.name: part.rows for part in shown.parts} == {
        name: part["rows"] for name, part in split.report["parts"].items()
    }
    for one in shown.classes:
        at = split.report["balance"]["values"].index(one["value"])
        for part, rows in zip(shown.parts, one["rows"], strict=True):
            assert abs(split.report["balance"]["parts"][part.name][at] * part.rows - rows) <= 1


@pytest.mark.parametrize("recipe", [{"kind": "group", "column": "shop"}, {"kind": "time", "column": "at"}])
def test_estimates_say_that_they_are(version, ana, recipe):
    shown = split_preview.preview(actor(ana), version=version, recipe=recipe)
    assert (shown.exact, sum(part.rows for part in shown.parts), shown.problems) == (False, 101, ())
    assert shown.notes
    if recipe["kind"] == "group":
        assert [part.groups for part in shown.parts] == [5, 2]


@pytest.mark.parametrize(
    ("recipe", "words"),
    [
        ({"kind": "stratified", "column": "key"}, "cannot hold each of the 101 values of key"),
        ({"kind": "stratified", "column": "lone"}, "A value of lone is in 1 row"),
        ({"kind": "group", "column": "all"}, "all has 1 value, which is too few"),
        ({"kind": "group", "column": "gaps"}, "2 rows have no gaps"),
        ({"kind": "time", "column": "when"}, "1 row has no when"),
    ],
)
def test_what_the_cut_would_refuse_is_said_before(project, ana, recipe, words):
    lines = ["key,lone,all,gaps,when"] + [
        f"k-{n},{'x' if n == 0 else 'y'},z,{'' if n < 2 else 'g' + str(n % 5)},{'' if n < 1 else n}" for n in range(101)
    ]
    version = profiled(project, "\n".join(lines).encode(), name="odd")
    shown = split_preview.preview(actor(ana), version=version, recipe=recipe)
    assert words in " ".join(shown.problems)
    split = splits.save(actor(ana), version=version, name="cut", recipe=recipe)
    assert split_rows.cut_split(split.pk, worker="test") == "failed"


def test_shares_of_many_or_marked_values_are_not_invented(project, version, ana):
    codes = profiled(
        project, ("n,code\n" + "".join(f"k{n},{n % 4 == 0:d}\n" for n in range(40))).encode(), name="codes"
    )
    few = split_preview.preview(actor(ana), version=codes, recipe={"kind": "stratified", "column": "code"})
    assert [(one["value"], one["rows"]) for one in few.classes] == [("0", [24, 6]), ("1", [8, 2])]
    many = split_preview.preview(actor(ana), version=version, recipe={"kind": "stratified", "column": "age"})
    assert (many.classes, many.notes) == ((), ("age has 40 values; their shares follow with the cut.",))
    project.datasets.update(marks={"left": "personal"})
    version.refresh_from_db()
    api = Client(headers={"authorization": f"Bearer {make_token(ana, project, ['write'])}"})
    place = "/api/v1/projects/churn/datasets/churn/versions/1/split-preview/"
    body = {"kind": "stratified", "column": "left"}
    masked = api.post(place, body, content_type="application/json").json()  # may write, may not read
    assert (masked["classes"], "are marked" in masked["notes"][0]) == ([], True)
    assert split_preview.preview(actor(ana), version=version, recipe=body).classes
    with pytest.raises(Forbidden):
        split_preview.preview(actor(make_user("vic", role="viewer", project=project)), version=version, recipe=body)


def test_page_and_rest_show_sizes_and_save_nothing(project, version, ana):
    client = Client()
    client.force_login(ana)
    values = {"kind": "stratified", "column": "left", "test_share": "20", "seed": "1", "preview": "1"}
    page = client.post(f"{ROOT}splits/", values).content.decode()
    assert "left = yes" in page
    assert "25.7% in each part" in page
    wrong = client.post(f"{ROOT}splits/", values | {"test_share": "lots"})
    assert wrong.status_code == 422
    api = Client(headers={"authorization": f"Bearer {make_token(ana, project, ['read', 'write'])}"})
    place = "/api/v1/projects/churn/datasets/churn/versions/1/split-preview/"
    body = {"kind": "stratified", "column": "left", "test_share": 0.2}
    found = api.post(place, body, content_type="application/json").json()
    assert [(part["name"], part["rows"]) for part in found["parts"]] == [("train", 80), ("test", 21)]
    assert found["classes"][1] == {"value": "yes", "share": 26 / 101, "rows": [21, 5]}
    refused = api.post(place, body | {"column": "nope"}, content_type="application/json")
    assert (refused.status_code, refused.json()["field"]) == (400, "column")
    assert not SplitRecipe.objects.exists()
    with pytest.raises(Invalid):
        split_preview.preview(actor(ana), version=version, recipe=[])
