"""The example project, made on a real portal by its own workers."""

import json
import subprocess
import sys

import pytest

from tests.collector import collecting
from tests.portal.running import ROOT, running

pytestmark = pytest.mark.slow

LOOK = """
import json
import time
import django
django.setup()
from deployments.models import Endpoint, PromotionRequest, Rollout
from experiments.models import TrainingJob
from monitoring.models import Alert, Prediction, VariantCount
from projects.models import Project, User
project = Project.objects.get(slug="example")
def answered():  # as far as the log is shipped
    return sorted(set(VariantCount.objects.filter(project=project, rows__gt=0).values_list("variant", flat=True)))
until = time.monotonic() + 180
while len(answered()) < 2 and time.monotonic() < until:
    time.sleep(0.5)
asked = PromotionRequest.objects.filter(project=project).order_by("pk")
print(json.dumps({
    "is_example": project.is_example,
    "jobs": sorted(TrainingJob.objects.filter(project=project).values_list("state", flat=True)),
    "requests": [(r.state, r.requested_by.username, r.decided_by and r.decided_by.username) for r in asked],
    "live": [str(e.current_revision.version) for e in Endpoint.objects.filter(project=project)],
    "rollouts": [(r.state, r.step) for r in Rollout.objects.filter(endpoint__project=project)],
    "variants": answered(),
    "predictions": Prediction.objects.count(),
    "alerts": sorted(set(Alert.objects.shown().filter(project=project).values_list("rule__name", flat=True))),
    "people": sorted(User.objects.values_list("username", flat=True)),
}))
"""


@pytest.fixture(scope="module")
def shown(tmp_path_factory):
    """What the command printed, what is there afterwards, and what the parts told a collector of traces."""
    with (
        collecting() as collector,
        running(tmp_path_factory.mktemp("demo") / "p", OTEL_EXPORTER_OTLP_ENDPOINT=collector.url) as portal,
    ):
        command = [sys.executable, "-m", "mlportal.cli", "demo"]
        done = subprocess.run(
            command, env=portal.environment, cwd=ROOT, capture_output=True, text=True, timeout=900, check=False
        )
        assert (done.returncode, done.stderr) == (0, "")
        again = portal.command("demo")
        environment = portal.environment | {"DJANGO_SETTINGS_MODULE": "mlportal.settings"}
        look = subprocess.run([sys.executable, "-c", LOOK], env=environment, cwd=ROOT, capture_output=True, check=True)
        yield done.stdout, json.loads(look.stdout), again, collector


def test_demo_has_every_state_a_visitor_should_see(shown):
    _output, found, *_ = shown
    alerts = found.pop("alerts")
    assert "Data drift" in alerts
    assert "No requests" not in alerts
    assert found.pop("predictions") >= 480
    assert found == {
        "is_example": True,
        "jobs": ["succeeded"] * 5,
        "requests": [["approved", "sam", "mona"], ["approved", "sam", "mona"], ["pending", "sam", None]],
        "rollouts": [["canary", 0]],
        "variants": ["canary", "champion"],
        "live": ["tumour-screening v1"],
        "people": ["ada", "mona", "otto", "sam", "vera"],
    }


def test_demo_prints_one_password_a_role_once(shown):
    output, *_ = shown
    rows = [line.split() for line in output.splitlines() if line.startswith("  ")]
    assert [row[:2] for row in rows] == [
        ["vera", "viewer"],
        ["sam", "scientist"],
        ["mona", "manager"],
        ["otto", "ops"],
        ["ada", "admin"],
    ]
    assert len({row[2] for row in rows}) == 5
    assert output.splitlines()[-1].startswith("Done. Sign in at http://127.0.0.1:")


def test_second_demo_is_refused_with_a_sentence(shown):
    *_, again, _collector = shown
    assert again.returncode == 6
    assert again.stderr == "mlportal: The example project is there already.\n"


def test_spans_of_every_part_arrive_and_tasks_go_on_with_their_traces(shown):
    *_, collector = shown
    kinds = {(span.service, span.name.split()[0]) for span in collector.spans}
    assert {("mlportal-web", "GET"), ("mlportal-worker", "run"), ("mlportal-serve", "predict")} <= kinds
    known = {span.own: span for span in collector.spans}
    published = {
        known[span.parent].name for span in collector.spans
        if span.name == "run projects.notify" and span.parent in known and known[span.parent].trace == span.trace
    }  # fmt: skip
    assert published == {"publish projects.notify"}
