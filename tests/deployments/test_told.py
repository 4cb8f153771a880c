"""One logged prediction explained: asked for, computed in a child, masked, refused when the log cannot tell."""

import pytest

from deployments import tasks
from deployments.models import PredictionExplanation
from deployments.services import told
from mlportal.lib.errors import Conflict
from monitoring.models import Prediction
from monitoring.pipeline import ship
from projects.models import Dataset, Event
from tests.deployments.runtime import recipes
from tests.deployments.test_api import Api
from tests.deployments.test_pages import browser
from tests.factories.deployments import make_dataset_version
from tests.factories.monitoring import make_monitor
from tests.factories.projects import make_user
from tests.monitoring import log
from tests.serve.harness import RECORD, Scene


@pytest.fixture
def logged(team, tmp_path):
    """Log one answer of a real version and return the prediction."""

    def make(**header):
        scene = Scene(team.project, make_user("ana", role="scientist", project=team.project), tmp_path)
        version = scene.make_version(1)
        version.dataset_version = make_dataset_version(team.project)
        version.save(update_fields=["dataset_version"])
        names = list(recipes.SIGNATURE.names)
        sent = log.line(1, x=[[RECORD[name]] for name in names])
        kinds = [column.kind for column in recipes.SIGNATURE.columns]
        log.write(tmp_path, [sent], log.header(team.project, columns=names, kinds=kinds, label="v1", **header))
        ship.ship(tmp_path)
        make_monitor(team.project, endpoint="churn-production", version="v1", links={"dataset": "customers"})
        return Prediction.objects.select_related("project", "chunk").get()

    return make


@pytest.mark.slow
def test_a_worker_tells_what_each_logged_value_added(team, logged):
    prediction = logged()
    work = told.ask(team.scientist, prediction=prediction)
    assert told.ask(team.scientist, prediction=prediction) == work
    assert Event.objects.filter(verb="prediction.explanation_asked").count() == 1
    client = browser(team, "scientist")
    page = f"/p/churn/predictions/{prediction.pk}/explanation/"
    before = browser(team, "ops").get(f"/p/churn/monitoring/predictions/{prediction.pk}/").content.decode()
    assert f'<form method="post" action="{page}">' in before
    assert b"Waits for a worker" in client.get(page).content
    tasks.explain_prediction(work.pk)
    work.refresh_from_db()
    assert (work.state, work.failure) == ("succeeded", "")
    (row,) = work.result["rows"]
    assert dict(zip(work.result["columns"], row["values"], strict=True))["city"] == "rome"
    assert row["base"] + sum(row["contributions"]) == pytest.approx(row["output"])
    assert b"What each column added" in client.get(page).content
    assert b"rome" in client.get(page).content
    Dataset.objects.filter(name="customers").update(marks={"city": "sensitive"})
    masked = browser(team, "ops").get(page).content
    assert (b"rome" in masked, "•••".encode() in masked) == (False, True)
    answer = Api(team, "ops", "read").get(f"predictions/{prediction.pk}/explanation/")
    assert "rome" not in answer.content.decode()
    detail = browser(team, "ops").get(f"/p/churn/monitoring/predictions/{prediction.pk}/").content.decode()
    assert ("rome" in detail, "plan-1" in detail) == (False, True)


@pytest.mark.parametrize(
    ("header", "why"),
    [({"masked": ["city"]}, "only a hash of city"), ({"log_mode": "none"}, "keeps no features")],
)
def test_what_the_log_does_not_hold_is_said(team, logged, header, why):
    work = told.ask(team.scientist, prediction=logged(**header))
    tasks.explain_prediction(work.pk)
    work.refresh_from_db()
    assert work.state == "failed"
    assert why in work.failure
    PredictionExplanation.objects.update(failure="x")
    assert told.ask(team.scientist, prediction=work.prediction).state == "queued"


def test_a_model_served_elsewhere_cannot_be_asked(team, logged):
    prediction = logged()
    prediction.chunk.source = 0
    with pytest.raises(Conflict, match="not in the portal"):
        told.ask(team.scientist, prediction=prediction)
    api = Api(team, "scientist", "read", "write")
    assert api.get(f"predictions/{prediction.pk}/explanation/").json() == {"state": "none"}
    assert api.get("predictions/0199a000-0000-7000-8000-000000000000/explanation/").status_code == 404
    assert browser(team, "viewer").get(f"/p/churn/predictions/{prediction.pk}/explanation/").status_code == 403
