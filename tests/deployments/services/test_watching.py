"""Each version that gets a share of an endpoint's requests is watched against its own reference, as long as it does."""

from datetime import timedelta

import pytest
from django.db import transaction
from django.utils import timezone

from deployments.services import rollouts
from monitoring import pipeline
from monitoring.drift import shape
from monitoring.models import Alert, Monitor, RuleEvaluation, Window
from monitoring.services import backtests, monitors, rules
from projects.permissions import Permission
from tests.deployments.services.test_rollouts import approved, begun, endpoint, rollout  # noqa: F401 - fixtures
from tests.factories.monitoring import GRIDS, PACE, requests
from tests.factories.projects import system

pytestmark = pytest.mark.django_db
AGO = timedelta(minutes=10)


def watched(endpoint) -> dict[str, Monitor]:  # noqa: F811
    rows = Monitor.objects.live().filter(project=endpoint.project, endpoint=endpoint.name).order_by("variant")
    return {row.variant: row for row in rows}


@pytest.fixture
def shares(team, endpoint, rollout) -> dict[str, Monitor]:  # noqa: F811
    """Monitors of a canary and of what is live, as if they had been divided for ten minutes."""
    begun(rollout)
    for row in watched(endpoint).values():
        began = timezone.now() - AGO
        Monitor.objects.filter(pk=row.pk).update(reference=GRIDS, valid_from=began, rolled_to=None, **PACE)
    return watched(endpoint)


def ask(monitor, minute, counts):
    with transaction.atomic():
        monitors.add_counts(monitor, timezone.now() - AGO + timedelta(minutes=minute), counts)


def test_a_variant_is_watched_from_its_first_share_to_its_last(team, endpoint, rollout):  # noqa: F811
    assert list(watched(endpoint)) == [""]  # it is loading, and gets nothing
    begun(rollout)
    held = watched(endpoint)
    assert {variant: row.version for variant, row in held.items()} == {"": "v1", "canary": "v2"}
    assert (held["canary"].step_seconds, held["canary"].links["number"]) == (held[""].step_seconds, 2)
    rollouts.abort(team.ops, rollout=rollout, reason="Enough was seen of it.")
    assert list(watched(endpoint)) == [""]
    assert Monitor.objects.get(pk=held["canary"].pk).valid_to is not None


def test_each_version_has_its_alerts_and_the_endpoint_its_traffic(team, endpoint, shares):  # noqa: F811
    for minute in range(5):
        ask(shares[""], minute, requests())
        ask(shares["canary"], minute, requests(300, age=[95.0] * 300))
    pipeline.roll_due()
    alert = Alert.objects.get(rule__name="Data drift")
    assert (alert.version, alert.monitor, alert.state) == ("v2", shares["canary"], "firing")
    whole = Window.objects.filter(monitor=shares[""], requests__gt=0).latest("ends_at")
    share = Window.objects.filter(monitor=shares["canary"], requests__gt=0).latest("ends_at")
    assert (whole.requests, share.requests, whole.rows) == (600, 300, 300)


def test_few_requests_of_a_share_are_nobodys_alert(endpoint, shares):  # noqa: F811
    for minute in range(10):
        ask(shares["canary"], minute, requests())  # everything goes to the canary: its last step
    pipeline.roll_due()
    assert not Alert.objects.filter(rule__metric="traffic.requests", state="firing").exists()
    asked = RuleEvaluation.objects.filter(rule__metric="traffic.requests").values_list("monitor", flat=True)
    assert set(asked) == {shares[""].pk}


def test_a_rule_may_name_a_version(team, endpoint, shares):  # noqa: F811
    by = system(team.project, Permission.MONITOR_EDIT, Permission.MONITOR_VIEW)
    named = {"metric": "error.rate", "critical": 0.1, "needed": 1, "of": 1}
    rule = rules.create(by, project=team.project, name="Canary fails", endpoint=endpoint.name, version="v2", **named)
    failing = requests() | {shape.TRAFFIC: shape.traffic([2000.0] * 200, errors=100)}
    for monitor in shares.values():
        ask(monitor, 8, failing)
    pipeline.roll_due()
    assert set(RuleEvaluation.objects.filter(rule=rule).values_list("monitor", flat=True)) == {shares["canary"].pk}
    assert {alert.version for alert in Alert.objects.filter(rule=rule)} == {"v2"}
    assert {one.endpoint for one in backtests.play(by, project=team.project, rule=rule).firings} == {endpoint.name}


def test_the_pages_show_one_version_or_the_other(client, team, endpoint, shares):  # noqa: F811
    for minute in range(5):
        ask(shares["canary"], minute, requests())
    pipeline.roll_due()
    client.force_login(team.people["ops"])
    base = f"/p/{team.project.slug}/monitoring"
    for name in ("", "performance/", "quality/", "window/"):
        page = client.get(f"{base}/{name}", {"variant": "canary"})
        assert (page.status_code, page.context["monitor"]) == (200, shares["canary"])
        assert page.context["variants"] == [("", "v1"), ("canary", "v2")]
        assert "variant=canary" in page.content.decode()
    assert client.get(f"{base}/", {"variant": "none"}).context["monitor"] == shares[""]
