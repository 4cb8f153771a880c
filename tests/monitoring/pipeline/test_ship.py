"""From segments to rows, files and counts: everything once, nothing lost."""

import os
import subprocess
import sys
from datetime import UTC, datetime, timedelta
from pathlib import Path

import pytest
from django.conf import settings
from django.core.management import call_command
from django.utils import timezone
from pyarrow import parquet

from mlportal.lib import blobs
from monitoring import spool
from monitoring.drift import shape
from monitoring.models import Bucket, GroundTruth, IngestedSegment, Prediction, PredictionChunk
from monitoring.pipeline import ship
from monitoring.services import predictions
from projects.models import ApiToken, Delivery, Event, EventDelivery
from projects.permissions import Permission
from projects.services import channels, deliveries
from tests.factories.monitoring import NOON, make_monitor
from tests.factories.projects import make_project, make_token, make_user, system
from tests.monitoring import log

ROOT = Path(__file__).resolve().parents[3]


@pytest.fixture
def project(db):
    return make_project()


def counts(column: str) -> list[tuple[datetime, dict]]:
    return list(Bucket.objects.filter(column=column).order_by("hour").values_list("hour", "counts"))


def test_segment_becomes_rows_features_and_counts(project, tmp_path):
    make_monitor(project)
    sent = [log.line(3, refs=["a", "b", "c"]), log.line(2, at_ms=log.NOON_MS + 60_000, via="v2"), log.refusal()]
    log.write(tmp_path, sent, log.header(project))
    assert ship.ship(tmp_path) == 5
    rows = list(Prediction.objects.order_by("row"))
    assert [str(row.id) for row in rows] == sent[0]["ids"] + sent[1]["ids"]
    first = rows[0]
    assert (first.project_id, first.endpoint, first.row, first.at) == (project.pk, "churn-production", 0, NOON)
    assert (first.value, first.score, first.latency_us, first.external_id) == ("yes", 0.75, 900, "a")
    assert (first.chunk.label, first.chunk.revision, first.chunk.backend) == ("churn v1", 4, "exact")
    assert [row.protocol for row in rows] == ["", "", "", "v2", "v2"]  # lines from before it was kept say nothing
    table = parquet.read_table(blobs.local_path(first.chunk.sha256))
    assert table.column("age").to_pylist() == [40.0, 41.0, 42.0, 40.0, 41.0]
    assert [hour for hour, _ in counts("age")] == [NOON, NOON + timedelta(minutes=1)]
    assert [sum(held["counts"]) for _, held in counts("age")] == [3, 2]
    assert [sum(held["counts"]) for _, held in counts("__score__")] == [3, 2]
    traffic = [held for _, held in counts(shape.TRAFFIC)]
    assert [(sum(held["counts"]), held["nulls"]) for held in traffic] == [(1, 1), (1, 0)]
    assert spool.closed_segments(tmp_path) == []
    segment = IngestedSegment.objects.get()
    assert (segment.rows, segment.damaged) == (5, 0)


def test_content_of_one_prediction_comes_back(project, tmp_path):
    log.write(tmp_path, [log.line(3)], log.header(project))
    ship.ship(tmp_path)
    reader = system(project, Permission.PREDICTION_VIEW)
    found = predictions.content(reader, prediction=Prediction.objects.get(row=2))
    assert found.features == {"age": 42.0, "plan": "a", "on": True}
    assert found.probability == {"no": 0.25, "yes": 0.75}


@pytest.mark.parametrize(("mode", "columns"), [("hashed", log.COLUMNS), ("none", [])])
def test_log_mode_decides_what_is_kept_and_counts_stay_exact(project, tmp_path, mode, columns):
    make_monitor(project)
    log.write(tmp_path, [log.line(3)], log.header(project, log_mode=mode))
    ship.ship(tmp_path)
    chunk = PredictionChunk.objects.get()
    table = parquet.read_table(blobs.local_path(chunk.sha256))
    assert chunk.columns == columns
    assert [name for name in table.column_names if not name.startswith("__")] == columns
    if mode == "hashed":
        hashes = table.column("age").to_pylist()
        assert {len(text) for text in hashes} == {16}
        assert len(set(hashes)) == 3
        assert table.column("plan").to_pylist() != ["a"] * 3
    assert [sum(held["counts"]) for _, held in counts("age")] == [3]


def test_masked_columns_are_hashed_and_a_sample_keeps_the_features_of_its_share(project, tmp_path):
    make_monitor(project)
    log.write(tmp_path, [log.line(2, kept=False), log.line(2)], log.header(project, masked=["plan"]))
    ship.ship(tmp_path)
    table = parquet.read_table(blobs.local_path(PredictionChunk.objects.get().sha256))
    assert table.column("age").to_pylist() == [None, None, 40.0, 41.0]
    assert [text and len(text) for text in table.column("plan").to_pylist()] == [None, None, 16, 16]
    assert Prediction.objects.count() == 4
    assert [sum(held["counts"]) for _, held in counts("age")] == [4]


def test_segment_counts_once_even_if_it_comes_again(project, tmp_path):
    make_monitor(project)
    log.write(tmp_path, [log.line(4)], log.header(project))
    (path,) = spool.closed_segments(tmp_path)
    content = path.read_bytes()
    assert ship.ship(tmp_path) == 4
    path.write_bytes(content)
    assert ship.ship(tmp_path) == 0
    assert (Prediction.objects.count(), IngestedSegment.objects.count(), path.exists()) == (4, 1, False)
    assert [sum(held["counts"]) for _, held in counts("age")] == [4]


def test_damaged_and_stray_lines_are_counted(project, tmp_path):
    log.write(
        tmp_path,
        [log.line(), log.line(), log.line(source=12)],
        log.header(project),
        {**log.header(project), "source": 12, "project": 0},
    )
    (path,) = spool.closed_segments(tmp_path)
    lines = path.read_bytes().splitlines(keepends=True)
    lines[1] = lines[1].replace(b"yes", b"yez")
    path.write_bytes(b"".join(lines))
    assert ship.ship(tmp_path) == 1
    assert IngestedSegment.objects.get().damaged == 2


def test_one_broken_segment_does_not_hold_up_the_others(project, tmp_path):
    log.write(tmp_path, [log.line(x=[[1.0]])], log.header(project))
    log.write(tmp_path, [log.line(2)], log.header(project))
    assert ship.ship(tmp_path) == 2
    assert (Prediction.objects.count(), len(spool.closed_segments(tmp_path))) == (2, 1)


def test_two_shippers_of_one_folder_do_not_work_at_once(project, tmp_path):
    log.write(tmp_path, [log.line(2)], log.header(project))
    with ship._alone(tmp_path) as first:
        assert (first, ship.ship(tmp_path)) == (True, 0)
    assert ship.ship(tmp_path) == 2
    assert ship.ship(tmp_path / "not there") == 0


def test_labels_that_came_first_find_their_predictions(project, tmp_path):
    writer = system(project, Permission.PREDICTION_LABEL)
    sent = log.line(2, refs=["order-1", "order-2"])
    items = [{"prediction_id": sent["ids"][0], "label": "no"}, {"inference_id": "order-2", "label": "yes"}]
    recorded = predictions.record_truth(writer, project=project, items=items)
    assert (recorded.matched, recorded.waiting) == (0, 2)
    log.write(tmp_path, [sent], log.header(project))
    ship.ship(tmp_path)
    linked = GroundTruth.objects.order_by("id").values_list("prediction_id", flat=True)
    assert [str(pk) for pk in linked] == sent["ids"]


def test_token_of_a_prediction_is_marked_as_used(project, tmp_path):
    make_token(make_user("ana"), project, ["predict"])
    token = ApiToken.objects.get()
    log.write(tmp_path, [log.line(token=token.pk)], log.header(project))
    ship.ship(tmp_path)
    token.refresh_from_db()
    assert timezone.now() - token.last_used_at < timedelta(minutes=1)


def test_labels_without_a_prediction_are_dropped_after_30_days(project):
    writer = system(project, Permission.PREDICTION_LABEL)
    predictions.record_truth(writer, project=project, items=[{"inference_id": "old", "label": "yes"}])
    now = datetime.now(UTC)
    assert ship.forget_unmatched(now + timedelta(days=29)) == 0
    assert ship.forget_unmatched(now + timedelta(days=31)) == 1
    assert GroundTruth.objects.count() == 0


def test_rows_answered_without_a_line_become_an_event(project, tmp_path):
    gap = {"kind": "gap", "source": 11, "at": log.NOON_MS + 5000, "since": log.NOON_MS, "rows": 17}
    log.write(tmp_path, [gap, log.line()], log.header(project))
    assert ship.ship(tmp_path) == 1
    event = Event.objects.get(verb="predictions.unlogged")
    assert (event.project, event.data) == (
        project,
        {
            "severity": "critical", "endpoint": "churn-production", "version": "churn v1", "rows": 17,
            "since": "2026-11-20T12:00:00+00:00", "until": "2026-11-20T12:00:05+00:00",
        },
    )  # fmt: skip
    editor = system(project, Permission.CHANNEL_EDIT)
    channels.create(editor, project=project, name="Night", kind="email", recipients=["ops@example.org"])
    owed = EventDelivery.objects.get(event=event, task="projects.notify")
    assert deliveries.fan_out(owed.pk) == 1
    told = Delivery.objects.get(verb="predictions.unlogged").subject
    assert told == "[Churn] 17 predictions of churn-production were answered but not logged"


def test_command_ships_once(project, tmp_path, settings, capsys):
    settings.SPOOL_DIR = tmp_path
    log.write(tmp_path, [log.line(2)], log.header(project))
    call_command("ship_predictions")
    assert capsys.readouterr().out == "2 rows\n"


SHIP = """
import sys, django
django.setup()
from pathlib import Path
from monitoring.pipeline import ship
print(ship.ship(Path(sys.argv[1])))
"""


def run_shipper(folder: Path, failpoint: str) -> int:
    from tests.serve.harness import database_url

    environment = {
        **os.environ, "DJANGO_SETTINGS_MODULE": "mlportal.settings", "MLPORTAL_TESTING": "1",
        "MLPORTAL_FAILPOINT": failpoint, "DATABASE_URL": database_url(), "PYTHONPATH": str(ROOT),
        "MLPORTAL_DATA_DIR": str(settings.DATA_DIR), "MLPORTAL_SECRET_KEY": settings.SECRET_KEY,
    }  # fmt: skip
    done = subprocess.run([sys.executable, "-c", SHIP, str(folder)], env=environment, cwd=ROOT, check=False)
    return done.returncode


@pytest.mark.slow
@pytest.mark.faults
@pytest.mark.django_db(transaction=True)
@pytest.mark.parametrize("point", ["ship.files", "ship.commit", "ship.unlink"])
def test_shipper_killed_anywhere_counts_every_row_once(transactional_db, tmp_path, point):
    project = make_project()
    make_monitor(project)
    log.write(tmp_path, [log.line(3), log.refusal()], log.header(project))
    assert run_shipper(tmp_path, point) == -9
    assert len(spool.closed_segments(tmp_path)) == 1
    assert Prediction.objects.count() == (3 if point == "ship.unlink" else 0)
    assert run_shipper(tmp_path, "") == 0
    assert (Prediction.objects.count(), spool.closed_segments(tmp_path)) == (3, [])
    assert [sum(held["counts"]) for _, held in counts("age")] == [3]
    assert [held["nulls"] for _, held in counts(shape.TRAFFIC)] == [1]
