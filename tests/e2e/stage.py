"""Fill a running portal for browser tests: a row of everything, a run with every kind of file, and 300 runs.

Run as a program in the environment of the portal; prints the values that address what was made. With the number of a
run that is at work, it lets its training say what comes in: a list of (level, text) a line.
"""

import io
import json
import struct
import sys
import zlib

import django

FIRST_MS = 1_760_000_000_000
STEPS = 40
HTML = b"<!doctype html><title>report</title><h1>Lift by decile</h1><script>document.title = 'ran'</script>"


def main() -> None:
    """Make it all and print the addresses."""
    django.setup()
    from experiments.models import TrainingJob
    from projects.models import DatasetImport
    from projects.permissions import SCOPES
    from tests.e2e import neighbours
    from tests.factories.projects import make_token
    from tests.house.world import make_world

    world = make_world()
    # what would make this portal's own workers call somebody
    DatasetImport.objects.update(state="failed", failure="example.org is not asked by a test")
    values = world.values | {"rich": str(rich_run(world)), "curves": curves(world), "live": live(world)}
    values |= {"charted": report(world), "drifted": drifted(world), "failing": failing(world)}
    lab(world)
    values |= neighbours.settle()
    values["working"] = str(at_work(world))
    values["trained"] = str(TrainingJob.objects.get(pk=values["jobs"]).run_id)
    values["token"] = make_token(world.people["everyone"], None, list(SCOPES))
    print(json.dumps(values))


def rich_run(world) -> int:
    """A finished run with curves and one file for every viewer."""
    from experiments.services import artifacts, runs
    from tests.factories import experiments as made

    by = made.writer(world.project)
    run = made.make_run(made.make_experiment(world.project, "rich"), "every-viewer", params={"depth": "4"})
    runs.start(by, run=run)
    for key in ("auc", "loss"):
        made.log(run, key, [0.5 + at / 100 for at in range(STEPS)])
    for path, content in files().items():
        artifacts.store(by, owner=run, path=path, stream=[content])
    runs.finish(by, run=run, state="finished")
    return run.pk


def files() -> dict[str, bytes]:
    """Content for each viewer by path."""
    import pyarrow as pa
    import pyarrow.parquet as pq

    table = io.BytesIO()
    pq.write_table(pa.table({"decile": list(range(10)), "lift": [3.0 - at / 4 for at in range(10)]}), table)
    return {
        "plots/lift.png": picture(), "report.html": HTML, "report.pdf": pdf("Lift by decile"),
        "table.csv": b"a,b\n1,2\n",
        "table.parquet": table.getvalue(), "settings.json": json.dumps({"model": {"depth": 4}}).encode(),
        "README.md": b"# Lift\n\nA **note**.\n", "notes.txt": b"one line\n",
        "confusion_matrix.json": json.dumps({"labels": ["no", "yes"], "matrix": [[50, 4], [6, 40]]}).encode(),
        "importance.json": json.dumps([{"feature": "age", "mean": 0.3, "std": 0.01}]).encode(),
    }  # fmt: skip


def picture(side: int = 40) -> bytes:
    """A PNG of one colour."""

    def chunk(kind: bytes, data: bytes) -> bytes:
        return struct.pack(">I", len(data)) + kind + data + struct.pack(">I", zlib.crc32(kind + data))

    head = struct.pack(">IIBBBBB", side, side, 8, 2, 0, 0, 0)
    rows = (b"\0" + b"\x1e\x60\xe3" * side) * side
    return b"\x89PNG\r\n\x1a\n" + chunk(b"IHDR", head) + chunk(b"IDAT", zlib.compress(rows)) + chunk(b"IEND", b"")


def pdf(text: str) -> bytes:
    """The smallest PDF that shows a line of text."""
    stream = f"BT /F1 24 Tf 20 100 Td ({text}) Tj ET".encode()
    parts = [
        b"<< /Type /Catalog /Pages 2 0 R >>", b"<< /Type /Pages /Kids [3 0 R] /Count 1 >>",
        b"<< /Type /Page /Parent 2 0 R /MediaBox [0 0 300 200] /Contents 4 0 R"
        b" /Resources << /Font << /F1 << /Type /Font /Subtype /Type1 /BaseFont /Helvetica >> >> >> >>",
        b"<< /Length %d >>\nstream\n%s\nendstream" % (len(stream), stream),
    ]  # fmt: skip
    body, places = b"%PDF-1.4\n", []
    for number, part in enumerate(parts, 1):
        places.append(len(body))
        body += b"%d 0 obj\n%s\nendobj\n" % (number, part)
    table = b"".join(b"%010d 00000 n \n" % place for place in places)
    end = b"trailer << /Size 5 /Root 1 0 R >>\nstartxref\n%d\n%%%%EOF" % len(body)
    return body + b"xref\n0 5\n0000000000 65535 f \n" + table + end


def curves(world) -> str:
    """Three runs with curves, for charts of comparison; returns their numbers."""
    from experiments.services import artifacts, runs
    from tests.factories import experiments as made

    by, made_runs = made.writer(world.project), []
    for depth in (2, 4, 8):
        place = made.make_experiment(world.project, "curves")
        run = made.make_run(place, f"depth-{depth}", params={"depth": str(depth), "solver": "saga"})
        runs.start(by, run=run)
        made.log(run, "auc", [0.5 + depth / 100 + at / 200 for at in range(STEPS)])
        for path, content in judged(depth).items():
            artifacts.store(by, owner=run, path=path, stream=[json.dumps(content).encode()])
        made_runs.append(runs.finish(by, run=run, state="finished"))
    return ",".join(str(run.pk) for run in made_runs)


def judged(depth: int) -> dict[str, object]:
    """Files that say how good a classifier is, as a training writes them."""
    shares = [at / 10 for at in range(11)]
    reached = [share ** (1 / depth) for share in shares]
    curves = {
        "roc": {"fpr": shares, "tpr": reached, "auc": 0.5 + depth / 20},
        "precision_recall": {"recall": shares, "precision": reached[::-1], "average_precision": 0.5 + depth / 20},
        "calibration": {"predicted": shares, "observed": reached, "brier": 0.2},
    }
    files = {f"{name}.json": {"curves": [{"class": "yes", **curve}]} for name, curve in curves.items()}
    return files | {"confusion_matrix.json": {"classes": ["no", "yes"], "matrix": [[50, depth], [6, 40]]}}


def live(world) -> str:
    """More runs than a screen holds, the first of them still running; returns its number."""
    from experiments.services import runs
    from tests.factories import experiments as made

    by, place = made.writer(world.project), made.make_experiment(world.project, "live")
    started = made.make_run(place, "running", params={"depth": "3"})
    runs.start(by, run=started)
    made.log(started, "auc", [0.5])
    for at in range(24):
        made.log(made.make_run(place, f"waiting-{at}", params={"depth": str(at)}), "auc", [0.6])
    return str(started.pk)


def at_work(world) -> int:
    """A run whose training works elsewhere and has said sixty lines; returns its number."""
    from experiments.models import TrainingJob
    from experiments.services import attempts
    from tests.factories.jobs import make_job

    known = TrainingJob.objects.get(pk=world.values["jobs"])
    job = make_job(world.project, dataset_version=known.dataset_version, spec=known.spec, experiment="working")
    held = attempts.begin(job.pk, worker="elsewhere/1")
    lines = [(FIRST_MS + at, "info", f"epoch {at} of 99") for at in range(60)]
    attempts.report(held, log=attempts.LogPart(0, lines, 0, 0))
    _leave(job.pk)
    return job.run_id


def say(run: int) -> None:
    """Add lines to the log of a training as they come in."""
    django.setup()
    from experiments.models import JobAttempt
    from experiments.services import attempts
    from mlportal.lib.lease import Claim

    for line in sys.stdin:
        attempt = JobAttempt.objects.select_related("job__run__project", "job__created_by").get(job__run=run)
        job, said = attempt.job, [(FIRST_MS, level, text) for level, text in json.loads(line)]
        held = attempts.Held(job, attempt, Claim(pk=job.pk, fence=job.fence), attempts.actor_of(job))
        warnings = attempt.log_warnings + sum(level == "warning" for _, level, _ in said)
        assert attempts.report(held, log=attempts.LogPart(attempt.log_lines, said, warnings, attempt.log_errors))
        _leave(job.pk)


def _leave(job: int) -> None:
    """Keep the portal's own workers from taking a training whose worker says no more."""
    from datetime import timedelta

    from django.utils import timezone

    from experiments.models import TrainingJob

    TrainingJob.objects.filter(pk=job).update(lease_until=timezone.now() + timedelta(days=1))


def report(world) -> str:
    """A report with a chart of each kind; returns its number."""
    from experiments.models import Experiment
    from experiments.services import reports
    from tests.factories import experiments as made

    asked = {"experiment": Experiment.objects.get(name="curves").pk, "state": "q=depth>=0"}
    kinds = ("curves", "scatter", "parallel", "boxes")
    content = [
        {"id": f"c{at}", "kind": "chart", "chart": kind, "metric": "auc", **asked} for at, kind in enumerate(kinds)
    ]
    return str(reports.create(made.writer(world.project), project=world.project, title="Charts", content=content).pk)


def drifted(world) -> str:
    """A monitor whose last windows are judged, and an alert of it; returns the alert's number."""
    from datetime import timedelta

    import numpy as np
    from django.db import transaction
    from django.utils import timezone

    from monitoring.models import Alert, Window
    from monitoring.pipeline import roll_window
    from monitoring.services import alerts, monitors
    from tests.factories import monitoring as made

    now = timezone.now().replace(second=0, microsecond=0)
    monitor = made.make_monitor(world.project, since=now - timedelta(minutes=4), endpoint="a-drifted")
    for minute in range(4):
        with transaction.atomic():
            counts = made.requests(300, age=np.random.default_rng(minute).normal(70, 10, 300))
            monitors.add_counts(monitor, now - timedelta(minutes=4 - minute), counts)
    roll_window(monitor.pk, now + timedelta(seconds=16))
    rule, window = made.make_rule(world.project, "Age"), Window.objects.filter(monitor=monitor).latest("ends_at")
    found = [made.sample("critical")]
    alerts.settle(made.watcher(world.project), rule=rule, window=window, outcome="breach", samples=found)
    return str(Alert.objects.latest("pk").pk)


def failing(world) -> str:
    """A third project whose endpoint answers with the second of two versions, and an alert of that; its number."""
    import tempfile
    from pathlib import Path

    from projects.models import Membership
    from projects.permissions import Role
    from tests.factories import deployments, monitoring
    from tests.serve.harness import write_artifacts

    team = deployments.make_team("ward")
    for role in Role:
        Membership.objects.create(project=team.project, user=world.people["everyone"], role=role)
    rest = {path: content for path, content in deployments.model_files().items() if not path.startswith("model/model")}
    with tempfile.TemporaryDirectory() as folder:
        for number in (1, 2):
            found = write_artifacts(Path(folder) / str(number), seed=number)
            files = rest | {path: local.read_bytes() for path, local in found.items()}
            run = deployments.make_trained_run(team, files=files)
            endpoint = deployments.make_live(team, version=deployments.make_version(team, run=run))
    rule = monitoring.make_rule(team.project, "Errors", metric="error.rate")
    facts = {"severity": "critical", "title": "Half of the requests fail", "limit": 0.25, "value": 0.5}
    return str(monitoring.make_alert(rule, endpoint=endpoint.name, version="v2", **facts).pk)


def lab(world) -> None:
    """A second project with 300 runs in one experiment."""
    from experiments.services import runs
    from mlportal import fixture
    from projects.models import Membership
    from projects.permissions import Role
    from tests.factories import experiments as made
    from tests.factories.projects import actor, make_project

    everyone = world.people["everyone"]
    project = make_project("lab", owner=everyone)
    for role in Role:
        Membership.objects.create(project=project, user=everyone, role=role)
    place = fixture.fill(actor(everyone), project, fixture.Size(runs=300, metric_names=40, datasets=5, experiments=3))
    by, trained = made.writer(project), made.make_run(place, "trained-before")  # what a first training is compared with
    runs.start(by, run=trained)
    made.log(trained, "roc_auc", [0.7])
    runs.finish(by, run=trained, state="finished")


if __name__ == "__main__":
    if len(sys.argv) > 1:
        say(int(sys.argv[1]))
    else:
        main()
