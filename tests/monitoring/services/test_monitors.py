"""Binding, pace and counting."""

from datetime import timedelta

import pytest
from django.db import IntegrityError, transaction

from mlportal.lib.errors import Conflict, Forbidden, Invalid
from monitoring.drift import shape
from monitoring.models import Alert, AlertRule, Bucket, Monitor
from monitoring.services import monitors
from projects.models import Event
from tests.factories.monitoring import GRIDS, NOON, PACE, make_monitor, requests, watcher
from tests.factories.projects import actor, make_project, make_user

pytestmark = pytest.mark.django_db


def test_bind_makes_a_live_monitor_with_default_rules_and_one_event():
    project = make_project()
    monitor = make_monitor(project, links={"run": 7})
    assert Monitor.objects.live().get() == monitor
    assert (monitor.reference, monitor.links, monitor.step_seconds) == (GRIDS, {"run": 7}, 60)
    names = AlertRule.objects.in_project(project).order_by("pk").values_list("name", flat=True)
    assert list(names) == [
        "Data drift", "Prediction drift", "Missing values", "Unseen values", "Out of range", "Failed requests",
        "Slow answers", "Predictions not logged", "No requests",
    ]  # fmt: skip
    event = Event.objects.get(verb="monitor.bound")
    assert event.data == {"endpoint": "churn-production", "version": "churn v1", "default_rules": 9}


def test_bind_of_what_is_bound_changes_nothing():
    project = make_project()
    assert make_monitor(project) == make_monitor(project)
    assert Event.objects.filter(verb="monitor.bound").count() == 1


def test_next_version_ends_the_monitor_before_and_keeps_its_pace():
    project = make_project()
    first = make_monitor(project)
    second = make_monitor(project, version="churn v2", pace=None)
    first.refresh_from_db()
    assert first.valid_to is not None
    assert (second.step_seconds, second.valid_to, AlertRule.objects.count()) == (60, None, 9)
    assert Monitor.objects.of(project.pk, "churn-production", "churn v1") == first


def test_importance_replaces_the_weights():
    monitor = make_monitor(make_project(), importance={"age": 1.0, "on": 1.0})
    assert {name: grid.get("weight") for name, grid in monitor.reference.items()} == {
        "age": 0.5, "plan": 0.0, "on": 0.5, shape.SCORE: 0.0,
    }  # fmt: skip


def test_two_live_monitors_of_one_endpoint_are_refused_by_the_database():
    monitor = make_monitor(make_project())
    with pytest.raises(IntegrityError), transaction.atomic():
        Monitor.objects.create(project=monitor.project, endpoint=monitor.endpoint, version="x", valid_from=NOON)


def test_reference_is_set_once():
    project = make_project()
    monitor = make_monitor(project, reference_grids=None)
    assert monitors.set_reference(watcher(project), monitor=monitor, reference_grids=GRIDS).reference == GRIDS
    with pytest.raises(Conflict):
        monitors.set_reference(watcher(project), monitor=monitor, reference_grids=GRIDS)


@pytest.mark.parametrize(
    ("pace", "field"),
    [
        ({"step_seconds": 0}, "step_seconds"),
        ({"step_seconds": True}, "step_seconds"),
        ({"step_seconds": "60"}, "step_seconds"),
        ({"window_seconds": 10**9}, "window_seconds"),
        ({"step_seconds": 90}, "step_seconds"),
        ({"window_seconds": 100}, "window_seconds"),
        ({"colour": 1}, "colour"),
    ],
)
def test_pace_out_of_bounds_is_refused(pace, field):
    project = make_project()
    monitor = make_monitor(project)
    with pytest.raises(Invalid) as raised:
        monitors.update_pace(watcher(project), monitor=monitor, **pace)
    assert raised.value.field == field


def test_pace_is_changed_with_one_event():
    project = make_project()
    monitor = monitors.update_pace(watcher(project), monitor=make_monitor(project), window_seconds=600)
    assert (monitor.window_seconds, Event.objects.filter(verb="monitor.updated").count()) == (600, 1)


@pytest.mark.parametrize("role", ["viewer", "scientist", "manager"])
def test_roles_without_the_right_bind_nothing(role):
    project = make_project()
    by = actor(make_user("ana", role=role, project=project))
    with pytest.raises(Forbidden):
        monitors.bind(by, project=project, endpoint="e", version="1")


def test_counts_add_up_over_segments():
    monitor = make_monitor(make_project())
    first, second = requests(100), requests(50)
    with transaction.atomic():
        monitors.add_counts(monitor, NOON + timedelta(seconds=5), first)
    with transaction.atomic():
        monitors.add_counts(monitor, NOON + timedelta(seconds=59), second)
        monitors.add_counts(monitor, NOON + timedelta(seconds=60), second)
    held = Bucket.objects.get(monitor=monitor, hour=NOON, column="age")
    assert held.counts == shape.merge([first["age"], second["age"]])
    assert (held.rows, Bucket.objects.filter(column="age").count()) == (150, 2)


def test_counts_outside_a_transaction_are_refused(transactional_db):
    monitor = make_monitor(make_project())
    with pytest.raises(RuntimeError):
        monitors.add_counts(monitor, NOON, requests(10))


def test_counts_of_an_undone_segment_leave_nothing():
    monitor = make_monitor(make_project())
    with transaction.atomic():
        monitors.add_counts(monitor, NOON, requests(10))
        transaction.set_rollback(True)
    assert not Bucket.objects.exists()


@pytest.mark.parametrize("columns", [1, 3])
def test_counting_takes_the_same_queries_for_any_number_of_columns(columns, django_assert_num_queries):
    monitor = make_monitor(make_project())
    counts = dict(list(requests(10).items())[:columns])
    with transaction.atomic():
        monitors.add_counts(monitor, NOON, counts)
    with transaction.atomic(), django_assert_num_queries(4):
        monitors.add_counts(monitor, NOON, counts)


def test_pace_default_is_a_day_judged_every_hour():
    monitor = make_monitor(make_project(), pace=None)
    assert (monitor.bucket_seconds, monitor.step_seconds, monitor.window_seconds) == (3600, 3600, 86400)
    assert PACE["step_seconds"] == 60
    assert not Alert.objects.exists()
