"""What is stored is counted again: by segments that were added, and on a reference that came later."""

from datetime import timedelta

import pytest

from mlportal.lib.errors import Invalid
from monitoring import history
from monitoring.drift import shape
from monitoring.models import Backfill, Bucket, LabelBucket, Monitor, Prediction, SegmentBucket
from monitoring.pipeline import backfill, ship
from monitoring.services import monitors, predictions
from projects.models import Event
from projects.permissions import Permission
from tests.factories.monitoring import NOON, make_monitor, watcher
from tests.factories.projects import make_project, system
from tests.monitoring import log

END = NOON + timedelta(hours=1)


@pytest.fixture
def project(db):
    return make_project()


def send(project, folder, *lines):
    log.write(folder, list(lines), log.header(project))
    ship.ship(folder)


def line(rows=4):
    plans = ["a", "b"] * (rows // 2)
    return log.line(rows, refs=[f"r{row}" for row in range(rows)], x=[[40.0] * rows, plans, [True] * rows])


def watch(project, monitor, **settings):
    return monitors.update_watch(watcher(project), monitor=monitor, **settings)


def test_a_new_segment_counts_what_is_stored_once(project, tmp_path):
    monitor = make_monitor(project)
    send(project, tmp_path, line())
    truth = [{"inference_id": "r0", "label": "yes"}]
    predictions.record_truth(system(project, Permission.PREDICTION_LABEL), project=project, items=truth)
    watch(project, monitor, segment_columns=["plan"])
    send(project, tmp_path, line())  # counted at once: the columns are known
    for _again in range(2):
        backfill.run_left()
    assert not Backfill.objects.exists()
    assert {bucket.segment: bucket.rows for bucket in SegmentBucket.objects.filter(column="age")} == {
        "plan=a": 4,
        "plan=b": 4,
    }
    assert Bucket.objects.get(column="age").rows == 8
    assert Prediction.objects.filter(segments={"plan": "b"}).count() == 4
    assert [cells.cells["n"] for cells in LabelBucket.objects.order_by("segment")] == [1, 1]
    assert history.segments_of(monitor, NOON) == ["plan=a", "plan=b"]
    assert [one.samples for one in history.scores_between(monitor, NOON, END, "plan=a") if one.column == "age"] == [4]


def test_first_rows_become_the_reference_of_a_version_without_one(project, tmp_path, monkeypatch):
    monkeypatch.setattr(backfill, "FIRST_ROWS", 60)
    monitor = make_monitor(project, reference_grids={})
    send(project, tmp_path, line(40))
    assert backfill.make_references() == 0
    send(project, tmp_path, line(40))
    assert backfill.make_references() == 1
    monitor.refresh_from_db()
    assert monitor.links == {"reference": "first rows"}
    assert shape.size(monitor.reference["plan"]) == 60
    assert not Bucket.objects.filter(column="plan").exists()
    backfill.run_left()
    assert Bucket.objects.get(column="plan").rows == 80
    assert Bucket.objects.get(column=shape.TRAFFIC).rows == 2
    assert (backfill.make_references(), backfill.run_left()) == (0, 0)


def test_settings_are_checked_told_and_kept_for_the_next_version(project):
    monitor = make_monitor(project)
    watch(project, monitor, sensitive_columns=["plan", "plan"], label_delay_seconds=3600)
    assert Event.objects.filter(verb="monitor.updated").latest("seq").data["sensitive_columns"] == ["plan"]
    assert not Backfill.objects.exists()  # nothing is stored yet
    following = make_monitor(project, version="churn v2")
    assert (following.sensitive_columns, following.label_delay_seconds) == (["plan"], 3600)
    for wrong in ({"segment_columns": ["salary"]}, {"label_delay_seconds": -1}, {"sensitive_columns": "plan"}):
        with pytest.raises(Invalid) as refused:
            watch(project, following, **wrong)
        assert refused.value.field == next(iter(wrong))


def test_a_number_is_cut_into_bands_of_the_reference(project, tmp_path):
    monitor = make_monitor(project)
    Monitor.objects.filter(pk=monitor.pk).update(segment_columns=["age"])
    send(project, tmp_path, log.line(4, x=[[10.0, 39.0, 90.0, None], ["a"] * 4, [True] * 4]))
    found = sorted(SegmentBucket.objects.filter(column="plan").values_list("segment", flat=True))
    assert [name.split()[0] for name in found] == ["age=(empty)", "age=over", "age=over", "age=up"]
