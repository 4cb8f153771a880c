"""Two versions side by side, what answers where, and what a version page shows."""

import csv
import io
import json

import pytest
from django.db import connection
from django.test import Client
from django.test.utils import CaptureQueriesContext
from django.utils import timezone

from deployments.models import ModelVersion
from deployments.services import breakglass, cards, compared, endpoints, model_facts, serving
from experiments.services import runs
from mlportal.lib.errors import Invalid, Missing
from tests.deployments.test_api import Api
from tests.factories.deployments import (
    SIGNATURE,
    environment,
    make_live,
    make_team,
    make_trained_run,
    make_version,
    model_files,
    set_policy,
)

pytestmark = pytest.mark.django_db
PAGE = "/p/churn/models/compare/versions/"
DIFF = "diff --git a/train.py b/train.py\n+learning_rate = 0.1\n"


def browser(team, role="scientist"):
    client = Client()
    client.force_login(team.people[role])
    return client


def other_files():
    changed = {**SIGNATURE, "inputs": [SIGNATURE["inputs"][0], {"name": "city", "kind": "text", "nullable": False}]}
    return model_files(9) | {
        "model/signature.json": json.dumps(changed).encode(),
        "model/environment.json": json.dumps({"python": "3.12", "scikit-learn": "1.9.1"}).encode(),
        "model/example.json": json.dumps([{"age": 44, "city": "Ulm"}]).encode(),
    }


@pytest.fixture
def pair(team):
    """Version 1 of churn, and a version of another model that differs in most things."""
    first = make_version(team)
    run = make_trained_run(team, files=other_files())
    second = make_version(team, model="leavers", run=run)
    metrics = {**second.metrics, "roc_auc": 0.91, "log_loss": 0.4}
    ModelVersion.objects.filter(pk=second.pk).update(metrics=metrics)
    return first, second


def part(made, key):
    return {line.name: line for line in next(each for each in made.parts if each.key == key).lines}


def compare(team, left="churn@1", right="leavers@1"):
    return compared.compare(team.viewer, project=team.project, left=left, right=right)


def test_everything_is_side_by_side(team, pair):
    model_facts.edit(team.scientist, model=pair[1].model, risk_class="high")
    cards.write(team.scientist, version=pair[1], texts={"limitations": "Never tried on new customers."})
    made = compare(team)
    assert part(made, "about")["risk class"].right == "high"
    auc = part(made, "metrics")["roc_auc"]
    assert (auc.left, auc.right, round(auc.difference, 3), auc.verdict) == (0.88, 0.91, 0.03, "better")
    assert part(made, "metrics")["log_loss"].verdict == ""
    assert part(made, "metrics")["f1"].verdict == "same"
    assert part(made, "params")["algorithm"].left == "logistic_regression"
    assert (part(made, "data")["dataset"].left, part(made, "data")["dataset"].right) == ("customers v1", "customers v2")
    assert part(made, "packages")["python"].changed
    assert not part(made, "packages")["scikit-learn"].changed
    notes = [note.text for note in next(each for each in made.parts if each.key == "schema").notes]
    assert "city (text) is new and required." in notes
    assert part(made, "card")["Limitations"].right == "Never tried on new customers."
    assert part(made, "files")["model/example.json"].left is None


def test_a_lower_loss_is_better(team, pair):
    for version, value in zip(pair, (0.4, 0.5), strict=True):
        ModelVersion.objects.filter(pk=version.pk).update(metrics={"log_loss": value})
    assert part(compare(team), "metrics")["log_loss"].verdict == "worse"
    assert part(compare(team, "leavers@1", "churn@1"), "metrics")["log_loss"].verdict == "better"


def test_where_each_stands(team, pair):
    make_live(team, version=pair[0], place="staging")
    make_live(team, version=make_version(team, run=make_trained_run(team)), place="staging")
    live = make_live(team, version=pair[1], place="production")
    endpoints.disable(team.ops, endpoint=live, reason="Not asked at the moment.")
    lines = part(compare(team), "environments")
    assert lines["staging"].left.endswith("not any more")
    assert lines["production"].right.startswith("switched off")


@pytest.mark.parametrize(
    ("name", "error"),
    [("churn", Invalid), ("@1", Invalid), ("churn@x", Invalid), ("churn@9", Missing), ("gone@1", Missing)],
)
def test_a_name_that_is_none(team, pair, name, error):
    with pytest.raises(error) as refused:
        compare(team, right=name)
    assert refused.value.field == "b"


def test_the_page_the_choice_and_the_files(team, pair):
    client = browser(team, "viewer")
    asked = {"a": "churn@1", "b": "leavers@1"}
    page = client.get(PAGE, asked).content.decode()
    for word in ("leavers v1", "better", "city (text) is new and required.", "may refuse requests of the left"):
        assert word in page
    assert "the same" in client.get(PAGE, {"a": "churn@1", "b": "churn@1"}).content.decode()
    assert client.get(PAGE).status_code == 200
    assert client.get(PAGE, asked | {"b": "gone@1"}).status_code == 404
    assert client.get(PAGE, asked | {"b": "gone"}).status_code == 400
    ticked = client.get(PAGE, {"pick": ["churn@2", "churn@1"]})
    assert ticked["Location"] == f"{PAGE}?b=churn%402&a=churn%401"
    rows = list(csv.DictReader(io.StringIO(client.get(PAGE, asked | {"form": "csv"}).content.decode())))
    assert next(row for row in rows if row["name"] == "roc_auc")["verdict"] == "better"
    told = client.get(PAGE, asked | {"form": "json"}).json()
    assert told == Api(team, "viewer", "read").get("model-comparison/", **asked).json()
    only = client.get(PAGE, asked | {"only": "changes"}).content.decode()
    assert "scikit-learn" in page
    assert "scikit-learn" not in only


def test_a_long_part_folds_what_is_the_same(team, pair):
    names = {f"package-{at}": "1.0" for at in range(25)}
    for version, last in zip(pair, ("1.0", "2.0"), strict=True):
        told = {"python": "3.11", "packages": names | {"package-0": last}}
        ModelVersion.objects.filter(pk=version.pk).update(environment=told)
    part_ = next(each for each in compare(team).parts if each.key == "packages")
    assert ([line.name for line in part_.shown], len(part_.folded)) == (["package-0"], 25)
    client, asked = browser(team), {"a": "churn@1", "b": "leavers@1"}
    assert "25 the same" in client.get(PAGE, asked).content.decode()
    assert "package-24" not in client.get(PAGE, asked | {"only": "changes"}).content.decode()


def test_a_cell_is_no_formula(team, pair):
    model_facts.edit(team.scientist, model=pair[0].model, intended_purpose="=HYPERLINK(1)")
    text = browser(team).get(PAGE, {"a": "churn@1", "b": "leavers@1", "form": "csv"}).content.decode()
    assert "'=HYPERLINK(1)" in text


def test_versions_of_another_project_are_absent(team, pair):
    other = make_team("other")
    make_version(other, model="secret")
    assert browser(team).get(PAGE, {"a": "churn@1", "b": "secret@1"}).status_code == 404
    assert browser(other).get(PAGE, {"a": "churn@1", "b": "churn@1"}).status_code == 404


def test_a_comparison_takes_as_many_queries_whatever_is_recorded(team, pair):
    client, taken = browser(team), []
    for place in ("staging", "production"):
        for version in pair:
            make_live(team, version=version, place=place)
        client.get(PAGE, {"a": "churn@1", "b": "leavers@1"})
        with CaptureQueriesContext(connection) as seen:
            client.get(PAGE, {"a": "churn@1", "b": "leavers@1"})
        taken.append(len(seen))
    assert taken[0] == taken[1]


def test_what_answers_where_since_when_by_whom(team):
    first = make_version(team)
    make_live(team, version=first)
    moment = timezone.now()
    second = make_version(team, run=make_trained_run(team))
    make_live(team, version=second)
    top, staging = serving.strips(team.viewer, model=first.model)
    assert (top.environment.name, top.state, top.revision.version.number) == ("production", "live", 2)
    assert top.approved_by == [str(team.people["manager"])]
    assert (top.previous.version.number, staging.state, staging.approved_by) == (1, "nothing", [])
    page = browser(team).get("/p/churn/models/churn/").content.decode()
    assert f'<a href="/p/churn/promotions/{top.revision.promotion_id}/">' in page
    api = Api(team, "viewer", "read")
    told = api.get("models/churn/serving/").json()
    assert (told[0]["version"], told[0]["previous"], told[0]["promotion"]) == (2, 1, top.revision.promotion_id)
    assert told[1] == {
        "environment": "staging", "state": "nothing", "version": None, "since": None, "kind": None, "approved_by": [],
        "promotion": None, "endpoint": None, "previous": None,
    }  # fmt: skip
    then = api.get("models/churn/serving/", as_of=moment.isoformat()).json()
    assert "churn v1" in json.dumps(then)
    assert "churn v2" not in json.dumps(then)


def test_a_break_glass_names_nobody_who_approved(team):
    set_policy(team, "production", allow_break_glass=True)
    version = make_version(team)
    breakglass.promote(team.ops, version=version, environment=environment(team), reason="Fraud runs wild since noon.")
    assert serving.strips(team.viewer, model=version.model)[0].approved_by == []
    assert "nobody: break-glass by" in browser(team).get("/p/churn/models/churn/").content.decode()


def test_strips_take_the_same_queries_for_one_and_three(team):
    version = make_version(team)
    taken = []
    for place in (("staging",), ("production",)):
        for name in place:
            make_live(team, version=version, place=name)
        with CaptureQueriesContext(connection) as seen:
            for strip in serving.strips(team.viewer, model=version.model):
                assert strip.approved_by is not None
                assert strip.previous is None
        taken.append(len(seen))
    assert taken[0] == taken[1]


def test_a_version_page_shows_code_packages_example_and_the_choice(team):
    run = make_trained_run(team, files=other_files() | {"git.diff": DIFF.encode()})
    runs.set_tags(team.scientist, run=run, tags={"mlflow.source.git.commit": "ab" * 20})
    make_version(team, run=run)
    page = browser(team).get("/p/churn/models/churn/v/1/").content.decode()
    for word in (
        "ab" * 20, "learning_rate = 0.1", "scikit-learn", "model/example.json", "&quot;city&quot;: &quot;Ulm&quot;",
        'data-copy="#ex-json"', "Ed25519", "customers v1", "Side by side",
    ):  # fmt: skip
        assert word in page, word
    told = Api(team, "viewer", "read").get("models/churn/versions/1/").json()
    assert json.loads(told["example"]) == {"records": [{"age": 44, "city": "Ulm"}]}


def test_an_example_is_made_from_the_schema_when_none_was_kept(team):
    make_version(team)
    page = browser(team).get("/p/churn/models/churn/v/1/").content.decode()
    assert "made from the schema" in page
    assert "&quot;plan&quot;: &quot;basic&quot;" in page
