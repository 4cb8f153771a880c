"""Saved splits end to end: cut by a worker, used by a training, pages, REST."""

import io

import pandas as pd
import pytest
from django.test import Client
from sklearn.model_selection import train_test_split

from experiments import pipeline as training
from experiments.models import TrainingJob
from experiments.services import jobs
from mlportal.lib import blobs
from mlportal.lib.errors import Conflict, Forbidden, Invalid, Missing
from projects.models import Event, SplitRecipe
from projects.pipeline import split_rows
from projects.services import splits
from tests.factories.datasets import profiled
from tests.factories.projects import actor, make_project, make_token, make_user

pytestmark = [pytest.mark.django_db(transaction=True), pytest.mark.slow]
ROOT = "/p/churn/datasets/churn/v/1/splits/"
API = "/api/v1/projects/churn/datasets/churn/versions/1/splits/"
LINES = [
    "key,plan,shop,at,age,left",
    *(
        f"k-{n},{'ab'[n % 2]},s{n % 10},2026-01-{1 + n // 4:02},{20 + (n * 7) % 40},{'yes' if n % 4 == 0 else 'no'}"
        for n in range(100)
    ),
]
SPEC = {"task": "classification", "target": "left", "algorithm": "logistic_regression", "features": ["age", "plan"]}


@pytest.fixture
def project():
    return make_project()


@pytest.fixture
def version(project):
    return profiled(project, "\n".join(LINES).encode())


@pytest.fixture
def ana(project):
    return make_user("ana", role="scientist", project=project)


def made(version, user, name="fixed", **recipe) -> SplitRecipe:
    split = splits.save(actor(user), version=version, name=name, recipe={"kind": "random", **recipe})
    split_rows.cut_split(split.pk, worker="test")
    split.refresh_from_db()
    return split


def rows_of(split) -> pd.DataFrame:
    return pd.read_parquet(blobs.local_path(split.rows_sha256))


def test_a_worker_stores_the_rows_once_with_sizes_balance_and_leakage(version, ana):
    split = made(version, ana, kind="stratified", column="left", test_share=0.2, validation_share=0.1, seed=3)
    assert (split.state, split.failure) == ("succeeded", "")
    assert {name: part["rows"] for name, part in split.report["parts"].items()} == {
        "train": 70, "validation": 10, "test": 20,
    }  # fmt: skip
    assert split.report["balance"]["values"] == ["no", "yes"]
    assert split.report["balance"]["parts"]["test"] == [0.75, 0.25]
    assert sorted(rows_of(split)["row"]) == list(range(100))
    again = made(version, ana, "again", kind="stratified", column="left", test_share=0.2, validation_share=0.1, seed=3)
    assert again.rows_sha256 == split.rows_sha256
    verbs = Event.objects.filter(verb__startswith="split.").order_by("seq").values_list("verb", flat=True)
    assert list(verbs) == ["split.saved", "split.cut"] * 2


def test_groups_stay_on_one_side_and_copies_are_counted(version, ana):
    split = made(version, ana, kind="group", column="shop")
    assert split.report["groups"] == {"count": 10, "overlap": 0}
    shops = pd.Series([f"s{n % 10}" for n in range(100)])
    sides = {part: set(shops[rows["row"]]) for part, rows in rows_of(split).groupby("part", observed=True)}
    assert not sides["train"] & sides["test"]
    assert split.report["duplicates"] == {"test": 0}


def test_copies_across_the_parts_are_found_without_identifiers(project, ana):
    version = profiled(project, ("id,a\n" + "".join(f"{n},{n % 2}\n" for n in range(40))).encode(), name="copies")
    split = made(version, ana)
    assert split.report["duplicates"] == {"test": 8}


def test_time_holds_out_the_latest(version, ana):
    split = made(version, ana, kind="time", column="at", test_share=0.2)
    assert split.report["times"]["train"][1] < split.report["times"]["test"][0]
    assert sorted(rows_of(split).query("part == 'test'")["row"]) == list(range(80, 100))


def test_what_cannot_be_cut_ends_failed_with_the_sentence(version, ana):
    split = made(version, ana, kind="stratified", column="age", test_share=0.01)
    assert split.state == "failed"
    assert "cannot hold each of the 40 values of age" in split.failure
    with pytest.raises(Conflict, match="cannot be used"):
        splits.ready(actor(ana), version=version, name="fixed")


def test_a_name_is_given_once(version, ana):
    made(version, ana)
    with pytest.raises(Conflict, match="has a split FIXED already"):
        made(version, ana, "FIXED")


def test_a_viewer_saves_nothing(project, version):
    with pytest.raises(Forbidden):
        made(version, make_user("vic", role="viewer", project=project))


# ---------------------------------------------------------------- training


def trained(version, user, **spec) -> TrainingJob:
    job = jobs.launch(
        actor(user), project=version.dataset.project, experiment="first", dataset_version=version, spec=SPEC | spec
    )
    training.execute_job(job.pk, worker="test")
    job.refresh_from_db()
    return job


def metrics(job) -> dict[str, float]:
    from experiments import metricstore

    return {key: value.value for key, value in metricstore.latest([job.run_id])[job.run_id].items()}


def test_training_holds_out_the_rows_of_the_split(version, ana):
    split = made(version, ana, kind="stratified", column="left", test_share=0.2, seed=11)
    with_split = trained(version, ana, split="fixed", seed=11)
    without = trained(version, ana, test_share=0.2, seed=11, stratify=True)
    assert (with_split.state, with_split.failure) == ("succeeded", "")
    expected = train_test_split(range(100), test_size=0.2, random_state=11,
                                stratify=[line.split(",")[-1] for line in LINES[1:]])  # fmt: skip
    assert rows_of(split).query("part == 'test'")["row"].tolist() == expected[1]
    assert (with_split.split, with_split.spec["split"]) == (split, "fixed")
    assert metrics(with_split) == metrics(without)
    assert without.split is None
    assert "split" not in without.spec


def test_a_split_is_recorded_in_the_run_and_stays_while_used(version, ana):
    split = made(version, ana, validation_share=0.2)
    job = trained(version, ana, split="fixed")
    assert (job.state, job.failure) == ("succeeded", "")
    assert split.rows_sha256 in str(job.run.params)
    assert "validation/roc_auc" in metrics(job)
    with pytest.raises(Conflict, match="was used by 1 training job"):
        splits.remove(actor(ana), split=split)


def test_a_launch_names_what_is_wrong_with_the_split(version, ana):
    with pytest.raises(Missing, match="has no split 'nope'"):
        trained(version, ana, split="nope")
    waiting = splits.save(actor(ana), version=version, name="slow", recipe={"kind": "random"})
    with pytest.raises(Conflict, match="is being cut"):
        trained(version, ana, split="slow")
    split_rows.cut_split(waiting.pk, worker="test")
    made(version, ana, "shops", kind="group", column="shop")
    with pytest.raises(Invalid, match="folds would mix them again"):
        trained(version, ana, split="shops", folds=3)
    with pytest.raises(Invalid, match="split was 5"):
        trained(version, ana, split=5)


# ---------------------------------------------------------------- pages and REST


def test_the_page_saves_shows_and_removes(version, ana):
    client = Client()
    client.force_login(ana)
    assert "No saved split" in client.get(ROOT).content.decode()
    values = {"name": "by-shop", "kind": "group", "column": "shop", "test_share": "20", "seed": "1"}
    assert client.post(ROOT, values).status_code == 303
    assert "every 1s" in client.get(ROOT).content.decode()
    split_rows.cut_split(SplitRecipe.objects.get().pk, worker="test")
    page = client.get(ROOT).content.decode()
    assert "20% of the groups to test, with each shop in one part" in page
    assert "no shop of 10 is in two parts" in page
    assert "every 1s" not in page
    launch = client.get("/p/churn/jobs/new/?dataset=churn@1&split=by-shop").content.decode()
    assert '<option value="by-shop" selected' in launch
    assert '"split": "by-shop"' in launch.replace("&quot;", '"')
    for wrong in ("lots", "150", "nan", "0.5"):
        refused = client.post(ROOT, values | {"name": "bad", "test_share": wrong})
        assert f"&#x27;{wrong}&#x27; is not 1% to 90% of the rows." in refused.content.decode()
    assert refused.status_code == 422
    assert client.post(f"{ROOT}by-shop/remove/").status_code == 303
    assert not SplitRecipe.objects.exists()


def test_splits_over_rest(project, version, ana):
    api = Client(headers={"authorization": f"Bearer {make_token(ana, project, ['read', 'write'])}"})
    body = {"name": "fixed", "kind": "random", "test_share": 0.25, "seed": 4}
    answer = api.post(API, body, content_type="application/json")
    assert (answer.status_code, answer.json()["state"]) == (201, "queued")
    assert api.get(f"{API}fixed/rows/").status_code == 409
    split_rows.cut_split(SplitRecipe.objects.get().pk, worker="test")
    assert api.get(API).json()[0]["report"]["parts"]["test"] == {"rows": 25, "share": 0.25}
    frame = pd.read_parquet(io.BytesIO(b"".join(api.get(f"{API}fixed/rows/").streaming_content)))
    assert frame["part"].value_counts().to_dict() == {"train": 75, "test": 25, "validation": 0}
    assert api.post(API, {"name": "x", "kind": "odd"}, content_type="application/json").json()["field"] == "kind"
    assert api.delete(f"{API}fixed/").status_code == 204
    assert api.get(f"{API}fixed/").status_code == 404


@pytest.mark.parametrize("count", [1, 3])
def test_the_page_costs_the_same_queries(version, ana, django_assert_num_queries, count):
    for number in range(count):
        splits.save(actor(ana), version=version, name=f"s{number}", recipe={"kind": "random"})
    client = Client()
    client.force_login(ana)
    client.get(ROOT)
    with django_assert_num_queries(14):
        client.get(ROOT)
