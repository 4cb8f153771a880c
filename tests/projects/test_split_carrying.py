"""Splits go with their dataset: the next version takes the recipes over, or says why it cannot."""

import pytest
from django.test import Client

from mlportal.lib.errors import Conflict, Forbidden, Missing
from projects.models import Event, SplitRecipe
from projects.pipeline import split_rows
from projects.services import split_carrying, splits
from tests.factories.datasets import profiled
from tests.factories.projects import actor, make_project, make_token, make_user

pytestmark = [pytest.mark.django_db(transaction=True), pytest.mark.slow]
LINES = [f"k-{n},{'ab'[n % 2]},s{n % 10},{20 + (n * 7) % 40},{'yes' if n % 4 == 0 else 'no'}\n" for n in range(100)]


def table(*, head: str = "key,plan,shop,age,left", rows: int = 100) -> bytes:
    return (head + "\n" + "".join(LINES[:rows])).encode()


@pytest.fixture
def project():
    return make_project()


@pytest.fixture
def ana(project):
    return make_user("ana", role="scientist", project=project)


@pytest.fixture
def first(project, ana):
    """A version with two splits: by the label, and by shop."""
    version = profiled(project, table())
    recipes = {
        "Labels": {"kind": "stratified", "column": "left", "seed": 3, "balance": "plan"},
        "shops": {"kind": "group", "column": "shop"},
    }
    for name, recipe in recipes.items():
        split_rows.cut_split(splits.save(actor(ana), version=version, name=name, recipe=recipe).pk, worker="test")
    return version


def carried(version) -> dict[str, SplitRecipe]:
    return {split.name: split for split in version.splits.select_related("carried_from__version")}


def test_the_next_version_takes_the_recipes_over_and_cuts_its_own_rows(project, first):
    following = profiled(project, table(rows=80))
    found = carried(following)
    assert {name: split.state for name, split in found.items()} == {"Labels": "queued", "shops": "queued"}
    labels = found["Labels"]
    assert (labels.kind, labels.seed, labels.params["column"], labels.params["balance"]) == (
        "stratified", 3, "left", "plan",
    )  # fmt: skip
    assert labels.carried_from.version == first
    assert split_rows.cut_split(labels.pk, worker="test") == "succeeded"
    labels.refresh_from_db()
    assert sum(part["rows"] for part in labels.report["parts"].values()) == 80
    assert list(Event.objects.filter(verb="split.carried").values_list("data__split", flat=True)) == ["Labels", "shops"]


def test_a_recipe_whose_column_is_gone_says_so_and_comes_back_with_it(project, ana, first):
    without = profiled(project, table(head="key,tariff,store,age,left"))
    found = carried(without)
    assert (found["Labels"].state, found["Labels"].params["balance"]) == ("queued", "")
    assert found["shops"].state == "failed"
    assert found["shops"].failure.startswith("Not carried over from v1: There is no column 'shop'.")
    with pytest.raises(Conflict, match="cannot be used: Not carried over from v1"):
        splits.ready(actor(ana), version=without, name="shops")
    page = Client()
    page.force_login(ana)
    assert "Not carried over from v1" in page.get("/p/churn/datasets/churn/v/2/splits/").content.decode()
    again = profiled(project, table(rows=90))
    assert {name: split.state for name, split in carried(again).items()} == {"Labels": "queued", "shops": "queued"}


def test_what_was_removed_is_not_carried_and_other_datasets_get_nothing(project, ana, first):
    splits.remove(actor(ana), split=first.splits.get(name="shops"))
    assert list(carried(profiled(project, table(rows=80)))) == ["Labels"]
    assert not carried(profiled(project, table(rows=70), name="other"))


def test_by_hand_from_any_version_by_page_and_rest(project, ana, first):
    second = profiled(project, table(rows=80))
    for split in second.splits.all():
        splits.remove(actor(ana), split=split)
    third = profiled(project, table(rows=70))
    assert not carried(third)
    client = Client()
    client.force_login(ana)
    page = "/p/churn/datasets/churn/v/2/splits/"
    assert "v1 has 2 splits that v2 has not: Labels, shops." in client.get(page).content.decode()
    assert client.post(f"{page}carry/").status_code == 303
    assert set(carried(second)) == {"Labels", "shops"}
    assert "that v2 has not" not in client.get(page).content.decode()
    api = Client(headers={"authorization": f"Bearer {make_token(ana, project, ['read', 'write'])}"})
    place = "/api/v1/projects/churn/datasets/churn/versions/3/split-carry/"
    answer = api.post(place, {"from": 1, "names": ["LABELS"]}, content_type="application/json")
    assert (answer.status_code, [row["carried_from"] for row in answer.json()]) == (201, [1])
    assert set(carried(third)) == {"Labels"}
    assert api.post(place, {"names": ["none"]}, content_type="application/json").status_code == 404
    assert api.post(place, {"from": 9}, content_type="application/json").status_code == 404
    assert api.post(place, {"from": 1}, content_type="application/json").status_code == 201
    nothing = api.post(place, {"from": 1}, content_type="application/json")
    assert (nothing.status_code, nothing.json()["code"]) == (409, "nothing_to_carry")


def test_who_may_not_register_data_carries_nothing(project, first):
    second = profiled(project, table(rows=80))
    vic = actor(make_user("vic", role="viewer", project=project))
    with pytest.raises(Forbidden):
        split_carrying.carry(vic, version=second)
    with pytest.raises(Missing, match="no ready version before"):
        split_carrying.carry(actor(make_user("eve", role="scientist", project=project)), version=first)


def test_values_of_a_marked_column_are_masked_in_reports(project, ana, first):
    project.datasets.update(marks={"left": "personal", "plan": "secret"})
    vic = make_user("vic", role="viewer", project=project)
    api = Client(headers={"authorization": f"Bearer {make_token(vic, project, ['read'])}"})
    place = "/api/v1/projects/churn/datasets/churn/versions/1/splits/"
    masked = {"Labels": api.get(f"{place}Labels/").json(), "all": api.get(place).json()[0]}
    assert [split["report"]["balance"]["values"] for split in masked.values()] == [["•••", "•••"]] * 2
    client = Client()
    client.force_login(vic)
    assert "plan = •••" in client.get("/p/churn/datasets/churn/v/1/splits/").content.decode()
    client.force_login(ana)
    assert "plan = a<" in client.get("/p/churn/datasets/churn/v/1/splits/").content.decode()
