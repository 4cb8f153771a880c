"""The morning page: what is wrong in the projects of a person, in a fixed number of queries."""

from datetime import timedelta

import pytest
from django.utils import timezone

from monitoring.models import Alert, Incident, Monitor
from monitoring.services import alerts
from projects.models import Channel, Delivery
from tests.factories.monitoring import make_monitor, make_rule, make_window, sample, watcher
from tests.factories.projects import make_project, make_user

pytestmark = pytest.mark.django_db
QUERIES = 15


@pytest.fixture
def project():
    return make_project()


@pytest.fixture
def site(client, project):
    client.force_login(make_user("eva", role="admin", project=project))
    return client


def trouble(project, number):
    monitor = make_monitor(project, endpoint=f"e{number}")
    rule = make_rule(project, f"rule {number}")
    alerts.settle(
        watcher(project), rule=rule, window=make_window(monitor), outcome="breach", samples=[sample("critical")]
    )
    channel = Channel.objects.create(project=project, name=f"c{number}", name_key=f"c{number}", kind="email")
    now = timezone.now()
    Delivery.objects.create(
        channel=channel, message_id=f"m{number}", verb="alert.firing", subject="lost", payload={}, state="dead",
        next_at=now, give_up_at=now,
    )  # fmt: skip


def test_what_is_wrong_is_on_the_page(site, project):
    trouble(project, 1)
    text = site.get("/ops/").content.decode()
    for words in ("Open incidents", "age drifted, PSI 0.30", "rule 1", "e1", "is not judged", "lost", "need a look"):
        assert words in text
    Monitor.objects.update(rolled_to=timezone.now())
    Alert.objects.update(state="resolved")
    Incident.objects.update(closed_at=timezone.now(), outcome="real", cause="c")
    text = site.get("/ops/").content.decode()
    assert "No incident is open." in text
    assert "is not judged" not in text


@pytest.mark.parametrize(("waiting", "tone"), [(None, ""), (499, ""), (500, "warn"), (900, "bad")])
def test_a_prediction_log_that_fills_up_is_told_before_it_is_full(site, settings, tmp_path, waiting, tone):
    settings.SPOOL_DIR, settings.SPOOL_QUOTA_BYTES = tmp_path / "spool", 1000
    if waiting is not None:
        settings.SPOOL_DIR.mkdir()
        (settings.SPOOL_DIR / "a-1.jsonl").write_bytes(b"x" * waiting)
    box = next(box for box in site.get("/ops/").context["boxes"] if box.key == "storage")
    told = box.lines[-1]
    assert (told.tone, told.title.split()[0], told.small.split()[0]) == (
        tone, str(waiting or 0), f"{(waiting or 0) / 1000:.0%}",
    )  # fmt: skip


def test_other_projects_are_not_on_it(site):
    other = make_project("other")
    trouble(other, 1)
    assert "rule 1" not in site.get("/ops/").content.decode()


@pytest.mark.parametrize("count", [1, 3])
def test_queries_do_not_grow(site, project, count, django_assert_max_num_queries):
    for number in range(count):
        trouble(project, number)
    site.get("/ops/")
    with django_assert_max_num_queries(QUERIES):
        site.get("/ops/")


def test_metrics_tell_of_alerts(client, project):
    trouble(project, 1)
    text = client.get("/metrics").content.decode()
    assert 'mlportal_alerts{severity="critical",state="firing"} 1.0' in text
    assert "mlportal_open_incidents 1.0" in text
    assert 'mlportal_messages{state="dead"} 1.0' in text


def test_old_failed_messages_are_left_out(site, project):
    trouble(project, 1)
    Delivery.objects.update(created_at=timezone.now() - timedelta(days=2))
    assert "lost" not in site.get("/ops/").content.decode()
