"""A version that only listens, beside what answers."""

from datetime import timedelta

import pytest
from django.db import transaction
from django.utils import timezone

from monitoring import shadows
from monitoring.models import Monitor
from monitoring.pipeline import variants
from tests.factories.monitoring import make_monitor
from tests.factories.projects import make_project, make_token, make_user

pytestmark = pytest.mark.django_db
EDGES = [0.25, 0.5, 0.75]


@pytest.fixture
def project():
    return make_project()


@pytest.fixture
def monitor(project) -> Monitor:
    return make_monitor(project, pace={}, since=timezone.now() - timedelta(hours=2))


def told(monitor: Monitor, records: list[dict], *, shadow: bool, minutes: int = 5, source: int = 11) -> None:
    """Lines of one variant some minutes ago, as the shipper counts them."""
    at = int((timezone.now() - timedelta(minutes=minutes)).timestamp() * 1000)
    header = {
        "project": monitor.project_id, "endpoint": monitor.endpoint, "revision_id": source, "edges": EDGES,
        "variant": "shadow" if shadow else "champion", "mode": "shadow" if shadow else "live",
        "label": "churn v2" if shadow else monitor.version,
    }  # fmt: skip
    with transaction.atomic():
        variants.count(header, [{"at": at, **record} for record in records])


def answered(count: int, score: float, *, us: int = 900) -> list[dict]:
    return [{"kind": "prediction", "us": us, "y": ["yes"], "s": [score], "p": [[1 - score, score]]}] * count


def heard(count: int, score: float, *, us: int = 1_800, differing: int = 0) -> list[dict]:
    one = {"kind": "shadow", "us": us, "rows": 1, "y": ["yes"], "s": [score], "p": [[1 - score, score]]}
    return [one | {"differing": int(number < differing)} for number in range(count)]


def beside(monitor: Monitor) -> shadows.Beside | None:
    now = timezone.now()
    return shadows.beside(monitor, now - timedelta(hours=1), now)


def test_a_shadow_is_compared_with_what_answered_in_the_same_minutes(monitor):
    told(monitor, answered(50, 0.9), shadow=False, minutes=30)  # before it listened
    told(monitor, answered(150, 0.3) + answered(150, 0.6), shadow=False)
    failed = [{"kind": "shadow", "failed": True}] * 3
    told(monitor, [*heard(150, 0.3), *heard(150, 0.6, differing=30), *failed, {"kind": "shadow", "dropped": 7}],
         shadow=True)  # fmt: skip
    found = beside(monitor)
    assert (found.live.label, found.live.requests, found.shadow.label, found.shadow.requests) == (
        monitor.version, 300, "churn v2", 303,
    )  # fmt: skip
    assert (found.differing, found.rows, found.dropped, found.shadow.errors) == (30, 300, 7, 3)
    assert (found.psi, found.state, found.differing_share) == (0.0, "ok", 0.1)
    assert found.shadow.p99_ms == pytest.approx(1.8, rel=0.08)
    assert found.live.mean_score == pytest.approx(0.45)


def test_other_scores_are_told_and_few_are_not_judged(monitor):
    told(monitor, answered(199, 0.3), shadow=False)
    told(monitor, heard(400, 0.9), shadow=True)
    assert (beside(monitor).psi, beside(monitor).state) == (None, "")
    told(monitor, answered(1, 0.3), shadow=False)
    found = beside(monitor)
    assert (found.psi > 0.25, found.state) == (True, "bad")


def test_without_a_shadow_there_is_nothing_to_compare(monitor, django_assert_num_queries):
    told(monitor, answered(10, 0.3), shadow=False)
    with django_assert_num_queries(1):
        assert beside(monitor) is None


def test_page_and_rest_show_it(client, monitor, project):
    told(monitor, answered(300, 0.3), shadow=False)
    told(monitor, heard(300, 0.9, differing=60), shadow=True)
    olga = make_user("olga", role="ops", project=project)
    head = {"authorization": f"Bearer {make_token(olga, project, ['read'])}"}
    client.force_login(olga)
    page = client.get("/p/churn/monitoring/").content.decode()
    for words in ("Listening: churn v2", "20.0% of 300 rows answered otherwise", "no alert rule looks at it"):
        assert words in page
    told_over_rest = client.get(f"/api/v1/projects/churn/monitors/{monitor.pk}/measures/", headers=head).json()
    assert told_over_rest["shadow.differing_share"] == {
        "value": 0.2, "samples": 300, "detail": f"churn v2 beside {monitor.version}.",
    }  # fmt: skip
    assert told_over_rest["shadow.psi"]["value"] > 0.25
