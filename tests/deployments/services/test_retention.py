"""Predictions are kept as long as their endpoint or the installation says; what was counted stays."""

from datetime import timedelta

import pytest
from django.utils import timezone

from deployments import tasks
from deployments.models import Endpoint
from deployments.services import endpoints, registered, versions
from deployments.services import retention as ledger
from mlportal.lib.errors import Conflict, Forbidden, Invalid
from monitoring.models import (
    Bucket,
    Day,
    GroundTruth,
    IngestedSegment,
    LabelBucket,
    Prediction,
    PredictionChunk,
    Window,
)
from monitoring.pipeline import ship
from monitoring.services import predictions, retention
from projects.models import Event
from projects.services import legal_holds
from tests.deployments.test_api import Api
from tests.deployments.test_pages import browser
from tests.factories.deployments import Team, make_live, make_version
from tests.factories.monitoring import make_monitor
from tests.monitoring.log import header, line, write

DAY = timedelta(days=1)


@pytest.fixture
def endpoint(team: Team) -> Endpoint:
    return make_live(team)


def predicted(team: Team, endpoint: Endpoint, folder, *, days: float, rows: int = 3, name: str = "r") -> None:
    """One segment of predictions of so many days ago, each with a label."""
    ms = int((timezone.now() - days * DAY).timestamp() * 1000)
    refs = [f"{name}{days}-{number}" for number in range(rows)]
    ids = [str(retention.first_id(timezone.now() - days * DAY))[:-4] + f"{number:04x}" for number in range(rows)]
    made = line(rows, at_ms=ms, refs=refs) | {"ids": ids}
    write(folder, [made], header(team.project, endpoint=endpoint.name, label="v1"))
    ship.ship(folder)
    items = [{"inference_id": ref, "label": "yes"} for ref in refs]
    assert predictions.record_truth(team.scientist, project=team.project, items=items).matched == rows


def counted() -> tuple[int, int, int]:
    return Prediction.objects.count(), GroundTruth.objects.count(), PredictionChunk.objects.count()


def test_old_predictions_go_and_figures_stay(team, endpoint, tmp_path):
    predicted(team, endpoint, tmp_path, days=40)
    predicted(team, endpoint, tmp_path, days=2)
    assert endpoint.log_days == 30  # a new one
    endpoints.configure(team.ops, endpoint=endpoint, log_days=0)
    figures = Bucket.objects.count(), LabelBucket.objects.count()
    assert tasks.forget_predictions() == 0  # nothing was said, so they are kept
    endpoints.configure(team.ops, endpoint=endpoint, log_days=30)
    assert tasks.forget_predictions() == 3
    assert counted() == (3, 3, 1)
    assert (Bucket.objects.count(), LabelBucket.objects.count()) == figures
    assert IngestedSegment.objects.count() == 2  # a segment that comes again counts once still
    event = Event.objects.get(verb="predictions.forgotten")
    told = {name: event.data[name] for name in ("endpoint", "predictions", "labels", "files")}
    assert told == {"endpoint": endpoint.name, "predictions": 3, "labels": 3, "files": 1}
    assert tasks.forget_predictions() == 0
    assert Event.objects.filter(verb="predictions.forgotten").count() == 1


def test_batches_are_bounded_and_the_next_call_goes_on(team, endpoint, tmp_path, monkeypatch):
    monkeypatch.setattr(retention, "BATCH", 2)
    monkeypatch.setattr(retention, "MOST_BATCHES", 2)
    predicted(team, endpoint, tmp_path, days=40, rows=5)
    endpoints.configure(team.ops, endpoint=endpoint, log_days=30)
    assert tasks.forget_predictions() == 4
    assert counted() == (1, 1, 1)
    assert tasks.forget_predictions() == 1
    assert counted() == (0, 0, 0)
    assert Event.objects.filter(verb="predictions.forgotten").count() == 3


def test_the_installation_decides_where_an_endpoint_says_nothing(team, endpoint, tmp_path, settings):
    settings.PREDICTION_DAYS = 10
    predicted(team, endpoint, tmp_path, days=20)
    other = Endpoint(name="elsewhere")  # of a model that is served elsewhere: watched, and no endpoint of ours
    make_monitor(team.project, endpoint=other.name, version="v1")
    predicted(team, other, tmp_path, days=20, name="e")
    endpoints.configure(team.ops, endpoint=endpoint, log_days=30)
    assert tasks.forget_predictions() == 3
    assert list(Prediction.objects.values_list("endpoint", flat=True).distinct()) == [endpoint.name]
    endpoints.configure(team.ops, endpoint=endpoint, log_days=0)
    assert tasks.forget_predictions() == 3


def test_days_are_set_on_the_page_and_over_the_api(team, endpoint):
    client, address = browser(team, "ops"), f"/p/churn/deployments/{endpoint.name}/"
    assert client.post(f"{address}configure/", {"log_mode": "all", "log_days": "90"}).status_code == 303
    assert Endpoint.objects.get().log_days == 90
    assert client.post(f"{address}configure/", {"log_mode": "all", "log_days": "-1"}).status_code == 422
    ops = Api(team, "ops", "read", "deploy")
    assert ops.send("patch", f"endpoints/{endpoint.name}/", {"log_days": 7}).json()["log_days"] == 7
    assert ops.send("patch", f"endpoints/{endpoint.name}/", {"log_days": 99_999}).status_code == 400
    assert Event.objects.filter(verb="endpoint.configured").count() == 2
    with pytest.raises(Invalid) as caught:
        endpoints.configure(team.ops, endpoint=endpoint, log_days=40_000)
    assert caught.value.field == "log_days"
    with pytest.raises(Forbidden):
        retention.forget(team.viewer, project=team.project, endpoint=endpoint.name, before=timezone.now())


def test_what_was_explained_is_forgotten_with_its_explanation(team, endpoint, tmp_path):
    from deployments.models import PredictionExplanation

    predicted(team, endpoint, tmp_path, days=9)
    version = endpoint.current_revision.version
    PredictionExplanation.objects.create(prediction=Prediction.objects.first(), version=version, result={"rows": []})
    by = team.admin
    gone = retention.forget(by, project=team.project, endpoint=endpoint.name, before=timezone.now() - 5 * DAY)
    assert (gone.predictions, Prediction.objects.count(), PredictionExplanation.objects.count()) == (3, 0, 0)


def test_a_legal_hold_keeps_predictions_labels_versions_and_models(team, endpoint, tmp_path):
    predicted(team, endpoint, tmp_path, days=40)
    GroundTruth.objects.update(prediction=None, recorded_at=timezone.now() - 40 * DAY)
    endpoints.configure(team.ops, endpoint=endpoint, log_days=30)
    version = make_version(team, model="unused")
    hold = legal_holds.place(team.admin, project=team.project, reason="Letter of the regulator.")
    assert (tasks.forget_predictions(), ship.forget_unmatched(timezone.now())) == (0, 0)
    for attempt in (
        lambda: versions.delete(team.scientist, version=version),
        lambda: registered.delete(team.scientist, model=version.model),
    ):
        with pytest.raises(Conflict, match="kept by a legal hold"):
            attempt()
    legal_holds.lift(team.admin, hold=hold, reason="The case is closed.")
    assert (ship.forget_unmatched(timezone.now()), tasks.forget_predictions()) == (3, 3)
    versions.delete(team.scientist, version=version)


def counted_at(monitor, at) -> None:
    """What is kept of a minute: counts, a day, a window."""
    Bucket.objects.create(monitor=monitor, hour=at, column="age", counts={}, rows=5)
    Day.objects.create(monitor=monitor, at=at)
    Window.objects.create(
        monitor=monitor, starts_at=at - timedelta(minutes=1), ends_at=at, rows=5, verdict="ok", computed_at=at
    )


def test_old_statistics_go_but_the_windows_that_rules_compare_with(team):
    now = timezone.now()
    monitor = make_monitor(team.project, since=now - 500 * DAY)
    for day in range(500, 470, -1):  # 30 windows, of which 28 stay
        counted_at(monitor, now - day * DAY)
    counted_at(monitor, now - 399 * DAY)
    hold = legal_holds.place(team.admin, project=team.project, reason="A letter of the regulator.")
    assert tasks.forget_statistics() == 0
    [told] = ledger.due()
    assert (told.what, told.days, told.rows, told.kept) == ("statistics", 400, 62, "kept by a legal hold")
    legal_holds.lift(team.admin, hold=hold, reason="The case is closed.")
    assert tasks.forget_statistics() == 62
    assert (Bucket.objects.count(), Day.objects.count(), Window.objects.count()) == (1, 1, 29)
    told = Event.objects.filter(verb="statistics.forgotten").values_list("data__kind", "data__rows")
    assert sorted(told) == [("counts", 30), ("days", 30), ("windows", 2)]
    assert tasks.forget_statistics() == 0
    assert ledger.due() == []


def test_statistics_can_be_kept_for_ever(team, settings):
    settings.STATISTICS_DAYS = 0
    counted_at(make_monitor(team.project), timezone.now() - 900 * DAY)
    assert tasks.forget_statistics() == 0
    assert ledger.due() == []


def test_what_is_due_is_told_by_endpoint(team, endpoint, tmp_path):
    predicted(team, endpoint, tmp_path, days=40)
    [told] = ledger.due()
    assert (told.project, told.what, told.days, told.rows) == (
        team.project.slug,
        f"predictions of {endpoint.name}",
        30,
        3,
    )
    assert Prediction.objects.count() == 3
